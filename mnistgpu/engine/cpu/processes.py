"""Steps of a training run that several processes take together, where that is faster.

How a step is shared depends on its batch: one of many shards by its images (`share_images`), one
of a single shard by the units of the network (`share_units`).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from mnistgpu.backend import Array
from mnistgpu.engine.cpu.data_parallel import ImageShares
from mnistgpu.engine.cpu.process_group import Team, is_possible
from mnistgpu.engine.cpu.tensor_parallel import UnitShares
from mnistgpu.engine.gradient import Engine, Step, is_random
from mnistgpu.engine.threads import cores, one_blas_thread
from mnistgpu.errors import RunError

if TYPE_CHECKING:
    from mnistgpu.engine.trainer import Trainer

# What a process must have at least for it to pay: multiply-adds of the largest product of a step,
# and units of each layer if these are shared. Measured with two processes, on two cores; how far it
# goes on with more is not known, so there are not many more.
MULTIPLY_ADDS, UNITS = 2**20, 16
MOST = 16
# Seconds without a step, and of steps, after which processes spread over the cores again
PAUSE, OFTEN = 0.001, 0.1


def processes(engine: Engine, batch_rows: int, workers: int | None) -> int:
    """Among how many processes to share a step; 1 for none but this."""
    settings, sizes, shards = engine.settings, engine.sizes, len(engine.shards)
    # what looks at a whole layer or at all of the gradient stays whole
    whole = settings.clip_norm is not None or settings.max_norm is not None
    largest_product = max(a * b for a, b in pairwise(sizes)) * batch_rows
    most = min(MOST, largest_product // MULTIPLY_ADDS)
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

    Within, `trainer.collect` brings what they hold into the trainer's arrays, which the first step
    begins with; later changes to these arrays have no effect. After a step that was broken off by
    an exception there can be no other.
    """
    if trainer.engine.processes == 1:
        yield trainer.step
        return
    team = Team(trainer.engine.processes)
    how = UnitShares if len(trainer.engine.shards) == 1 else ImageShares
    shares = how(trainer, team)
    # the step to begin with, how many, and at which rate: nan for that of the schedule
    order = team.shared(3, dtype="float64")
    per_epoch = trainer.batches.per_epoch

    def begin() -> Callable[[], tuple[Array, Array, int]]:
        take_share = shares.taker()
        stopped = spread = -math.inf

        def take() -> tuple[Array, Array, int]:
            nonlocal stopped, spread
            team.meet()
            now = time.perf_counter()
            if now - stopped > PAUSE or now - spread > OFTEN:
                team.spread()
                spread = now
            first, count, rate = order.tolist()
            result = take_share(int(first), int(count), None if math.isnan(rate) else rate)
            team.meet()
            stopped = time.perf_counter()
            loss, right, images = result
            return loss[()], right[()], images  # copies: the next step writes where these lie

        return take

    with one_blas_thread(), team.working(begin):
        take, under_way = begin(), False

        def step(rate: float | None = None, most: int = 1) -> tuple[Array, Array, int]:
            nonlocal under_way
            if under_way:
                raise RunError(
                    "a step was broken off, so its processes are out of step: begin anew"
                )
            first = trainer.taken
            # ends at the same steps wherever it begins: so a resumed run adds up losses alike
            count = shares.together - first % per_epoch % shares.together
            count = min(count, most, per_epoch - first % per_epoch)
            order[:] = first, count, math.nan if rate is None else rate
            under_way = True
            result = take()
            under_way = False
            trainer.taken = first + count
            last = trainer.scheduled_rate(trainer.taken - 1) if rate is None else rate
            trainer.learning_rate = last
            return result

        trainer.collect = shares.collect  # type: ignore[method-assign]
        try:
            yield step
        finally:
            if not under_way:
                trainer.collect()
            del trainer.collect
