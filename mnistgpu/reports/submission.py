"""Answers in the file format of Kaggle's "Digit Recognizer", and of competitions of the same form.

A submission has an id and a label for each image. The names of its two columns and the ids are
those of sample_submission.csv where that lies beside test.csv, or else of the id column of
test.csv; without either they are ImageId,Label and 1 ... N. Kaggle's 28,000 test images are very
likely MNIST's own in another order: see docs/using.md.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnistgpu.data import Digits
from mnistgpu.errors import DataError, RunError, UsageError
from mnistgpu.storage import files

COLUMNS = ("ImageId", "Label")
SAMPLE = "samplesubmission.csv"  # in small letters and without what may stand between its words
MOST_BYTES = 2**28


@dataclass(frozen=True)
class Submission:
    """The names of the two columns, and the id and the label of each image, as texts."""

    columns: tuple[str, str]
    ids: tuple[str, ...]
    labels: tuple[str, ...]


def form_of(test: Path, digits: Digits) -> tuple[tuple[str, str], tuple[str, ...]]:
    """The names of the columns and the ids that the competition of a test.csv asks for.

    digits: those of test.csv, with its id column if it has one.
    DataError if a sample_submission.csv beside it has other ids, or is none.
    """
    count, example = len(digits), sample_of(test)
    columns, own = COLUMNS, None
    if digits.ids is not None:
        columns = digits.ids.name or "id", "label"
        own = tuple(map(str, digits.ids.values))
    if example is not None:
        sample = read(example, DataError)
        if len(sample.ids) != count or (own is not None and sample.ids != own):
            raise DataError(
                f"{example}: its {len(sample.ids):,} ids are not those of the {count:,} "
                f"images of {test}; take both from one competition, or move it"
            )
        return sample.columns, sample.ids
    return columns, numbers(count) if own is None else own


def numbers(count: int) -> tuple[str, ...]:
    """The ids of images that have none of their own: 1, 2, ..."""
    return tuple(str(i) for i in range(1, count + 1))


def sample_of(test: Path) -> Path | None:
    """The competition's example of a submission beside test.csv, or in a folder with it."""
    folder = test if test.is_dir() else test.parent
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(folder)):
            if name.lower().replace("_", "").replace("-", "") == SAMPLE:
                return folder / name
    return None


def write(
    path: Path,
    labels: Iterable[Any],
    force: bool = False,
    columns: tuple[str, str] = COLUMNS,
    ids: Sequence[str] | None = None,
) -> None:
    """Write labels (N,) with their ids, by default 1 ... N, atomically.

    The new file is read back before it replaces an older one. UsageError if path exists and `force`
    is not given, RunError if it cannot be written or reads back differently.
    """
    if path.exists() and not force:
        raise UsageError(f"--out {path}: the file exists; choose another or add --force")
    texts = tuple(map(str, labels))
    own = numbers(len(texts)) if ids is None else tuple(ids)
    wanted = Submission(columns, own, texts)
    content = io.StringIO()
    lines = csv.writer(content, lineterminator="\n")
    lines.writerows([columns, *zip(own, texts, strict=True)])

    def check(written: Path) -> None:
        with contextlib.suppress(RunError):
            if read(written) == wanted:
                return
        raise RunError(f"{path}: what was written reads back differently; check the disk")

    files.replace_bytes(path, content.getvalue().encode(), check)


def check_replaceable(path: Path, given: Iterable[Path]) -> None:
    """UsageError if answers at path would replace anything but an older submission.

    DataError if the system does not let it be read, so that nobody knows what it is.
    given: input files and folders, of which nothing is replaced, nor anything else in them.
    """
    if not path.exists():
        return
    used = [each for each in given if each.exists()]
    is_read = any(each.samefile(path) for each in used)
    if not is_read:
        try:
            read(path)
            return
        except RunError:
            is_read = any(each.samefile(path.parent) for each in used)
    what = "is read, and stays as it is" if is_read else "the file exists and is no submission"
    raise UsageError(f"--out {path}: {what}; choose another name")


def read(path: Path, error: type[RunError | DataError] = RunError) -> Submission:
    """The ids and labels of a submission; an error of that kind for any other file."""
    text = files.read_bytes(path, MOST_BYTES).decode(errors="replace").removeprefix("\ufeff")
    try:
        rows = [tuple(row) for row in csv.reader(io.StringIO(text), strict=True) if row]
    except csv.Error:
        rows = []
    ids = {row[0] for row in rows}
    if not rows or any(len(row) != 2 for row in rows) or len(ids) != len(rows):
        raise error(
            f"{path}: not a submission (a header such as {','.join(COLUMNS)}, then a line with an "
            "id of its own for each image); write it again"
        )
    columns, *lines = rows
    own, labels = zip(*lines, strict=True) if lines else ((), ())
    return Submission((columns[0], columns[1]), own, labels)
