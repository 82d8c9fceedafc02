"""Labelled digits: the embedded MNIST, or files in the usual formats of such sets.

`load` returns a set to train on, `load_digits` images to answer, with or without labels. Images
stay rows of uint8, 0 for paper and 255 for ink, from the file to the device.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from mnistgpu.backend import Array
from mnistgpu.data import classes, idx, levels, npz, shapes, table
from mnistgpu.data.levels import OURS, Levels
from mnistgpu.data.streams import mode_of
from mnistgpu.errors import DataError, ShapeError, UsageError

MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# where the embedded MNIST lies: in the installed package, or in a clone of the project
EMBEDDED = (Path(__file__).parent / "mnist", Path(__file__).parents[2] / "data" / "mnist")
PREFIX = {"train": "train", "test": "t10k"}  # how MNIST's files name the two parts


@dataclass(frozen=True, eq=False)
class Digits:
    """Images as rows, and their labels. Arrays read from files are read-only."""

    images: np.ndarray  # (N, rows * columns) uint8
    labels: np.ndarray | None  # (N,) uint8
    source: str
    image_shape: tuple[int, int] = (28, 28)
    classes: tuple[str | int, ...] = ()  # the name of each label; () if labels are their own names
    levels: Levels = OURS  # what paper and ink were before they became 0 and 255
    notes: tuple[str, ...] = ()  # sentences that say what was recognised, turned or left out

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.image_shape
        labelled = "not labelled" if self.labels is None else "labelled"
        return f"<Digits {self.source}: {len(self):,} images of {height}x{width}, {labelled}>"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape, images and labels: the same for equal digits from any format."""
        shape = "x".join(map(str, (len(self), *self.image_shape)))
        kind = "unlabelled" if self.labels is None else "labelled"
        content = hashlib.sha256(f"{shape} {kind}\n".encode())
        content.update(np.ascontiguousarray(self.images).data)
        if self.labels is not None:
            content.update(np.ascontiguousarray(self.labels).data)
        return content.hexdigest()


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled digits to train on, and others for the test (None if the source has none).

    validation: digits for the validation; None if some of `train` are to be held out for it.
    path: the absolute path of the source; None for the embedded MNIST and for arrays.
    """

    train: Digits
    test: Digits | None
    source: str
    validation: Digits | None = None
    path: str | None = None

    def __repr__(self) -> str:
        height, width = self.train.image_shape
        test = "no" if self.test is None else f"{len(self.test):,}"
        counts = f"{len(self.train):,} training and {test} test images of {height}x{width}"
        return f"<Dataset {self.source}: {counts}>"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the digests of all parts."""
        test = "none" if self.test is None else self.test.digest
        text = f"train {self.train.digest} test {test}"
        if self.validation is not None:
            text += f" validation {self.validation.digest}"
        return hashlib.sha256(f"{text}\n".encode()).hexdigest()


def load(path: str | Path | None = None, classes: int = 10) -> Dataset:
    """A labelled set: the embedded MNIST, or the set at a path.

    The path is a folder with the IDX files of MNIST (plain or .gz; the test pair may be missing) or
    with train.csv, an IDX file of images with its labels beside it, a .csv, or a .npz as Keras
    provides it. Labels must lie in 0 ... classes - 1.

    Raises DataError if something is missing, damaged or in another format.
    """
    source = "embedded MNIST" if path is None else str(path)
    parts = embedded(classes) if path is None else parts_at(path, classes)
    with ThreadPoolExecutor(2) as pool:  # unpacking and hashing release Python's lock
        train, test = pool.map(lambda read: read(), (parts.train, parts.test))
    if train is None:
        raise DataError(
            f"{path}: holds no training images; add train-images-idx3-ubyte to a folder, or "
            "x_train to an npz file"
        )
    for digits in (train, test):
        if digits is not None and digits.labels is None:
            raise DataError(
                f"{digits.source}: looks like test.csv, {digits.images.shape[1]} pixels and no "
                "label; use it with predict or submit, or add the labels (a column called label, "
                "a file labels-idx1-ubyte, or an array y_...)"
            )
    if test is not None and test.image_shape != train.image_shape:
        raise DataError(
            f"{test.source}: images of {test.image_shape}, but those to train on have "
            f"{train.image_shape}; take both from one set"
        )
    return Dataset(train, test, source, path=None if path is None else os.path.abspath(path))


def load_digits(path: str | Path, classes: int = 10) -> Digits:
    """The images at a path, as for `load`, with their labels if there are any.

    If the path has a training and a test part, the images are those of the test part.
    """
    parts = parts_at(path, classes)
    for read in (parts.kaggle_test, parts.test, parts.train):
        if (digits := read()) is not None:
            return digits
    raise DataError(f"{path}: holds no images; save them as x_test with numpy.savez")


# The parts of a set: a function for each that reads it when it is called


def nothing() -> None:
    """The reader of a part that does not exist."""


@dataclass(frozen=True)
class Parts:
    """A reader for each part of a set."""

    train: Callable[[], Digits | None] = nothing
    test: Callable[[], Digits | None] = nothing
    kaggle_test: Callable[[], Digits | None] = nothing  # images whose labels only Kaggle has


def parts_at(given: str | Path, classes: int) -> Parts:
    """The parts at a path, whose name tells the format."""
    if not isinstance(given, (str, os.PathLike)):
        raise UsageError(f"data: must be a path, as text or a Path, not {type(given).__name__}")
    path = Path(given)
    if not isinstance(classes, (int, np.integer)) or classes < 1:
        raise UsageError(f"classes: must be a whole number of at least 1, not {classes!r}")
    if stat.S_ISDIR(mode_of(path)):
        return folder_parts(path, classes)
    kind = path.suffix.lower()
    if kind == ".csv":
        return Parts(partial(csv_digits, path, classes))
    if kind == ".npz":
        return Parts(*(partial(npz_digits, path, part, classes) for part in PREFIX))
    name = path.name.removesuffix(".gz")
    labels_name = name.replace("images", "labels").replace("idx3", "idx1")
    labels = find_idx(path.parent, labels_name) if labels_name != name else None
    return Parts(partial(idx_digits, path, labels, classes, str(path)))


def folder_parts(folder: Path, classes: int) -> Parts:
    """The parts in a folder: pairs of IDX files, or Kaggle's tables if there are none."""
    pairs = {}
    for part, prefix in PREFIX.items():
        images = find_idx(folder, f"{prefix}-images-idx3-ubyte")
        labels = find_idx(folder, f"{prefix}-labels-idx1-ubyte")
        if images is not None:
            pairs[part] = partial(idx_digits, images, labels, classes, f"{folder}, {part}")
        elif labels is not None:
            raise DataError(f"{labels}: has no images; add {prefix}-images-idx3-ubyte beside it")
    if pairs:
        return Parts(**pairs)
    tables = {
        part: partial(csv_digits, path, classes)
        for part, name in (("train", "train.csv"), ("kaggle_test", "test.csv"))
        if (path := find(folder, name))
    }
    if tables:
        return Parts(**tables)
    raise DataError(
        f"{folder}: holds neither train-images-idx3-ubyte (or .gz) nor train.csv; give the folder "
        "that does, or a file"
    )


def find_idx(folder: Path, name: str) -> Path | None:
    """The IDX file of that name: the plain one, or else the gzipped one."""
    return find(folder, name, f"{name}.gz")


def find(folder: Path, *names: str) -> Path | None:
    """The path of the first of these names that is in the folder."""
    try:
        present = set(os.listdir(folder))
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be listed ({error.strerror or error}); check its permissions"
        ) from None
    return next((folder / name for name in names if name in present), None)


def embedded(classes: int) -> Parts:
    """The MNIST in the installed package, or in a clone of the project."""
    for folder in EMBEDDED:
        if folder.is_dir():
            return Parts(*(partial(embedded_digits, folder, part, classes) for part in PREFIX))
    raise DataError(f"{EMBEDDED[0]}: the embedded MNIST is missing; install mnistgpu again")


# Readers of one format each, which return Digits


def idx_digits(images_path: Path, labels_path: Path | None, classes: int, source: str) -> Digits:
    """A pair of IDX files, or images alone."""
    images = idx.read_images(images_path)
    labels = None if labels_path is None else idx.read_labels(labels_path, classes)
    return as_digits(images, labels, source)


def embedded_digits(folder: Path, part: str, classes: int) -> Digits:
    """A part of the embedded MNIST, checked byte by byte against what its authors published."""
    images_path = folder / f"{PREFIX[part]}-images-idx3-ubyte.gz"
    labels_path = folder / f"{PREFIX[part]}-labels-idx1-ubyte.gz"
    digits = idx_digits(images_path, labels_path, classes, f"embedded MNIST, {part}")
    images, labels = digits.images.reshape(-1, *digits.image_shape), np.asarray(digits.labels)
    for path, array in ((images_path, images), (labels_path, labels)):
        content = hashlib.sha256(idx.header_of(array.shape))
        content.update(array.data)
        if content.hexdigest() != MNIST_SHA256[path.stem]:
            raise DataError(
                f"{path}: not MNIST as published: the SHA-256 of its unpacked bytes is "
                f"{content.hexdigest()[:16]}...; install mnistgpu again"
            )
    return digits


def csv_digits(path: Path, classes: int) -> Digits:
    """A table in the form of Kaggle's train.csv or test.csv."""
    return as_digits(*table.read(path, classes), str(path))


def npz_digits(path: Path, part: str, classes: int) -> Digits | None:
    """A part of an npz file; None if the file has no such part."""
    found = npz.read(path, part, classes)
    return None if found is None else as_digits(*found, f"{path}, {part}")


class Alike(Protocol):
    """Digits to train on, or a network: what later images and labels are read by."""

    @property
    def image_shape(self) -> tuple[int, int]: ...

    @property
    def classes(self) -> tuple[str | int, ...]: ...

    @property
    def levels(self) -> Levels: ...


class Rows(NamedTuple):
    """Images as rows (N, pixels) uint8, where they live, and how they were read."""

    rows: Array
    image_shape: tuple[int, int]
    levels: Levels
    notes: tuple[str, ...]


def rows_of(images: Array, source: str, like: Alike | None = None) -> Rows:
    """Images of any customary shape and numeric type as rows; the rest is as for `as_digits`.

    Masked pixels become paper.
    """
    masked = isinstance(images, np.ma.MaskedArray)
    if masked:
        mask, images = np.ma.getmaskarray(images), images.filled(0)
    stacked, notes = shapes.stack(images, None if like is None else like.image_shape, source)
    count, height, width = stacked.shape
    if like is None:
        found = levels.recognised(stacked, source, count)
        kept = found.kept(stacked.dtype)
        if found != OURS:
            notes = (*notes, levels.sentence(found, source))
    else:
        found, said = levels.applied(stacked, like.levels, source, count)
        kept, notes = like.levels, (*notes, *said)
    rows = found.to_uint8(stacked).reshape(count, height * width)
    if masked and mask.any():
        if mask.size != rows.size:
            raise DataError(f"{source}: colours with masked values; fill them first")
        rows[mask.reshape(rows.shape)] = 0
        notes = (*notes, f"{source}: {np.count_nonzero(mask):,} masked pixels are read as paper")
    return Rows(rows, (height, width), kept, notes)


def as_digits(
    images: np.ndarray,
    labels: np.ndarray | None,
    source: str,
    like: Alike | None = None,
    notes: tuple[str, ...] = (),
    labels_name: str | None = None,
) -> Digits:
    """Digits of images and labels as people have them.

    images: (N, H, W), (N, pixels) or another shape that `shapes.stack` takes, of any numeric type.
    labels: (N,), (N, 1) or one-hot (N, classes), of any type.
    like: the training set or the network whose image shape, grey levels and classes are applied;
    without it they are recognised. notes: what is to be said of the digits, before what is said
    here. source, labels_name: what images and labels are called in messages.

    Raises ShapeError or DataError for what cannot be read, or is not like `like`.
    """
    found = rows_of(images, source, like)
    numbers, names = None, () if like is None else like.classes
    if labels is not None:
        labels_name = f"{source}, labels" if labels_name is None else labels_name
        coded = classes.coded(labels, labels_name, None if like is None else like.classes)
        numbers, names = read_only(coded.labels), coded.classes
        if len(numbers) != len(found.rows):
            count, given = len(found.rows), len(numbers)
            raise ShapeError(
                f"{labels_name}: {given:,} labels for {count:,} images; give one for each"
            )
    rows, said = read_only(found.rows.view()), (*notes, *found.notes)
    return Digits(rows, numbers, source, found.image_shape, names, found.levels, said)


def read_only(array: np.ndarray) -> np.ndarray:
    """The same array, made read-only."""
    array.flags.writeable = False
    return array
