"""A run on disk: a directory with FILES, each of them complete at every moment."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from mnistgpu import data
from mnistgpu.errors import DataError, UsageError
from mnistgpu.models import committee, model
from mnistgpu.runs.checkpoint import FILE as CHECKPOINT
from mnistgpu.runs.checkpoint import FORMAT as CHECKPOINT_FORMAT
from mnistgpu.runs.events_file import FILE as EVENTS
from mnistgpu.runs.events_file import MARK as EVENTS_MARK
from mnistgpu.runs.history import COLUMNS, MOST_ROWS, Row
from mnistgpu.runs.origin import Origin
from mnistgpu.runs.outcome import Outcome
from mnistgpu.runs.watching import FILE as SNAPSHOTS
from mnistgpu.runs.watching import FORMAT as SNAPSHOTS_FORMAT
from mnistgpu.settings import Settings, from_dict
from mnistgpu.storage import files, lock, tensor_file

# the files of a run, and what the beginning of each holds if this program wrote it
MARKS = {
    "settings.json": b'{\n  "settings": {\n    "layers": ',
    CHECKPOINT: tensor_file.mark(CHECKPOINT_FORMAT),
    model.FILE: tensor_file.mark(model.FORMAT),
    "history.csv": ",".join(COLUMNS).encode(),
    "results.json": b'{\n  "test_accuracy": ',
    "report.png": files.PNG_MARK,
}
FILES = tuple(MARKS)
TEXTS = (".json", ".csv")
BEGUN = ("settings.json", EVENTS, CHECKPOINT)  # what a run has that has taken no step


def new_path() -> Path:
    """A new directory for a run without --out: runs/ and the time.

    It is made here, so that of two runs that begin in the same second each has its own: the second
    one gets a number.
    """
    name = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    number = 1
    while True:
        path = Path("runs") / (name if number == 1 else f"{name}-{number}")
        try:
            files.make_directory(path, exist_ok=False)
            return path
        except FileExistsError:
            number += 1


def remove_unused(path: Path) -> None:
    """Remove the directory that was made for a run, if the run was not begun."""
    with suppress(OSError):  # not empty, once it was
        path.rmdir()
        path.parent.rmdir()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make the run directory and lock it; remove what a killed writer has left.

    UsageError if a file there has the name of one of a run, but this program has not written it.
    """
    files.make_directory(path)
    check_own(path)
    with lock.only_writer(path):
        files.remove_leftovers(path, (*FILES, SNAPSHOTS, EVENTS))
        yield


def check_own(path: Path) -> None:
    """UsageError if a run in this directory would replace a file that this program has not made.

    Beside a checkpoint of this program a text is a part of that run, even if it was damaged.
    """
    marks = {**MARKS, SNAPSHOTS: tensor_file.mark(SNAPSHOTS_FORMAT), EVENTS: EVENTS_MARK}
    if files.is_file(path / CHECKPOINT) and files.has_mark(path / CHECKPOINT, marks[CHECKPOINT]):
        marks = {name: mark for name, mark in marks.items() if not name.endswith(TEXTS)}
    for name, mark in marks.items():
        if os.path.lexists(path / name) and not files.has_mark(path / name, mark):
            raise UsageError(
                f"{path / name}: is not a file that mnistgpu wrote, and a run here would replace "
                "it; choose another directory with --out, or move the file"
            )


def create(path: Path, settings: Settings, dataset: data.Dataset, force: bool) -> None:
    """Write settings.json of a new run, which also proves that the directory can be written.

    Refuses to replace a run that is there, unless `force`: then its checkpoint stays until the
    first new one, and everything else until the new run is finished.
    """
    if (path / committee.FILE).exists():
        raise UsageError(f"--out {path}: a committee is there; choose another")
    finished, begun = (path / "results.json").exists(), (path / CHECKPOINT).exists()
    if not (finished or begun):
        write_record(path, settings.as_dict(), Origin.of(dataset))
    elif not force:
        what = "a finished run is there; choose another"
        if not finished:
            what = f"an unfinished run is there; go on with --resume {path}, choose another"
        raise UsageError(f"--out {path}: {what} or add --force")


def write(path: Path, outcome: Outcome, dataset: data.Dataset) -> None:
    """Write what a run leaves, all but report.png. results.json comes last: it means "finished".

    An older results.json is removed first, so a directory with files of two runs never counts as
    finished. report.png is drawn after this (`reports.run_report`), since it can be drawn again.
    """
    files.remove(path / "results.json")
    files.remove(path / "report.png")
    model.save(outcome.model, path / "model.safetensors")
    write_history(path / "history.csv", outcome.history)
    write_record(path, outcome.model.settings, Origin.of(dataset), outcome.model.events)
    files.replace_json(path / "results.json", outcome.results)


def write_record(
    path: Path, settings: dict[str, Any], origin: Origin, events: Sequence[dict[str, Any]] = ()
) -> None:
    """settings.json: the settings of a run, its data by name, path and digest, and its events."""
    record: dict[str, Any] = {"settings": settings, **origin.record()}
    if events:
        record["events"] = list(events)
    files.replace_json(path / "settings.json", record)


def read_record(path: Path) -> tuple[Settings, str]:
    """The settings and the data digest in a settings.json; DataError if it is damaged."""
    record = files.read_json(path)
    digest = record.get("data_digest")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise DataError(f"{path}: holds no data_digest of 64 hexadecimal digits; was it edited?")
    return from_dict(record.get("settings"), str(path)), digest


def read_results(path: Path) -> dict[str, Any]:
    """The figures in a results.json; DataError if those that every run has are not there."""
    results = files.read_json(path)
    for name in ("test_accuracy", "validation_accuracy", "iterations", "seconds"):
        value = results.get(name, "missing")
        none = value is None and name.endswith("accuracy")  # a run without such images
        finite = type(value) in (int, float) and abs(value) <= sys.float_info.max
        if not (none or finite):
            raise DataError(f"{path}: holds no number {name}; was it edited?")
    return results


def is_finished(path: Path, settings: Settings, digest: str) -> bool:
    """Whether the directory holds the results of a run with these settings on these data.

    A damaged results.json or settings.json counts as missing.
    """
    try:
        read_results(path / "results.json")
        return read_record(path / "settings.json") == (settings, digest)
    except DataError:
        return False


def is_whole(path: Path) -> bool:
    """Whether every file of a run is there; a run killed while it was drawn has no report.png."""
    return all((path / name).exists() for name in FILES)


def write_history(path: Path, history: Sequence[Row]) -> None:
    """history.csv: a header and a line for each row; numbers read back as they were."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(asdict(row).values() for row in history)
    files.replace_bytes(path, text.getvalue().encode())


def read_history(path: Path) -> dict[str, list[float]]:
    """history.csv as columns; DataError if `write_history` cannot have written it."""
    content = files.read_bytes(path, limit=200 * MOST_ROWS)
    # before lines become Python objects, which are many times larger
    if content.count(b"\n") > MOST_ROWS + 1:
        raise DataError(f"{path}: more than {MOST_ROWS:,} lines; was it edited?")
    lines = content.decode(errors="replace").removesuffix("\n").split("\n")
    if lines[0] != ",".join(COLUMNS):
        raise DataError(f"{path}: expected the columns {','.join(COLUMNS)}; was it edited?")
    columns: list[list[float]] = [[] for _ in COLUMNS]
    for number, line in enumerate(lines[1:], 2):
        cells = line.split(",", len(COLUMNS))  # at most one too many, however long the line is
        try:
            for column, cell in zip(columns, cells, strict=True):
                column.append(float(cell))
        except ValueError:
            raise DataError(
                f"{path}, line {number}: not {len(COLUMNS)} numbers; was it edited?"
            ) from None
    return dict(zip(COLUMNS, columns, strict=True))


def read_rows(path: Path) -> list[Row]:
    """history.csv as rows; DataError as for `read_history`."""
    columns = read_history(path)
    rows = zip(*(columns[name] for name in COLUMNS), strict=True)
    return [Row(int(iteration), *rest) for iteration, *rest in rows]
