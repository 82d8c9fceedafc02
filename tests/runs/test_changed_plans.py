"""Runs that have events already, and are changed by hand or given another length."""

import pytest
from helpers.resuming import IMAGES, SMALL, events_of, saving_in, stopped
from helpers.steered import Steered, until

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine import inputs
from mnistgpu.errors import DataError, UsageError
from mnistgpu.runs import checkpoint, events_file, resume, training
from mnistgpu.runs.events import Event, Events


def test_a_new_event_leaves_out_those_of_later_steps():
    events = events_of(SMALL, (3, "l2", 0.1), (8, "batch_size", 50), (9, "l2", 0.2))
    events.workers = {0: 2, 3: 2, 8: 1}
    assert events.set(8, "l2", 0.1) is None  # as it is: what is planned stays
    assert len(events.all) == 3
    assert events.set(5, "batch_size", 80) == Event(5, "batch_size", 100, 80)
    assert events.workers == {0: 2, 3: 2}
    assert events.records() == events_of(SMALL, *events.records()).records()
    assert events.shift(20, IMAGES) == events_of(SMALL, *events.records()).shift(20, IMAGES)


def test_lengths_that_replace_each_other_at_a_step_read_back():
    events = Events(SMALL)
    for name, new in (("epochs", 5), ("iterations", 70), ("epochs", 6)):
        events.set(4, name, new)
        assert events_of(SMALL, *events.records()).all == events.all
    events.set(4, "epochs", 3)
    assert events.all == []


def saved_with(dataset, directory, *given):
    """The checkpoint after step 5 of a run with these events."""
    saved = stopped(SMALL, dataset, directory, 5)
    saved.progress.events.all = events_of(SMALL, *given).all
    return saved


@pytest.mark.parametrize("asked", [{"epochs": 10}, {"epochs": 3}, {"iterations": 99}])
def test_a_length_is_refused_where_an_event_decides_it(dataset, tmp_path, asked):
    """The event would win, and what was asked for would be forgotten without a word."""
    saved = saved_with(dataset, tmp_path, (4, "epochs", 5), (9, "epochs", 7))
    with pytest.raises(UsageError) as refusal:
        resume.changed_settings(saved, asked, "the run")
    assert str(refusal.value) == (
        f"--{next(iter(asked))} cannot be given with --resume: on its way the run changes epochs "
        "from 5 to 7 after iteration 9, which decides its length; leave it out"
    )
    assert resume.changed_settings(saved, {"epochs": 7}, "the run") == SMALL
    assert resume.changed_settings(saved, {}, "the run") == SMALL


def test_a_length_without_the_place_of_an_event_is_refused(dataset, tmp_path):
    saved = saved_with(dataset, tmp_path, (18, "l2", 0.1))
    settings = resume.changed_settings(saved, {"epochs": 2}, "the run")
    with pytest.raises(UsageError, match=r"0.1 after iteration 18, but would take no more than 16"):
        training.train(settings, dataset, NUMPY, resumed=saved)
    settings = resume.changed_settings(saved, {"iterations": 19}, "the run")
    outcome = training.train(settings, dataset, NUMPY, resumed=saved)
    assert [event["step"] for event in outcome.results["events"]] == [18]


def test_a_length_is_refused_at_which_nothing_follows_the_newest_event(dataset, tmp_path):
    """A full batch begins with the next epoch, of which there is none: nobody could repeat it."""
    saved = saved_with(dataset, tmp_path, (15, "batch_size", None))
    settings = resume.changed_settings(saved, {"epochs": 2}, "the run")
    with pytest.raises(UsageError, match=r"iteration 15, but would take no more than 15 steps"):
        training.train(settings, dataset, NUMPY, resumed=saved)
    with pytest.raises(DataError, match="the run would end before step 15"):
        events_of(settings, (15, "batch_size", None))


def test_a_kill_loses_no_change_by_hand(dataset, tmp_path):
    """Once there is a checkpoint, a change makes a newer one, and so does an undo."""
    saving = saving_in(tmp_path, dataset, "1epoch")
    with Steered(dataset, SMALL, [saving], paused=True, hold=True) as run:
        run.steering.one_step()
        run.is_paused_at(1)
        run.steering.change("l2", 0.1)
        run.steering.one_epoch()
        run.is_paused_at(8)
        run.steering.one_step()
        run.is_paused_at(9)
        assert checkpoint.load(tmp_path).taken == 8
        run.steering.change("learning_rate", 0.05)
        until(lambda: checkpoint.load(tmp_path).taken == 9)  # what a kill would leave now
        names = [event.name for event in checkpoint.load(tmp_path).progress.events.all]
        assert names == ["l2", "learning_rate"]
        run.steering.change("learning_rate", 0.02)
        until(lambda: checkpoint.load(tmp_path).progress.events.all[-1].new == 0.02)
        run.steering.start()
        until(lambda: run.state["status"] == "holding")
        run.steering.one_epoch()
        until(lambda: run.state["status"] == "holding" and run.state["taken"] == 32)
        assert checkpoint.load(tmp_path).progress.events.all[-1].name == "epochs"
        run.steering.undo(8)
        until(lambda: checkpoint.load(tmp_path).taken == 8)
        assert [each.name for each in checkpoint.load(tmp_path).progress.events.all] == ["l2"]


def test_events_that_a_checkpoint_has_write_no_other(dataset, tmp_path, monkeypatch):
    written, save = [], checkpoint.save

    def noting(state, path):
        written.append(state.taken)
        save(state, path)

    monkeypatch.setattr(checkpoint, "save", noting)
    given = events_of(SMALL, (10, "l2", 0.1), (12, "learning_rate", 0.05), (20, "l2", 0.2))
    training.train(SMALL, dataset, NUMPY, [saving_in(tmp_path, dataset, "1epoch")], events=given)
    assert written == [8, 16, 24]


def test_without_events_the_images_are_not_split_for_them(dataset, monkeypatch):
    def refused(*given):
        raise AssertionError("the images were split")

    monkeypatch.setattr(data, "split", refused)
    given = events_file.EventsFile([], workers={0: 2}, machine={"backend": "numpy"})
    assert given.events(SMALL, dataset, {"backend": "numpy"}) == Events(SMALL, workers={0: 2})


def test_an_event_looks_no_second_time_for_pixels_that_change(dataset, monkeypatch):
    """They are those of the images, unless a deformation has ended meanwhile."""
    looked, changing = [], inputs.changing

    def noting(images):
        looked.append(len(images))
        return changing(images)

    monkeypatch.setattr(inputs, "changing", noting)
    settings = SMALL.changed(adversarial=1.0, epochs=1)
    rate = events_of(settings, (3, "learning_rate", 0.05))
    training.train(settings, dataset, NUMPY, events=rate)
    assert looked == [IMAGES]
    looked.clear()
    turned = settings.changed(rotation=5.0)
    training.train(turned, dataset, NUMPY, events=events_of(turned, (3, "rotation", 0.0)))
    assert looked == [IMAGES]
