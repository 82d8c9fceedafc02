"""mnistgpu, as `mnistgpu train` runs it: `Trainer`, with the task's batches."""

from __future__ import annotations

import contextlib

import numpy as np
from threadpoolctl import threadpool_limits

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine.cpu import processes as sharing
from mnistgpu.engine.threads import cores, one_blas_thread
from mnistgpu.engine.trainer import Trainer
from mnistgpu.settings import Settings
from speed.tasks import Task


class TaskBatches:
    """The task's batch order in the place of the trainer's own."""

    def __init__(self, task: Task):
        self.task, self.per_epoch = task, len(task.order)
        self.images, self.size = task.images, task.batch or task.images

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
            iterations=10**9,
            validation=0,
        )
        digits = data.Digits(task.rows, mnist_labels(task), "the first images")
        self.trainer = Trainer(settings, digits, NUMPY)
        self.trainer.batches = TaskBatches(task)  # type: ignore[assignment]
        self.trainer.theta[...] = task.start
        self.processes = contextlib.ExitStack()  # between the blocks they sleep
        self.step = self.processes.enter_context(sharing.stepping(self.trainer))
        self.processes.enter_context(threadpool_limits(cores(), "blas"))  # and others compute

    def steps(self, first: int, count: int) -> None:
        """See `Peer`."""
        self.trainer.taken = first
        loss = right = 0
        alone = self.trainer.engine.processes == 1
        with self.trainer.engine.running() if alone else one_blas_thread():
            while self.trainer.taken < first + count:
                sums = self.step(most=first + count - self.trainer.taken)
                loss, right = loss + sums[0], right + sums[1]

    def theta(self) -> np.ndarray:
        """See `Peer`."""
        return self.trainer.vectors()["theta"]


def mnist_labels(task: Task) -> np.ndarray:
    """The task's labels as they are read, uint8."""
    return task.labels.astype(np.uint8)
