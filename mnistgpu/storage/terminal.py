"""What differs between systems in a terminal: signals, consoles, shells, screens."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

CLOSING_SECONDS = 4.5  # Windows ends a program 5 seconds after its console was closed
CLOSED, LOGGED_OFF, SHUT_DOWN = 2, 5, 6  # events of a console, as wincon.h numbers them


def stopping_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a program to end: Ctrl-C, SIGTERM, and a closed terminal.

    On Windows Ctrl-Break, but not a closed console: for that see `when_console_closes`.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


def name_of(number: int) -> str:
    """A signal by the keys that send it, or by its own name."""
    name = signal.Signals(number).name
    return {"SIGINT": "Ctrl-C", "SIGBREAK": "Ctrl-Break"}.get(name, name)


@contextlib.contextmanager
def when_console_closes(interrupt: Callable[[], object]) -> Iterator[None]:
    """Within it, on Windows, `interrupt` is called if the console is closed, or the user logs off.

    Windows ends the program as soon as that is handled, so the handler, which has a thread of its
    own, waits for the end of the `with`, for CLOSING_SECONDS at most. On Linux and macOS a closed
    terminal is a signal, SIGHUP, and nothing happens here.
    """
    if sys.platform != "win32":
        yield
        return
    saved = threading.Event()

    def handle(event: int) -> int:
        if event not in (CLOSED, LOGGED_OFF, SHUT_DOWN):
            return 0  # Ctrl-C and Ctrl-Break, which are signals
        interrupt()
        saved.wait(CLOSING_SECONDS)
        return 1

    kernel: Any = ctypes.windll.kernel32
    handler = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(handle)
    kernel.SetConsoleCtrlHandler(handler, 1)
    try:
        yield
    finally:
        saved.set()
        kernel.SetConsoleCtrlHandler(handler, 0)


def quoted(word: object) -> str:
    """A path as a word of a command line, in quotes if it has blanks, for the usual shell here."""
    if os.name != "nt":
        return shlex.quote(str(word))
    from subprocess import list2cmdline

    return list2cmdline([str(word)])


def command_line() -> str:
    """The command that runs now, as it is typed again in the usual shell here."""
    return " ".join(map(quoted, ["mnistgpu", *sys.argv[1:]]))


def has_no_reader(error: OSError) -> bool:
    """Whether printing failed because the program that reads the output has ended (| head).

    Windows calls that an invalid argument.
    """
    invalid = error.errno == errno.EINVAL and error.filename is None
    return isinstance(error, BrokenPipeError) or (os.name == "nt" and invalid)


def has_screen() -> bool:
    """Whether a browser can show a window: on macOS and Windows always."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in names)
