"""The runs in a folder: how each was trained, how far it is, and how good it became."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mnistgpu.errors import DataError
from mnistgpu.models import committee
from mnistgpu.runs import checkpoint, run_directory
from mnistgpu.settings import Settings
from mnistgpu.storage import files

SIGNS = ("settings.json", checkpoint.FILE, "results.json")  # a directory with one is a run


@dataclass(frozen=True)
class ListedRun:
    """A run directory in a list.

    state: "finished", "unfinished" (it was stopped, or is still trained) or "damaged". A damaged
    one has a `problem`, a sentence, and no settings.
    iterations, steps: how many steps were taken, and of how many; None if that is not known.
    """

    directory: Path
    state: str
    settings: Settings | None = None
    data_digest: str = ""
    iterations: int = 0
    steps: int | None = None
    test_accuracy: float | None = None
    validation_accuracy: float | None = None
    seconds: float | None = None
    problem: str = ""


def list_runs(folder: str | os.PathLike[str] = "runs") -> list[ListedRun]:
    """The runs in a folder, those with the best test accuracy first, and damaged ones last.

    Directories without a run, committees among them, are left out. DataError if there is no such
    folder.
    """
    path = files.path_of(folder, "folder")
    try:
        inside = sorted(path.iterdir())
    except OSError as error:
        raise DataError(
            f"{path}: cannot be listed ({error.strerror}); give the folder that holds the runs"
        ) from None
    found = [listed(directory) for directory in inside if is_run(directory)]
    return sorted(found, key=rank)


def rank(run: ListedRun) -> tuple[bool, bool, float]:
    """The place of a run in a list."""
    accuracy = -1.0 if run.test_accuracy is None else run.test_accuracy
    return run.state == "damaged", run.state == "unfinished", -accuracy


def is_run(directory: Path) -> bool:
    """Whether a directory is that of a run."""
    signs = any(files.is_file(directory / name) for name in SIGNS)
    return signs and not files.is_file(directory / committee.FILE)


def listed(directory: Path) -> ListedRun:
    """What the files of a run directory say."""
    try:
        if files.is_file(directory / "results.json"):
            return finished(directory)
        if files.is_file(directory / checkpoint.FILE):
            return unfinished(directory)
        settings, digest = run_directory.read_record(directory / "settings.json")
        return ListedRun(directory, "unfinished", settings, digest, 0, settings.iterations)
    except DataError as error:
        return ListedRun(directory, "damaged", problem=str(error))


def finished(directory: Path) -> ListedRun:
    """A run with its results; DataError if they are damaged."""
    settings, digest = run_directory.read_record(directory / "settings.json")
    results = run_directory.read_results(directory / "results.json")
    iterations = int(results["iterations"])
    return ListedRun(
        directory,
        "finished",
        settings,
        digest,
        iterations,
        iterations,
        results["test_accuracy"],
        results.get("validation_accuracy"),
        results["seconds"],
    )


def unfinished(directory: Path) -> ListedRun:
    """A run with a checkpoint alone; DataError if that is damaged."""
    saved = checkpoint.load(directory)
    settings, row = saved.settings, saved.progress.history[-1]
    steps = settings.iterations
    if settings.epochs is not None:
        steps = settings.epochs * round(row.iteration / row.epoch)
    accuracy = None if math.isnan(row.validation_accuracy) else row.validation_accuracy
    return ListedRun(
        directory,
        "unfinished",
        settings,
        saved.data_digest,
        saved.taken,
        steps,
        validation_accuracy=accuracy,
        seconds=saved.progress.seconds,
    )


def differing(runs: Sequence[ListedRun]) -> list[str]:
    """The names of the settings in which some of these runs differ."""
    known: list[Any] = [run.settings for run in runs if run.settings is not None]
    return [
        knob.name
        for knob in fields(Settings)
        if len({getattr(settings, knob.name) for settings in known}) > 1
    ]


def shown(value: object) -> str:
    """A value of a setting in a table or a name: 0.1, 784-10-10, yes, none."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).removesuffix(".0")
