"""Digests of an exact run on its way, by which another machine can compare its own steps.

After the steps 1, 2, 5, 10, 20, 50, ... and after the last one, the SHA-256 of the parameters to
predict with is kept: a few dozen in the longest run. They are saved in results.json and in the
checkpoint.
"""

from __future__ import annotations

from mnistgpu.engine.trainer import Trainer
from mnistgpu.models.model import digest_of
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.history import Progress


class Digests(Callback):
    """Adds the digest of the parameters to the progress after each of `marks`."""

    def step(self, trainer: Trainer, progress: Progress) -> None:
        """A sync point after a mark, and nothing after other steps."""
        if trainer.taken == next_mark(trainer.taken - 1, trainer.steps):
            progress.digests[trainer.taken] = digest(trainer)


def digest(trainer: Trainer) -> str:
    """That of the parameters to predict with, after the steps so far. A sync point."""
    return digest_of(trainer.backend.to_numpy(trainer.plain()))


def next_mark(taken: int, steps: int) -> int:
    """The next step after so many whose digest is kept: 1, 2 or 5 times a power of ten, or the
    last.
    """
    power = 1
    while 5 * power <= taken:
        power *= 10
    return min(steps, next(step for step in (power, 2 * power, 5 * power) if step > taken))
