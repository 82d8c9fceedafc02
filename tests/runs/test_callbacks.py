"""Callbacks: when each is called, and the two ways in which a run ends early."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.callbacks import Recorder
from helpers.resuming import SMALL, StopAfter, assert_same_bits, saving_in, stopped

from mnistgpu.backend import NUMPY
from mnistgpu.errors import StoppedError
from mnistgpu.runs import checkpoint, training
from mnistgpu.runs.callbacks import Callback, EarlyStopping
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.stop import Stop


class Order(Callback):
    """Keeps the names of the methods that are called."""

    def __init__(self):
        self.calls = []

    def begin(self, trainer, progress, stop):
        self.calls.append(f"begin at {trainer.taken}")

    def step(self, trainer, progress):
        self.calls.append("step")

    def row(self, row, theta):
        self.calls.append("row")

    def warning(self, sentence):
        self.calls.append("warning")

    def interrupted(self, trainer, progress):
        self.calls.append("interrupted")

    def end(self, outcome):
        self.calls.append("end")


class FinishAfter(StopAfter):
    """Finishes a run after a step, from another thread."""

    def step(self, trainer, progress):
        if trainer.taken == self.at:
            asking = threading.Thread(target=self.stop.finish)
            asking.start()
            asking.join()


class StopAtRow(StopAfter):
    """Interrupts a run at a row of history."""

    def row(self, row, theta):
        if row.iteration == self.at:
            self.stop.interrupt("a test")


def test_when_each_method_is_called(dataset, tmp_path):
    settings = SMALL.changed(iterations=3, batch_size=None)
    order = Order()
    training.train(settings, dataset, NUMPY, [order])
    assert order.calls == ["begin at 0", *["row", "step"] * 3, "end"]
    interrupted = Order()
    with pytest.raises(StoppedError):
        training.train(settings, dataset, NUMPY, [interrupted, StopAfter(2)])
    assert interrupted.calls == ["begin at 0", *["row", "step"] * 2, "interrupted"]
    resumed = Order()
    saved = stopped(settings, dataset, tmp_path, 2)
    training.train(settings, dataset, NUMPY, [resumed], resumed=saved)
    assert resumed.calls == ["begin at 2", "row", "step", "end"]


def test_a_callback_that_overrides_nothing_changes_nothing(dataset):
    plain = training.train(SMALL, dataset, NUMPY)
    assert_same_bits(training.train(SMALL, dataset, NUMPY, [Callback()]), plain)


def test_finish_ends_a_run_with_results(dataset, tmp_path):
    """As for a notebook's stop button: the step after which it is asked for is the last."""
    settings = SMALL.changed(epochs=30)
    seen = Recorder()
    callbacks = [seen, FinishAfter(13), saving_in(tmp_path, dataset)]
    outcome = training.train(settings, dataset, NUMPY, callbacks)
    assert outcome.results["iterations"] == outcome.history[-1].iteration == 14
    assert seen.steps[-1] == 14
    assert seen.outcome is outcome
    saved = checkpoint.load(tmp_path)
    assert saved.progress.finished
    assert np.array_equal(saved.vectors["theta"], outcome.model.theta)
    assert_same_bits(training.train(settings, dataset, NUMPY, resumed=saved), outcome)


def test_finish_before_the_run_leaves_one_step(dataset):
    stop = Stop()
    stop.finish()
    assert training.train(SMALL, dataset, NUMPY, stop=stop).results["iterations"] == 1


def test_an_interruption_says_why_and_after_which_step(dataset):
    stop = Stop()
    stop.interrupt("the first reason", 130)
    stop.interrupt("another", 1)
    with pytest.raises(
        StoppedError, match=r"^stopped by the first reason after iteration 1 of 24$"
    ) as interruption:
        training.train(SMALL, dataset, NUMPY, stop=stop)
    assert interruption.value.exit_status == 130
    with pytest.raises(StoppedError) as interruption:
        training.train(SMALL, dataset, NUMPY, [StopAtRow(1)])
    assert interruption.value.exit_status == 1  # as after an error, unless something else is said


def test_a_run_that_the_same_step_finishes_is_not_interrupted(dataset, tmp_path):
    """Early stopping counts although an interruption came first; so does the last step."""
    settings = SMALL.changed(epochs=30, early_stopping=1, learning_rate=3.0)
    whole = training.train(settings, dataset, NUMPY)
    last = whole.results["iterations"]
    assert last < 240
    for used in (settings, SMALL.changed(iterations=last, learning_rate=3.0)):
        stop = Stop()
        callbacks = [StopAtRow(last), saving_in(tmp_path, dataset)]
        outcome = training.train(used, dataset, NUMPY, callbacks, stop)
        assert stop.interrupting
        assert outcome.results["iterations"] == last
        assert checkpoint.load(tmp_path).progress.finished


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([(1.0, 0.9, 0.3), (2.0, 0.9, 0.3), (3.0, 0.9, 0.3)], 1.0),  # as good is not better
        ([(1.0, 0.9, 0.3), (2.5, 0.8, 0.1), (4.0, 0.8, 0.1)], 1.0),  # a row less than each epoch
        ([(2.0, 0.9, 0.3), (3.0, 0.9, 0.2), (4.0, 0.9, 0.4), (5.0, 0.8, 0.1)], 3.0),
        ([(0.5, 0.1, 2.0), (2.4, 0.0, 3.0), (2.5, 0.0, 3.0)], 0.5),
    ],
)
def test_patience_ends_with_the_first_row_that_is_so_far_from_the_best(rows, best):
    progress, stop, kept = Progress(), Stop(), EarlyStopping(2)
    kept.begin(SimpleNamespace(backend=NUMPY), progress, stop)
    for epoch, accuracy, loss in rows:
        assert not stop.finishing
        kept.row(Row(1, epoch, 0.0, 0.0, 0.0, loss, accuracy, 0.1), np.array([epoch]))
    assert stop.finishing
    assert progress.best_epoch == progress.best_theta[0] == best


def test_a_checkpoint_is_not_changed_by_the_run_that_goes_on_from_it(dataset, tmp_path):
    saved = stopped(SMALL, dataset, tmp_path, 10)
    rows, before = len(saved.progress.history), {k: v.copy() for k, v in saved.vectors.items()}
    outcomes = [training.train(SMALL, dataset, NUMPY, resumed=saved) for _ in range(2)]
    assert_same_bits(*outcomes)
    assert len(saved.progress.history) == rows
    assert not saved.progress.finished
    assert all(np.array_equal(saved.vectors[name], vector) for name, vector in before.items())


def test_an_interruption_saves_once(dataset, tmp_path, monkeypatch):
    """Although a checkpoint is also due after that step."""
    taken = []
    monkeypatch.setattr(checkpoint, "save", lambda saved, path: taken.append(saved.taken))
    callbacks = [StopAfter(3), saving_in(tmp_path, dataset, "0s")]
    with pytest.raises(StoppedError):
        training.train(SMALL, dataset, NUMPY, callbacks)
    assert taken == [1, 2, 3]
