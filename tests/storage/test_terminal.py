"""Signals, consoles and shells of other systems, as far as this one can show them."""

import ctypes
import errno
import ntpath
import os
import signal
import subprocess
import sys
import threading
import types

import pytest

from mnistgpu.runs.signals import stop_on_signals
from mnistgpu.runs.stop import Stop
from mnistgpu.storage import terminal


def test_the_signals_that_ask_a_program_to_end(monkeypatch):
    assert terminal.stopping_signals() == (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    monkeypatch.delattr(signal, "SIGHUP")
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)  # as on Windows
    assert terminal.stopping_signals() == (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def test_signals_are_named_by_their_keys(monkeypatch):
    assert terminal.name_of(signal.SIGINT) == "Ctrl-C"
    assert terminal.name_of(signal.SIGTERM) == "SIGTERM"
    monkeypatch.setattr(signal, "Signals", lambda number: types.SimpleNamespace(name="SIGBREAK"))
    assert terminal.name_of(21) == "Ctrl-Break"


@pytest.fixture
def console(monkeypatch):
    """A console of Windows: a list with the handlers of its events."""
    handlers = []

    def set_handler(handler, add):
        handlers.append(handler) if add else handlers.remove(handler)

    kernel = types.SimpleNamespace(SetConsoleCtrlHandler=set_handler)
    windll = types.SimpleNamespace(kernel32=kernel)
    monkeypatch.setattr(ctypes, "windll", windll, raising=False)
    monkeypatch.setattr(ctypes, "WINFUNCTYPE", lambda *types: lambda call: call, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    return handlers


def test_a_closed_console_waits_until_the_run_is_saved(console):
    """Windows ends the program as soon as the handler returns."""
    stop, returned = Stop(), []
    with stop_on_signals(stop):
        (handle,) = console
        assert handle(0) == 0  # Ctrl-C, which is a signal
        assert not stop.interrupting
        window = threading.Thread(target=lambda: returned.append(handle(terminal.CLOSED)))
        window.start()
        window.join(0.2)
        assert window.is_alive()
        assert stop.interrupting
        assert "console" in stop.reason
    window.join(5)
    assert returned == [1]
    assert console == []


def test_a_run_that_takes_too_long_is_ended_with_its_console(console, monkeypatch):
    monkeypatch.setattr(terminal, "CLOSING_SECONDS", 0.05)
    with stop_on_signals(Stop()):
        assert console[0](terminal.SHUT_DOWN) == 1


def test_in_a_script_the_console_is_the_scripts(console):
    with stop_on_signals(Stop(), (signal.SIGINT,), signal.default_int_handler):
        assert console == []


@pytest.mark.parametrize(
    ("path", "posix", "windows"),
    [
        ("runs/first", "runs/first", "runs/first"),
        ("runs/one run", "'runs/one run'", '"runs/one run"'),
        ("läufe/März", "'läufe/März'", "läufe/März"),
        (
            r"C:\Users\Jörg Müller\läufe",
            r"'C:\Users\Jörg Müller\läufe'",
            r'"C:\Users\Jörg Müller\läufe"',
        ),
        (r"\\server\share\run", r"'\\server\share\run'", r"\\server\share\run"),
        (r"\\server\my share\run", r"'\\server\my share\run'", r'"\\server\my share\run"'),
        ("C:\\my run\\", "'C:\\my run\\'", r'"C:\my run\\"'),
    ],
)
def test_paths_are_quoted_as_the_shell_needs_it(monkeypatch, path, posix, windows):
    assert terminal.quoted(path) == posix
    words = subprocess.check_output(["sh", "-c", f"printf %s {posix}"], text=True)
    assert words == path
    monkeypatch.setattr(os, "name", "nt")
    assert terminal.quoted(path) == windows
    assert ntpath.normpath(windows.strip('"')) == ntpath.normpath(path)


def test_an_output_without_a_reader_is_known(monkeypatch):
    invalid = OSError(errno.EINVAL, "Invalid argument")
    assert terminal.has_no_reader(BrokenPipeError())
    assert not terminal.has_no_reader(invalid)
    monkeypatch.setattr(os, "name", "nt")
    assert terminal.has_no_reader(invalid)
    assert not terminal.has_no_reader(OSError(errno.EINVAL, "Invalid argument", "a?"))
    assert not terminal.has_no_reader(PermissionError(errno.EACCES, "Access is denied"))


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_whether_there_is_a_screen(monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert terminal.has_screen() == (system != "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    assert terminal.has_screen()
