"""Earlier points of a run that is steered, to which it can go back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mnistgpu.engine.trainer import Trainer
from mnistgpu.runs.events import Event
from mnistgpu.runs.history import Progress

MOST, LARGEST = 100, 2**29  # points, and bytes of all together


@dataclass(frozen=True)
class Point:
    """All that a run computes, after so many steps, before a change of settings there."""

    taken: int
    vectors: dict[str, np.ndarray]
    progress: Progress

    @property
    def size(self) -> int:
        """Bytes of its vectors."""
        return sum(vector.nbytes for vector in self.vectors.values())


class Points:
    """Points by their steps, in their order. Of too many, every second one is left out."""

    def __init__(self) -> None:
        self.kept: dict[int, Point] = {}

    def keep(self, trainer: Trainer, progress: Progress) -> None:
        """Keep the state of the run now. A sync point."""
        if trainer.taken in self.kept:
            return
        vectors = {name: np.array(vector) for name, vector in trainer.vectors().items()}
        self.kept[trainer.taken] = Point(trainer.taken, vectors, copy_of(progress))
        while len(self.kept) > MOST or len(self.kept) * self.size > LARGEST:
            others = list(self.kept)[1:]
            if len(others) < 2:
                break
            changed = {event.step for event in progress.events.all}
            free = [step for step in others[:-1] if step not in changed] or others[:-1]
            for step in free[::2]:
                del self.kept[step]

    @property
    def size(self) -> int:
        """Bytes of a point; they are all alike."""
        return next(iter(self.kept.values())).size if self.kept else 0

    def before(self, step: int) -> Point | None:
        """The newest point of so many steps or fewer."""
        steps = [each for each in self.kept if each <= step]
        return self.kept[max(steps)] if steps else None

    def go_back(self, point: Point, trainer: Trainer, progress: Progress) -> list[Event]:
        """Put a run into the state of a point; events there and later, which it leaves out."""
        trainer.restore(point.vectors, point.taken)
        events = progress.events
        cut = events.later(point.taken - 1)
        events.cut(point.taken)
        for name, value in vars(copy_of(point.progress)).items():
            setattr(progress, name, value)
        progress.events, progress.finished = events, False
        self.kept = {step: each for step, each in self.kept.items() if step <= point.taken}
        return cut


def copy_of(progress: Progress) -> Progress:
    """A copy that later steps do not change."""
    return replace(progress, history=list(progress.history), digests=dict(progress.digests))
