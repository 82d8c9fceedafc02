"""Refusals in the words of the lab's page, and the checks of what a request to it holds."""

from __future__ import annotations

from typing import Any

from mnistgpu.web import words
from mnistgpu.web.guard import RefusedError


def refusal(status: int, name: str, /, **values: object) -> RefusedError:
    """A refusal whose sentence stands among the words of the page under this name."""
    return RefusedError(status, words.read("en")[name].format(**values), name, **values)


def body_of(body: Any) -> dict[str, Any]:
    """The object in a request; RefusedError if it is none."""
    if not isinstance(body, dict):
        raise RefusedError(422, "send an object, such as {}")
    return body


def text(body: dict[str, Any], name: str, most: int = 200) -> str:
    """A text in a request; RefusedError if it is missing or too long."""
    value = body.get(name)
    if not isinstance(value, str) or len(value) > most:
        raise RefusedError(422, f"{name} must be a text of at most {most:,} characters")
    return value


def whole(body: dict[str, Any], name: str, low: int, high: int) -> int:
    """A whole number from low to high in a request; RefusedError if it is none."""
    value = body.get(name)
    if type(value) is not int or not low <= value <= high:
        raise RefusedError(422, f"{name} must be a whole number from {low:,} to {high:,}")
    return value


def number(body: dict[str, Any], name: str, low: float, high: float) -> float:
    """A number from low to high in a request; RefusedError if it is none."""
    value = body.get(name)
    if type(value) not in (int, float) or not low <= value <= high:  # type: ignore[operator]
        raise RefusedError(422, f"{name} must be a number from {low:g} to {high:g}")
    return float(value)  # type: ignore[arg-type]


def choice(body: dict[str, Any], name: str, names: Any) -> str:
    """One of some names in a request; RefusedError if it is none."""
    value = body.get(name)
    if not isinstance(value, str) or value not in names:
        raise RefusedError(422, f"{name} must be one of {', '.join(names)}")
    return value
