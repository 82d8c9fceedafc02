"""Numbers of a run in the text of an experiment, and claims about them.

A number is named `RUN.NUMBER`, such as `zero.test_accuracy`, or with an argument such as
`zero.share_of_answers(7)`. A text has its place in braces: `{zero.test_accuracy}`. A claim compares
two sums of numbers: `plain.test_accuracy - zero.test_accuracy > 50%`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mnistgpu.errors import DataError

NAME = r"([a-z][a-z0-9-]*)\.([a-z][a-z0-9_]*)(?:\(([0-9]{1,4})\))?"
PLACE = re.compile(r"\{([^{}]*)\}")
LITERAL = r"([0-9]+(?:\.[0-9]+)?)(%?)"
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
}


class Name(NamedTuple):
    """Which number: of a run, and its argument if it takes one."""

    run: str
    number: str
    argument: int | None = None

    def __str__(self) -> str:
        argument = "" if self.argument is None else f"({self.argument})"
        return f"{self.run}.{self.number}{argument}"


class Term(NamedTuple):
    """A part of a sum: +1 or -1 times a number, by its name or as it is."""

    sign: int
    value: Name | float
    is_share: bool = False  # it was written with a %


@dataclass(frozen=True)
class Claim:
    """What must be true of the numbers of every run of an experiment, in words and as a check."""

    says: str
    check: str
    left: tuple[Term, ...]
    comparison: str
    right: tuple[Term, ...]

    @property
    def names(self) -> list[Name]:
        """The numbers that it compares."""
        return [each.value for each in (*self.left, *self.right) if isinstance(each.value, Name)]

    def sides(self, numbers: Mapping[str, float | None]) -> tuple[float, float]:
        """The values on its left and on its right; nan if one of the numbers is None."""
        return total(self.left, numbers), total(self.right, numbers)

    def holds(self, numbers: Mapping[str, float | None]) -> bool:
        """Whether it is true of these numbers, which are named as in the check."""
        left, right = self.sides(numbers)
        known = not (math.isnan(left) or math.isnan(right))
        return known and COMPARISONS[self.comparison](left, right)


def total(terms: Sequence[Term], numbers: Mapping[str, float | None]) -> float:
    """The sum of the terms; nan if one of the numbers is None."""
    found = 0.0
    for sign, value, _ in terms:
        number = numbers[str(value)] if isinstance(value, Name) else value
        found += math.nan if number is None else sign * number
    return found


def places(text: str, where: str) -> list[Name]:
    """The names in the braces of a text, in their order; DataError for what is no name."""
    found = [named(each, where) for each in PLACE.findall(text)]
    if re.search("[{}]", PLACE.sub("", text)):
        raise DataError(
            f"{where}: has a brace without its other half; write a number as "
            "{RUN.test_accuracy}, and no other braces"
        )
    return found


def named(text: str, where: str) -> Name:
    """The name of a number; DataError if it is written otherwise."""
    found = re.fullmatch(NAME, text.strip())
    if found is None:
        raise DataError(
            f"{where}: {text[:60]!r} is no number of a run; write its run and its name, such as "
            "plain.test_accuracy"
        )
    return Name(found[1], found[2], None if found[3] is None else int(found[3]))


def filled(text: str, texts: Mapping[str, str]) -> str:
    """A text with the numbers in their places."""
    return PLACE.sub(lambda found: texts[str(named(found[1], ""))], text)


def claim(says: str, check: str, where: str) -> Claim:
    """A claim from its check; DataError, with an example, if that is no comparison."""
    parts = re.split("(<=|>=|==|!=|<|>)", check)
    if len(parts) != 3:
        raise DataError(
            f"{where}: {check[:80]!r} must compare two sides by one of {', '.join(COMPARISONS)}, "
            'such as "plain.test_accuracy > 90%"'
        )
    left, comparison, right = parts
    made = Claim(says, check, terms(left, where), comparison, terms(right, where))
    if not made.names:
        raise DataError(
            f"{where}: {check[:80]!r} names no number of a run, so that it is always the same; "
            'write one, such as "plain.test_accuracy > 90%"'
        )
    return made


def terms(side: str, where: str) -> tuple[Term, ...]:
    """The terms of a side of a claim, such as `a.test_accuracy + 5%`; DataError for another."""
    found: list[Term] = []
    signed = re.split(r"\s+([+-])\s+", side.strip())
    for sign, text in zip(["+", *signed[1::2]], signed[::2], strict=True):
        literal = re.fullmatch(LITERAL, text)
        value: Name | float
        if literal is not None:
            value = float(literal[1]) / (100.0 if literal[2] else 1.0)
        else:
            value = named(text, where)
        found.append(Term(1 if sign == "+" else -1, value, bool(literal and literal[2])))
    return tuple(found)
