"""The MNIST that comes with the package, checked against what its authors published."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from mnistgpu.data import idx
from mnistgpu.data.digits import Digits, read_only
from mnistgpu.data.naming import EMBEDDED
from mnistgpu.data.streams import Source
from mnistgpu.errors import DataError

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# where it lies: in the installed package, or in a clone of the project
FOLDERS = (Path(__file__).parent / "mnist", Path(__file__).parents[2] / "data" / "mnist")
PREFIX = {"train": "train", "test": "t10k"}  # how its files name the two parts


def read(part: str) -> Digits:
    """The part "train" or "test". DataError if a file is missing or is not as published."""
    folder = next((each for each in FOLDERS if each.is_dir()), None)
    if folder is None:
        raise DataError(f"{FOLDERS[0]}: the embedded MNIST is missing; install mnistgpu again")
    images_file = Source(folder / f"{PREFIX[part]}-images-idx3-ubyte.gz")
    labels_file = Source(folder / f"{PREFIX[part]}-labels-idx1-ubyte.gz")
    images, labels = idx.read_images(images_file), idx.read_labels(labels_file)
    check(images_file, images)
    check(labels_file, labels)
    count, height, width = images.shape
    rows = read_only(images.reshape(count, height * width))
    return Digits(rows, read_only(labels), f"{EMBEDDED}, {part}", (height, width))


def check(source: Source, array: np.ndarray) -> None:
    """DataError unless the file that holds this array is the published one."""
    content = hashlib.sha256(idx.header_of(array.shape))
    content.update(np.ascontiguousarray(array).data)
    if content.hexdigest() != SHA256[source.path.stem]:
        raise DataError(
            f"{source}: not MNIST as published: the SHA-256 of its unpacked bytes is "
            f"{content.hexdigest()[:16]}...; install mnistgpu again"
        )
