"""The MNIST that comes with the package, checked to be the one that its authors published."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mnistgpu.data import idx
from mnistgpu.data.digits import Digits, read_only
from mnistgpu.data.naming import EMBEDDED
from mnistgpu.data.streams import Source
from mnistgpu.errors import DataError

# SHA-256 of the files as they are packed here: a quarter of the time that hashing their content
# takes. A test holds their content against what MNIST's authors published (data/README.md).
SHA256 = {
    "train-images-idx3-ubyte": "0b367032e93c5d0cea0925647cfdb18614af8ee15f83e6f2fc2ad904a6835971",
    "train-labels-idx1-ubyte": "1787548bbe0bff1ec2ecdc0ef292b02df999e2d1a6002d27500982c652b17203",
    "t10k-images-idx3-ubyte": "1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be",
    "t10k-labels-idx1-ubyte": "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
}
DIGESTS = {  # `Digits.digest` of what is in them
    "train": "ff18ea36f5e37988d0e031639e620da151047c0be06c0107b0aea06a0ca48132",
    "test": "53f25d2c5b659c7fa6f9d8fcf7745f2a4d492356b02be79aa51ecbcbdd411800",
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
    check(images_file)
    check(labels_file)
    count, height, width = images.shape
    rows = read_only(images.reshape(count, height * width))
    digits = Digits(rows, read_only(labels), f"{EMBEDDED}, {part}", (height, width))
    vars(digits)["digest"] = DIGESTS[part]  # so that a run does not wait for it
    return digits


def check(source: Source) -> None:
    """DataError unless the file is the one that comes with the package."""
    with source.path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256[source.path.stem]:
        raise DataError(
            f"{source}: not the MNIST that comes with the package: its SHA-256 is "
            f"{found[:16]}...; install mnistgpu again"
        )
