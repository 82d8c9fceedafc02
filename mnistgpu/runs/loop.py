"""The steps of a run: rows of history on the way, and stretches between changes of settings."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

import numpy as np

from mnistgpu import data
from mnistgpu.backend import Array
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DivergedError, StoppedError
from mnistgpu.runs import health
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.digests import next_mark
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.outcome import evaluate
from mnistgpu.runs.steering import Steering
from mnistgpu.runs.stop import Stop


class Loop:
    """Takes the steps of a run until it is finished or stopped.

    A stretch of steps has the same settings. At an event it ends, the trainer is changed, and
    another begins.
    """

    def __init__(
        self,
        trainer: Trainer,
        progress: Progress,
        held_out: data.Digits | None,
        callbacks: Sequence[Callback],
        stop: Stop,
        steering: Steering | None = None,
    ):
        self.trainer, self.progress, self.held_out = trainer, progress, held_out
        self.callbacks, self.stop, self.steering = callbacks, stop, steering
        self.events = progress.events
        self.warned: list[str] = []  # of units
        self.judged = False  # whether the accuracy was
        self.said: set[str] = set()
        self.compared: set[object] = set()  # parts of forms of steps, see `stepping`

    def warn(self, sentence: str) -> None:
        """Tell all callbacks, once."""
        if sentence not in self.said:
            self.said.add(sentence)
            for callback in self.callbacks:
                callback.warning(sentence)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Hold what steps need: threads, processes, a clock."""
        self.trainer.backend.synchronize()
        self.started = time.perf_counter() - self.progress.seconds
        self.rested_before = 0.0 if self.steering is None else self.steering.rested
        # health.check finds what overflows, and its message says more than NumPy's
        with (
            np.errstate(over="ignore", invalid="ignore"),
            contextlib.ExitStack() as self.stretch,
        ):
            self.begin_stretch()
            yield

    @property
    def seconds(self) -> float:
        """How long the run has trained."""
        rested = 0.0 if self.steering is None else self.steering.rested - self.rested_before
        return time.perf_counter() - self.started - rested

    def begin_stretch(self) -> None:
        """Begin to take steps with the settings of the trainer."""
        trainer, events = self.trainer, self.events
        self.stretch.enter_context(trainer.engine.running())
        steps = stepping(trainer, self.warn, compared=self.compared)
        self.step = self.stretch.enter_context(steps)
        shared_by = max(len(trainer.engine.shards), trainer.processes)
        events.workers[events.newest(trainer.taken)] = shared_by
        self.look_ahead()

    def look_ahead(self) -> None:
        """Note where the stretch ends, and how many images came before it."""
        trainer = self.trainer
        self.until = self.events.after(trainer.taken)
        self.images_before = self.progress.images_seen - trainer.batches.seen(trainer.taken)

    def change(self) -> None:
        """Go on with the settings that the events ask for now."""
        trainer, events, taken = self.trainer, self.events, self.trainer.taken
        settings, shift = events.settings(taken), events.shift(taken, trainer.batches.images)
        if (settings, shift) == (trainer.settings, trainer.batches.shift):
            self.look_ahead()  # the run went back to an earlier step
        else:
            self.stretch.close()
            rate = trainer.learning_rate
            trainer.change(settings, shift, events.workers.get(events.newest(taken)))
            if trainer.batches.place(taken) % trainer.batches.per_epoch == 0:
                self.progress.begin_epoch()
            self.begin_stretch()
            trainer.learning_rate = rate  # of the last step, and not of those that were compared
        self.progress.finished = taken >= trainer.steps
        if self.steering is not None:
            self.steering.changed()
        for callback in self.callbacks:
            callback.changed(trainer, self.progress)

    def run(self) -> None:
        """Take steps until the run is finished, or ended early with its outcome so far.

        Raises DivergedError if training diverges, StoppedError if it is interrupted.
        """
        self.steer(False)
        if self.steering is not None and self.stop.interrupting and self.trainer.taken == 0:
            # ended while it waited for its first step: there is nothing to save
            raise StoppedError(f"stopped by {self.stop.reason}", self.stop.exit_status)
        while not self.progress.finished:
            try:
                at_row = self.take()
                self.steer(at_row)
                for callback in self.callbacks:
                    callback.step(self.trainer, self.progress)
            except DivergedError as error:
                if self.steering is None or not self.steering.roll_back(error):
                    raise
                self.change()
                self.steer(False)
            if self.trainer.taken == self.until:
                self.change()
            if self.stop.interrupting and not self.progress.finished and self.interrupted():
                break

    def take(self) -> bool:
        """Take a step, or a few short ones together; whether a row of history followed."""
        trainer, progress, stop = self.trainer, self.progress, self.stop
        batches, row_every, steps = trainer.batches, trainer.row_every, trainer.steps
        # steps taken together go across no row and no event; the first step has a row
        most = row_every - batches.place(trainer.taken) % row_every if trainer.taken else 1
        end = next_mark(trainer.taken, steps) if trainer.settings.is_exact else steps
        if self.until is not None:
            end = min(end, self.until)
        if self.steering is not None and self.steering.one_by_one:
            most = 1
        progress.add_step(*self.step(most=min(most, end - trainer.taken)))
        iteration, place = trainer.taken, batches.place(trainer.taken)
        progress.images_seen = self.images_before + batches.seen(iteration)
        at_row = place % row_every == 0 or iteration in (1, steps) or stop.finishing
        if at_row:  # nowhere else does the loop wait for the device
            theta, row = self.row()
        ended = iteration == steps == self.events.steps(iteration, batches.images)
        progress.finished = ended or (at_row and stop.finishing)
        if at_row:
            self.judge(row, theta)
        if place % batches.per_epoch == 0:
            progress.begin_epoch()
        progress.seconds = self.seconds
        return at_row

    def row(self) -> tuple[Array, Row]:
        """Add a row of history; the parameters that it judges, and the row. A sync point."""
        trainer, progress = self.trainer, self.progress
        settings, batches = trainer.settings, trainer.batches
        trainer.collect("theta")
        health.check_range(trainer)
        mean_loss = health.check(
            progress.loss, progress.seen, trainer.theta, trainer.taken, settings
        )
        theta = trainer.plain()
        row = Row(
            trainer.taken,
            batches.place(trainer.taken) / batches.per_epoch,
            self.seconds,
            mean_loss,
            float(progress.right) / progress.seen,
            *evaluate(theta, settings, self.held_out, trainer.backend, trainer.communicator),
            trainer.learning_rate,
        )
        progress.add_row(row)
        for callback in self.callbacks:
            callback.row(row, theta)
        return theta, row

    def judge(self, row: Row, theta: Array) -> None:
        """Warn of signs that the network does not learn, once each in a run."""
        trainer, progress = self.trainer, self.progress
        settings, training = trainer.settings, trainer.digits
        if not self.warned and (row.epoch >= 1 or progress.finished):
            self.warned = health.of_units(theta, settings, training, trainer.backend)
            for sentence in self.warned:
                self.warn(sentence)
        if not self.judged and row.epoch >= 1:
            enough = health.FEWEST_JUDGED if progress.finished else health.STEPS_JUDGED
            self.judged = row.iteration >= enough
            if self.judged:
                found = row.train_accuracy, progress.seen, training, settings, bool(self.warned)
                for sentence in health.of_learning(*found):
                    self.warn(sentence)

    def steer(self, at_row: bool) -> None:
        """Let somebody who steers the run change it, or let it wait."""
        if self.steering is not None:
            while self.steering.between(at_row):
                self.change()
                at_row = False

    def interrupted(self) -> bool:
        """Save the run; whether its outcome so far is wanted. StoppedError if it is not."""
        stop, trainer = self.stop, self.trainer
        trainer.collect()  # on all ranks, of which one saves
        for callback in self.callbacks:
            callback.interrupted(trainer, self.progress)
        if stop.wants_outcome:
            stop.stopped_after = trainer.taken
            return True
        raise StoppedError(
            f"stopped by {stop.reason} after iteration {trainer.taken:,} of {trainer.steps:,}",
            stop.exit_status,
        )
