"""A run directory has one writer, and keeps what is there until there is something newer."""

import os
import shutil
import signal
from datetime import datetime

import numpy as np
import pytest
from helpers.runs import (
    LONG,
    begun,
    contents,
    ended,
    one_sentence,
    run,
    start,
    wait_for,
)

from mnistgpu.errors import RunError
from mnistgpu.models import model
from mnistgpu.runs import checkpoint, run_directory, watching
from mnistgpu.storage.lock import only_writer


@pytest.mark.slow
def test_a_second_writer_is_refused_and_a_killed_one_forgotten(options, uninterrupted, tmp_path):
    path = tmp_path / "run"
    first = begun(path, *options, "--iterations", LONG)
    for arguments in (["--out", path, "--force"], ["--resume", path]):
        second = run(*(options if "--out" in arguments else ()), *arguments)
        assert second.returncode == 1
        assert f"another run (process {first.pid} on " in one_sentence(second.stderr)
    first.kill()
    assert ended(first)[0] == -signal.SIGKILL
    assert (path / ".lock").exists()  # and locks nothing
    for name in (checkpoint.FILE, watching.FILE):
        (path / f".{name}.k1lled_0").write_bytes(b"half of it")
    done = run("--resume", path, "--iterations", checkpoint.load(path).taken + 20)
    assert done.returncode == 0, done.stderr
    assert set(contents(path)) == set(run_directory.FILES)


def test_the_lock_is_the_file_that_is_there(tmp_path):
    with only_writer(tmp_path):
        held = (tmp_path / ".lock").read_text()
        assert held.startswith(f"process {os.getpid()} on ")
        (tmp_path / ".lock").unlink()
        with only_writer(tmp_path):  # a new file: the old lock no longer counts
            assert (tmp_path / ".lock").exists()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunError, match="cannot be written"), only_writer(tmp_path / "nowhere"):
        pass


@pytest.mark.parametrize("kind", ["link", "hard link", "dangling link", "loop", "pipe", "device"])
def test_a_lock_that_is_another_file_is_left_alone(tmp_path, kind):
    """Whoever hands a run directory to others must not have a file of theirs overwritten."""
    path, other = tmp_path / "run", tmp_path / "other"
    path.mkdir()
    if kind != "dangling link":
        other.write_text("precious")
    lock = path / ".lock"
    make = {
        "hard link": lambda: lock.hardlink_to(other),
        "loop": lambda: lock.symlink_to(".lock"),
        "pipe": lambda: os.mkfifo(lock),
        "device": lambda: lock.symlink_to("/dev/null"),
    }
    make.get(kind, lambda: lock.symlink_to(other))()
    refused = pytest.raises(RunError, match=r"\.lock: is not the plain file that mnistgpu makes")
    with refused, only_writer(path):
        pass
    assert not other.exists() if kind == "dangling link" else other.read_text() == "precious"
    assert os.path.lexists(lock)


@pytest.mark.slow
def test_an_unfinished_run_is_kept_unless_forced(options, tmp_path):
    path = tmp_path / "run"
    process = begun(path, *options, "--iterations", LONG)
    process.terminate()
    assert ended(process)[0] == 143
    before = contents(path)
    done = run(*options, "--iterations", 5, "--out", path)
    assert done.returncode == 2
    assert f"an unfinished run is there; go on with --resume {path}" in one_sentence(done.stderr)
    assert contents(path) == before
    assert run(*options, "--iterations", 5, "--out", path, "--force").returncode == 0
    assert set(contents(path)) == set(run_directory.FILES)


@pytest.mark.slow
def test_force_keeps_the_old_run_until_the_new_one_is_finished(
    options, uninterrupted, tmp_path, small_set
):
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    before = contents(path)
    del before[checkpoint.FILE]
    process = start(
        *(*options, "--iterations", LONG, "--seed", 5, "--out", path, "--force"),
        *("--checkpoint-every", "0s"),
    )
    wait_for(lambda: checkpoint.load(path).settings.seed == 5, process)
    process.kill()
    ended(process)
    assert {name: content for name, content in contents(path).items() if name in before} == before
    done = run("--resume", path, "--iterations", checkpoint.load(path).taken + 10)
    assert done.returncode == 0, done.stderr
    after = contents(path)
    assert set(after) == set(run_directory.FILES)
    assert all(after[name] != before[name] for name in before)
    assert model.load(path).settings["seed"] == 5


def test_a_run_that_diverges_keeps_the_old_one(options, uninterrupted, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    before = contents(path)
    done = run(*options, "--alpha", 1e30, "--out", path, "--force")
    assert done.returncode == 1
    sentence = one_sentence(done.stderr)
    assert sentence.startswith("error: training diverged: the loss is ")
    assert "try --alpha 0.1 instead of 1e+30" in sentence
    assert "no checkpoint of this run was written yet" in sentence
    assert contents(path) == before


def test_a_run_that_diverges_late_keeps_its_last_good_checkpoint(options, tmp_path):
    """The steps before the loss is looked at are saved each, until one is no longer finite."""
    path = tmp_path / "run"
    done = run(
        *options,
        *("--alpha", 1e4, "--warmup", 0.99, "--iterations", 2000, "--activation", "leaky-relu"),
        *("--out", path, "--checkpoint-every", "0s", "--quiet"),
    )
    assert done.returncode == 1
    saved = checkpoint.load(path)
    sentence = one_sentence(done.stderr)
    assert "diverged" in sentence
    assert f"keeps the run as it was after iteration {saved.taken:,}" in sentence
    assert np.isfinite(saved.vectors["theta"]).all()


@pytest.mark.slow
def test_runs_that_begin_together_have_directories_of_their_own(options, tmp_path):
    """Eight of them, of which some begin in the same second."""
    begun_together = [start(*options, "--iterations", 2, cwd=tmp_path) for _ in range(8)]
    for process in begun_together:
        code, errors = ended(process)
        assert code == 0, errors
    found = sorted((tmp_path / "runs").iterdir())
    assert len(found) == 8
    assert all(set(contents(path)) == set(run_directory.FILES) for path in found)
    refused = run(*options, "--iterations", 2, "--batch-size", 10**6, cwd=tmp_path)
    assert refused.returncode == 2, refused.stderr
    assert sorted((tmp_path / "runs").iterdir()) == found  # nothing is left of what never began


def test_the_second_run_of_a_second_gets_a_number(tmp_path, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls):
            return cls(2026, 5, 4, 3, 2, 1)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_directory, "datetime", Clock)
    names = [run_directory.new_path().name for _ in range(3)]
    assert names == ["2026-05-04-030201", "2026-05-04-030201-2", "2026-05-04-030201-3"]


def test_of_a_run_that_was_not_begun_no_directory_stays(tmp_path, monkeypatch):
    """Neither runs/, if there is nothing else in it; one with a file stays."""
    monkeypatch.chdir(tmp_path)
    first, second = run_directory.new_path(), run_directory.new_path()
    run_directory.remove_unused(first)
    assert list((tmp_path / "runs").iterdir()) == [tmp_path / second]
    (second / "mine.txt").write_text("mine")
    run_directory.remove_unused(second)
    assert (second / "mine.txt").read_text() == "mine"
    (second / "mine.txt").unlink()
    run_directory.remove_unused(second)
    assert list(tmp_path.iterdir()) == []
