"""What can go wrong, said in one sentence: what was wrong, where, and how to mend it."""

import difflib
import sys
from collections.abc import Iterable
from types import TracebackType


class MnistGpuError(Exception):
    """Base of every error a person can meet; the command line prints it without a traceback.

    A message may quote what somebody else put in a file, and goes to a terminal: what is not
    printable in it is shown by its number, and its middle is left out if it is very long.
    """

    exit_status = 1

    def __init__(self, message: str):
        if len(message) > 1500:
            message = f"{message[:900]} [...] {message[-500:]}"
        super().__init__(printable(message))


class UsageError(MnistGpuError):
    """A wrong call: an unknown name, a value out of range, flags that contradict each other."""

    exit_status = 2


class BackendError(MnistGpuError):
    """The chosen backend cannot compute here, or arrays of two backends were mixed."""


class ShapeError(MnistGpuError, ValueError):
    """An array whose shape or type does not fit the network."""


class DataError(MnistGpuError, ValueError):
    """A file of images, labels or parameters that is damaged or not what it should be."""


class RunError(MnistGpuError):
    """A run that could not be written, read or finished."""


class DivergedError(RunError):
    """A run whose loss or parameters are no longer finite numbers."""


class OutOfMemoryError(RunError):
    """A run whose arrays do not fit into the memory of its device."""


class StoppedError(MnistGpuError):
    """A run that was asked to stop: it has been saved and can be resumed."""

    def __init__(self, message: str, exit_status: int):
        super().__init__(message)
        self.exit_status = exit_status


def said_in_one_sentence() -> None:
    """In a script: what a person can meet ends it with a sentence, and not with a traceback."""

    def say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, MnistGpuError):
            print(f"error: {error}", file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = say


def printable(text: str) -> str:
    """The text, with what no terminal should be sent, or can show, by its number."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: "; did you mean adam?", or nothing."""
    close = difflib.get_close_matches(str(name), list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
