"""The events that a run is to repeat: a file or a list of them, and the settings they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnistgpu.api import teaching
from mnistgpu.api.inputs import AnyPath, is_path
from mnistgpu.errors import UsageError
from mnistgpu.knobs import flags_of
from mnistgpu.recipes import with_preset
from mnistgpu.runs import events_file
from mnistgpu.runs.events import KNOBS, Events, shown
from mnistgpu.runs.events_file import EventsFile
from mnistgpu.settings import renamed
from mnistgpu.storage import files


def events_of(given: AnyPath | Sequence[Any] | None) -> EventsFile:
    """What a path or a list says; nothing for None. UsageError for anything else."""
    if given is None:
        return EventsFile([])
    if is_path(given):
        return events_file.read(files.path_of(given, "--events"))
    if isinstance(given, (list, tuple)):
        return EventsFile(list(given))
    raise UsageError(
        "events: must be the path of an events.json, or a list of changes such as "
        f'[{{"step": 120, "name": "learning_rate", "new": 0.1}}], not a {type(given).__name__}'
    )


def with_settings_of(
    given: EventsFile, recipe: str | None, deform: str | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings that the file names. UsageError if others are asked for."""
    assert given.settings is not None
    if recipe is not None:
        raise UsageError(
            f"--recipe {recipe} cannot be given with --events {given.where}, which has all "
            "settings; leave it out"
        )
    asked = renamed(with_preset(deform, settings))
    if asked.get("teacher") is not None:
        asked["teacher"] = teaching.setting_of(asked["teacher"])
    for name, value in asked.items():
        own = getattr(given.settings, name)
        if value is not None and own != value:
            raise UsageError(
                f"{flags_of(KNOBS[name])[0]} {shown(value)} cannot be given with --events "
                f"{given.where}, which was made for {shown(own)}; leave it out"
            )
    return dict(vars(given.settings))


def for_command(
    path: Path,
    resumed: Path | None,
    recipe: str | None,
    deform: str | None,
    changes: dict[str, Any],
    data: Path | None,
) -> tuple[dict[str, Any], Path | None]:
    """What a command trains with, changes of settings and data, of which the file may name both.

    UsageError for a run that is resumed, and if the file was made for other settings.
    """
    if resumed is not None:
        raise UsageError(
            f"--events {path} cannot be given with --resume: the checkpoint has the events of its "
            "run; leave --events out"
        )
    given = events_of(path)
    changes = with_preset(deform, changes)
    if given.settings is not None:
        changes = with_settings_of(given, recipe, None, changes)
    if data is None and given.data_path is not None:
        data = Path(given.data_path)
    return changes, data


def introduced(given: EventsFile, events: Events, machine: Mapping[str, str]) -> list[str]:
    """Lines about the events of a run, for its beginning."""
    if not events:
        return []
    count, first, last = len(events.all), events.all[0].step, events.all[-1].step
    number = "1 event" if count == 1 else f"{count:,} events"
    lines = [f"events    {given.where}: {number}, after iteration {first:,} to {last:,}"]
    if given.machine and given.machine != machine and not events.begun.is_exact:
        then, now = (", ".join(facts.values()) for facts in (given.machine, machine))
        lines.append(f"rounding  as on {now}; the events were made on {then}")
    return lines
