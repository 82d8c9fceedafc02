"""What a steered run shows: views, functions between two steps, points, what is printed."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.resuming import SMALL
from helpers.steered import LONG, Steered, until

import mnistgpu
from mnistgpu.backend import NUMPY
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.runs import training
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.events import Event
from mnistgpu.runs.points import Points
from mnistgpu.runs.progress import Guarded, Lines, Several
from mnistgpu.runs.steering import Steering, changeable
from mnistgpu.runs.stop import Stop


def test_the_view_is_called_only_while_somebody_looks(dataset):
    calls, threads = [], set()

    def view(moment):
        calls.append(moment.taken)
        threads.add(threading.current_thread())
        return {"taken": moment.taken, "digest": moment.model().digest}

    with Steered(dataset, view=view, share=1e9) as run:
        until(lambda: run.state["taken"] > 50)
        assert calls == []
        number, value = run.steering.look(0, 5.0)
        assert (number, len(calls)) == (1, 1)
        assert value["taken"] == calls[0]
        time.sleep(0.05)
        assert len(calls) == 1
        run.steering.pause()
        until(lambda: run.state["status"] == "paused")
        number, value = run.steering.look(number, 5.0)
        assert value["taken"] == run.state["taken"]
        assert run.state["loss"] is None or run.state["loss"] > 0
        # nothing has changed since
        begun = time.perf_counter()
        for after in (number, number + 1):  # that of an earlier program had more views
            assert run.steering.look(after, 0.05) == (number, value)
        assert time.perf_counter() - begun > 0.09
        assert threads == {run.thread}


def test_a_change_is_in_the_state_at_once_and_what_follows_from_it_is_announced(
    dataset, monkeypatch
):
    """Making a trainer's parts anew takes long where there are many images."""
    change = Trainer.change

    def slowly(self, *given):
        time.sleep(0.2)
        change(self, *given)

    monkeypatch.setattr(Trainer, "change", slowly)
    with Steered(dataset, paused=True) as run:
        run.steering.change("batch_size", 50)
        until(lambda: run.texts)
        state = run.state
        assert (state["settings"]["batch_size"], len(state["events"])) == (50, 1)
        while state["per_epoch"] != 16:
            before = state["version"]
            state = run.steering.wait(before, 5.0)
            assert state["version"] > before


def test_a_view_takes_its_share_of_the_time_and_no_more(dataset):
    def view(moment):
        time.sleep(0.02)

    with Steered(dataset, view=view, share=0.1) as run:
        begun, number = time.perf_counter(), 0
        while time.perf_counter() - begun < 1.2:
            number, _ = run.steering.look(number, 1.0)
        assert 2 <= number <= 8  # not 60


def test_a_function_is_called_between_two_steps(dataset):
    with Steered(dataset) as run:
        thread, taken = run.steering.during(
            lambda moment: (threading.current_thread(), moment.taken)
        )
        assert thread is run.thread
        assert taken <= run.state["taken"]
        with pytest.raises(ZeroDivisionError):
            run.steering.during(lambda moment: 1 / 0)
        run.steering.pause()
        assert run.steering.during(lambda moment: moment.model().sizes) == LONG.sizes


def test_many_points_are_thinned(dataset):
    class Trainer:
        taken, settings = 0, SMALL

        def vectors(self):
            return {"theta": np.zeros(4)}

    kept, trainer, progress = Points(), Trainer(), training.Progress()
    progress.events.all.append(Event(50, "learning_rate", 0.1, 0.2))
    for step in range(1000):
        trainer.taken = step
        kept.keep(trainer, progress)
        assert len(kept.kept) <= 100
    assert {0, 50, 999} <= set(kept.kept)
    assert kept.before(49).taken < 50


class Large:
    """An array of 64 MB that needs no memory."""

    def __array__(self, dtype=None, copy=None):
        return np.broadcast_to(np.float32(0), 2**24)


@pytest.mark.parametrize(
    ("vectors", "least", "most"),
    [({"theta": Large()}, 4, 8), ({str(number): Large() for number in range(9)}, 2, 2)],
)
def test_points_of_a_large_network_take_half_a_gigabyte(vectors, least, most):
    """The first, the newest and some between; at least these two, however large they are."""
    trainer = SimpleNamespace(taken=0, vectors=lambda: vectors)
    kept, progress = Points(), training.Progress()
    for step in range(50):
        trainer.taken = step
        kept.keep(trainer, progress)
        steps = list(kept.kept)
        assert (steps[0], steps[-1]) == (0, step)
        assert len(steps) <= most
    assert len(steps) >= least


def test_what_may_change_follows_from_the_settings():
    assert "momentum" not in changeable(SMALL)
    assert "momentum" in changeable(SMALL.changed(optimizer="nesterov"))
    assert "epochs" in changeable(SMALL)
    assert "epochs" not in changeable(SMALL.changed(schedule="linear"))


def test_what_is_printed_says_what_was_changed_and_undone(dataset, capsys):
    with Steered(dataset, paused=True, callbacks=[Guarded(Several(Lines()), Stop())]) as run:
        run.steering.one_epoch()
        run.is_paused_at(8)
        run.steering.change("learning_rate", 0.05)
        run.steering.change("l2", 0.01)
        run.steering.one_step()
        run.is_paused_at(9)
        run.steering.change("input_noise", 0.1)
        run.steering.one_step()
        run.is_paused_at(10)
        for step in (9, 8):
            run.steering.undo(step)
            run.is_paused_at(step)
    printed = capsys.readouterr().out
    assert "changed   alpha from 0.1 to 0.05 after iteration 8\n" in printed
    assert printed.count("changed   l2 from 0 to 0.01 after iteration 8\n") == 1
    for step in (9, 8):
        assert f"back      to iteration {step}, before changes that were undone\n" in printed


def test_a_run_of_ranks_is_not_steered(small_set):
    pytest.importorskip("mpi4py", exc_type=ImportError)
    with pytest.raises(UsageError, match="several ranks share cannot be steered"):
        mnistgpu.fit(small_set, ranks="self", steering=Steering())


def test_what_was_asked_too_late_changes_nothing(dataset):
    """Between the last step and the end of a run."""
    steering, found = Steering(), []

    class Late(Callback):
        def step(self, trainer, progress):
            if progress.finished:
                steering.change("epochs", 9)
                thread.start()
                until(lambda: len(steering._requests) == 2)

    def ask():
        with pytest.raises(UsageError, match="has ended meanwhile"):
            steering.during(lambda moment: moment.taken)
        found.append(True)

    thread = threading.Thread(target=ask)
    outcome = training.train(SMALL, dataset, NUMPY, [Late()], steering=steering)
    thread.join(10)
    assert found == [True]
    assert "events" not in outcome.results
    assert steering.during(lambda moment: moment.taken) == 24
