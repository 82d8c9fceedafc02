"""What is refused before a run begins: settings and data that do not fit together."""

from __future__ import annotations

import numpy as np

from mnistgpu import data
from mnistgpu.engine.exact_inputs import grids_of
from mnistgpu.errors import DataError, UsageError
from mnistgpu.settings import Settings


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
    classes = int(labels.max()) + 1
    if last != max(classes, 10) and last != classes:
        raise UsageError(
            f"--layers ends with {last}, but {dataset.source} has the labels 0 to {classes - 1}: "
            f"end it with {max(classes, 10)}"
        )
    for digits in (dataset.test, dataset.validation):
        if digits is not None:
            check_labels(digits, last)
    left = len(dataset.train) - settings.validation
    if left < 1:
        raise UsageError(
            f"--validation {settings.validation} leaves nothing to train on: {dataset.source} has "
            f"{len(dataset.train)} training images; hold out fewer, or none with --validation 0"
        )
    if settings.is_exact:
        grids_of(settings, first, left)
    if settings.batch_size is not None and settings.batch_size > left:
        raise UsageError(
            f"--batch-size {settings.batch_size} is more than the {left} training images; "
            "leave it out for full batches"
        )
    if dataset.validation is not None and settings.validation > 0:
        raise UsageError(
            f"--validation {settings.validation} holds out training images, but validation images "
            "are given; leave one of the two out"
        )
    held_out = settings.validation > 0 or dataset.validation is not None
    if settings.early_stopping is not None and not held_out:
        raise UsageError("--early-stopping needs held-out images: give --validation too")


def check_labels(digits: data.Digits, classes: int) -> None:
    """DataError unless every label is one of the classes 0 to classes - 1 of the network."""
    labels = np.asarray(digits.labels)
    if len(labels) and labels.max() >= classes:
        raise DataError(
            f"{digits.source}: label {labels.max()} of image {labels.argmax()} is none of the "
            f"{classes} classes of the network, 0 to {classes - 1}; leave such images out"
        )
