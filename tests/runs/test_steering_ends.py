"""A steered run that ends early: it waits there, as at its last step, until it is to finish."""

import time

import pytest
from helpers.resuming import SMALL
from helpers.steered import Steered, until

from mnistgpu.errors import UsageError

STOPS = SMALL.changed(epochs=50, learning_rate=1e-30, early_stopping=1)  # learns nothing
LAST = 16  # steps: two epochs without a better accuracy


def holds(run):
    return (run.state["status"], run.state["taken"]) == ("holding", LAST)


def test_a_run_that_ends_early_waits_at_its_end(dataset):
    with Steered(dataset, STOPS, hold=True) as run:
        until(lambda: holds(run))
        time.sleep(0.05)
        assert run.state["status"] == "holding"
        run.steering.finish()
        assert run.ended().results["iterations"] == LAST


def test_a_run_without_hold_ends_early(dataset):
    with Steered(dataset, STOPS) as run:
        assert run.ended().results["iterations"] == LAST


def test_what_follows_an_early_end_can_be_repeated(dataset):
    """A run that went on past it would not be: a repeated one would stop there."""
    with Steered(dataset, STOPS, hold=True) as run:
        until(lambda: holds(run))
        point = run.state["points"][-2]
        for ask in (run.steering.start, run.steering.one_step, run.steering.one_epoch):
            said = len(run.texts)
            ask()
            until(lambda said=said: len(run.texts) > said)
            assert "ended early" in run.texts[-1]
        with pytest.raises(UsageError, match="ended early"):
            run.steering.change("learning_rate", 0.1)
        with pytest.raises(UsageError, match="ended early"):
            run.steering.undo(LAST)
        assert (run.state["taken"], run.state["events"]) == (LAST, [])
        run.steering.undo(point)
        run.is_paused_at(point)
        run.steering.one_step()
        run.is_paused_at(point + 1)
        run.steering.start()
        until(lambda: holds(run))
