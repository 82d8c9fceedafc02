"""The training loop: steps, rows of history on the way, and the final evaluation."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from mnistgpu import data
from mnistgpu.backend import Backend
from mnistgpu.data import weighting
from mnistgpu.engine.gradient import Communicator
from mnistgpu.engine.memory import explained
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.teacher import Trained
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import StoppedError, UsageError
from mnistgpu.runs import health, resume
from mnistgpu.runs.callbacks import Callback, EarlyStopping
from mnistgpu.runs.checkpoint import START, Checkpoint
from mnistgpu.runs.checks import check_fit
from mnistgpu.runs.digests import Digests, next_mark
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.outcome import Outcome, evaluate, outcome_of
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings


@explained
def train(
    settings: Settings,
    dataset: data.Dataset,
    backend: Backend,
    callbacks: Sequence[Callback] = (),
    stop: Stop | None = None,
    resumed: Checkpoint | None = None,
    communicator: Communicator | None = None,
    start: np.ndarray | None = None,
    teachers: Sequence[Trained] = (),
) -> Outcome:
    """Train a network and evaluate it, once, on the test set.

    callbacks are called in their order, see `Callback`. `stop` can end the run early. The run
    begins where the checkpoint `resumed` was saved, if one is given; else with the plain network of
    the parameters `start`, if these are given. `teachers` are the networks whose answers are learnt
    if the settings name a teacher. With a communicator this is one of several ranks,
    which must all call it alike: `stop` then asks all of them at one step.
    Raises UsageError if settings and data do not fit, DivergedError if training diverges,
    StoppedError if it is interrupted by `stop`, unless that wants the outcome so far.
    """
    check_fit(settings, dataset)
    if (settings.teacher is None) != (len(teachers) == 0):
        raise UsageError("teacher: the settings and the networks to learn from do not agree")
    training, held_out = data.split(dataset.train, settings.validation, settings.seed)
    if dataset.validation is not None:
        held_out = dataset.validation
    if resumed is not None:
        start = resumed.vectors.get(START)
    ranks = 1 if communicator is None else communicator.size
    workers = resume.workers(resumed, backend, ranks)
    trainer = Trainer(settings, training, backend, workers, communicator, start, teachers)
    held_out = weighting.weighted(held_out, training, settings.class_weight, settings.sizes[-1])
    progress = Progress() if resumed is None else resume.restore(resumed, trainer)
    stop = Stop() if stop is None else stop
    if settings.is_exact:
        callbacks = (Digests(), *callbacks)  # before what saves them
    if settings.early_stopping is not None:
        callbacks = (*callbacks, EarlyStopping(settings.early_stopping))
    for callback in callbacks:
        callback.begin(trainer, progress, stop)

    def warn(sentence: str) -> None:
        for callback in callbacks:
            callback.warning(sentence)

    told = [] if resumed is None else resume.warnings(resumed)
    for sentence in (
        *told,
        *health.of_data(training),
        *health.of_outputs(dataset.train, settings.sizes[-1]),
    ):
        warn(sentence)
    per_epoch, steps, row_every = trainer.batches.per_epoch, trainer.steps, trainer.row_every
    warned: list[str] = []
    judged = False
    backend.synchronize()
    started = time.perf_counter() - progress.seconds
    # health.check finds what overflows, and its message says more than NumPy's
    with (
        np.errstate(over="ignore", invalid="ignore"),
        trainer.engine.running(),
        stepping(trainer, warn) as step,
    ):
        while not progress.finished:
            # steps taken together go across no row; the first step has one
            most = row_every - trainer.taken % row_every if trainer.taken else 1
            end = next_mark(trainer.taken, steps) if settings.is_exact else steps
            progress.add_step(*step(most=min(most, end - trainer.taken)))
            iteration = trainer.taken
            progress.images_seen = trainer.batches.seen(iteration)
            at_row = iteration % row_every == 0 or iteration in (1, steps) or stop.finishing
            if at_row:  # nowhere else does the loop wait for the device
                trainer.collect("theta")
                health.check_range(trainer)
                mean_loss = health.check(  # a sync point
                    progress.loss, progress.seen, trainer.theta, iteration, settings
                )
                theta = trainer.plain()
                row = Row(
                    iteration,
                    iteration / per_epoch,
                    time.perf_counter() - started,
                    mean_loss,
                    float(progress.right) / progress.seen,
                    *evaluate(theta, settings, held_out, backend, communicator),
                    trainer.learning_rate,
                )
                progress.add_row(row)
                for callback in callbacks:
                    callback.row(row, theta)
            progress.finished = iteration == steps or (at_row and stop.finishing)
            if at_row and not warned and (row.epoch >= 1 or progress.finished):
                warned = health.of_units(theta, settings, training, backend)
                for sentence in warned:
                    warn(sentence)
            if at_row and not judged and row.epoch >= 1:
                enough = health.FEWEST_JUDGED if progress.finished else health.STEPS_JUDGED
                judged = iteration >= enough
                if judged:
                    found = row.train_accuracy, progress.seen, training, settings, bool(warned)
                    for sentence in health.of_learning(*found):
                        warn(sentence)
            if iteration % per_epoch == 0:
                progress.begin_epoch()
            progress.seconds = time.perf_counter() - started
            for callback in callbacks:
                callback.step(trainer, progress)
            if stop.interrupting and not progress.finished:
                for callback in callbacks:
                    callback.interrupted(trainer, progress)
                if stop.wants_outcome:
                    stop.stopped_after = iteration
                    break
                raise StoppedError(
                    f"stopped by {stop.reason} after iteration {iteration:,} of {steps:,}",
                    stop.exit_status,
                )
        backend.synchronize()
        seconds = time.perf_counter() - started

        theta = trainer.plain()
        if progress.best_theta is not None:
            theta = backend.asarray(progress.best_theta)
        health.check_finite(theta, trainer.taken, settings)
        validation_accuracy = evaluate(theta, settings, held_out, backend, communicator)[1]
        train_accuracy = evaluate(theta, settings, training, backend, communicator)[1]
    accuracies = {
        "train_accuracy": train_accuracy,
        "validation_accuracy": None if held_out is None else validation_accuracy,
    }
    outcome = outcome_of(trainer, progress, theta, dataset, held_out, accuracies, seconds)
    for callback in callbacks:
        callback.end(outcome)
    return outcome
