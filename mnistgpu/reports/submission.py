"""Kaggle's "Digit Recognizer": answers in the file format of the competition.

Its 28,000 test images are very likely MNIST's own in another order: see docs/using.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mnistgpu.errors import RunError, UsageError
from mnistgpu.storage import files

HEADER = "ImageId,Label"


def write(path: Path, labels: np.ndarray, force: bool = False) -> None:
    """Write labels (N,) as ImageId,Label with the ids 1 ... N, atomically.

    The new file is read back before it replaces an older one. UsageError if path exists and `force`
    is not given, RunError if it cannot be written or reads back differently.
    """
    if path.exists() and not force:
        raise UsageError(f"--out {path}: the file exists; choose another or add --force")
    lines = [HEADER, *(f"{i},{label}" for i, label in enumerate(labels, 1))]

    def check(written: Path) -> None:
        with contextlib.suppress(RunError):
            if np.array_equal(read(written), labels):
                return
        raise RunError(f"{path}: what was written reads back differently; check the disk")

    files.replace_bytes(path, ("\n".join(lines) + "\n").encode(), check)


def check_apart(path: Path, given: Iterable[Path]) -> None:
    """UsageError if answers at path would replace a file that is their input.

    given: input files and folders. Only an older submission may be replaced there.
    """
    if not path.exists() or files.has_mark(path, HEADER.encode()):
        return
    for read in filter(Path.exists, given):
        if read.samefile(path) or read.samefile(path.parent):
            raise UsageError(f"--out {path}: is read, and stays as it is; choose another name")


def read(path: Path) -> np.ndarray:
    """The labels (N,) of a submission with the ids 1 ... N; RunError for any other file."""
    header, _, text = files.read_bytes(path, limit=2**30).decode(errors="replace").partition("\n")
    lines = text.splitlines()
    try:
        table = [(int(i), int(label)) for i, label in (line.split(",") for line in lines)]
    except ValueError:
        table = []
    if header != HEADER or [i for i, _ in table] != list(range(1, len(lines) + 1)):
        raise RunError(
            f"{path}: not a submission ({HEADER}, then a line for each image); write it again"
        )
    return np.array([label for _, label in table])
