"""mnistgpu, as `mnistgpu train` runs it: `Trainer`, with the task's batches."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine.trainer import Trainer
from mnistgpu.settings import Settings
from speed.steps import Steps
from speed.tasks import Task


class TaskBatches:
    """The task's batch order, in place of the trainer's own."""

    def __init__(self, task: Task):
        self.task, self.per_epoch = task, len(task.order)
        self.images, self.size = task.images, task.batch or task.images
        self.alike, self.full = self.images // self.size, self.images == self.size
        self.shift = SimpleNamespace(since=0, ahead=0)  # older versions have no class for it

    def place(self, steps: int) -> int:
        """Where in the epochs the step after so many is."""
        return steps

    def rows(self, step: int, count: int = 1) -> np.ndarray | slice:
        """Rows of steps of an epoch, as `Batches` gives them."""
        if self.task.batch is None:
            return slice(0, self.task.images)
        first = step % len(self.task.order)
        return self.task.order[first : first + count].reshape(-1)


class ThisProject:
    """A training run of this project."""

    def __init__(self, task: Task):
        settings = Settings(
            layers=task.layers,
            batch_size=task.batch,
            optimizer=task.optimizer,
            learning_rate=task.rate,
            iterations=task.steps,
            validation=0,
        )
        digits = data.Digits(task.rows, task.labels.astype(np.uint8), "the first images")
        self.trainer = Trainer(settings, digits, NUMPY)
        self.trainer.batches = TaskBatches(task)  # type: ignore[assignment]
        self.trainer.theta[...] = task.start
        self.blocks = Steps(self.trainer)

    def steps(self, first: int, count: int) -> None:
        """See `Peer`."""
        self.blocks.take(first, count)

    def theta(self) -> np.ndarray:
        """See `Peer`."""
        return self.trainer.vectors()["theta"]

    def close(self) -> None:
        """End the processes that share its steps."""
        self.blocks.close()
