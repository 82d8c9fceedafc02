"""What differs between operating systems, as far as this one can show it."""

import os
import signal
import stat

import pytest

from mnistgpu.storage import system


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
    monkeypatch.setattr(system, "REPLACE_SECONDS", 0.05)
    with pytest.raises(PermissionError), monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        system.replace(tmp_path / "new", tmp_path / "old")


def test_files_can_be_read_by_everybody(tmp_path):
    descriptor = system.open_plain(tmp_path / "file")
    os.chmod(tmp_path / "file", 0o600)
    system.let_others_read(descriptor)
    os.close(descriptor)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_the_signals_that_ask_a_program_to_end(monkeypatch):
    assert system.stopping_signals() == (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    monkeypatch.delattr(signal, "SIGHUP")
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)  # as on Windows
    assert system.stopping_signals() == (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


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
