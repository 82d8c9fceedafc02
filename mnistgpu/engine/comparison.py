"""A fast form of steps held against the plain one, before a run relies on it."""

from __future__ import annotations

from collections.abc import Callable

from mnistgpu.backend import Array, array_namespace
from mnistgpu.engine.trainer import Trainer


def difference(
    trainer: Trainer,
    plain: Callable[[], tuple[Array, Array, int]],
    fast: Callable[[], tuple[Array, Array, int]],
    steps: int,
    tolerance: float,
) -> str:
    """How so many fast steps differ from plain ones; "" where they agree.

    The losses must agree to `tolerance`, and so must every array of the trainer, relative to how
    far plain steps move it. The trainer is left as it was. A sync point.
    """
    start, taken = copies(trainer), trainer.taken
    expected_loss = sum(float(plain()[0]) for _ in range(steps))
    expected = copies(trainer)
    trainer.restore(start, taken)
    loss = sum(float(fast()[0]) for _ in range(steps))
    trainer.collect()
    found = copies(trainer)
    trainer.restore(start, taken)
    apart = {
        name: (distance(found[name], there), distance(there, start[name]))
        for name, there in expected.items()
    }
    apart["the loss"] = abs(loss - expected_loss), abs(expected_loss)
    for name, (far, moved) in apart.items():
        if not far <= tolerance * moved:
            share = far / moved if moved else float("inf")
            return f"moved {name} differently than plain steps, by {share:.0e} of the way"
    return ""


def copies(trainer: Trainer) -> dict[str, Array]:
    """The trainer's arrays as they are now."""
    return {name: array + 0.0 for name, array in trainer.arrays().items()}


def distance(a: Array, b: Array) -> float:
    """The Euclidean distance of two arrays. A sync point."""
    xp = array_namespace(a, b)
    return float(xp.sqrt(xp.sum((a - b) ** 2)))
