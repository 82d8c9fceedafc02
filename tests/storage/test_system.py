"""What differs between operating systems, as far as this one can show it."""

import fcntl
import multiprocessing
import os
import signal
import socket
import stat
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from mnistgpu.storage import files, system


@pytest.fixture
def show(monkeypatch):
    """A function that lets the system's files have these texts, and no others exist."""

    def shown(texts):
        def read_text(path, encoding):
            if str(path) not in texts:
                raise FileNotFoundError(path)
            return texts[str(path)]

        monkeypatch.setattr(system.Path, "read_text", read_text)

    yield shown
    system.quota.cache_clear()


def test_a_container_with_less_time_has_fewer_cores(show):
    texts = {"/proc/self/cgroup": "1:memory:/x\n0::/mine\n"}

    show(texts)
    found = []
    for limit in ("max 100000", "150000 100000", "50000 100000", "6400000 100000", "odd"):
        texts["/sys/fs/cgroup/mine/cpu.max"] = f"{limit}\n"
        system.quota.cache_clear()
        found.append(system.quota())
        here = len(os.sched_getaffinity(0))
        assert system.cores() == min(here, found[-1] or here)
    assert found == [None, 1, 1, 64, None]


@pytest.mark.parametrize("folder", ["cpu,cpuacct/box", "cpu/box", "cpu,cpuacct", "cpu"])
@pytest.mark.parametrize(("limit", "expected"), [("150000", 1), ("400000", 4), ("-1", None)])
def test_a_container_of_version_1_has_fewer_cores(show, folder, limit, expected):
    texts = {
        "/proc/self/cgroup": "5:memory:/box\n4:cpu,cpuacct:/box\n",
        f"/sys/fs/cgroup/{folder}/cpu.cfs_quota_us": f"{limit}\n",
        f"/sys/fs/cgroup/{folder}/cpu.cfs_period_us": "100000\n",
    }

    show(texts)
    system.quota.cache_clear()
    assert system.quota() == expected


def test_a_file_that_is_no_plain_one_is_known(tmp_path):
    (tmp_path / "plain").touch()
    os.link(tmp_path / "plain", tmp_path / "second")
    os.mkfifo(tmp_path / "pipe")
    found = {}
    for name in ("new", "plain", "pipe"):
        descriptor = system.open_plain(tmp_path / name)
        found[name] = system.is_plain(descriptor)
        os.close(descriptor)
    assert found == {"new": True, "plain": False, "pipe": False}
    os.symlink(tmp_path / "new", tmp_path / "link")
    with pytest.raises(OSError, match="link"):
        system.open_plain(tmp_path / "link")


def test_a_file_is_opened_for_bytes_where_lines_have_other_ends(tmp_path, monkeypatch):
    """O_BINARY, of Windows alone: here another flag stands for it, which the system tells."""
    monkeypatch.setattr(os, "O_BINARY", os.O_APPEND, raising=False)
    descriptor = system.open_plain(tmp_path / "file")
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    os.close(descriptor)
    assert flags & os.O_APPEND
    assert flags & os.O_ACCMODE == os.O_RDWR


def test_a_file_that_a_reader_has_open_is_replaced_when_it_is_closed(tmp_path, monkeypatch):
    """Windows refuses to replace it until then."""
    (tmp_path / "new").write_text("new")
    replace, refusals = os.replace, [PermissionError("in use")] * 3

    def refused(new, old):
        if refusals:
            raise refusals.pop()
        replace(new, old)

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(PermissionError):
        system.replace(tmp_path / "new", tmp_path / "old")  # elsewhere it is a refusal
    with monkeypatch.context() as windows:  # which pytest must not see if the test fails
        windows.setattr(os, "name", "nt")
        system.replace(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text() == "new"
    assert refusals == []


def test_a_file_that_stays_open_is_a_refusal(tmp_path, monkeypatch):
    def refused(new, old):
        raise PermissionError("in use")

    monkeypatch.setattr(os, "replace", refused)
    monkeypatch.setattr(system, "IN_USE_SECONDS", 0.05)
    with pytest.raises(PermissionError), monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        system.replace(tmp_path / "new", tmp_path / "old")


def test_files_can_be_read_by_everybody(tmp_path):
    descriptor = system.open_plain(tmp_path / "file")
    os.chmod(tmp_path / "file", 0o600)
    system.let_others_read(descriptor)
    os.close(descriptor)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_a_link_is_refused_where_the_system_cannot_refuse_it(tmp_path, monkeypatch):
    """Windows has links, but no O_NOFOLLOW."""
    monkeypatch.delattr(os, "O_NOFOLLOW")
    os.symlink(tmp_path / "new", tmp_path / "link")
    with pytest.raises(OSError, match="symbolic link"):
        system.open_plain(tmp_path / "link")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["posix", "nt"])
def test_an_open_file_is_removed_and_closed_in_the_order_that_works(tmp_path, monkeypatch, name):
    path, done = tmp_path / "file", []

    def unlink(path):
        done.append("removed")
        if name == "nt" and "closed" not in done:
            done[-1] = "refused"
            raise PermissionError("in use")

    monkeypatch.setattr(system.Path, "unlink", unlink)
    monkeypatch.setattr(os, "name", name)
    monkeypatch.setattr(os, "close", lambda descriptor: done.append("closed"))
    system.remove_and_close(path, 3)
    monkeypatch.undo()
    assert done == (["removed", "closed"] if name == "posix" else ["refused", "closed", "removed"])


def test_an_open_file_is_still_at_its_path(tmp_path, monkeypatch):
    descriptor = system.open_plain(tmp_path / "file")
    assert system.is_at(descriptor, tmp_path / "file")
    os.rename(tmp_path / "file", tmp_path / "moved")
    assert not system.is_at(descriptor, tmp_path / "file")
    (tmp_path / "file").touch()
    assert not system.is_at(descriptor, tmp_path / "file")
    monkeypatch.setattr(os, "name", "nt")  # which renames no open file
    found = system.is_at(descriptor, tmp_path / "file")
    monkeypatch.undo()
    os.close(descriptor)
    assert found


def test_a_file_that_is_open_cannot_be_written_and_the_message_says_so(tmp_path, monkeypatch):
    error = PermissionError(13, "Access is denied")
    assert "free space" in str(files.cannot_write(tmp_path, error))
    monkeypatch.setattr(os, "name", "nt")
    assert "; close the programs that have it open, or" in str(files.cannot_write("x", error))
    assert "free space" in str(files.cannot_write("x", OSError(28, "No space left on device")))


@pytest.mark.parametrize("exclusive", [None, socket.SO_KEEPALIVE])
def test_a_port_is_not_shared_with_another_program(monkeypatch, exclusive):
    """SO_REUSEADDR would do that on Windows, which has an option of its own."""
    if exclusive is not None:
        monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", exclusive, raising=False)
    with socket.socket() as bound:
        system.set_address_reuse(bound)
        reused = bound.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert bool(reused) == (exclusive is None)
        assert exclusive is None or bound.getsockopt(socket.SOL_SOCKET, exclusive)


def test_neither_threads_nor_workers_of_others_are_the_main_thread(monkeypatch):
    """In joblib's workers and in a pool the program that has them decides about signals."""
    assert system.in_main_thread()
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(system.in_main_thread).result()
    for name in ("Process-1", "ForkPoolWorker-2", "SpawnProcess-1", "LokyProcess-1"):
        monkeypatch.setattr(multiprocessing.current_process(), "name", name)
        assert not system.in_main_thread(), name


def test_windows_forks_nothing(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert not system.can_fork()
    for call in (lambda: system.fork(print), lambda: system.has_ended(1), lambda: system.end(1)):
        with pytest.raises(OSError, match="no forked processes"):
            call()


def test_a_forked_process_ends_as_it_says():
    first = system.fork(lambda: os._exit(3))
    while (how := system.has_ended(first)) is None:
        pass
    assert how == "exit status 3"
    assert system.has_ended(first) == ""  # it was waited for already

    def wait():
        while True:
            signal.pause()

    second = system.fork(wait)
    assert system.has_ended(second) is None
    os.kill(second, signal.SIGTERM)  # blocked: the first process alone handles signals
    assert system.has_ended(second) is None
    system.end(second)
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)
