"""Train one run for each combination of lists of settings (`sweep`)."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu.api import run as runs_of
from mnistgpu.api import teaching
from mnistgpu.api.fitting import fit, resume
from mnistgpu.api.inputs import (
    AnyPath,
    backend_of,
    check_switches,
    directory_of,
    is_count,
    is_number,
    settings_and_data,
    training_data,
    with_validation,
)
from mnistgpu.api.run import Run
from mnistgpu.backend import Backend
from mnistgpu.data.weighting import with_weights
from mnistgpu.engine.stepping import check_backend
from mnistgpu.errors import DivergedError, OutOfMemoryError, StoppedError, UsageError, warn
from mnistgpu.knobs import check_value, short_name
from mnistgpu.recipes import settings_of
from mnistgpu.runs import checkpoint, checks, listing, run_directory
from mnistgpu.runs.progress import Display
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings, renamed
from mnistgpu.storage import files

MOST = 1000  # runs, without a word that so many are meant
ALL = slice(None)
UNFIT = re.compile(r'[\\/:*?"<>|,\s]+')  # not for names of directories, on some system
KNOBS = {knob.name: knob for knob in fields(Settings)}


def sweep(
    X: Any = None,
    y: Any = None,
    *,
    out: AnyPath,
    recipe: str | None = None,
    deform: str | None = None,
    test: Any = None,
    validation: Any = None,
    sample_weight: Any = None,
    backend: str | Backend | None = None,
    progress: bool | Display | None = False,
    stop: Stop | None = None,
    checkpoint_every: str = "60s",
    yes: bool = False,
    **settings: Any,
) -> list[Run]:
    """Train one run for each combination of lists of settings, one after the other; the runs.

    settings: those of `fit`; a list means that each of its values is tried, so that
        alpha=[0.1, 0.5] with seed=[0, 1, 2] makes six runs.
    out: the directory for the directories of the runs, which are named by what differs.
    yes: must be True for more than 1,000 runs.
    The rest is as for `fit`; progress=True prints each run.

    The same call goes on where it was stopped: finished runs are read, and a run that was stopped
    is resumed. All settings are checked before the first run. A run that diverges or does not fit
    into memory is left out of the list, with a warning.

    Raises what `fit` raises, and UsageError if a directory holds a run with other settings or data.
    """
    work = Sweep(X, y, out, recipe, deform, test, validation, backend, yes, settings, sample_weight)
    trained = []
    for done in work.runs(progress, stop, checkpoint_every):
        if done.run is None:
            warn(f"{done.planned.path}: {done.problem}")
        else:
            trained.append(done.run)
    return trained


@dataclass(frozen=True)
class Planned:
    """A run of a sweep: its directory, its values of the settings that differ, all its settings.

    digest: that of its data, which its settings may divide in another way.
    """

    path: Path
    values: dict[str, Any]
    settings: Settings
    digest: str


@dataclass(frozen=True)
class Done:
    """A run of a sweep that is finished, now or before, or the problem that ended it."""

    planned: Planned
    run: Run | None
    before: bool = False
    problem: str = ""


class Sweep:
    """The runs of a sweep, checked and ready to be trained. The arguments are those of `sweep`.

    names: the settings that differ. planned: the runs; the last setting changes fastest.
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        out: AnyPath,
        recipe: str | None,
        deform: str | None,
        test: Any,
        validation: Any,
        backend: str | Backend | None,
        yes: bool,
        settings: Mapping[str, Any],
        sample_weight: Any = None,
    ):
        check_switches(yes=yes)
        folder = directory_of(out)
        if listing.is_run(folder):
            raise UsageError(f"--out {folder}: is the directory of a run; choose another")
        if isinstance(validation, list) and all(map(is_number, validation)):
            settings, validation = {**settings, "validation": validation}, None
        fixed, lists = separated(settings)
        fixed, pair = with_validation(fixed, validation)
        count = math.prod(map(len, lists.values()))
        if count > MOST and not yes:
            raise UsageError(
                f"these lists make {count:,} runs; add --yes (in Python yes=True) if so many are "
                "meant"
            )
        self.names, self.backend = tuple(lists), backend_of(backend)
        self.preset: dict[str, Any] = {"recipe": recipe, "deform": deform}
        combinations = [
            dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())
        ]
        self.changes = [{**fixed, **values} for values in combinations]
        teachers = {each["teacher"] for each in self.changes if each.get("teacher") is not None}
        named = {teacher: teaching.setting_of(teacher) for teacher in teachers}
        for changes in self.changes:  # with its digest, as a run that is there has saved it
            if changes.get("teacher") is not None:
                changes["teacher"] = named[changes["teacher"]]
        ways = {settings_of(recipe, deform, changes).orientation for changes in self.changes}
        if len(ways) > 1:
            raise UsageError("orientation: all runs of a sweep read the same data; give it once")
        self.dataset = with_weights(training_data(X, y, ways.pop(), test, pair), sample_weight)
        self.planned = []
        for values, changes in zip(combinations, self.changes, strict=True):
            made, dataset = settings_and_data(self.dataset, None, recipe, deform, changes)
            checks.check_fit(made, dataset)
            check_backend(made, self.backend)
            path = folder / directory_name(values)
            self.planned.append(Planned(path, values, made, dataset.digest))
        places: set[Path] = set()
        for planned in self.planned:
            if planned.path in places:
                raise UsageError(
                    f"{planned.path}: would be the directory of two runs, since two values differ "
                    "only in characters such as / and :, which no name can have; rename one of them"
                )
            places.add(planned.path)
            check_same(planned)

    def runs(
        self,
        progress: bool | Display | None,
        stop: Stop | None,
        checkpoint_every: str,
        own: slice = ALL,
    ) -> Iterator[Done]:
        """Train the runs one after the other; each as soon as it is finished.

        own: which of `planned`; other processes train the rest.
        Raises StoppedError, or KeyboardInterrupt after Ctrl-C, which say in which run.
        """
        options: dict[str, Any] = {
            "backend": self.backend,
            "progress": progress,
            "stop": stop,
            "on_interrupt": "raise",
            "checkpoint_every": checkpoint_every,
        }
        numbered = zip(itertools.count(1), self.planned, self.changes, strict=False)
        for number, planned, changes in list(numbered)[own]:
            where = f"run {number:,} of {len(self.planned):,}, {planned.path}"
            if stop is not None and stop.interrupting:
                raise StoppedError(f"stopped by {stop.reason} before {where}", stop.exit_status)
            try:
                yield self.finish(planned, changes, options)
            except StoppedError as interruption:
                raise StoppedError(f"{where}: {interruption}", interruption.exit_status) from None
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"stopped in {where}; the same call of mnistgpu.sweep goes on with it"
                ) from None

    def finish(
        self, planned: Planned, changes: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Done:
        """Read the run if it is finished, resume it if it was stopped, or train it."""
        path = planned.path
        finished = run_directory.is_finished(path, planned.settings, planned.digest)
        if finished and run_directory.is_whole(path):
            run = runs_of.read(path, self.backend, partial(resume, path, self.dataset))
            return Done(planned, run, before=True)
        try:
            if files.is_file(path / checkpoint.FILE):
                return Done(planned, resume(path, self.dataset, **options))
            return Done(planned, fit(self.dataset, out=path, **self.preset, **changes, **options))
        except (DivergedError, OutOfMemoryError) as error:
            return Done(planned, None, problem=str(error))


def separated(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Settings with one value, and lists of those with several, by their own names.

    The lists are in the order of `Settings`, so that the names of directories do not depend on the
    order in which they are given; the seed is last, so that repetitions stand together.

    UsageError for a name that is none, a value that is wrong or twice in a list, and if no list has
    several values.
    """
    renamed(dict.fromkeys(settings))  # refuses unknown names, and one setting given twice
    fixed: dict[str, Any] = {}
    lists: dict[str, list[Any]] = {}
    for given, value in settings.items():
        (name,) = renamed({given: None})
        values = [value_of(name, each) for each in (value if is_list(name, value) else [value])]
        short = short_name(KNOBS[name])
        for i, each in enumerate(values):
            if each in values[:i]:
                raise UsageError(f"{short}: the value {each} is given twice; give it once")
        if not values:
            raise UsageError(f"{short}: the list is empty; give it a value, or leave it out")
        if len(values) == 1:
            fixed[name] = values[0]
        else:
            lists[name] = values
    if not lists:
        raise UsageError(
            "a sweep needs a setting with several values, such as --alpha 0.1,0.5 (in Python "
            "alpha=[0.1, 0.5])"
        )
    ordered = sorted(lists, key=lambda name: (name == "seed", list(KNOBS).index(name)))
    return fixed, {name: lists[name] for name in ordered}


def is_list(name: str, value: object) -> bool:
    """Whether this is a list of values of a setting, and not the sizes of one network."""
    if not isinstance(value, list | tuple | range | np.ndarray):
        return False
    return name != "layers" or not all(map(is_count, value))


def value_of(name: str, given: Any) -> Any:
    """A value of a setting, checked; a whole number becomes a float where the setting is one."""
    (value,) = renamed({name: given}).values()
    check_value(KNOBS[name], value)
    is_float = KNOBS[name].type in ("float", "float | None")
    return float(value) if type(value) is int and is_float else value


def directory_name(values: Mapping[str, Any]) -> str:
    """The name of a run's directory, such as alpha-0.1_seed-2, from the settings that differ.

    What cannot stand in a name on every system, as in a path or in weights of classes, becomes "-".
    """
    return "_".join(
        f"{short_name(KNOBS[name])}-{UNFIT.sub('-', listing.shown(value)).strip('-')}"
        for name, value in values.items()
    )


def check_same(planned: Planned) -> None:
    """UsageError if the directory holds a run with other settings or data."""
    path, expected = planned.path, (planned.settings, planned.digest)
    if run_directory.is_finished(path, *expected):
        return
    if files.is_file(path / checkpoint.FILE):
        saved = checkpoint.load(path)
        found = saved.settings, saved.data_digest
    elif files.is_file(path / "settings.json"):
        found = run_directory.read_record(path / "settings.json")
    else:
        return
    if found != expected:
        raise UsageError(
            f"{path}: a run with other settings or data is there; choose another --out"
        )
