"""Steps of a training run that several processes take together, where that is faster.

How a step is shared depends on its batch: one of many shards by its images (`share_images`), one
of a single shard by the units of the network (`share_units`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from mnistgpu.backend import Array
from mnistgpu.engine import Engine, Step, is_random
from mnistgpu.share_images import ImageShares
from mnistgpu.share_units import UnitShares
from mnistgpu.team import Team, is_possible
from mnistgpu.threads import cores

if TYPE_CHECKING:
    from mnistgpu.training import Trainer

# What a process must have at least for it to pay: multiply-adds of the largest product of a step,
# and units of each layer if these are shared. Measured with two processes, on two cores.
MULTIPLY_ADDS, UNITS = 2**20, 16


def processes(engine: Engine, batch_rows: int, workers: int | None) -> int:
    """Among how many processes to share a step; 1 for none but this."""
    settings, sizes, shards = engine.settings, engine.sizes, len(engine.shards)
    # what looks at a whole layer or at all of the gradient stays whole
    whole = settings.clip_norm is not None or settings.max_norm is not None
    most = max(a * b for a, b in pairwise(sizes)) * batch_rows // MULTIPLY_ADDS
    if shards > 1:
        whole = whole or settings.l2 > 0 or settings.weight_decay > 0
        count = shards if shards <= most else 1
    else:
        whole = whole or is_random(settings) or settings.batch_norm
        count = min(workers or cores(), most, min(sizes[1:-1], default=0) // UNITS)
    pays = count > 1 and not whole and engine.xp.__name__ == "numpy"
    return count if pays and is_possible() else 1


@contextlib.contextmanager
def stepping(trainer: Trainer) -> Iterator[Step]:
    """The function that takes a step of the trainer: in several processes where that pays.

    Within, `trainer.collect` brings what they hold into the trainer's arrays, which all steps
    begin with; changes to these arrays have no effect.
    """
    if trainer.engine.processes == 1:
        yield trainer.step
        return
    team = Team(trainer.engine.processes)
    how = UnitShares if len(trainer.engine.shards) == 1 else ImageShares
    shares = how(trainer, team)
    order = team.shared(2, dtype="float64")  # which step to take, and at which rate

    def begin() -> Callable[[], tuple[Array, Array, int]]:
        share = shares.mine()

        def take() -> tuple[Array, Array, int]:
            team.meet()
            share.taken = int(order[0])
            result = share.step(float(order[1]))
            team.meet()
            return result

        return take

    with team.working(begin):
        take = begin()

        def step(rate: float | None = None) -> tuple[Array, Array, int]:
            rate = trainer.scheduled_rate(trainer.taken) if rate is None else rate
            order[:] = trainer.taken, rate
            result = take()
            trainer.taken, trainer.learning_rate = trainer.taken + 1, rate
            return result

        trainer.collect = shares.collect  # type: ignore[method-assign]
        try:
            yield step
            trainer.collect()
        finally:
            del trainer.collect
