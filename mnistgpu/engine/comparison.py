"""Compares a fast form of steps with the plain one, before a run relies on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from mnistgpu.backend import Array, array_namespace
from mnistgpu.engine.trainer import Trainer

State = tuple[dict[str, Array], float]  # copies of a trainer's arrays, and the sum of the losses


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
    found = {name: array + 0.0 for name, array in arrays.items()}
    trainer.restore(start, taken, arrays)
    return found, loss


def difference(start: dict[str, Array], expected: State, found: State, tolerance: float) -> str:
    """How a fast form differs from the plain one after the same steps; "" where they agree.

    Losses must agree to `tolerance`, and so must every array, relative to how far the plain form
    moves it from `start`.
    """
    apart = {
        name: (distance(found[0][name], there), distance(there, start[name]))
        for name, there in expected[0].items()
    }
    apart["the loss"] = abs(found[1] - expected[1]), abs(expected[1])
    for name, (far, moved) in apart.items():
        if math.isfinite(moved) and not far <= tolerance * moved:  # or plain steps diverge, too
            share = far / moved if moved else float("inf")
            return f"moved {name} differently than plain steps, by {share:.0e} of the way"
    return ""


def distance(a: Array, b: Array) -> float:
    """The Euclidean distance of two arrays. A sync point."""
    xp = array_namespace(a, b)
    return float(xp.sqrt(xp.sum((a - b) ** 2)))
