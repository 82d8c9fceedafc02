"""Runs that have events already, and are changed by hand or given another length."""

from helpers.resuming import IMAGES, SMALL, events_of

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
