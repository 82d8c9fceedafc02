"""Digits, with or without labels, and sets of them to train on.

`as_digits` makes them of what people have. Images stay rows of uint8, 0 for paper and 255 for ink,
from the file to the device.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from mnistgpu.backend import Array
from mnistgpu.data import classes, levels, shapes
from mnistgpu.data.levels import OURS, Levels
from mnistgpu.data.mapped import pieces_of
from mnistgpu.data.raw import Ids
from mnistgpu.errors import DataError, ShapeError


@dataclass(frozen=True, eq=False)
class Digits:
    """Images as rows, and their labels. Arrays read from files are read-only."""

    # (N, rows * columns) uint8, which may be `mapped.MappedImages`; or features (N, n), see
    # `engine.inputs`
    images: Array
    labels: np.ndarray | None  # (N,) uint8
    source: str
    image_shape: tuple[int, int] = (28, 28)
    classes: tuple[str | int, ...] = ()  # the name of each label; () if labels are their own names
    levels: Levels = OURS  # what paper and ink were before they became 0 and 255
    notes: tuple[str, ...] = ()  # sentences that say what was recognised, turned or left out
    ids: Ids | None = None  # the column of a table that numbers or names the images
    weights: np.ndarray | None = None  # (N,) float64, positive: how much each image counts
    unlabeled: np.ndarray | None = None  # (U, pixels): others to learn from, without labels

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.image_shape
        labelled = "not labelled" if self.labels is None else "labelled"
        return f"<Digits {self.source}: {len(self):,} images of {height}x{width}, {labelled}>"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape, images, labels, any weights and images without labels: the same for
        equal digits from any format.
        """
        shape = "x".join(map(str, (len(self), *self.image_shape)))
        kind = "unlabelled" if self.labels is None else "labelled"
        content = hashlib.sha256(f"{shape} {kind}\n".encode())
        for piece in pieces_of(self.images):
            content.update(np.ascontiguousarray(piece).data)
        if self.labels is not None:
            content.update(np.ascontiguousarray(self.labels).data)
        if self.weights is not None:
            content.update(b"weights")
            content.update(np.ascontiguousarray(self.weights).data)
        if self.unlabeled is not None:
            content.update(b"unlabeled")
            content.update(np.ascontiguousarray(self.unlabeled).data)
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
    orientation: str = "by-name"  # how its files were said to store images

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
