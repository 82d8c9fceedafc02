"""Requests to stop: the first is granted after the steps that are under way, the second at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOW_CURSOR = b"\x1b[?25h\n"  # which the progress bar hides
NAMES = {signal.SIGINT: "Ctrl-C"}


class Stop:
    """Whether someone wants the run to stop, why, and with which exit status."""

    def __init__(self) -> None:
        self.reason = ""
        self.exit_status = 0

    @property
    def asked(self) -> bool:
        """Whether somebody asked."""
        return self.reason != ""

    def ask(self, reason: str, exit_status: int) -> None:
        """Ask for a stop; the first reason counts."""
        if not self.asked:
            self.reason, self.exit_status = reason, exit_status


@contextmanager
def heard(stop: Stop) -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into a request to stop.

    A second one ends the program at once, with exit status 128 + signal as shells have it: files
    are replaced whole or not at all, so there is nothing to tidy up but the terminal's cursor.
    Signals that whoever started the program had ignored (nohup) stay ignored, and outside the main
    thread, where Python hears none, nothing changes.
    """

    def handler(number: int, frame: FrameType | None) -> None:
        name = NAMES.get(signal.Signals(number), signal.Signals(number).name)
        if stop.asked:
            if sys.stdout is not None and sys.stdout.isatty():
                os.write(sys.stdout.fileno(), SHOW_CURSOR)
            os._exit(128 + number)  # to unwind would be to wait for threads in long products
        stop.ask(name, 128 + number)

    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
