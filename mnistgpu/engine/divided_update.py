"""The update divided among ranks: each computes a part of the parameters, and all gather them.

Where every rank computes the whole update, more ranks do not make it faster. Here a reduce-scatter
gives each rank the gradient of its part of the parameters, and an all-gather gives all ranks the
new values; together they move as many bytes as one all-reduce (ZeRO, stage 1: Rajbhandari et al.
2020). Of what the optimiser remembers, a rank has the newest values of its part alone, until all
ranks `collect` it for a checkpoint.

In the step before a row of history every rank computes the whole update all the same: so the
digests that are compared there show an update that one of them computes otherwise.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator

from mnistgpu.backend import Array
from mnistgpu.engine.distributed import DistributedEngine
from mnistgpu.engine.gradient import Communicator, needs_all_parameters
from mnistgpu.engine.trainer import Step, Trainer

# Parameters from which on it pays, for two ranks on one machine: with 170,000 the messages cost
# what the smaller update saves, with 670,000 a step computes 6% less
MANY = 2**19


def pays(trainer: Trainer, communicator: Communicator) -> bool:
    """Whether to divide the update: of many parameters, on CPUs, and where each number is alone."""
    large = communicator.size > 1 and len(trainer.theta) >= MANY
    on_cpu = trainer.backend.xp.__name__ == "numpy"
    return large and on_cpu and not needs_all_parameters(trainer.settings)


class Parts:
    """The vectors of a trainer of which this rank updates its `block`."""

    def __init__(self, trainer: Trainer, communicator: Communicator):
        self.trainer, self.communicator = trainer, communicator
        engine = copy.copy(trainer.engine)
        assert isinstance(engine, DistributedEngine)
        engine.own = communicator.block(len(trainer.theta))
        self.own = trainer.of_part(engine.own, trainer.arrays(), engine)

    def distribute(self) -> None:
        """See `Shared`: every rank has restored all vectors."""
        self.trainer.gathered = True

    def collect(self, *names: str) -> None:
        """See `Shared`: each rank sends its part to all. Every step has gathered theta."""
        trainer = self.trainer
        if not trainer.gathered and names != ("theta",):
            for vector in trainer.state.values():
                self.communicator.all_gather(vector)
            trainer.gathered = True

    def step(self, rate: float | None = None, most: int = 1) -> tuple[Array, Array, int]:
        """As `Trainer.step`. If a rank has voted for it, all ranks `collect` after it."""
        trainer, own, taken = self.trainer, self.own, self.trainer.taken + 1
        if trainer.batches.place(taken) % trainer.row_every == 0 or taken == trainer.steps:
            trainer.collect()
            return trainer.step(rate)
        own.taken = trainer.taken
        result = own.step(rate)
        self.communicator.all_gather(trainer.theta)
        trainer.taken, trainer.learning_rate = taken, own.learning_rate
        trainer.gathered = not trainer.state
        if self.communicator.voted[-1]:
            trainer.collect()
        return result


@contextlib.contextmanager
def steps(trainer: Trainer, communicator: Communicator) -> Iterator[Step]:
    """The function that takes a step with a divided update.

    Within it, `trainer.shared` gathers what the optimiser remembers. All ranks must leave it alike.
    """
    trainer.shared = parts = Parts(trainer, communicator)
    try:
        yield parts.step
        trainer.collect()  # not after an error, which the other ranks may not have
    finally:
        trainer.shared = None
