"""What is refused before a run begins: settings and data that do not fit together."""

from __future__ import annotations

import numpy as np

from mnistgpu import data
from mnistgpu.data import weighting
from mnistgpu.data.classes import DIGITS, shown
from mnistgpu.data.mapped import MappedImages
from mnistgpu.data.splitting import number_of
from mnistgpu.engine.exact_inputs import grids_of
from mnistgpu.engine.gradient import normalized_together
from mnistgpu.engine.inputs import changing, inked
from mnistgpu.errors import DataError, UsageError
from mnistgpu.settings import Settings

LIKELY = 0.3  # share of images in which some pixel of any set has ink
FEWEST_NORMALISED = 8  # images whose mean and deviation batch normalisation may use

NOT_EXACT = {  # settings that exact arithmetic refuses, and why
    "teacher": "teacher, whose answers",
    "adversarial": "virtual adversarial loss, whose products",
    "consistency": "consistency loss, whose answers",
    "denoising": "decoder, whose sums",
    "information": "mutual information, whose logarithms",
}


def check_fit(settings: Settings, dataset: data.Dataset) -> None:
    """Refuse settings that do not fit the data: layers, held-out images, batch size.

    Also refuses arrays made by hand whose labels are missing, negative or not integers.
    """
    height, width = dataset.train.image_shape
    first, last = settings.sizes[0], settings.sizes[-1]
    if first != height * width:
        raise UsageError(
            f"--layers begins with {first}, but an image of {dataset.source} has {height}x{width} "
            f"= {height * width} pixels: begin it with {height * width}"
        )
    labels = np.asarray(dataset.train.labels)
    if labels.shape != (len(dataset.train),) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"{dataset.source}: labels must be integers of shape ({len(dataset.train)},), one for "
            f"each image, not {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0:
        raise DataError(
            f"{dataset.source}: label {labels.min()} of image {labels.argmin()} is negative; "
            "labels are 0, 1, 2, ..."
        )
    names, classes = dataset.train.classes, int(labels.max()) + 1
    if names and last != len(names):
        raise UsageError(
            f"--layers ends with {last}, but {dataset.source} has {len(names)} classes, "
            f"{shown(names)}: end it with {len(names)}"
        )
    if last < classes:
        raise UsageError(
            f"--layers ends with {last}, but {dataset.source} has the labels 0 to {classes - 1}: "
            f"end it with {max(classes, DIGITS)}"
        )
    for digits in (dataset.test, dataset.validation):
        if digits is not None:
            check_labels(digits, last)
    left = len(dataset.train) - number_of(settings.validation, len(dataset.train))
    if left < 1:
        raise UsageError(
            f"--validation {settings.validation} leaves nothing to train on: {dataset.source} has "
            f"{len(dataset.train)} training images; hold out fewer, or none with --validation 0"
        )
    weighting.check(dataset.train, settings.class_weight, last)
    if settings.is_exact:
        if settings.class_weight != weighting.NONE or dataset.train.weights is not None:
            raise UsageError(
                "--precision exact has no weights, whose products with other numbers would be "
                "rounded; leave out --class-weight and sample_weight, or choose another --precision"
            )
        for name, what in NOT_EXACT.items():
            if getattr(settings, name):
                raise UsageError(
                    f"--precision exact has no {what} would be rounded; leave out --{name}, or "
                    "choose another --precision"
                )
        grids_of(settings, first, left)
    if isinstance(dataset.train.images, MappedImages):
        check_mapped(settings, dataset)
    others = dataset.train.unlabeled
    if others is not None:
        check_unlabeled(settings, dataset)
    elif settings.unlabeled is not None:
        raise UsageError("unlabeled: the settings name images without labels, but there are none")
    if others is None and settings.batch_size is not None and settings.batch_size > left:
        raise UsageError(
            f"--batch-size {settings.batch_size} is more than the {left} training images; "
            "leave it out for full batches"
        )
    if dataset.train.images.dtype != np.uint8:
        check_features(settings)
    if settings.min_ink > LIKELY:  # here, so that nothing is written before it is refused
        inked(dataset.train.images, settings.min_ink)
    parts = [dataset.train.images] + ([] if others is None else [others])
    if settings.adversarial > 0 and not any(changing(part).any() for part in parts):
        raise UsageError(
            f"--adversarial {settings.adversarial:g} changes columns as the images do, but no "
            f"column of {dataset.source} ever changes: all images are the same; give others"
        )
    if settings.batch_norm:
        if others is None:
            check_groups(left, settings.batch_size)
        else:
            check_groups(len(others), settings.batch_size, left)
    if dataset.validation is not None and settings.validation > 0:
        raise UsageError(
            f"--validation {settings.validation} holds out training images, but validation images "
            "are given; leave one of the two out"
        )
    held_out = settings.validation > 0 or dataset.validation is not None
    if settings.early_stopping is not None and not held_out:
        raise UsageError("--early-stopping needs held-out images: give --validation too")


def check_mapped(settings: Settings, dataset: data.Dataset) -> None:
    """UsageError for settings that need the images in memory, where they stay in their files."""
    count = len(dataset.train)
    if settings.validation > 0 and dataset.validation is None:
        raise UsageError(
            f"--validation {settings.validation}: the images of {dataset.source} stay in their "
            "files, and none of them can be held out; give --validation 0, or make the set with "
            "validation images of its own"
        )
    if (settings.batch_size or count) == count:
        raise UsageError(
            f"{dataset.source}: its images stay in their files, and are not read all at once for "
            "full batches; give a --batch-size, such as 256, or a --recipe"
        )


def check_features(settings: Settings) -> None:
    """UsageError for settings that need images: the rows are features, numbers of any kind."""
    if settings.deformation.is_deforming:
        raise UsageError(
            "rotation, scaling, shear, shift, mirror and elastic deform images, but X has features "
            "of type float; give grey levels from 0 to 255 as uint8, or leave them out"
        )
    if settings.is_exact:
        raise UsageError(
            "--precision exact needs whole grey levels, but X has features of type float; give "
            "grey levels from 0 to 255 as uint8, or choose another precision"
        )


def check_unlabeled(settings: Settings, dataset: data.Dataset) -> None:
    """Refuse labels of too few images, if others without labels are to be learnt from."""
    training, _ = data.split(dataset.train, settings.validation, settings.seed)
    outputs, others = settings.sizes[-1], dataset.train.unlabeled
    if settings.unlabeled is None or others is None:
        raise UsageError(
            "unlabeled: the set has images without labels, but the settings name none; give them "
            "as unlabeled=... to mnistgpu.fit"
        )
    if settings.teacher is not None:
        raise UsageError(
            "--unlabeled cannot be given with --teacher, which needs no labels; give all images "
            "with --data"
        )
    if settings.rotation_1_7 is not None:
        raise UsageError(
            "--rotation-1-7 turns the digits 1 and 7 otherwise, and nobody knows which images of "
            "--unlabeled these are; leave one of the two out"
        )
    if settings.batch_size is not None and settings.batch_size > len(others):
        raise UsageError(
            f"--batch-size {settings.batch_size} is more than the {len(others):,} images without "
            "labels, and a step takes that many of them; leave it out for full batches"
        )
    counts = np.bincount(np.asarray(training.labels), minlength=outputs)
    missing, names = np.flatnonzero(counts == 0).tolist(), dataset.train.classes
    if missing:
        named = shown([names[each] if names else each for each in missing])
        raise DataError(
            f"{training.source}: {len(training):,} labels for the {outputs} classes of the "
            f"network, and none is {named}: of such a class nothing can be learnt from images "
            "without labels; label at least one image of each class, or end --layers with the "
            "number of classes that you have"
        )


def check_groups(count: int, batch_size: int | None, labelled: int = 0) -> None:
    """UsageError if batch normalisation would get the mean and deviation of very few images.

    They are those of a group, a part of a batch; the last batch of an epoch, and the last group of
    a batch, have what is left over. labelled: images with labels, where the `count` have none; each
    batch has some of them too, see `MixedBatches`.
    """

    def smallest(batch_size: int | None) -> int:
        batch = batch_size or count
        beside = labelled if batch_size is None else min(labelled, batch)
        group = normalized_together(batch + beside)
        batches = {min(batch, count) + beside, (count % batch or batch) + beside}
        return min(min(each, each % group or group) for each in batches)

    if smallest(batch_size) >= FEWEST_NORMALISED:
        return
    batch = batch_size or count
    fits = (
        other
        for distance in range(1, count)
        for other in (batch + distance, batch - distance)
        if FEWEST_NORMALISED <= other <= count and smallest(other) >= FEWEST_NORMALISED
    )
    mend = next((f"try --batch-size {other}" for other in fits), "give more images")
    raise UsageError(
        f"--batch-norm needs at least {FEWEST_NORMALISED} images at a time to know their mean and "
        f"deviation, but of {count:,} images in batches of {batch} some would be normalised by "
        f"{smallest(batch_size)}: {mend}, or leave it out"
    )


def check_labels(digits: data.Digits, classes: int) -> None:
    """DataError unless every label is one of the outputs 0 to classes - 1 of the network."""
    labels = np.asarray(digits.labels)
    if len(labels) and labels.max() >= classes:
        raise DataError(
            f"{digits.source}: label {labels.max()} of image {labels.argmax()} is none of the "
            f"{classes} classes of the network, 0 to {classes - 1}; leave such images out"
        )
