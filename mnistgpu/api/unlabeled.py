"""Images without labels that a run learns from beside its labelled ones: `--unlabeled`."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu.api import reading
from mnistgpu.data import Dataset, Digits, arrays
from mnistgpu.data.mapped import MappedImages
from mnistgpu.data.splitting import number_of, split
from mnistgpu.errors import DataError, UsageError
from mnistgpu.runs import checks
from mnistgpu.runs.origin import ARRAYS
from mnistgpu.settings import Settings


def setting_of(given: Any) -> str:
    """What `Settings.unlabeled` says of these: their absolute path, or that they were arrays."""
    if isinstance(given, (str, os.PathLike)):
        return given if given == ARRAYS else os.path.abspath(given)
    return ARRAYS


def attached(dataset: Dataset, given: Any, settings: Settings, bar: bool = False) -> Dataset:
    """The set with images without labels to learn from: at a path, in arrays, or Digits.

    They are read as the training images are. Labels among them are not used, but they must be of
    the same classes. What is said of them stands in the notes of the training digits. Raises
    ShapeError or DataError for images of another size and for labels of other classes, UsageError
    for images that stay in their files.
    """
    train = dataset.train
    digits = read(given, train, settings.orientation, bar)
    for each in (train, digits):
        if isinstance(each.images, MappedImages):  # before anything looks at all of them
            raise UsageError(
                f"--unlabeled: the images of {each.source} stay in their files; give sets that fit "
                "into memory, such as part of the images as an npy file"
            )
    if digits.image_shape != train.image_shape:
        here, there = (
            f"{height}x{width}" for height, width in (digits.image_shape, train.image_shape)
        )
        raise DataError(
            f"{digits.source}: unlabeled images of {here}, but those with labels have {there}; "
            "give images of one size"
        )
    notes = [each for each in digits.notes if each not in train.notes]
    if digits.labels is not None:
        checks.check_labels(digits, settings.sizes[-1])
        notes.append(f"{digits.source}: has labels, which --unlabeled does not use")
    notes += overlaps(digits, dataset, settings)
    images = digits.images.view()
    images.flags.writeable = False
    train = replace(train, unlabeled=images, notes=(*train.notes, *notes))
    return replace(dataset, train=train)


def read(given: Any, train: Digits, orientation: str, bar: bool) -> Digits:
    """The images, as digits like those to train on."""
    if isinstance(given, (str, os.PathLike)):
        if str(given) == ARRAYS:
            raise UsageError(
                "unlabeled: this run was begun with unlabeled images in arrays, which are not "
                "saved with it; give the same as unlabeled=..."
            )
        return reading.load_digits(Path(given), train, orientation, bar=bar, first="train")
    if isinstance(given, Dataset):
        raise DataError("unlabeled: is a Dataset; give one of its parts, such as its train")
    if isinstance(given, Digits):
        if given.labels is not None and not isinstance(given.images, MappedImages):
            return arrays.checked(given, "unlabeled", train)
        return replace(given, images=arrays.images_of(given, "unlabeled", train))
    return arrays.as_digits(given, None, train, "unlabeled labels")


def overlaps(digits: Digits, dataset: Dataset, settings: Settings) -> list[str]:
    """A sentence if some of the images are images of the test or of the validation, too: given
    ones, or those that the run holds out.
    """
    validation, count = dataset.validation, len(dataset.train)
    if validation is None and number_of(settings.validation, count) < count:
        validation = split(dataset.train, settings.validation, settings.seed)[1]
    found, own = [], [digest(row) for row in digits.images]
    for part, judged in (("test", dataset.test), ("validation", validation)):
        if judged is None:
            continue
        known = set(map(digest, judged.images))
        count = sum(each in known for each in own)
        if count:
            found.append(
                f"{digits.source}: {count:,} of its {len(digits):,} images are {part} images, too; "
                f"the network sees them without their labels, so its {part} accuracy is not that "
                "on images which it has never seen"
            )
    return found


def digest(image: np.ndarray) -> bytes:
    """What tells an image apart from others."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def detached(dataset: Dataset) -> Dataset:
    """The set without images that have no labels."""
    if dataset.train.unlabeled is None:
        return dataset
    return replace(dataset, train=replace(dataset.train, unlabeled=None))


def as_before(dataset: Dataset, given: Any, settings: Settings, bar: bool = False) -> Dataset:
    """The set of a run with these settings: with the unlabeled images given, with those that it
    brings along, or with those at the path that the settings name.
    """
    if settings.unlabeled is None:
        if given is not None:
            raise UsageError(
                "--unlabeled: the run was begun without such images, and its steps so far would "
                "have been others with them; train anew, or leave --unlabeled out"
            )
        return detached(dataset)
    if given is None and dataset.train.unlabeled is not None:
        return dataset
    where = settings.unlabeled if given is None else given
    if isinstance(where, str) and where != ARRAYS and not os.path.exists(where):
        raise DataError(
            f"{where}: is not there any more, and the run learns from its unlabeled images; give "
            "them with --unlabeled"
        )
    return attached(dataset, where, settings, bar)


def complete(dataset: Dataset, settings: Settings) -> Dataset:
    """The set that was read again for a run with these settings, for `runs.stopped`."""
    return as_before(dataset, None, settings)
