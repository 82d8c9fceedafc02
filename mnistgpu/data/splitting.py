"""A set divided: images held out for the validation or the test, labels for a network's outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mnistgpu import counter_rng
from mnistgpu.data import classes
from mnistgpu.data.digits import Dataset, Digits, read_only
from mnistgpu.errors import UsageError


def number_of(validation: float, count: int) -> int:
    """How many of `count` images a number or a share of them is."""
    return round(validation * count) if 0 < validation < 1 else int(validation)


def split(digits: Digits, validation: float, seed: int) -> tuple[Digits, Digits | None]:
    """The digits to train on, and `validation` of them held out at random (None for 0).

    validation: a number, or a share below 1. Which ones are held out depends only on the seed and
    the number of digits. Both parts keep the order of the digits. Raises UsageError if no image
    would be left to train on.
    """
    count = len(digits)
    held_out = number_of(validation, count)
    if not 0 <= held_out < count:
        raise UsageError(
            f"validation {validation}: of the {count:,} images of {digits.source} at least one "
            f"must be left to train on; choose 0 to {count - 1}"
        )
    if held_out == 0:
        return digits, None
    mask = drawn(digits, held_out, seed, counter_rng.SPLIT)
    held = replace(digits, unlabeled=None)
    return selection(digits, ~mask, "to train on"), selection(held, mask, "held out")


def drawn(digits: Digits, number: int, seed: int, purpose: int) -> np.ndarray:
    """A mask (N,) with so many of the digits at random."""
    key = counter_rng.fold_in(counter_rng.key(seed, like=digits.images), purpose)
    mask = np.zeros(len(digits), dtype=bool)
    mask[counter_rng.permutation(key, len(digits))[:number]] = True
    return mask


def selection(digits: Digits, mask: np.ndarray, purpose: str) -> Digits:
    """The digits where mask (N,) is True."""
    labels = None if digits.labels is None else read_only(digits.labels[mask])
    images = read_only(digits.images[mask])
    ids = None if digits.ids is None else digits.ids._replace(values=digits.ids.values[mask])
    weights = None if digits.weights is None else read_only(digits.weights[mask])
    source = f"{digits.source}, {len(images)} {purpose}"
    return replace(digits, images=images, labels=labels, source=source, ids=ids, weights=weights)


def with_test(dataset: Dataset, share: float) -> Dataset:
    """The set with a share of its images, drawn at random, as its test part.

    They are the same for every run on these images, whatever its seed, so that runs can be
    compared. UsageError if there is a test part already, or none or all images would be drawn.
    """
    train = dataset.train
    number = number_of(share, len(train))
    if dataset.test is not None:
        raise UsageError(
            f"--test-share {share:g}: {dataset.source} has {len(dataset.test):,} test images "
            "already; leave it out"
        )
    if not 0 < number < len(train):
        raise UsageError(
            f"--test-share {share:g}: is {number} of the {len(train):,} images of "
            f"{dataset.source}; at least one image must be on either side"
        )
    mask = drawn(train, number, 0, counter_rng.TEST)
    kept, test = selection(train, ~mask, "to train on"), selection(train, mask, "for the test")
    return replace(dataset, train=kept, test=replace(test, notes=(), unlabeled=None))


def for_outputs(dataset: Dataset, outputs: int) -> Dataset:
    """The set with labels for a network of so many outputs, as `classes.outputs_of` decides.

    DataError if a label of the test or of the validation is none of those to train on.
    """
    train = dataset.train
    coded = classes.outputs_of(np.asarray(train.labels), train.classes, outputs)
    if coded.classes == train.classes:
        return dataset
    return replace(
        dataset,
        train=replace(train, labels=read_only(coded.labels), classes=coded.classes),
        test=relabelled(dataset.test, coded.classes),
        validation=relabelled(dataset.validation, coded.classes),
    )


def relabelled(digits: Digits | None, names: tuple[classes.Name, ...]) -> Digits | None:
    """The digits with their labels as numbers of these classes."""
    if digits is None:
        return None
    of_images = classes.names_of(digits.classes, np.asarray(digits.labels))
    labels = classes.coded(of_images, f"{digits.source}, labels", names).labels
    return replace(digits, labels=read_only(labels), classes=names)


def prepared(dataset: Dataset, outputs: int, test_share: float) -> Dataset:
    """The set as a run with these settings uses it; the same again gives the same digest."""
    if test_share > 0:
        dataset = with_test(dataset, test_share)
    return for_outputs(dataset, outputs)
