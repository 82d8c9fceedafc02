"""Settings that change while a run goes on: what a change means, and that the run repeats."""

import numpy as np
import pytest
from helpers.resuming import (
    IMAGES,
    SMALL,
    assert_same_bits,
    events_of,
    figures,
    saving_in,
    stopped,
)
from helpers.thread_ranks import on_ranks

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine.batches import Shift
from mnistgpu.engine.cpu import processes
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DataError, UsageError
from mnistgpu.runs import checkpoint, training
from mnistgpu.runs import events as events_module
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.checks import check_fit
from mnistgpu.runs.events import CHANGEABLE, Event, Events, check_change, checked, left_out
from mnistgpu.storage import system


def trained(settings, dataset, *given, callbacks=(), **more):
    return training.train(
        settings, dataset, NUMPY, callbacks, events=events_of(settings, *given), **more
    )


LONGER = SMALL.changed(epochs=4)
EVERYTHING = (
    (3, "learning_rate", 0.05),
    (5, "batch_size", 130),
    (5, "label_smoothing", 0.1),
    (7, "input_noise", 0.2),
    (9, "hidden_dropout", 0.2),
    (11, "batch_size", None),
    (12, "batch_size", 64),
    (14, "rotation", 10.0),
    (16, "l2", 0.01),
    (16, "weight_decay", 0.1),
    (18, "input_noise", 0.0),
)


class Seen(Callback):
    """The rows of every step, its learning rate, and how many processes shared it."""

    def __init__(self):
        self.rows, self.rates, self.processes, self.trainers = [], [], [], set()

    def step(self, trainer, progress):
        rows = trainer.batches.rows(trainer.taken - 1)
        self.rows.append(np.arange(rows.stop) if isinstance(rows, slice) else np.array(rows))
        self.rates.append(trainer.learning_rate)
        self.processes.append(trainer.processes)
        self.trainers.add(id(trainer))


def test_an_event_changes_the_steps_after_it_and_none_before(dataset):
    """The run up to the event is that without it; from there on it is one with the new setting."""
    settings = SMALL.changed(batch_size=None, iterations=6)
    by_hand = Trainer(settings, data.split(dataset.train, 100, 0)[0], NUMPY)
    rates = [0.1, *[0.05] * 3, *[0.02] * 2]
    for rate in rates:
        by_hand.step(rate)
    found = trained(settings, dataset, (1, "learning_rate", 0.05), (4, "learning_rate", 0.02))
    assert np.array_equal(found.model.theta, by_hand.theta)
    assert [row.learning_rate for row in found.history] == rates


def test_an_epoch_with_an_event_in_it_has_the_mean_loss_of_all_its_steps(dataset):
    by_hand = Trainer(SMALL, data.split(dataset.train, 100, 0)[0], NUMPY)
    losses = [float(by_hand.step(0.1 if step < 3 else 0.02)[0]) / 100 for step in range(8)]
    found = trained(SMALL, dataset, (3, "learning_rate", 0.02))
    assert found.history[1].train_loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_an_event_at_step_0_is_another_setting_from_the_beginning(dataset):
    found = trained(SMALL, dataset, (0, "learning_rate", 0.03), (0, "input_dropout", 0.1))
    whole = training.train(SMALL.changed(learning_rate=0.03, input_dropout=0.1), dataset, NUMPY)
    assert np.array_equal(found.model.theta, whole.model.theta)


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_the_optimiser_remembers_across_an_event(dataset, optimizer):
    """A change to the same value, made and unmade, changes no bit, and so forgets nothing."""
    settings = SMALL.changed(optimizer=optimizer, learning_rate=0.01, ema=0.9, batch_norm=True)
    whole = training.train(settings, dataset, NUMPY)
    found = trained(settings, dataset, (5, "l2", 0.5), (5, "l2", 0.0), (9, "batch_size", 100))
    assert np.array_equal(found.model.theta, whole.model.theta)


def test_momentum_is_a_setting_that_changes(dataset):
    settings = SMALL.changed(optimizer="momentum", batch_size=None, iterations=3)
    found = trained(settings, dataset, (2, "momentum", 0.5)).model.theta
    trainer = Trainer(settings, data.split(dataset.train, 100, 0)[0], NUMPY)
    trainer.step()
    trainer.step()
    velocity, theta = trainer.state["velocity"].copy(), trainer.theta.copy()
    gradient = trainer.engine.gradient(trainer.batches.rows(2))[0].copy()
    velocity = np.float32(0.5) * velocity + gradient
    assert np.array_equal(found, theta - np.float32(0.1) * velocity)


def test_a_batch_size_that_changes_keeps_the_order_of_the_epoch(dataset):
    """No image comes twice in an epoch; at most one batch of them is left out."""
    seen = Seen()
    settings = SMALL.changed(epochs=4)
    trained(settings, dataset, (3, "batch_size", 150), (9, "batch_size", 40), callbacks=[seen])
    order = Trainer(settings, data.split(dataset.train, 100, 0)[0], NUMPY).batches.order
    # 3 batches of 100; of 150 from place 300 on: 300-450, 450-600, 600-750, 750-800
    first = np.concatenate(seen.rows[:7])
    assert np.array_equal(first, order(0))
    assert [len(rows) for rows in seen.rows[3:7]] == [150, 150, 150, 50]
    # two batches of 150 of the second epoch; of 40 from place 320 on, as 300 is no multiple
    second = np.concatenate(seen.rows[7 : 9 + 12])
    assert np.array_equal(second, np.concatenate([order(1)[:300], order(1)[320:]]))
    assert np.array_equal(np.concatenate(seen.rows[21:41]), order(2))
    assert len(seen.rows) == 7 + 2 + 12 + 20 + 20
    assert len(seen.trainers) == 1  # one object, as callbacks are promised


def test_a_full_batch_begins_with_the_next_epoch(dataset):
    seen = Seen()
    settings = SMALL.changed(epochs=4)
    changes = (3, "batch_size", None), (5, "batch_size", 400)
    found = trained(settings, dataset, *changes, callbacks=[seen])
    images, results = sum(map(len, seen.rows)), found.results
    assert results["images_per_second"] * results["seconds"] == pytest.approx(images)
    assert [len(rows) for rows in seen.rows] == [100, 100, 100, 800, 800, 400, 400]
    assert [row.epoch for row in found.history] == [0.125, 2.0, 3.0, 4.0]


def test_schedules_go_on_at_the_same_share_of_the_run(dataset):
    """In a run of epochs as many of them are left after a change of the batch size as before."""
    seen = Seen()
    settings = SMALL.changed(epochs=4, schedule="linear", learning_rate=0.08)
    trained(settings, dataset, (16, "batch_size", 50), callbacks=[seen])
    assert np.allclose(seen.rates[:16], 0.08 * (1 - np.arange(16) / 32))
    assert np.allclose(seen.rates[16:], 0.08 * (1 - (np.arange(32) + 32) / 64))
    seen = Seen()
    settings = settings.changed(iterations=30)
    trained(settings, dataset, (16, "batch_size", 50), callbacks=[seen])
    assert np.allclose(seen.rates, 0.08 * (1 - np.arange(30) / 30))


def test_an_event_may_make_a_run_longer_at_its_end(dataset):
    found = trained(SMALL, dataset, (24, "epochs", 4), (28, "learning_rate", 0.01))
    whole = trained(SMALL.changed(epochs=4), dataset, (28, "learning_rate", 0.01))
    assert np.array_equal(found.model.theta, whole.model.theta)
    assert found.results["iterations"] == 32


def test_what_a_run_leaves_names_its_events(dataset):
    found = trained(SMALL, dataset, (3, "learning_rate", 0.05))
    record = {"step": 3, "name": "learning_rate", "old": 0.1, "new": 0.05}
    assert found.results["events"] == [record]
    assert found.model.events == (record,)
    assert found.model.settings["learning_rate"] == 0.1  # as it began
    assert "events" not in training.train(SMALL, dataset, NUMPY).results


@pytest.mark.parametrize("stop_at", [2, 5, 6, 11, 13, 17])
def test_a_run_with_events_resumes_bit_for_bit(dataset, tmp_path, stop_at):
    settings = LONGER.changed(optimizer="adam", learning_rate=0.01, ema=0.9, batch_norm=True)
    whole = trained(settings, dataset, *EVERYTHING)
    repeated = trained(settings, dataset, *EVERYTHING)
    assert_same_bits(repeated, whole)
    given = events_of(settings, *EVERYTHING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Events", lambda settings: given)
        saved = stopped(settings, dataset, tmp_path, stop_at)
    assert saved.settings == settings
    assert saved.progress.events.all == given.all
    saving = saving_in(tmp_path, dataset)
    resumed = training.train(settings, dataset, NUMPY, [saving], resumed=saved)
    assert_same_bits(resumed, whole)
    kept = checkpoint.load(tmp_path).progress
    assert kept.finished
    assert kept.events.workers.items() >= saved.progress.events.workers.items()


@pytest.mark.slow
@pytest.mark.parametrize(
    "begun",
    [
        {"layers": "784-32-10", "batch_size": 200},  # units shared out
        {"layers": "784-32-10", "input_noise": 0.1, "batch_size": None},  # images shared out
    ],
)
def test_processes_repeat_a_run_and_agree_with_one(dataset, monkeypatch, begun):
    settings = SMALL.changed(**begun, precision="exact")
    given = (2, "learning_rate", 0.05), (2, "batch_size", 300), (4, "hidden_dropout", 0.2)
    seen = Seen()
    monkeypatch.setattr(processes, "MULTIPLY_ADDS", 2**60)
    alone = trained(settings, dataset, *given, callbacks=[seen])
    assert set(seen.processes) == {1}
    monkeypatch.setattr(processes, "MULTIPLY_ADDS", 1)
    monkeypatch.setattr(processes, "cores", lambda: 2)
    seen = Seen()
    shared = [trained(settings, dataset, *given, callbacks=[seen]) for _ in range(2)]
    if processes.is_possible() and system.cores() > 1:
        assert max(seen.processes) > 1
    assert shared[0].results["digest"] == shared[1].results["digest"]
    assert shared[0].results["digest"] == alone.results["digest"]


def test_as_many_workers_share_the_steps_as_did(dataset, monkeypatch):
    """A run in a thread takes its steps in one process; repeated elsewhere it does, too."""
    settings = SMALL.changed(layers="784-32-10", batch_size=200)
    given = events_of(settings, (2, "learning_rate", 0.05))
    given.workers = {0: 1, 2: 1}
    monkeypatch.setattr(processes, "MULTIPLY_ADDS", 1)
    seen = Seen()
    training.train(settings, dataset, NUMPY, [seen], events=given)
    assert set(seen.processes) == {1}
    given.workers = {0: 2, 2: 1}
    seen = Seen()
    training.train(settings, dataset, NUMPY, [seen], events=given)
    if processes.is_possible():
        assert seen.processes[0] == 2
    assert seen.processes[-1] == 1


def test_the_fast_form_is_checked_where_epochs_have_other_numbers(dataset):
    """After a change to full batches the first step has no place in an epoch of such batches."""
    settings = SMALL.changed(optimizer="adam", learning_rate=0.01)
    trainer = Trainer(settings, data.split(dataset.train, 100, 0)[0], NUMPY)
    trainer.taken = 16
    trainer.change(settings.changed(batch_size=400), Shift(16, -12))
    said = []
    with trainer.engine.running(), stepping(trainer, said.append) as step:
        step()
    assert not said
    assert trainer.taken == 17


BAD = {
    "unknown name": (3, "alhpa", 0.1, "there is no setting 'alhpa'; did you mean alpha"),
    "fixed": (3, "layers", "784-9-10", "layers cannot change while a run goes on; what can: alpha"),
    "below": (3, "alpha", -1.0, "--alpha must be a finite number greater than 0, not -1.0"),
    "type": (3, "batch_size", "many", "--batch-size must be int or None, not 'many'"),
    "step": (3000, "alpha", 0.2, "step 3,000 is none of this run, which takes 24 steps"),
    "end": (24, "alpha", 0.2, "step 24 is none of this run, which takes 24 steps"),
    "negative": (-1, "alpha", 0.2, "step must be a whole number of at least 0, not -1"),
    "shorter": (20, "epochs", 2, "the run would end before step 20"),
    "momentum": (3, "momentum", 0.5, "for the optimisers momentum and nesterov, and --optimizer"),
}


@pytest.mark.parametrize(("step", "name", "new", "why"), BAD.values(), ids=BAD)
def test_an_event_that_cannot_be_is_refused(step, name, new, why):
    records = [
        {"step": 1, "name": "learning_rate", "new": 0.1},
        {"step": step, "name": name, "new": new},
    ]
    with pytest.raises(DataError) as raised:
        checked(records, SMALL, IMAGES, lambda made: None, "my.json")
    assert str(raised.value).startswith("my.json, event 2: ")
    assert why in str(raised.value)


def test_an_event_must_change_what_is_there():
    record = {"step": 3, "name": "alpha", "old": 0.7, "new": 0.2}
    why = "changes alpha from 0.7, but it is 0.1 at that step; was the file made for other settings"
    with pytest.raises(DataError, match=why):
        checked([record], SMALL, IMAGES, lambda made: None, "my.json")
    for wrong in (3, {"step": 1}, {"step": 1, "name": "alpha", "new": 0.2, "more": 1}):
        with pytest.raises(DataError, match=r"my.json, event 1: must be an object such as"):
            checked([wrong], SMALL, IMAGES, lambda made: None, "my.json")


def test_an_event_must_fit_the_data(dataset):
    def check(made):
        check_fit(made, dataset)

    record = {"step": 3, "name": "batch_size", "new": 5000}
    with pytest.raises(DataError, match=r"event 1: --batch-size 5000 is more than the 800"):
        checked([record], SMALL, IMAGES, check, "my.json")


def test_a_run_may_have_so_many_events_and_no_more(monkeypatch):
    monkeypatch.setattr(events_module, "MOST", 3)
    given = [{"step": step, "name": "l2", "new": step / 10} for step in range(1, 5)]
    assert len(checked(given[:3], SMALL, IMAGES, lambda made: None, "my.json").all) == 3
    with pytest.raises(DataError, match=r"my\.json: has 4 events, and a run may have 3"):
        checked(given, SMALL, IMAGES, lambda made: None, "my.json")


def test_the_length_changes_only_where_no_schedule_spreads_over_it():
    with pytest.raises(UsageError, match=r"epochs cannot change .* schedule cosine, which spreads"):
        check_change(SMALL.changed(schedule="cosine"), "epochs", 9)


def test_events_are_set_replaced_and_taken_back():
    events = Events(SMALL)
    assert events.set(3, "learning_rate", 0.2) == Event(3, "learning_rate", 0.1, 0.2)
    assert events.set(3, "learning_rate", 0.3) == Event(3, "learning_rate", 0.1, 0.3)
    assert len(events.all) == 1
    assert events.set(3, "learning_rate", 0.1) is None
    assert events.all == []
    events.set(4, "epochs", 5)
    events.set(6, "iterations", 70)
    assert events.settings(5).epochs == 5
    assert events.settings(6).iterations == 70
    assert events.settings(6).epochs is None
    assert [events.newest(taken) for taken in (3, 4, 5, 6, 99)] == [0, 4, 4, 6, 6]
    events.set(900, "iterations", 1000)
    assert [event.step for event in events.later(6)] == [900]
    events.cut(6)
    assert [event.step for event in events.all] == [4]
    assert events.after(3) == 4
    assert events.after(4) is None
    events.set(2, "learning_rate", 0.2)
    assert [event.step for event in events.all] == [2]  # what was planned for later is left out


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, ""),
        (1, "; the run no longer has the change of 1"),
        (3, "; the run no longer has the 3 changes of 1 and of 2 and of 3"),
        (4, "; the run no longer has the 4 changes of 1 and of 2 and of 3 and of 1 more"),
        (
            1003,
            "; the run no longer has the 1,003 changes of 1 and of 2 and of 3 and of 1,000 more",
        ),
    ],
)
def test_of_many_changes_that_are_left_out_three_are_named(count, said):
    given = [Event(step, "learning_rate", 0.1, 0.2) for step in range(1, count + 1)]
    assert left_out(given).replace("alpha from 0.1 to 0.2 after iteration ", "") == said


def test_a_run_may_have_five_thousand_events():
    """More are refused before the first of them is looked at."""
    for count, why in ((5000, "event 1: must be an object"), (5001, "has 5,001 events, and a run")):
        with pytest.raises(DataError, match=f"my.json.* {why}"):
            checked([3] * count, SMALL, IMAGES, lambda made: None, "my.json")


@pytest.mark.parametrize("name", CHANGEABLE)
def test_each_setting_that_may_change_has_an_effect_from_its_step_on(dataset, name):
    new = {
        "learning_rate": 0.02, "momentum": 0.2, "batch_size": 40, "weight_decay": 0.5, "l2": 0.1,
        "label_smoothing": 0.2, "rotation_1_7": 5.0, "images_per_map": 4, "epochs": 2,
        "iterations": 20, "elastic_sigma": 2.0, "rotation": 15.0, "shift": 3.0, "elastic": 3.0,
    }.get(name, 0.3)  # fmt: skip
    settings = SMALL.changed(optimizer="momentum")
    if name in ("rotation_1_7", "images_per_map", "elastic_sigma"):
        settings = settings.changed(rotation=10.0, elastic=1.0)
    found = trained(settings, dataset, (10, name, new))
    assert not np.array_equal(
        found.model.theta, training.train(settings, dataset, NUMPY).model.theta
    )
    assert figures(found) == figures(trained(settings, dataset, (10, name, new)))


def test_a_damaged_checkpoint_is_refused(dataset, tmp_path):
    saved = stopped(SMALL, dataset, tmp_path, 5)
    saved.progress.events.set(5, "learning_rate", 0.01)
    texts, tensors = checkpoint.parts(saved)
    assert checkpoint.from_parts(texts, tensors, "here").progress.events.all
    for text in ("3", '[{"step": 5}]', '[{"step": 5, "name": "layers", "new": "784-10"}]'):
        with pytest.raises(DataError, match="here"):
            checkpoint.expected(texts | {"events": text}, "here")
    for text in ("3", "[[0]]", "[[0, 2, 5]]", "[0]", "[[0, true]]", "[[-1, 2]]", f"[[0, {2**63}]]"):
        with pytest.raises(DataError, match=r"'events_workers'|'events'"):
            checkpoint.expected(texts | {"events_workers": text}, "here")
    counted = texts | {"events_workers": f"[[0, 2], [{2**63 - 1}, 0]]"}
    found = checkpoint.from_parts(counted, tensors, "here").progress.events
    assert found.workers == {0: 2, 2**63 - 1: 1}  # each step is taken by some worker


def test_only_a_run_with_events_has_the_newer_format(dataset, tmp_path):
    saved = stopped(SMALL, dataset, tmp_path, 5)
    assert saved.format == 2
    saved.progress.events.set(5, "learning_rate", 0.01)
    checkpoint.save(saved, tmp_path / checkpoint.FILE)
    assert checkpoint.load(tmp_path).format == 3


def test_ranks_share_a_run_with_events(dataset):
    """Of three ranks each has the bits of one process, in exact arithmetic."""
    settings = SMALL.changed(precision="exact")
    given = (5, "learning_rate", 0.05), (5, "batch_size", 130), (9, "hidden_dropout", 0.2)
    alone = trained(settings, dataset, *given)
    found = on_ranks(3, lambda rank: trained(settings, dataset, *given, communicator=rank))
    assert [each.results["digest"] for each in found] == [alone.results["digest"]] * 3
