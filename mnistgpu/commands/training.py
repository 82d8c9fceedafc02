"""`mnistgpu train`: begins a run or continues one, and ends with its exit status."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mnistgpu.api import verifying
from mnistgpu.api.run import Run
from mnistgpu.errors import StoppedError, printable
from mnistgpu.runs.progress import Display, Log, Several, display_for_output
from mnistgpu.runs.stop import Stop
from mnistgpu.storage.terminal import quoted


def display(quiet: bool, log: Path | None, note: str = "") -> Display:
    """What is printed while a network learns: with --quiet nothing, with --log also into a file.

    note: a first line, if there is something to say.
    """
    shown = Display() if quiet else display_for_output()
    if log is not None:
        shown = Several(Log(log), shown)
    if note:
        shown.note(note)
    return shown


def verify(
    run: Path, steps: int | None, data: Path | None, backend: str | None, quiet: bool
) -> bool:
    """Print whether an exact run that is trained again has the same digest."""
    found = verifying.verify(run, data, backend=backend, steps=steps, progress=display(quiet, None))
    print(printable(found.sentence))
    return found.same


def carry_out(train: Callable[[], Run], path: Path, stop: Stop) -> None:
    """Call a function that trains a network in a run directory.

    Ends the program, with a sentence, if `stop` was asked to interrupt the run.
    """
    try:
        train()
    except StoppedError as interruption:
        how = f"go on with: mnistgpu train --resume {quoted(path)}"
        leave(f"{interruption}; {how}", interruption.exit_status)
    if stop.interrupting:
        leave(f"{path}: finished and saved, though stopped by {stop.reason}", stop.exit_status)


def leave(sentence: str, exit_status: int) -> NoReturn:
    """Print a last sentence, unless the output is closed, and end the program."""
    with contextlib.suppress(OSError):
        print(printable(sentence), file=sys.stderr, flush=True)
    raise SystemExit(exit_status)
