"""The history of a run, rows of figures in their order, and what the loop keeps between steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from mnistgpu.runs.events import Events
from mnistgpu.settings import Settings

MOST_ROWS = 100_000  # of history; when there are more, every second one is removed


@dataclass(frozen=True)
class Row:
    """One row of history.csv. Training figures are means over the last epoch of steps."""

    iteration: int
    epoch: float
    seconds: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float


COLUMNS = tuple(column.name for column in fields(Row))


@dataclass
class Progress:
    """What the loop of `train` knows between two steps, besides its Trainer."""

    loss: Any = 0.0  # sums over the epoch so far, on the device
    right: Any = 0.0
    seen: int = 0  # images in these sums
    images_seen: int = 0  # in the whole run
    seconds: float = 0.0
    history: list[Row] = field(default_factory=list)
    best_score: tuple[float, float] = (-1.0, -math.inf)  # for early stopping
    best_epoch: float = 0.0
    best_theta: np.ndarray | None = None
    digests: dict[int, str] = field(default_factory=dict)  # of an exact run, see `digests`
    finished: bool = False
    events: Events = field(default_factory=lambda: Events(Settings()))  # `train` gives its own

    def add_step(self, loss: Any, right: Any, images: int) -> None:
        """Add the sums of a step over its images; the first of an epoch are taken as they are."""
        if self.seen:
            loss, right = self.loss + loss, self.right + right
        self.loss, self.right, self.seen = loss, right, self.seen + images

    def begin_epoch(self) -> None:
        """Begin the sums anew."""
        self.loss, self.right, self.seen = 0.0, 0.0, 0

    def add_row(self, row: Row) -> None:
        """Append a row to the history, which keeps at most MOST_ROWS."""
        self.history.append(row)
        if len(self.history) > MOST_ROWS:
            del self.history[1:-1:2]  # at the same step, whether the run is resumed or not


def as_columns(history: Sequence[Row]) -> dict[str, list[float]]:
    """Rows turned into columns, as history.csv is read and as the plots take them."""
    return {name: [getattr(row, name) for row in history] for name in COLUMNS}
