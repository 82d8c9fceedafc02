"""Steps of this project as training takes them, in blocks; other programs compute in between."""

from __future__ import annotations

import contextlib

from threadpoolctl import threadpool_limits

from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.threads import one_blas_thread
from mnistgpu.engine.trainer import Trainer
from mnistgpu.storage.system import cores


class Steps:
    """Takes steps of a trainer through the function that `training.train` takes them with.

    Where that starts processes, they run until `close` and sleep between two blocks. BLAS has all
    its threads between two blocks, for what is measured in turn with these steps.
    """

    def __init__(self, trainer: Trainer, processes: int | None = None):
        self.trainer = trainer
        self._open = contextlib.ExitStack()
        self._step = self._open.enter_context(stepping(trainer, fail, processes))
        self._open.enter_context(threadpool_limits(cores(), "blas"))

    def take(self, first: int, count: int) -> None:
        """Take the steps first, ..., first + count - 1; losses are added up as in training."""
        trainer, end = self.trainer, first + count
        trainer.taken = first
        loss = right = 0
        alone = trainer.processes == 1
        with trainer.engine.running() if alone else one_blas_thread():
            while trainer.taken < end:
                sums = self._step(most=end - trainer.taken)
                loss, right = loss + sums[0], right + sums[1]

    def close(self) -> None:
        """End the processes, if there are any."""
        self._open.close()


def fail(warning: str) -> None:
    """Stop where training would warn and go on more slowly."""
    raise RuntimeError(warning)
