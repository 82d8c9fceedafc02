"""events.json: it reads back as it was written, and a damaged one is refused in a sentence."""

import json
from dataclasses import replace

import pytest
from helpers.resuming import SMALL, events_of

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.errors import DataError, UsageError
from mnistgpu.runs import checkpoint, events_file, training
from mnistgpu.runs.callbacks import Callback

LONGER = SMALL.changed(epochs=4)
EVENTS = (3, "learning_rate", 0.05), (5, "batch_size", 130), (11, "batch_size", None)


def test_a_file_reads_back_as_it_was_written(dataset, tmp_path):
    events = events_of(LONGER, *EVENTS)
    events.workers = {0: 2, 3: 1}
    machine = checkpoint.machine(NUMPY)
    path = tmp_path / "events.json"
    events_file.write(path, events, events_file.Origin.of(dataset), machine)
    assert path.read_bytes().startswith(events_file.MARK)
    found = events_file.read(path)
    assert found.settings == LONGER
    assert found.events(LONGER, dataset, machine) == events
    elsewhere = found.events(LONGER, dataset, machine | {"numpy": "other"})
    assert elsewhere.workers == {}
    with pytest.raises(UsageError, match=r"was made for --alpha 0.1, and not for 0.2"):
        found.events(LONGER.changed(learning_rate=0.2), dataset, machine)
    with pytest.raises(UsageError, match=r"was made for --validation 100, and not for 200"):
        found.events(LONGER.changed(validation=200), dataset, machine)
    share = replace(found, settings=LONGER.changed(validation=100 / len(dataset.train)))
    assert share.events(LONGER, dataset, machine).all == events.all
    other = data.Dataset(dataset.test, dataset.train, "other digits")
    with pytest.raises(DataError, match="was made for data with the digest"):
        found.events(LONGER, other, machine)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"events": 3}, 'expected an object with a list "events"'),
        ({"more": 3}, "'more' is none of events, settings"),
        ({"settings": {"layers": 3}}, "settings: --layers must be"),
        ({"workers": {"a": 1}}, "what it says under 'workers'"),
        ({"workers": {"1" * 5000: 1}}, "what it says under 'workers'"),  # too long for a number
        ({"workers": {"١": 1}}, "what it says under 'workers'"),
        ({"workers": {"1": 0}}, "what it says under 'workers'"),
        ({"workers": {"1": 2**63}}, "what it says under 'workers'"),  # no checkpoint has it
        ({"machine": 3}, "what it says under 'machine'"),
        ({"data_digest": 3}, "what it says under 'data_digest'"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, changes, why):
    path = tmp_path / "events.json"
    path.write_text(json.dumps({"events": []} | changes))
    with pytest.raises(DataError, match=why):
        events_file.read(path)


@pytest.mark.parametrize("older", [False, True])
def test_events_are_kept_while_the_run_goes_on_but_not_beside_older_results(
    dataset, tmp_path, older
):
    path, there = tmp_path / events_file.FILE, []
    if older:
        (tmp_path / "results.json").write_text("{}")

    class Look(Callback):
        def step(self, trainer, progress):
            there.append(path.exists())

    keeping = events_file.KeepEvents(tmp_path, events_file.Origin.of(dataset))
    training.train(SMALL, dataset, NUMPY, [keeping, Look()], events=events_of(SMALL, *EVENTS))
    assert set(there) == {not older}
    assert events_file.read(path).given == events_of(SMALL, *EVENTS).records()
