"""A run steered from another thread: what takes effect when, what is kept, what is undone."""

import threading
import time

import numpy as np
import pytest
from helpers.callbacks import Recorder
from helpers.resuming import SMALL

import mnistgpu
from mnistgpu.backend import NUMPY
from mnistgpu.errors import DivergedError, StoppedError, UsageError
from mnistgpu.models.model import digest_of
from mnistgpu.runs import training
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.events import Event
from mnistgpu.runs.points import Points
from mnistgpu.runs.progress import Guarded, Lines, Several
from mnistgpu.runs.steering import Steering, changeable
from mnistgpu.runs.stop import Stop

LONG = SMALL.changed(epochs=1000)


def until(what, seconds=20.0):
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


class Steered:
    """A run in another thread, which the test steers from this one."""

    def __init__(self, dataset, settings=LONG, callbacks=(), events=None, **how):
        self.steering, self.outcome, self.error = Steering(**how), None, None
        self.stop = Stop()

        def train():
            try:
                self.outcome = training.train(
                    settings,
                    dataset,
                    NUMPY,
                    callbacks,
                    self.stop,
                    events=events,
                    steering=self.steering,
                )
            except Exception as error:
                self.error = error

        self.thread = threading.Thread(target=train, daemon=True)

    def __enter__(self):
        self.thread.start()
        until(lambda: self.steering.state()["status"] != "preparing")
        return self

    def __exit__(self, *rest):
        self.stop.interrupt("a test")
        self.thread.join(20)

    def ended(self):
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.outcome

    def is_paused_at(self, taken):
        until(lambda: self.state["status"] == "paused" and self.state["taken"] == taken)

    @property
    def state(self):
        return self.steering.state()

    @property
    def texts(self):
        return [each["text"] for each in self.state["said"]]


def test_a_run_waits_takes_steps_one_by_one_and_to_the_end_of_an_epoch(dataset):
    with Steered(dataset, paused=True) as run:
        assert run.state["status"] == "waiting"
        run.steering.one_step()
        run.is_paused_at(1)
        run.steering.one_step()
        run.is_paused_at(2)
        run.steering.one_epoch()
        run.is_paused_at(8)
        assert run.state["epoch"] == 1.0
        run.steering.one_epoch()
        run.is_paused_at(16)
        run.steering.start()
        until(lambda: run.state["taken"] > 20)
        assert run.state["status"] == "running"
        run.steering.pause()
        until(lambda: run.state["status"] == "paused")
        taken = run.state["taken"]
        time.sleep(0.05)
        assert run.state["taken"] == taken


def test_what_was_steered_repeats_without_a_page(dataset):
    settings = SMALL.changed(optimizer="adam", learning_rate=0.01, ema=0.9)
    with Steered(dataset, settings, paused=True, hold=True) as run:
        run.steering.one_epoch()
        run.is_paused_at(8)
        run.steering.change("learning_rate", 0.003)
        run.steering.change("input_dropout", 0.1)
        run.steering.one_step()
        run.is_paused_at(9)
        run.steering.change("batch_size", 50)
        run.steering.start()
        until(lambda: run.state["status"] == "holding")
        run.steering.one_epoch()
        until(lambda: run.state["status"] == "holding" and run.state["epoch"] == 4.0)
        run.steering.finish()
        outcome = run.ended()
    assert run.state["status"] == "ended"
    given = [Event(**each) for each in outcome.results["events"]]
    assert [(event.step, event.name, event.new) for event in given] == [
        (8, "learning_rate", 0.003),
        (8, "input_dropout", 0.1),
        (9, "batch_size", 50),
        (39, "epochs", 4),
    ]
    events = training.Events(settings, given)
    repeated = training.train(settings, dataset, NUMPY, events=events)
    assert digest_of(repeated.model.theta) == digest_of(outcome.model.theta)
    assert [row.train_loss for row in repeated.history] == [
        row.train_loss for row in outcome.history
    ]


def test_a_change_takes_effect_at_the_next_step(dataset):
    """Also while the run goes on at full speed."""
    seen = []

    class Rates(Callback):
        def step(self, trainer, progress):
            seen.append((trainer.taken, trainer.learning_rate))

    with Steered(dataset, callbacks=[Rates()]) as run:
        until(lambda: run.state["taken"] > 30)
        begun = time.perf_counter()
        run.steering.change("learning_rate", 0.05)
        until(lambda: run.state["events"])
        until(lambda: run.state["taken"] > run.state["events"][0]["step"])
        assert time.perf_counter() - begun < 1.0  # 0.1 s on a machine that does nothing else
        step = run.state["events"][0]["step"]
        until(lambda: seen[-1][0] > step)
    rates = dict(seen)
    assert rates[step] == 0.1
    assert rates[step + 1] == 0.05


def test_undo_goes_back_to_a_point_and_forgets_what_came_after(dataset):
    recorder = Recorder()
    with Steered(dataset, SMALL, paused=True, hold=True, callbacks=[recorder]) as run:
        run.steering.one_epoch()
        run.is_paused_at(8)
        run.steering.change("learning_rate", 0.01)
        run.steering.one_epoch()
        run.is_paused_at(16)
        assert run.state["points"] == [0, 1, 8, 16]
        with pytest.raises(UsageError, match="no point is kept after step 7; those after 0, 1, 8"):
            run.steering.undo(7)
        run.steering.undo(8)
        run.is_paused_at(8)
        assert run.state["events"] == []
        assert run.state["settings"]["learning_rate"] == 0.1
        assert "the run is back at iteration 8" in run.texts
        run.steering.start()
        until(lambda: run.state["status"] == "holding")
        run.steering.undo(0)
        until(lambda: run.state["taken"] == 0)
        run.steering.start()
        until(lambda: run.state["status"] == "holding")
        run.steering.finish()
        outcome = run.ended()
    whole = training.train(SMALL, dataset, NUMPY)
    assert np.array_equal(outcome.model.theta, whole.model.theta)
    assert [row.iteration for row in outcome.history] == [row.iteration for row in whole.history]
    assert [row.train_loss for row in outcome.history] == [row.train_loss for row in whole.history]
    assert "events" not in outcome.results


def test_a_change_that_makes_learning_diverge_is_taken_back(dataset):
    with Steered(dataset, paused=True) as run:
        run.steering.one_epoch()
        run.is_paused_at(8)
        run.steering.change("learning_rate", 1e30)
        run.steering.start()
        until(lambda: any("diverged" in text for text in run.texts))
        run.is_paused_at(8)
        assert run.texts[-1].startswith("training diverged: ")
        assert "after the change of alpha from 0.1 to 1e+30: it is taken back" in run.texts[-1]
        assert "as it was after iteration 8" in run.texts[-1]
        assert run.state["events"] == []
        assert run.state["settings"]["learning_rate"] == 0.1
        run.steering.one_step()
        run.is_paused_at(9)


def test_a_run_that_diverges_by_itself_ends(dataset):
    with Steered(dataset, LONG.changed(learning_rate=1e30)) as run:
        run.ended()
    assert isinstance(run.error, DivergedError)
    assert run.state["status"] == "ended"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("learning_rate", -1, "--alpha must be a finite number greater than 0, not -1"),
        ("input_dropout", 1.5, "--input-dropout must be a finite number of at least 0 and below 1"),
        ("layers", "784-5-10", "layers cannot change while a run goes on"),
        ("batch_size", 100000, "--batch-size 100000 is more than the 800 training images"),
        ("momentum", 0.5, "--momentum 0.5 is for the optimisers momentum and nesterov"),
        ("nothing", 0.5, "there is no setting 'nothing'"),
    ],
)
def test_a_value_out_of_range_is_refused_and_the_setting_stays(dataset, name, value, why):
    with Steered(dataset, paused=True) as run:
        with pytest.raises(UsageError) as raised:
            run.steering.change(name, value)
        assert why in str(raised.value)
        run.steering.one_step()
        run.is_paused_at(1)
        assert run.state["events"] == []
        assert run.state["settings"] == LONG.as_dict()


def test_two_pages_see_every_change_and_the_later_wins(dataset):
    with Steered(dataset, paused=True) as run:
        version = run.state["version"]
        run.steering.change("learning_rate", 0.2, by="left")
        assert run.steering.wait(version, 5.0)["version"] > version
        run.steering.change("learning_rate", 0.3, by="right")
        until(lambda: len(run.texts) == 2)
        assert run.texts == [
            "alpha from 0.1 to 0.2 after iteration 0",
            "alpha from 0.1 to 0.3 after iteration 0, in place of 0.2 that another page had set",
        ]
        assert [each["by"] for each in run.state["said"]] == ["left", "right"]
        assert len(run.state["events"]) == 1


def test_slow_motion_takes_so_many_steps_a_second(dataset):
    with Steered(dataset, paused=True) as run:
        for wrong in (0, -1, 1e9, "fast", True):
            with pytest.raises(UsageError, match=r"slow motion takes 0\.01 to 1,000"):
                run.steering.slow(wrong)
        run.steering.slow(20)
        run.steering.start()
        begun = time.perf_counter()
        until(lambda: run.state["taken"] >= 6)
        assert time.perf_counter() - begun > 0.2
        run.steering.slow(None)
        until(lambda: run.state["taken"] >= 60)


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
        assert run.steering.look(number, 0.05) == (number, value)
        assert threads == {run.thread}


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


def test_begin_again_asks_for_a_run_with_the_settings_of_now(dataset):
    with Steered(dataset, paused=True) as run:
        run.steering.one_epoch()
        run.is_paused_at(8)
        run.steering.change("learning_rate", 0.05)
        run.steering.one_step()
        run.is_paused_at(9)
        with pytest.raises(UsageError, match="--layers begins with 700"):
            run.steering.begin_again({"layers": "700-10"})
        run.steering.begin_again({"seed": 7})
        run.ended()
    assert isinstance(run.error, StoppedError)
    assert run.steering.again == LONG.changed(learning_rate=0.05, seed=7)
    assert run.steering.next_run(1.0) == run.steering.again
    assert run.texts[-1] == "the run begins again, with seed 7"


def test_one_steering_serves_run_after_run(dataset):
    with Steered(dataset, SMALL) as run:
        run.ended()
    before = len(run.state["said"])
    with pytest.raises(UsageError, match="the run has ended; begin again"):
        run.steering.start()
    again = Steered(dataset, SMALL)
    again.steering = run.steering
    with again:
        again.ended()
        assert again.state["taken"] == 24
        assert len(again.state["said"]) == before


def test_a_request_before_the_run_is_refused():
    steering = Steering()
    assert steering.state()["status"] == "preparing"
    assert not steering.ready(0.01)
    with pytest.raises(UsageError, match="has not begun yet"):
        steering.start()
    with pytest.raises(UsageError, match="has not begun yet"):
        steering.change("learning_rate", 0.1)


def test_stop_and_finish(dataset):
    with Steered(dataset, paused=True) as run:
        run.steering.finish()
        outcome = run.ended()
        assert outcome.results["iterations"] == 1
    with Steered(dataset) as run:
        until(lambda: run.state["taken"] > 10)
        run.steering.stop()
        run.ended()
        assert isinstance(run.error, StoppedError)


def test_many_points_are_thinned(dataset):
    class Trainer:
        taken, settings = 0, SMALL

        def vectors(self):
            return {"theta": np.zeros(4)}

    points, trainer, progress = Points(), Trainer(), training.Progress()
    progress.events.all.append(Event(50, "learning_rate", 0.1, 0.2))
    for step in range(1000):
        trainer.taken = step
        points.keep(trainer, progress)
    assert len(points.kept) <= 100
    assert {0, 50, 999} <= set(points.kept)
    assert points.before(49).taken < 50


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
        run.steering.undo(8)
        run.is_paused_at(8)
    printed = capsys.readouterr().out
    assert "changed   alpha from 0.1 to 0.05 after iteration 8\n" in printed
    assert printed.count("changed   l2 from 0 to 0.01 after iteration 8\n") == 1
    assert "back      to iteration 8, before changes that were undone\n" in printed


def test_a_run_of_ranks_is_not_steered(small_set):
    pytest.importorskip("mpi4py", exc_type=ImportError)
    with pytest.raises(UsageError, match="several ranks share cannot be steered"):
        mnistgpu.fit(small_set, ranks="self", steering=Steering())
