"""--settings FILE: the settings of a run, from its settings.json or from a TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mnistgpu.contradictions import NEEDING
from mnistgpu.errors import DataError, UsageError
from mnistgpu.knobs import check_value, flags_of
from mnistgpu.recipes import with_preset
from mnistgpu.settings import LENGTHS, Settings, renamed
from mnistgpu.storage import files
from mnistgpu.storage.named_values import line_of, parsed

KNOBS = {knob.name: knob for knob in fields(Settings)}
# what a settings.json holds besides the settings
BESIDE = ("data", "data_path", "data_digest", "events")


def read(path: Path) -> dict[str, Any]:
    """The settings in a file, by their own names.

    The file holds them directly, or under the name "settings", as the settings.json of a run does.
    UsageError for a name that ends neither in .json nor in .toml. DataError, with the line where it
    is known, if the file is not in that form, for an unknown name and for a wrong value.
    """
    if path.suffix not in (".json", ".toml"):
        raise UsageError(f"--settings {path}: the name must end in .json or .toml")
    text = files.read_bytes(path, limit=2**20).decode(errors="replace")
    record = parsed(path, text)
    values = record
    if isinstance(record, dict) and "settings" in record:
        values = record["settings"]
        unknown = [name for name in record if name not in ("settings", *BESIDE)]
        if unknown:
            raise DataError(f"{line_of(path, text, unknown[0])}: must stand under settings")
    if not isinstance(values, dict):
        raise DataError(f"{path}: holds no names with values, such as a settings.json of a run")
    for given, value in values.items():
        try:
            for name, plain in renamed({given: value}).items():
                check_value(KNOBS[name], plain)
        except UsageError as error:
            raise DataError(f"{line_of(path, text, given)}: {error}") from None
    try:
        found = renamed(values)
        Settings().changed(**{name: found[name] for name in found if name not in NEEDING})
    except UsageError as error:
        raise DataError(f"{path}: {error}") from None
    return found


def merged(path: Path, deform: str | None, flags: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The settings of a file with those of flags, which win, and a line that says which did."""
    from_file, from_flags = read(path), with_preset(deform, flags)
    lengths = {}  # an --iterations replaces the file's epochs, and an --epochs its iterations
    if any(name in from_flags for name in LENGTHS):
        lengths = {name: from_file.pop(name) for name in LENGTHS if name in from_file}
    won = [
        f"{said(name, value)} instead of {said(name, from_file[name])}"
        for name, value in from_flags.items()
        if from_file.get(name, value) != value
    ]
    won += [
        f"{said(name, from_flags[name])} instead of {said(other, length)}"
        for name in LENGTHS
        if name in from_flags
        for other, length in lengths.items()
        if length is not None and (name, from_flags[name]) != (other, length)
    ]
    line = f"settings  {path}" + (f"; flags win: {', '.join(won)}" if won else "")
    return {**from_file, **from_flags}, line


def said(name: str, value: object) -> str:
    """A setting as its flag and value, such as --alpha 0.1."""
    return f"{flags_of(KNOBS[name])[0]} {value}"
