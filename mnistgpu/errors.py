"""What can go wrong, in one sentence: what was wrong, where, and how to mend it."""

import os
import sys
import warnings
from collections.abc import Collection
from types import TracebackType

PACKAGE = os.path.join(os.path.dirname(__file__), "")


class MnistGpuError(Exception):
    """Base of all errors that are reported in one sentence; the command line shows no traceback.

    A message may quote a file and is printed in a terminal: characters that cannot be printed are
    replaced by their escape sequence, and the middle of a very long message is left out.
    """

    exit_status = 1

    def __init__(self, message: str):
        if len(message) > 1500:
            message = f"{message[:900]} [...] {message[-500:]}"
        super().__init__(printable(message))


class UsageError(MnistGpuError, ValueError):
    """A wrong call: an unknown name, a value out of range, flags that contradict each other."""

    exit_status = 2


class BackendError(MnistGpuError, RuntimeError):
    """The chosen backend cannot compute here, or arrays of two backends were mixed."""


class ShapeError(MnistGpuError, ValueError):
    """An array whose shape or type does not fit the network."""


class DataError(MnistGpuError, ValueError):
    """Images, labels or parameters, in a file or an array, that are not what they should be."""


class RunError(MnistGpuError, RuntimeError):
    """A run that could not be written, read or finished."""


class DivergedError(RunError):
    """A run whose loss or parameters are no longer finite numbers."""


class OutOfMemoryError(RunError):
    """A run whose arrays do not fit into the memory of its device."""


class StoppedError(MnistGpuError):
    """A run that was stopped by a signal or a request: it has been saved and can be resumed."""

    def __init__(self, message: str, exit_status: int):
        super().__init__(message)
        self.exit_status = exit_status


class Note(UserWarning):
    """What was recognised in data, turned or left out: a warning in Python, a note in terminals."""


def said_in_one_sentence() -> None:
    """In a script: an MnistGpuError ends it with one sentence instead of a traceback."""

    def say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, MnistGpuError):
            print(f"error: {error}", file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = say


def warn(sentence: str, kind: type[Warning] = UserWarning) -> None:
    """`warnings.warn` at the line of the program that called this package.

    So Python shows it with that line, and once for each line.
    """
    frame, depth = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(sentence, kind, stacklevel=depth)


def printable(text: str) -> str:
    """The text, with an escape sequence for each character that a terminal cannot show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# Names used elsewhere. The first word is the name here that means the same or is nearest to it.
SYNONYMS = {
    "sgd": "gradient-descent",
    "gd": "gradient-descent",
    "nag": "nesterov",
    "heavy-ball": "momentum",
    "adamw": "adam with --weight-decay",
    "nadam": "adam",
    "adagrad": "adam",
    "rmsprop": "adam",
    "swish": "gelu",
    "silu": "gelu",
    "elu": "leaky-relu",
    "prelu": "leaky-relu",
    "logistic": "sigmoid",
    "softmax": "relu for the hidden layers (the last layer always has softmax)",
    "xavier": "glorot",
    "kaiming": "he",
    "1cycle": "one-cycle",
    "none": "constant",
    "fp32": "float32",
    "single": "float32",
    "fp64": "float64",
    "double": "float64",
    "bfloat16": "bf16",
    "fp16": "bf16",
    "float16": "bf16",
    "half": "bf16",
    "mixed": "bf16",
}


def did_you_mean(name: object, names: Collection[str], joined_by: str = "-") -> str:
    """The end of a message about an unknown name: "; did you mean adam?", or nothing.

    joined_by: what joins the words of these names.
    """
    import difflib  # here, since no correct call needs it

    wanted = str(name).lower().replace("_", "-").replace("-", joined_by)
    meant = SYNONYMS.get(wanted, "")
    if meant.partition(" ")[0] not in names:
        meant = next(iter(difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)), "")
    return f"; did you mean {meant}?" if meant else ""
