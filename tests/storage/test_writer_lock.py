"""The lock of a run directory, at the moments when two processes come and go."""

import os

import portalocker
import pytest

from mnistgpu.errors import RunError
from mnistgpu.storage import lock
from mnistgpu.storage.lock import only_writer


def test_the_file_is_removed_before_the_lock_is_released(tmp_path, monkeypatch):
    """Else it could be the file that the next process has just locked."""
    path, close, there = tmp_path / ".lock", os.close, []

    def noted_close(descriptor):
        there.append(path.exists())
        close(descriptor)

    with only_writer(tmp_path):
        assert path.exists()
        monkeypatch.setattr(os, "close", noted_close)
    monkeypatch.undo()
    assert there == [False]


@pytest.mark.parametrize(
    ("where", "name"), [(lock.system, "is_plain"), (portalocker, "lock")], ids=["looked at", "lock"]
)
def test_a_file_that_is_removed_while_it_is_locked_locks_nothing(
    tmp_path, monkeypatch, where, name
):
    """The last holder removed it between this process's open and lock: there is a new one then."""
    path, real, calls = tmp_path / ".lock", getattr(where, name), []

    def removed_first(*given):
        calls.append(given)
        if len(calls) == 1:
            path.unlink()
        return real(*given)

    monkeypatch.setattr(where, name, removed_first)
    with only_writer(tmp_path):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
    assert len(calls) == 2


def test_the_lock_is_asked_for_without_waiting(tmp_path, monkeypatch):
    """A second run is refused at once, and not when the first has ended."""

    def held(descriptor, how):
        assert how == portalocker.LOCK_EX | portalocker.LOCK_NB
        raise portalocker.AlreadyLocked

    (tmp_path / ".lock").write_text("process 7 on that machine")
    monkeypatch.setattr(portalocker, "lock", held)
    with pytest.raises(RunError, match=r"another run \(process 7 on that machine\) is writing"):
        lock.acquire(tmp_path / ".lock")
    assert (tmp_path / ".lock").read_text() == "process 7 on that machine"


def test_a_shorter_name_leaves_nothing_of_a_longer_one(tmp_path):
    (tmp_path / ".lock").write_text("process 99999 on " + 1000 * "a very long name ")
    with only_writer(tmp_path):
        held = (tmp_path / ".lock").read_text()
    assert held.startswith(f"process {os.getpid()} on ")
    assert "very long" not in held
