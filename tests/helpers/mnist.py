"""The embedded MNIST, read without the project's own reader, and where the repository lies."""

import gzip
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent.parent
MNIST = ROOT / "data" / "mnist"


def read_idx(name: str, count: int) -> np.ndarray:
    """The first items of an embedded IDX file, read without the project's own reader."""
    with gzip.open(MNIST / f"{name}.gz") as file:
        dimensions = 3 if "images" in name else 1
        file.read(4 + 4 * dimensions)
        size = 784 if dimensions == 3 else 1
        flat = np.frombuffer(file.read(count * size), dtype=np.uint8)
    return flat.reshape(count, 784) if dimensions == 3 else flat
