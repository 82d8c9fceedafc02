"""Compares a fast form of steps with the plain one, before a run relies on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mnistgpu.backend import Array, array_namespace
from mnistgpu.engine.trainer import Trainer


@dataclass(frozen=True)
class State:
    """Copies of all arrays of a trainer, and the sum of the losses that led there."""

    arrays: dict[str, Array]
    loss: float = 0.0


def after(
    trainer: Trainer,
    step: Callable[[], tuple[Any, ...]],
    count: int,
    arrays: dict[str, Array] | None = None,
) -> State:
    """The state after `count` more steps; the trainer is left as it was. A sync point.

    `arrays` are by default those that the trainer has now. Give them as they were at first, where a
    faulty step may put new arrays in their place.
    """
    arrays, taken = arrays or trainer.arrays(), trainer.taken
    start = {name: array + 0.0 for name, array in arrays.items()}
    loss = sum(float(step()[0]) for _ in range(count))
    trainer.collect()
    found = State({name: array + 0.0 for name, array in arrays.items()}, loss)
    trainer.restore(start, taken, arrays)
    return found


def difference(start: State, expected: State, found: State, tolerance: float) -> str:
    """How a fast form differs from the plain one after the same steps; "" where they agree.

    Losses must agree to `tolerance`, and so must every array, relative to how far the plain form
    moves it from `start`.
    """
    apart = {
        name: (distance(found.arrays[name], there), distance(there, start.arrays[name]))
        for name, there in expected.arrays.items()
    }
    apart["the loss"] = abs(found.loss - expected.loss), abs(expected.loss)
    for name, (far, moved) in apart.items():
        if not far <= tolerance * moved:
            share = far / moved if moved else float("inf")
            return f"moved {name} differently than plain steps, by {share:.0e} of the way"
    return ""


def distance(a: Array, b: Array) -> float:
    """The Euclidean distance of two arrays. A sync point."""
    xp = array_namespace(a, b)
    return float(xp.sqrt(xp.sum((a - b) ** 2)))
