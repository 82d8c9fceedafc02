"""Drawings kept with their labels, to train on: train.csv in a folder, as --data reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mnistgpu import data
from mnistgpu.errors import DataError, RunError, UsageError
from mnistgpu.storage import files

HEADER = ",".join(["label", *(f"pixel{i}" for i in range(784))]).encode() + b"\n"
MOST_BYTES = 2**25  # about ten thousand drawings; each one rewrites the file


class Kept:
    """The drawings kept in a folder. Each `add` replaces train.csv by one with one more line."""

    def __init__(self, folder: Path, image_shape: tuple[int, int]):
        if image_shape != (28, 28):
            raise UsageError(
                f"--keep: drawings are kept as 28x28 images, but this network reads "
                f"{image_shape[0]}x{image_shape[1]}; leave it out"
            )
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--keep {folder}: is a file; name a folder")
        self.path, self.count = folder / "train.csv", 0
        if self.path.exists():
            if not files.read_bytes(self.path, MOST_BYTES).startswith(HEADER):
                raise DataError(
                    f"{self.path}: not a table that this page wrote; name another folder"
                )
            self.count = len(data.load_digits(self.path))

    def add(self, image: np.ndarray, label: int) -> int:
        """Keep an image (784,) uint8 with its label; returns the number kept. RunError if not."""
        if not self.path.exists():
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RunError(
                    f"{self.path.parent}: cannot be made ({error.strerror}); name another folder"
                ) from None
            content, self.count = HEADER, 0
        else:
            content = files.read_bytes(self.path, MOST_BYTES)
        line = ",".join(map(str, [label, *image.tolist()])).encode() + b"\n"
        files.replace_bytes(self.path, content + line)
        self.count += 1
        return self.count
