"""Signals: the first interrupts the run after its step, a second one ends the program at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mnistgpu.runs.stop import Stop

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOW_CURSOR = b"\x1b[?25h\n"  # the progress bar hides it
NAMES = {signal.SIGINT: "Ctrl-C"}


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """Within it, Ctrl-C, SIGTERM and a closed terminal interrupt the run.

    A second signal ends the program at once, with exit status 128 + signal as in shells: files are
    replaced whole or not at all, so there is nothing to clean up but the terminal's cursor.
    Signals that the parent process ignores (nohup) stay ignored. Outside the main thread, where
    Python handles no signals, nothing changes.
    """

    def handler(number: int, frame: FrameType | None) -> None:
        name = NAMES.get(signal.Signals(number), signal.Signals(number).name)
        if stop.interrupting:
            if sys.stdout is not None and sys.stdout.isatty():
                os.write(sys.stdout.fileno(), SHOW_CURSOR)
            os._exit(128 + number)  # an exception would wait for threads in long products
        stop.interrupt(name, 128 + number)

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
