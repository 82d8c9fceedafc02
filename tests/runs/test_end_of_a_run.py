"""What a run leaves in its directory, in which order, and when it counts as finished."""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.resuming import SMALL, saving_in, stopped
from helpers.runs import contents

import mnistgpu
from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.errors import StoppedError, UsageError
from mnistgpu.runs import checkpoint, run_directory, training
from mnistgpu.runs.stop import Stop


@pytest.fixture(scope="module")
def outcome(small_set):
    """A short run on the small set, and its data."""
    dataset = data.load(small_set)
    return training.train(SMALL.changed(epochs=1), dataset, NUMPY), dataset


def test_results_go_first_and_come_last(outcome, tmp_path, monkeypatch):
    """So a directory with results.json has all files of one run, whenever the writer is killed."""
    old = dict.fromkeys(run_directory.FILES, b"of an older run")
    for name, content in old.items():
        (tmp_path / name).write_bytes(content)
    replaced, replace = [], os.replace

    def checked_replace(source, target):
        """What a reader finds just before a file is replaced."""
        assert "results.json" not in contents(tmp_path)
        replaced.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", checked_replace)
    run_directory.write(tmp_path, *outcome)
    assert sorted(replaced) == ["history.csv", "model.safetensors", "results.json", "settings.json"]
    assert replaced[-1] == "results.json"
    left = contents(tmp_path)
    assert left.pop(checkpoint.FILE) == b"of an older run"
    assert set(left) == set(replaced)  # the older picture is gone, too
    assert b"of an older run" not in left.values()


def test_a_run_on_other_data_is_not_this_run_finished(outcome, tmp_path):
    run_directory.write(tmp_path, *outcome)
    settings, digest = SMALL.changed(epochs=1), outcome[1].digest
    assert run_directory.is_finished(tmp_path, settings, digest)
    assert not run_directory.is_finished(tmp_path, settings, "0" * 64)
    assert not run_directory.is_finished(tmp_path, settings.changed(seed=1), digest)
    (tmp_path / "results.json").unlink()
    assert not run_directory.is_finished(tmp_path, settings, digest)


def test_history_reads_back_as_it_was(outcome, tmp_path):
    """Every number to its last bit, each in its own column."""
    rows = outcome[0].history
    run_directory.write_history(tmp_path / "history.csv", rows)
    columns = run_directory.read_history(tmp_path / "history.csv")
    for name in ("iteration", "epoch", "train_loss", "validation_accuracy", "learning_rate"):
        assert columns[name] == [getattr(row, name) for row in rows]


@pytest.mark.parametrize("there", ["results.json", checkpoint.FILE])
def test_another_run_is_not_replaced_by_a_resumed_one(small_set, tmp_path, there):
    dataset = data.load(small_set)
    first, other = tmp_path / "first", tmp_path / "other"
    first.mkdir()
    other.mkdir()
    stopped(SMALL, dataset, first, 5)
    (other / there).write_bytes(run_directory.MARKS[there])  # a file of mnistgpu
    with pytest.raises(UsageError, match=r"run is there.* or add --force") as refusal:
        mnistgpu.resume(first, small_set, out=other)
    assert refusal.value.exit_status == 2
    assert contents(other) == {there: run_directory.MARKS[there]}


def interrupted():
    """A request to stop, made before the run begins: it ends after its first step."""
    stop = Stop()
    stop.interrupt("a test", 130)
    return stop


def test_data_given_by_a_relative_path_are_found_from_anywhere(small_set, tmp_path, monkeypatch):
    monkeypatch.chdir(small_set.parent)
    run = tmp_path / "run"
    with pytest.raises(StoppedError, match="by a test after iteration 1 of"):
        mnistgpu.fit(small_set.name, layers="784-12-10", out=run, stop=interrupted())
    assert checkpoint.load(run).taken == 1
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoppedError, match="by a test after iteration 2 of"):
        mnistgpu.resume(run, stop=interrupted())
    assert checkpoint.load(run).taken == 2


def test_a_checkpoint_of_a_finished_run_has_its_model(outcome, tmp_path):
    dataset = outcome[1]
    again = training.train(SMALL.changed(epochs=1), dataset, NUMPY, [saving_in(tmp_path, dataset)])
    saved = checkpoint.load(tmp_path)
    assert (saved.taken, saved.progress.finished) == (again.results["iterations"], True)
    assert np.array_equal(saved.vectors["theta"], again.model.theta)
