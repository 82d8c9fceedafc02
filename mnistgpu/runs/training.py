"""A training run: what it begins with, its `loop`, and the final evaluation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from mnistgpu import data
from mnistgpu.backend import Backend
from mnistgpu.data import weighting
from mnistgpu.engine.gradient import Communicator
from mnistgpu.engine.memory import explained
from mnistgpu.engine.teacher import Trained
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.runs import health, resume
from mnistgpu.runs.callbacks import Callback, EarlyStopping
from mnistgpu.runs.checkpoint import Checkpoint
from mnistgpu.runs.checks import check_fit
from mnistgpu.runs.digests import Digests
from mnistgpu.runs.events import Events
from mnistgpu.runs.history import Progress
from mnistgpu.runs.loop import Loop
from mnistgpu.runs.outcome import Outcome, evaluate, outcome_of
from mnistgpu.runs.steering import Steering
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings


@contextlib.contextmanager
def ended(steering: Steering | None) -> Iterator[None]:
    """Tell the one who steers, if there is one, that the run has ended, in any way."""
    try:
        yield
    finally:
        if steering is not None:
            steering.end()


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
    events: Events | None = None,
    steering: Steering | None = None,
) -> Outcome:
    """Train a network and evaluate it, once, on the test set.

    callbacks are called in their order, see `Callback`. `stop` can end the run early. The run
    begins where the checkpoint `resumed` was saved, if one is given; else with the plain network of
    the parameters `start`, if these are given. `teachers` are the networks whose answers are learnt
    if the settings name a teacher. With a communicator this is one of several ranks, which must all
    call it alike: `stop` then asks all of them at one step. `events` change settings on the way; a
    resumed run has those of its checkpoint. `steering` adds events, and more.
    Raises UsageError if settings and data do not fit, DivergedError if training diverges,
    StoppedError if it is interrupted by `stop`, unless that wants the outcome so far.
    """
    check_fit(settings, dataset)
    if (settings.teacher is None) != (len(teachers) == 0):
        raise UsageError("teacher: the settings and the networks to learn from do not agree")
    training, held_out = data.split(dataset.train, settings.validation, settings.seed)
    if dataset.validation is not None:
        held_out = dataset.validation
    if resumed is None:
        events = events or Events(settings)
        workers = events.workers.get(0)
        first = events.settings(0), training, backend, workers, communicator, start
        trainer = Trainer(*first, teachers=teachers)
        progress = Progress(events=events)
    else:
        ranks = None if communicator is None else communicator.size
        workers = resume.workers(resumed, backend, ranks)
        trainer, progress = resume.trainer_of(
            resumed, settings, training, backend, workers, communicator, teachers
        )
        if workers is None:  # on another machine
            progress.events.workers.clear()
    held_out = weighting.weighted(held_out, training, settings.class_weight, settings.sizes[-1])
    stop = Stop() if stop is None else stop
    if settings.is_exact:
        callbacks = (Digests(), *callbacks)  # before what saves them
    if settings.early_stopping is not None:
        callbacks = (*callbacks, EarlyStopping(settings.early_stopping))
    for callback in callbacks:
        callback.begin(trainer, progress, stop)

    if steering is not None:
        steering.begin(trainer, progress, stop, lambda made: check_fit(made, dataset))
    loop = Loop(trainer, progress, held_out, callbacks, stop, steering)
    told = [] if resumed is None else resume.warnings(resumed)
    for sentence in (
        *told,
        *health.of_data(training),
        *health.of_outputs(dataset.train, settings.sizes[-1]),
    ):
        loop.warn(sentence)
    with loop.running(), ended(steering):
        loop.run()
        backend.synchronize()
        seconds = loop.seconds

        theta = trainer.plain()
        if progress.best_theta is not None:
            theta = backend.asarray(progress.best_theta)
        health.check_finite(theta, trainer.taken, trainer.settings)
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
