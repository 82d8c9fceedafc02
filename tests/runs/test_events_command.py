"""`mnistgpu train --events FILE`: a run that was steered is repeated without the page."""

import json
import signal
import threading
import time

import numpy as np
import pytest
from helpers.runs import begun, ended, one_sentence, run, run_here

import mnistgpu
from mnistgpu.backend import NUMPY
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DataError, UsageError
from mnistgpu.models import model
from mnistgpu.runs import checkpoint, events_file
from mnistgpu.runs.steering import Steering

# in two processes where the machine has two cores: units are shared out
SETTINGS = {"layers": "784-64-10", "batch_size": 256, "validation": 100, "epochs": 12}


@pytest.fixture(scope="module")
def steered(small_set, tmp_path_factory):
    """The directory of a run that was steered by another thread."""
    path, steering = tmp_path_factory.mktemp("steered") / "run", Steering(paused=True)

    def steer():
        def wait_for(taken):
            while steering.state().get("taken", -1) < taken:
                time.sleep(0.002)

        wait_for(0)
        for taken, name, value in (
            (3, "learning_rate", 0.05),
            (6, "hidden_dropout", 0.2),
            (9, "batch_size", 100),
            (12, "hidden_dropout", 0.0),
            (12, "learning_rate", 0.1),
        ):
            while steering.state()["taken"] < taken:
                before = steering.state()["taken"]
                steering.one_step()
                wait_for(before + 1)
            steering.change(name, value)
        steering.start()

    thread = threading.Thread(target=steer)
    thread.start()
    mnistgpu.fit(small_set, out=path, steering=steering, progress=False, **SETTINGS)
    thread.join()
    return path


def digest(path):
    return model.load(path).digest


def test_the_directory_names_the_events(steered):
    record = json.loads((steered / "events.json").read_text())
    assert [(each["step"], each["name"], each["new"]) for each in record["events"]] == [
        (3, "learning_rate", 0.05),
        (6, "hidden_dropout", 0.2),
        (9, "batch_size", 100),
        (12, "hidden_dropout", 0.0),
        (12, "learning_rate", 0.1),
    ]
    assert record["settings"]["learning_rate"] == 0.25
    for name in ("results.json", "settings.json"):
        assert json.loads((steered / name).read_text())["events"] == record["events"]
    assert list(model.load(steered).events) == record["events"]
    assert checkpoint.load(steered).progress.events.records() == record["events"]
    assert set(record["workers"]) == {"0", "3", "6", "9", "12"}
    assert record["machine"] == checkpoint.load(steered).machine
    assert record["machine"] == checkpoint.machine(NUMPY)
    assert "rank" not in record["machine"]["steps"]


def test_the_command_repeats_the_run_to_the_same_bits(steered, tmp_path):
    """In another process, from the file alone."""
    done = run("--events", steered / "events.json", "--out", tmp_path / "again")
    assert (done.returncode, done.stderr) == (0, "")
    assert "5 events, after iteration 3 to 12" in done.stdout
    assert "rounding" not in done.stdout  # it is the same machine
    assert "changed   alpha from 0.25 to 0.05 after iteration 3" in done.stdout
    assert digest(tmp_path / "again") == digest(steered)
    assert (tmp_path / "again/events.json").read_bytes() == (steered / "events.json").read_bytes()

    def rows(path):
        table = np.genfromtxt(path / "history.csv", delimiter=",", names=True)
        return [table[name].tolist() for name in table.dtype.names if name != "seconds"]

    assert rows(tmp_path / "again") == rows(steered)


@pytest.mark.slow
def test_a_run_with_events_that_was_stopped_is_resumed(steered, small_set, tmp_path):
    """Killed on the way, after some of the events and before others."""
    record = json.loads((steered / "events.json").read_text())
    record["settings"]["epochs"] = 150
    record["events"] += [{"step": 1100, "name": "l2", "new": 0.001}]
    longer, whole, path = (tmp_path / name for name in ("longer.json", "whole", "stopped"))
    longer.write_text(json.dumps(record))
    process = begun(path, "--events", longer)
    process.send_signal(signal.SIGINT)
    status, errors = ended(process)
    assert (status, "go on with: mnistgpu train --resume" in errors) == (130, True)
    saved = checkpoint.load(path)
    assert saved.taken < saved.progress.events.all[-1].step
    assert json.loads((path / events_file.FILE).read_text())["events"][-1]["step"] == 1100
    assert run_here("--resume", path).returncode == 0
    assert run_here("--events", longer, "--out", whole).returncode == 0
    assert digest(path) == digest(whole)


@pytest.mark.slow
def test_in_python(steered, small_set, tmp_path):
    repeated = mnistgpu.fit(events=steered / "events.json", progress=False)
    assert repeated.digest == digest(steered)
    given = mnistgpu.fit(
        small_set, events=repeated.results["events"], progress=False, out=tmp_path / "c", **SETTINGS
    )
    assert given.digest == repeated.digest
    assert (tmp_path / "c" / events_file.FILE).exists()
    # a new run here without events leaves no file of the old ones
    mnistgpu.fit(small_set, progress=False, out=tmp_path / "c", force=True, **SETTINGS)
    assert not (tmp_path / "c" / events_file.FILE).exists()
    with pytest.raises(UsageError, match=r"was made for --validation 100, and not for 50"):
        mnistgpu.fit(events=steered / "events.json", validation=50, progress=False)
    with pytest.raises(UsageError, match=r"must be the path of an events.json, or a list"):
        mnistgpu.fit(events=3)
    with pytest.raises(UsageError, match=r"steering: must be a mnistgpu.Steering"):
        mnistgpu.fit(steering=3)
    with pytest.raises(DataError, match="events, event 1: there is no setting"):
        mnistgpu.fit(small_set, events=[{"step": 1, "name": "rate", "new": 1}], progress=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "status", "why"),
    [
        (("--alpha", "0.3"), 2, "--alpha 0.3 cannot be given with --events"),
        (("--recipe", "fast"), 2, "--recipe fast cannot be given with --events"),
        (("--resume", "runs/x"), 2, "cannot be given with --resume"),
        (("--alpha", "0.25"), 0, ""),
    ],
)
def test_other_settings_than_those_of_the_file(steered, tmp_path, flags, status, why):
    given = ("--events", steered / "events.json", *flags)
    done = run_here(*given, "--out", tmp_path / "x")
    assert done.returncode == status, done.stderr
    if why:
        assert why in one_sentence(done.stderr)
        assert not (tmp_path / "x").exists()


def test_other_data_and_damaged_files(steered, small_set, tmp_path):
    given = ("--events", steered / "events.json", "--out", tmp_path / "x")
    (tmp_path / "other").mkdir()
    for name in small_set.iterdir():
        content = bytearray(name.read_bytes())
        if "train-labels" in name.name:
            content[-1] = (content[-1] + 1) % 10
        (tmp_path / "other" / name.name).write_bytes(content)
    done = run_here(*given, "--data", tmp_path / "other")
    assert done.returncode == 1
    assert "was made for data with the digest" in one_sentence(done.stderr)
    bad = tmp_path / "bad.json"
    bad.write_text('{"events": [{"step": 5, "name": "alhpa", "new": 1}]}')
    done = run_here("--events", bad, "--data", small_set, "--out", tmp_path / "x")
    assert done.returncode == 1
    assert "event 1: there is no setting 'alhpa'; did you mean alpha?" in one_sentence(done.stderr)
    done = run_here("--events", tmp_path / "none.json", "--out", tmp_path / "x")
    assert done.returncode == 1
    assert "none.json" in one_sentence(done.stderr)


def test_a_file_that_is_not_ours_is_not_replaced(small_set, tmp_path):
    (tmp_path / "events.json").write_text("[1, 2]")
    done = run_here("--data", small_set, "--validation", 100, "--out", tmp_path)
    assert done.returncode == 2
    assert "events.json: is not a file that mnistgpu wrote" in one_sentence(done.stderr)


def test_an_exact_run_with_events_is_verified(small_set, tmp_path, monkeypatch):
    settings = {"layers": "784-12-10", "batch_size": 100, "validation": 100, "epochs": 3}
    events = [
        {"step": 5, "name": "alpha", "new": 0.1},
        {"step": 9, "name": "batch_size", "new": 300},
    ]
    mnistgpu.fit(
        small_set, precision="exact", events=events, out=tmp_path, progress=False, **settings
    )
    asked, set_up = [], Trainer.set_up

    def noting(self, settings, workers, *more):
        asked.append(workers)
        set_up(self, settings, workers, *more)

    monkeypatch.setattr(Trainer, "set_up", noting)
    assert mnistgpu.verify(tmp_path, progress=False).same
    assert asked == [None] * 3  # a GPU could not have as many workers as the run had
    assert mnistgpu.verify(tmp_path, progress=False, steps=10).same
    plain = mnistgpu.fit(small_set, precision="exact", progress=False, **settings)
    assert plain.digest != digest(tmp_path)
