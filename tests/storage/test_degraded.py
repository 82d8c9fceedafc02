"""What the functions for a system do where the system lacks what they use."""

import ctypes
import os
import sys
import types

import pytest

from mnistgpu.storage import lock, system

fcntl = pytest.importorskip("fcntl", reason="only Unix has it")


@pytest.fixture
def without(monkeypatch):
    """A function that removes names of `os`."""

    def removed(*names):
        for name in names:
            monkeypatch.delattr(os, name)

    return removed


def test_macos_is_asked_to_write_past_the_cache_of_the_disk(tmp_path, monkeypatch):
    asked, flushed = [], []

    def control(descriptor, command):
        asked.append(command)
        if len(asked) > 1:
            raise OSError("a network drive")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", flushed.append)
    system.flush(7)
    assert (asked, flushed) == ([51], [])
    system.flush(7)
    assert (asked, flushed) == ([51, 51], [7])


def test_windows_opens_no_folder_to_flush_it(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        system.flush_folder(tmp_path / "missing")
    monkeypatch.setattr(os, "name", "nt")
    found = system.flush_folder(tmp_path)
    monkeypatch.undo()
    assert found is None


def test_without_modes_the_folder_decides_who_reads(without):
    without("fchmod")
    system.let_others_read(-1)  # no error: nothing is done


def test_without_a_scheduler_processes_go_where_the_system_lets_them(without):
    without("sched_getaffinity", "sched_setaffinity", "sched_yield")
    assert system.affinity() is None
    assert 1 <= system.cores() <= os.cpu_count()
    system.run_only_on({10_000})
    system.give_way()


def test_memory_that_the_system_does_not_report(monkeypatch):
    names = {name: value for name, value in os.sysconf_names.items() if "AVPHYS" not in name}
    monkeypatch.setattr(os, "sysconf_names", names)  # as on macOS
    assert system.free_memory() is None
    assert system.memory() > 2**20


@pytest.mark.parametrize("known", [True, False])
def test_windows_reports_its_memory(monkeypatch, known):
    def status(pointer):
        found = pointer._obj
        assert found.length == 64  # of MEMORYSTATUSEX
        found.total, found.free = 2**40, 2**33
        return known

    kernel = types.SimpleNamespace(GlobalMemoryStatusEx=status)
    windll = types.SimpleNamespace(kernel32=kernel)
    monkeypatch.setattr(ctypes, "windll", windll, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    expected = (2**40, 2**33) if known else (None, None)
    assert (system.memory(), system.free_memory()) == expected


def test_a_processor_without_proc(monkeypatch):
    def nothing(path, encoding):
        raise FileNotFoundError(path)

    monkeypatch.setattr(system.Path, "read_text", nothing)
    monkeypatch.setattr(system.platform, "processor", lambda: "arm")
    assert system.processor() == "arm"


def test_memory_is_kept_by_glibc_alone(monkeypatch):
    loaded = []
    monkeypatch.setattr(system.ctypes, "CDLL", loaded.append)
    monkeypatch.setattr(sys, "platform", "darwin")
    system.keep_freed_memory.__wrapped__()
    assert loaded == []


def test_a_lock_that_no_other_process_can_read(tmp_path):
    """As on Windows."""
    folder = os.open(tmp_path, os.O_RDONLY)
    assert lock.written(folder) == "of another process"
    os.close(folder)
