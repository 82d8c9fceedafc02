"""The training loop: batches in, gradients down, a row of history now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mnistgpu import __version__, data, network
from mnistgpu.backend import Array, Backend
from mnistgpu.engine import inference
from mnistgpu.engine.memory import explained
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DataError, UsageError
from mnistgpu.models import model
from mnistgpu.runs import health
from mnistgpu.settings import Settings

EVALUATED_AT_ONCE = 2**16  # images, which bounds the memory
ROWS_OF_HISTORY = 50  # for full batches, where every iteration is an epoch


@dataclass(frozen=True)
class Row:
    """One row of history.csv. Training figures are means over the last epoch of steps."""

    iteration: int
    epoch: float
    seconds: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float


@dataclass(frozen=True)
class Outcome:
    """What a training run leaves: the model, its history, and results as in results.json."""

    model: model.Model
    history: list[Row]
    results: dict[str, Any]
    test_probabilities: np.ndarray | None = field(repr=False, default=None)


@dataclass
class Progress:
    """What the loop of `train` knows between two steps, besides its Trainer."""

    loss: Any = 0.0  # sums over the epoch so far, on the device
    right: Any = 0.0
    seen: int = 0  # images in these sums
    images_seen: int = 0  # in the whole run
    seconds: float = 0.0
    history: list[Row] = field(default_factory=list)
    best_score: tuple[float, float] = (-1.0, -math.inf)  # for early stopping
    best_epoch: float = 0.0
    best_theta: np.ndarray | None = None
    finished: bool = False


class Keeper:
    """Who keeps a run safe from what may happen. This one keeps nothing; see `checkpoint`."""

    workers: int | None = None  # how many to share out batches among; None for as many as fit

    def begin(self, trainer: Trainer) -> Progress:
        """Called before the first step: the progress to begin with."""
        return Progress()

    def after_step(self, trainer: Trainer, progress: Progress) -> None:
        """Called when `on_step` is; must cost next to nothing but when it saves."""

    def at_row(self, row: Row, theta: Array) -> None:
        """Called for every row of history, with the parameters that it judges."""


@explained
def train(
    settings: Settings,
    dataset: data.Dataset,
    backend: Backend,
    on_step: Callable[[int], None] = lambda iteration: None,
    on_row: Callable[[Row], None] = lambda row: None,
    on_warning: Callable[[str], None] = lambda sentence: None,
    keeper: Keeper | None = None,
) -> Outcome:
    """Train a network and evaluate it, once, on the test set.

    on_step is called after every step, or after some that are taken together, on_row for every row
    of history, and on_warning with a sentence where data or network look as if not much will be
    learnt.
    Raises UsageError where settings and data do not fit, DivergedError where training diverges.
    """
    check_fit(settings, dataset)
    training, held_out = data.split(dataset.train, settings.validation, settings.seed)
    keeper = keeper or Keeper()
    trainer = Trainer(settings, training, backend, keeper.workers)
    per_epoch, steps = trainer.batches.per_epoch, trainer.steps
    row_every = per_epoch if per_epoch > 1 else max(1, steps // ROWS_OF_HISTORY)
    for sentence in health.of_data(training):
        on_warning(sentence)
    progress = keeper.begin(trainer)
    warned: list[str] = []
    backend.synchronize()
    started = time.perf_counter() - progress.seconds
    # what overflows is found by health.check, and said better there than by NumPy
    with (
        np.errstate(over="ignore", invalid="ignore"),
        trainer.engine.running(),
        stepping(trainer, on_warning) as step,
    ):
        while not progress.finished:
            # the first step has a row of history, and no row or epoch ends within steps together
            most = per_epoch - trainer.taken % per_epoch if trainer.taken else 1
            loss, right, images = step(most=min(most, steps - trainer.taken))
            iteration = trainer.taken
            progress.loss, progress.right = progress.loss + loss, progress.right + right
            progress.seen += images
            progress.images_seen += images
            progress.finished = iteration == steps
            epoch_ends = iteration % per_epoch == 0
            at_row = iteration % row_every == 0 or iteration in (1, steps)
            if at_row or epoch_ends:
                trainer.collect("theta")
                mean_loss = health.check(  # a sync point
                    progress.loss, progress.seen, trainer.theta, iteration, settings
                )
            if at_row:
                theta = trainer.plain()
                row = Row(
                    iteration,
                    iteration / per_epoch,
                    time.perf_counter() - started,
                    mean_loss,
                    float(progress.right) / progress.seen,
                    *evaluate(theta, settings, held_out, backend),
                    trainer.learning_rate,
                )
                progress.history.append(row)
                on_row(row)
                keeper.at_row(row, theta)
                if settings.early_stopping is not None:
                    judge(progress, row, theta, settings.early_stopping, backend)
                if not warned and (row.epoch >= 1 or progress.finished):
                    warned = health.of_units(theta, settings, training, backend)
                    for sentence in warned:
                        on_warning(sentence)
            if epoch_ends:
                progress.loss, progress.right, progress.seen = 0.0, 0.0, 0
            on_step(iteration)
            progress.seconds = time.perf_counter() - started
            keeper.after_step(trainer, progress)
        backend.synchronize()
        seconds = time.perf_counter() - started

        theta = trainer.plain()
        if progress.best_theta is not None:
            theta = backend.asarray(progress.best_theta)
        health.check_finite(theta, trainer.taken, settings)
        validation_accuracy = evaluate(theta, settings, held_out, backend)[1]
        train_accuracy = evaluate(theta, settings, training, backend)[1]
    trained = model.Model(
        backend.to_numpy(theta),
        settings.sizes,
        training.image_shape,
        settings.activation,
        settings.as_dict(),
        dataset.digest,
    )
    results = {
        "test_accuracy": None,
        "train_accuracy": train_accuracy,
        "validation_accuracy": None if held_out is None else validation_accuracy,
        "train_loss": progress.history[-1].train_loss,
        "iterations": trainer.taken,
        "seconds": seconds,
        "images_per_second": progress.images_seen / seconds,
        "precision": settings.precision,
        "mnistgpu": __version__,
        **backend.describe(),
    }
    test_probabilities = None
    if dataset.test is not None:  # the one time that the test set is looked at
        test_probabilities = backend.to_numpy(trained.probabilities(dataset.test.images, backend))
        right_answers = np.argmax(test_probabilities, axis=0) == dataset.test.labels
        results["test_accuracy"] = float(np.mean(right_answers))
    return Outcome(trained, progress.history, results, test_probabilities)


def judge(progress: Progress, row: Row, theta: Array, patience: int, backend: Backend) -> None:
    """Early stopping: remember the best parameters; finished if they have been that for long."""
    score = (row.validation_accuracy, -row.validation_loss)
    if score > progress.best_score:
        progress.best_score, progress.best_epoch = score, row.epoch
        progress.best_theta = np.array(backend.to_numpy(theta))
    elif row.epoch - progress.best_epoch >= patience:
        progress.finished = True


def check_fit(settings: Settings, dataset: data.Dataset) -> None:
    """Refuse settings that do not fit the data: layers, held-out images, batch size.

    And data that no reader of this package makes: labels that are missing, negative or no integers.
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
    left = len(dataset.train) - settings.validation
    if left < 1:
        raise UsageError(
            f"--validation {settings.validation} leaves nothing to train on: {dataset.source} has "
            f"{len(dataset.train)} training images; hold out fewer, or none with --validation 0"
        )
    if settings.batch_size is not None and settings.batch_size > left:
        raise UsageError(
            f"--batch-size {settings.batch_size} is more than the {left} training images; "
            "leave it out for full batches"
        )
    if settings.early_stopping is not None and settings.validation == 0:
        raise UsageError("--early-stopping needs held-out images: give --validation too")


def evaluate(
    theta: Array, settings: Settings, digits: data.Digits | None, backend: Backend
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a plain network on labelled digits; nan without any."""
    if digits is None:
        return math.nan, math.nan
    loss = right = 0.0
    for start in range(0, len(digits), EVALUATED_AT_ONCE):
        images = backend.asarray(digits.images[start : start + EVALUATED_AT_ONCE])
        labels = backend.asarray(digits.labels[start : start + EVALUATED_AT_ONCE])  # type: ignore[index]
        Z = inference.logits(theta, settings.sizes, settings.activation, images)
        Y = network.one_hot(labels, settings.sizes[-1], settings.dtype)
        loss += float(network.cross_entropy(Z, Y)) * len(labels)
        right += float(backend.xp.count_nonzero(backend.xp.argmax(Z, axis=0) == labels))
    return loss / len(digits), right / len(digits)
