"""Digits, with or without labels, and sets of them to train on.

`as_digits` makes them of what people have. Images stay rows of uint8, 0 for paper and 255 for ink,
from the file to the device.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from mnistgpu import counter_rng
from mnistgpu.data import classes, levels, shapes
from mnistgpu.data.levels import OURS, Levels
from mnistgpu.data.raw import Ids
from mnistgpu.errors import ShapeError, UsageError


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
    ids: Ids | None = None  # the column of a table that numbers or names the images

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


def split(digits: Digits, validation: int, seed: int) -> tuple[Digits, Digits | None]:
    """The digits to train on, and `validation` of them held out at random (None for 0).

    Which ones are held out depends only on the seed and the number of digits. Both parts keep the
    order of the digits. Raises UsageError if no image would be left to train on.
    """
    count = len(digits)
    if not 0 <= validation < count:
        raise UsageError(
            f"validation {validation}: of the {count:,} images of {digits.source} at least one "
            f"must be left to train on; choose 0 to {count - 1}"
        )
    if validation == 0:
        return digits, None
    key = counter_rng.fold_in(counter_rng.key(seed, like=digits.images), counter_rng.SPLIT)
    held_out = np.zeros(count, dtype=bool)
    held_out[counter_rng.permutation(key, count)[:validation]] = True
    return selection(digits, ~held_out, "to train on"), selection(digits, held_out, "held out")


def for_outputs(dataset: Dataset, outputs: int) -> Dataset:
    """The set with labels for a network of so many outputs, as `classes.outputs_of` decides.

    DataError if a label of the test or of the validation is none of those to train on.
    """
    train = dataset.train
    coded = classes.outputs_of(np.asarray(train.labels), train.classes, outputs)
    if coded.classes == train.classes:
        return dataset

    def changed(digits: Digits | None) -> Digits | None:
        if digits is None:
            return None
        names = classes.names_of(digits.classes, np.asarray(digits.labels))
        labels = classes.coded(names, f"{digits.source}, labels", coded.classes).labels
        return replace(digits, labels=read_only(labels), classes=coded.classes)

    labelled = replace(train, labels=read_only(coded.labels), classes=coded.classes)
    return replace(
        dataset,
        train=labelled,
        test=changed(dataset.test),
        validation=changed(dataset.validation),
    )


def selection(digits: Digits, mask: np.ndarray, purpose: str) -> Digits:
    """The digits where mask (N,) is True."""
    labels = None if digits.labels is None else read_only(digits.labels[mask])
    images = read_only(digits.images[mask])
    ids = None if digits.ids is None else digits.ids._replace(values=digits.ids.values[mask])
    source = f"{digits.source}, {len(images)} {purpose}"
    return replace(digits, images=images, labels=labels, source=source, ids=ids)


class HasClassesAndLevels(Protocol):
    """Digits or a network: what later images are read alike."""

    @property
    def image_shape(self) -> tuple[int, int]: ...

    @property
    def classes(self) -> tuple[str | int, ...]: ...

    @property
    def levels(self) -> Levels: ...


def as_digits(
    images: np.ndarray,
    labels: np.ndarray | None,
    source: str,
    like: HasClassesAndLevels | None = None,
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
    labels_name = f"{source}, labels" if labels_name is None else labels_name
    stacked, said = shapes.stack(images, None if like is None else like.image_shape, source)
    count, height, width = stacked.shape
    if like is None:
        found = levels.recognised(stacked, source, count)
        said = (*said, *([levels.sentence(found, source)] if found != OURS else []))
        kept = found.kept(stacked.dtype)
    else:
        found, contradictions = levels.applied(stacked, like.levels, source, count)
        said, kept = (*said, *contradictions), like.levels
    rows = read_only(found.to_uint8(stacked).reshape(count, height * width).view())
    numbers, names = None, () if like is None else like.classes
    if labels is not None:
        coded = classes.coded(labels, labels_name, None if like is None else like.classes)
        numbers, names = read_only(coded.labels), coded.classes
        if len(numbers) != count:
            raise ShapeError(
                f"{labels_name}: {len(numbers):,} labels for {count:,} images; give one for each"
            )
    return Digits(rows, numbers, source, (height, width), names, kept, (*notes, *said))


def read_only(array: np.ndarray) -> np.ndarray:
    """The same array, made read-only."""
    array.flags.writeable = False
    return array
