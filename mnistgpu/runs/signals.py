"""Signals: the first interrupts the run after its step, a second one ends the program at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType

from mnistgpu.runs.stop import Stop
from mnistgpu.storage.system import in_main_thread
from mnistgpu.storage.terminal import name_of, stopping_signals, when_console_closes

SIGNALS = stopping_signals()
SHOW_CURSOR = b"\x1b[?25h\n"  # the progress bar hides it


def leave_at_once(number: int, frame: FrameType | None) -> None:
    """End the program with exit status 128 + signal, as shells do.

    Files are replaced whole or not at all, so there is nothing to clean up but the terminal's
    cursor.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        os.write(sys.stdout.fileno(), SHOW_CURSOR)
    os._exit(128 + number)  # an exception would wait for threads in long products


@contextmanager
def stop_on_signals(
    stop: Stop,
    signals: Sequence[signal.Signals] = SIGNALS,
    second: Callable[[int, FrameType | None], object] = leave_at_once,
    wants_outcome: bool = False,
) -> Iterator[list[str]]:
    """Within it, these signals interrupt the run; the names of those that came so far.

    With the default that is Ctrl-C, SIGTERM, a closed terminal and, on Windows, Ctrl-Break.

    `second` is called for a second signal. wants_outcome: `train` is to return the outcome so far
    of a run that a signal has interrupted. Signals that the parent process ignores (nohup) stay
    ignored. Elsewhere than in the main thread of a program nothing changes.
    """

    def handler(number: int, frame: FrameType | None) -> None:
        name = name_of(number)
        if received:
            second(number, frame)
        received.append(name)
        if not stop.interrupting:
            stop.wants_outcome = wants_outcome
        stop.interrupt(name, 128 + number)

    received: list[str] = []
    previous = {}
    if in_main_thread():
        for number in signals:
            # None: of a program around Python, which alone could restore it
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                previous[number] = signal.signal(number, handler)
    closing: AbstractContextManager[None] = nullcontext()
    if previous and signals is SIGNALS:
        closing = when_console_closes(lambda: stop.interrupt("its console, which was closed,"))
    try:
        with closing:
            yield received
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
