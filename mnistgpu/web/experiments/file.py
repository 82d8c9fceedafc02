"""A file of an experiment that is being read: its keys, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mnistgpu.errors import DataError, did_you_mean
from mnistgpu.storage import files
from mnistgpu.storage.named_values import line_of, parsed
from mnistgpu.web.experiments.claims import Name
from mnistgpu.web.experiments.experiment import Run
from mnistgpu.web.experiments.numbers import NUMBERS


class Key(NamedTuple):
    """The type of a value in the file, its description in messages, whether it must be there."""

    kind: type
    words: str
    needed: bool = True


TEXT = Key(str, "text in quotes")
WHOLE = Key(int, "a whole number")
TEXTS = Key(list, "a list of texts in brackets")


class File:
    """A file that is being read: its content, and where in it something stands."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self.text = files.read_bytes(path, limit=2**18).decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text"
            ) from None
        self.content: dict[str, Any] = parsed(path, self.text)

    def at(self, name: str, table: str = "", number: int = 1) -> str:
        """The file and the line of a key."""
        return line_of(self.path, self.text, name, table, number)

    def check_keys(
        self, given: Mapping[str, Any], keys: Mapping[str, Key], table: str = "", number: int = 1
    ) -> None:
        """DataError for a key that is none of these, is missing, or has another type of value."""
        inside = f"[{table}] " if table else ""
        for name, value in given.items():
            where = self.at(name, table, number)
            if name not in keys:
                hint = did_you_mean(name, keys, "_")
                known = ", ".join(keys)
                raise DataError(f"{where}: {inside}has no key {name[:40]!r}, but {known}{hint}")
            if type(value) is not keys[name].kind or value in ("", [], {}):
                raise DataError(f"{where}: {inside}{name} must be {keys[name].words}")
        for name, key in keys.items():
            if key.needed and name not in given:
                where = self.at(name, table, number)
                raise DataError(f"{where}: {inside}lacks {name}; add it, {key.words}")


def lines_of(file: File, key: str, given: Any) -> tuple[str, ...]:
    """A list of texts without places for numbers; DataError if it is none."""
    if not isinstance(given, list) or not all(isinstance(each, str) and each for each in given):
        raise DataError(f"{file.at(key)}: {key} must be a list of texts, none of them empty")
    for each in given:
        without_places(file, key, each)
    return tuple(given)


def without_places(file: File, key: str, text: str, table: str = "") -> None:
    """DataError if a text that is shown before the runs has a place for a number of them."""
    if re.search("[{}]", text):
        raise DataError(
            f"{file.at(key, table)}: {key} is shown before the experiment runs, so no number can "
            "stand in it; leave the braces out"
        )


def check_run(name: Name, runs: Sequence[Run], where: str) -> Run:
    """The run that a number is of; DataError if there is none of that name."""
    names = [run.name for run in runs]
    if name.run not in names:
        hint = did_you_mean(name.run, names)
        raise DataError(f"{where}: {name} is of no run: there are {', '.join(names)}{hint}")
    return runs[names.index(name.run)]


def check_names(names: Sequence[Name], runs: Sequence[Run], where: str) -> None:
    """DataError for a number that no run has, or an argument that it does not take."""
    for name in names:
        run = check_run(name, runs, where)
        if name.number not in NUMBERS:
            hint = did_you_mean(name.number, NUMBERS, "_")
            raise DataError(
                f"{where}: there is no number {name.number!r}"
                f"{hint or '; docs/experiments.md lists them'}"
            )
        most = NUMBERS[name.number].most
        if most is None:
            if name.argument is not None:
                raise DataError(f"{where}: {name} takes no argument; leave ({name.argument}) out")
        elif name.argument is None or name.argument > most(run.settings):
            raise DataError(
                f"{where}: {name.run}.{name.number} needs a number from 0 to {most(run.settings)} "
                f"in parentheses, such as {name.run}.{name.number}(1)"
            )
