"""events.json: it reads back as written, for the data and the machine that it was made for."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from helpers.resuming import SMALL, events_of

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.errors import DataError, UsageError
from mnistgpu.runs import checkpoint, events_file
from mnistgpu.runs.history import Progress
from mnistgpu.runs.stop import Stop

LONGER = SMALL.changed(epochs=4)
CHANGES = (3, "learning_rate", 0.05), (5, "batch_size", 130), (11, "batch_size", None)


def test_a_file_reads_back_as_it_was_written(dataset, tmp_path):
    events = events_of(LONGER, *CHANGES)
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
    with pytest.raises(UsageError, match=r"was made for --alpha 0.1, and not for 0.05"):
        found.events(LONGER.changed(learning_rate=0.05), dataset, machine)
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
        ({"events": 3}, 'expected an object with a list "events", but found no events; was it'),
        ({"more": 3}, "'more' is none of events, settings"),
        ({"more" * 10 + "!": 3}, f"found '{'more' * 10}' is none of events"),
        ({"settings": {"layers": 3}}, "settings: --layers must be"),
        ({"workers": {"a": 1}}, "what it says under 'workers'"),
        ({"workers": {"²": 1}}, "what it says under 'workers'"),
        ({"workers": {"-1": 1}}, "what it says under 'workers'"),
        ({"workers": {"1": 0}}, "what it says under 'workers'"),
        ({"workers": {"1": 2**63}}, "what it says under 'workers'"),  # no checkpoint has it
        ({"workers": {"1" * 5000: 1}}, "what it says under 'workers'"),  # too long for a number
        ({"workers": {"1": 1.0}}, "what it says under 'workers'"),
        ({"workers": [1]}, "what it says under 'workers'"),
        ({"machine": 3}, "what it says under 'machine'"),
        ({"machine": {"numpy": 3}}, "what it says under 'machine'"),
        ({"data_digest": 3}, "what it says under 'data_digest'"),
        ({"data_path": 3}, "what it says under 'data_digest'"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, changes, why):
    path = tmp_path / "events.json"
    path.write_text(json.dumps({"events": []} | changes))
    with pytest.raises(DataError, match=why):
        events_file.read(path)


@pytest.mark.parametrize("count", [1, 2**63 - 1])
def test_any_number_of_workers_may_have_shared_the_steps(tmp_path, count):
    path = tmp_path / "events.json"
    path.write_text(json.dumps({"events": [], "workers": {"0": count}}))
    assert events_file.read(path).workers == {0: count}


def test_the_file_is_kept_from_the_first_event_on_but_not_beside_older_results(dataset, tmp_path):
    path, results = tmp_path / events_file.FILE, tmp_path / "results.json"
    keeping = events_file.KeepEvents(tmp_path, events_file.Origin.of(dataset))
    trainer = SimpleNamespace(communicator=None, backend=NUMPY)
    progress = Progress(events=events_of(LONGER))
    keeping.begin(trainer, progress, Stop())
    assert not path.exists()
    for step in (3, 5):
        progress.events.set(step, "learning_rate", 0.01 * step)
        keeping.changed(trainer, progress)
        assert [each["step"] for each in events_file.read(path).given][-1] == step
    results.touch()
    progress.events.set(7, "learning_rate", 0.07)
    keeping.interrupted(trainer, progress)
    assert len(events_file.read(path).given) == 2
    keeping.end(None)
    assert len(events_file.read(path).given) == 3
    progress.events.cut(0)
    results.unlink()
    keeping.changed(trainer, progress)
    assert not path.exists()
