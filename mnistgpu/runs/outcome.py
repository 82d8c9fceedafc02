"""What a run leaves: the trained model, its history, and the figures of results.json."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mnistgpu import __version__, data, network
from mnistgpu.backend import Array, Backend
from mnistgpu.data import weighting
from mnistgpu.engine import exact_inference, inference
from mnistgpu.engine.gradient import Communicator
from mnistgpu.engine.trainer import Trainer
from mnistgpu.models import calibration, model
from mnistgpu.runs.history import Progress, Row
from mnistgpu.settings import Settings


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a training run leaves: the model, its history, and results as in results.json."""

    model: model.Model
    history: list[Row]
    results: dict[str, Any]
    test_probabilities: np.ndarray | None = field(repr=False, default=None)


def evaluate(
    theta: Array,
    settings: Settings,
    digits: data.Digits | None,
    backend: Backend,
    communicator: Communicator | None = None,
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a plain network on labelled digits; nan without any.

    The loss is weighted if the digits are; the accuracy is always a share of the images. With a
    communicator each rank looks at its part of them, and all get the same figures.
    """
    if digits is None:
        return math.nan, math.nan
    loss, right, of_images = 0.0, 0.0, weighting.scaled(digits.weights)
    own = slice(0, len(digits)) if communicator is None else communicator.part(len(digits))
    for start in range(own.start, own.stop, inference.AT_ONCE):
        part = slice(start, min(start + inference.AT_ONCE, own.stop))
        images = backend.asarray(digits.images[part])
        labels = backend.asarray(digits.labels[part])  # type: ignore[index]
        Z = inference.logits(theta, settings.sizes, settings.activation, images, settings.is_exact)
        if settings.is_exact:
            loss += exact_inference.total_loss(Z, labels)
        else:
            Y = network.one_hot(labels, settings.sizes[-1], settings.dtype)
            weights, count = None, float(len(labels))
            if of_images is not None:
                weights = backend.asarray(of_images[part].astype(settings.dtype))
                count = float(of_images[part].sum())
            loss += float(network.cross_entropy(Z, Y, weights)) * count
        right += float(backend.xp.count_nonzero(backend.xp.argmax(Z, axis=0) == labels))
    if communicator is not None:
        sums = np.array([loss, right])
        communicator.all_reduce(sums)
        loss, right = sums.tolist()
    total = len(digits) if of_images is None else float(of_images.sum())
    return loss / total, right / len(digits)


def outcome_of(
    trainer: Trainer,
    progress: Progress,
    theta: Array,
    dataset: data.Dataset,
    held_out: data.Digits | None,
    accuracies: dict[str, float | None],
    seconds: float,
) -> Outcome:
    """The outcome of a run that ends with theta, with its accuracy on the test set.

    Only here is the network evaluated on the test set; `accuracies` has those on the other images.
    The model is calibrated on the images that were held out.
    """
    events, backend, test = progress.events, trainer.backend, dataset.test
    settings = events.begun
    trained = model.Model(
        backend.to_numpy(theta),
        settings.sizes,
        dataset.train.image_shape,
        settings.activation,
        settings.as_dict(),
        dataset.digest,
        dataset.train.classes,
        dataset.train.levels,
        events=tuple(events.records()),
    )
    if held_out is not None and held_out.labels is not None:
        believed = backend.to_numpy(trained.probabilities(held_out.images, backend))
        trained = replace(trained, calibration=calibration.fitted(believed, held_out.labels))
    test_probabilities, test_accuracy = None, None
    if test is not None:
        test_probabilities = backend.to_numpy(trained.probabilities(test.images, backend))
        test_accuracy = float(np.mean(np.argmax(test_probabilities, axis=0) == test.labels))
    digests = {
        "digest": trained.digest,
        "digests": {str(step): digest for step, digest in progress.digests.items()},
    }
    results = {
        "test_accuracy": test_accuracy,
        **accuracies,
        "train_loss": progress.history[-1].train_loss,
        "iterations": trainer.taken,
        "seconds": seconds,
        "images_per_second": progress.images_seen / seconds,
        "precision": settings.precision,
        **(digests if settings.is_exact else {}),
        **({"events": events.records()} if events else {}),
        "mnistgpu": __version__,
        **backend.describe(),
    }
    return Outcome(trained, progress.history, results, test_probabilities)
