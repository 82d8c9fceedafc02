"""What one setting is: a field of a dataclass with its help text, its flags and what it may be.

`settings.py` has all of them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection
from dataclasses import Field, field
from typing import Any, NamedTuple

from mnistgpu.errors import UsageError, did_you_mean


class Check(NamedTuple):
    """A test of a value, what it asks for in words, and the names it allows if they are few.

    Of a number also its range: at least low (greater if open_low), below high.
    """

    test: Callable[[Any], bool]
    words: str
    names: Collection[str] = ()
    low: float | None = None
    high: float | None = None
    open_low: bool = False


def number(low: float, high: float = math.inf, *, open_low: bool = False) -> Check:
    """A finite number of at least low (greater than low if open_low) and below high."""

    def test(value: float) -> bool:
        finite = abs(value) <= sys.float_info.max  # also for an int no float can hold, or nan
        return finite and low <= value < high and not (open_low and value == low)

    bounded = high < math.inf
    words = f"a finite number {'greater than' if open_low else 'of at least'} {low:g}"
    words += f" and below {high:g}" if bounded else ""
    return Check(test, words, (), low, high if bounded else None, open_low)


def whole(low: int, high: int | None = None) -> Check:
    """An integer of at least low, and below high if given."""
    words = f"a whole number of at least {low}" + (f" and below {high:,}" if high else "")

    def test(value: int) -> bool:
        return low <= value and (high is None or value < high)

    return Check(test, words, (), low, high)


COUNT_OR_SHARE = Check(lambda n: 0 <= n < 1 or n % 1 == 0 < n, "a whole number, or a share below 1")


def one_of(table: Collection[str]) -> Check:
    """A name of this table. It is looked up at each check, so a row may be added later."""
    return Check(lambda value: value in table, "one of ", table)


def setting(
    default: Any, help: str, check: Check | None = None, flags: tuple[str, ...] = ()
) -> Any:
    """A field of Settings with its help text, its check and any flags besides --its-name.

    {names} in the help text stands for the names that the check allows.
    """
    if check is not None:
        help = help.replace("{names}", ", ".join(check.names))
    return field(default=default, metadata={"help": help, "check": check, "flags": flags})


def flags_of(knob: Field[Any]) -> tuple[str, ...]:
    """The command-line flags of a setting; messages name the first."""
    return (*knob.metadata["flags"], "--" + knob.name.replace("_", "-"))


def short_name(knob: Field[Any]) -> str:
    """The first flag of a setting without its dashes, such as alpha or batch-size."""
    return flags_of(knob)[0].removeprefix("--")


def check_value(knob: Field[Any], value: object) -> None:
    """UsageError if a setting may not have this value, by its type or by its check."""
    _refuse_wrong_type(knob, value)
    check: Check | None = knob.metadata["check"]
    if value is not None and check and not check.test(value):
        wanted = check.words + ", ".join(check.names)
        hint = did_you_mean(value, check.names)
        raise UsageError(f"{flags_of(knob)[0]} must be {wanted}, not {value!r}{hint}")


def _refuse_wrong_type(knob: Field[Any], value: object) -> None:
    """Refuse a value whose type is not in the annotation; an int may stand for a float."""
    names = str(knob.type).split(" | ")
    allowed: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (float, int),
        "str": (str,),
        "bool": (bool,),
        "None": (type(None),),
    }
    types = tuple(t for name in names for t in allowed[name])
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise UsageError(f"{flags_of(knob)[0]} must be {' or '.join(names)}, not {value!r}")
