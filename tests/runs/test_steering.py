"""A run steered from another thread: what takes effect when, what is kept, what is undone."""

import time

import numpy as np
import pytest
from helpers.callbacks import Recorder
from helpers.resuming import SMALL, events_of
from helpers.steered import LONG, Steered, until

from mnistgpu.backend import NUMPY
from mnistgpu.errors import DivergedError, StoppedError, UsageError
from mnistgpu.models.model import digest_of
from mnistgpu.runs import training
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.events import Event
from mnistgpu.runs.steering import Steering


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


def test_a_run_of_iterations_becomes_an_epoch_longer_too(dataset):
    settings = SMALL.changed(epochs=None, iterations=10)  # epochs have 8
    with Steered(dataset, settings, paused=True, hold=True) as run:
        for end in (16, 24):
            run.steering.start()
            until(lambda: run.state["status"] == "holding")
            run.steering.one_epoch()
            run.is_paused_at(end)
        assert run.state["steps"] == 26
        assert [(each["step"], each["new"]) for each in run.state["events"]] == [(10, 18), (18, 26)]


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


PLANNED = (9, "learning_rate", 0.01), (12, "batch_size", 50)
LEFT_OUT = (
    "; the run no longer has the 2 changes of alpha from 0.1 to 0.01 after iteration 9 and of "
    "batch-size from 100 to 50 after iteration 12"
)


def test_a_change_by_hand_leaves_out_what_was_planned_for_later_and_says_so(dataset):
    rates = []

    class Rates(Callback):
        def step(self, trainer, progress):
            rates.append(trainer.learning_rate)

    given = events_of(SMALL, *PLANNED)
    with Steered(dataset, SMALL, [Rates()], given, paused=True) as run:
        run.steering.one_epoch()
        run.is_paused_at(8)
        run.steering.change("learning_rate", 0.1)  # as before: nothing changes
        until(lambda: run.texts)
        assert run.texts == ["alpha is 0.1 as before"]
        assert len(run.state["events"]) == 2
        run.steering.change("learning_rate", 0.3)
        run.steering.start()
        outcome = run.ended()
        assert run.texts[1] == "alpha from 0.1 to 0.3 after iteration 8" + LEFT_OUT
    assert rates == [0.1] * 8 + [0.3] * 16
    # what is written is read again, and gives the same run
    repeated = training.train(SMALL, dataset, NUMPY, events=events_of(SMALL, *run.state["events"]))
    assert digest_of(repeated.model.theta) == digest_of(outcome.model.theta)


def test_an_undo_says_which_planned_changes_it_leaves_out(dataset):
    with Steered(dataset, SMALL, events=events_of(SMALL, *PLANNED), paused=True) as run:
        run.steering.one_epoch()
        run.is_paused_at(8)
        run.steering.undo(8)
        until(lambda: run.texts)
        assert run.texts == ["the run is back at iteration 8" + LEFT_OUT]
        assert run.state["events"] == []


def test_a_change_that_is_taken_back_says_which_others_go_with_it(dataset):
    later = [(step + 8, name, new) for step, name, new in PLANNED]  # than it is noticed
    noise = (8, "input_noise", 0.1)  # at the point to which the run goes back, before it
    given = events_of(SMALL, (7, "l2", 0.001), noise, (9, "learning_rate", 1e30), *later)
    with Steered(dataset, SMALL, events=given, paused=True) as run:
        run.steering.start()
        until(lambda: run.texts)
        assert [each["name"] for each in run.state["events"]] == ["l2"]  # which stays
        run.is_paused_at(8)
        said = LEFT_OUT.replace("from 0.1 to", "from 1e+30 to")
        said = said.replace("ion 9", "ion 17").replace("ion 12", "ion 20")
        of_noise = "3 changes of input-noise from 0 to 0.1 after iteration 8 and of"
        assert run.texts[0].endswith(said.replace("2 changes of", of_noise))


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
