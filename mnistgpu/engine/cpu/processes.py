"""Steps of a training run that several processes take together, where that is faster.

A batch of many shards is shared out by its images (`data_parallel`), a plain one of a single shard
by the units of the network (`tensor_parallel`).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

from mnistgpu.backend import Array
from mnistgpu.engine.cpu.data_parallel import DataParallel
from mnistgpu.engine.cpu.process_group import ProcessGroup, is_possible
from mnistgpu.engine.cpu.tensor_parallel import TensorParallel
from mnistgpu.engine.gradient import is_plain, needs_all_parameters, needs_norms
from mnistgpu.engine.threads import one_blas_thread
from mnistgpu.engine.trainer import Step, Trainer
from mnistgpu.errors import RunError
from mnistgpu.storage.system import can_fork, cores, in_main_thread

# The least work of a process for which sharing a step pays: multiply-adds of its largest product,
# and units of each layer if these are shared. Measured with two processes on two cores. MOST limits
# their number, since it is not known how far more of them still pay.
MULTIPLY_ADDS, UNITS = 2**20, 16
MOST = 16
# After PAUSE seconds without a step, and every OFTEN seconds, processes spread over the cores.
PAUSE, OFTEN = 0.001, 0.1


def number_of_processes(trainer: Trainer) -> int:
    """How many processes share the steps of this trainer; 1 if they are not shared.

    That is always 1 outside the main thread of a program, see `system.in_main_thread`, and for a
    rank, since a process that has begun MPI must not be forked.
    """
    if trainer.communicator is not None or not can_fork():
        return 1
    engine, settings = trainer.engine, trainer.settings
    shards, batch_rows = len(engine.shards), trainer.batches.size
    largest_product = max(a * b for a, b in pairwise(engine.sizes)) * batch_rows
    most = min(MOST, largest_product // MULTIPLY_ADDS)
    whole = needs_norms(settings)
    if shards > 1:
        whole = needs_all_parameters(settings)
        count = shards if shards <= most else 1
    else:
        whole = whole or not is_plain(settings)
        units = min(engine.sizes[1:-1], default=0)
        count = min(trainer.workers or cores(), most, units // UNITS)
    pays = count > 1 and not whole and engine.xp.__name__ == "numpy"
    return count if pays and in_main_thread() and is_possible() else 1


@contextlib.contextmanager
def shared_steps(trainer: Trainer, size: int) -> Iterator[Step]:
    """The function that takes a step of the trainer in `size` processes.

    Within it, `trainer.shared` copies the vectors between the trainer and the ranks. After a step
    that an exception interrupted, no other step can be taken.
    """
    group = ProcessGroup(size)
    kind = TensorParallel if len(trainer.engine.shards) == 1 else DataParallel
    shares = kind(trainer, group)
    shares.distribute()
    # the first step, how many, and the learning rate: nan for that of the schedule
    order = group.shared_array(3, dtype="float64")
    per_epoch = trainer.batches.per_epoch

    def begin() -> Callable[[], tuple[Array, Array, int]]:
        take_share = shares.begin()
        stopped = spread = -math.inf

        def take() -> tuple[Array, Array, int]:
            nonlocal stopped, spread
            group.barrier()
            now = time.perf_counter()
            if now - stopped > PAUSE or now - spread > OFTEN:
                group.spread_over_cores()
                spread = now
            first, count, rate = order.tolist()
            result = take_share(int(first), int(count), None if math.isnan(rate) else rate)
            group.barrier()
            stopped = time.perf_counter()
            loss, right, images = result
            return loss[()], right[()], images  # copies: the next step overwrites the arrays

        return take

    with one_blas_thread(), group.running(begin):
        take, interrupted = begin(), False

        def step(rate: float | None = None, most: int = 1) -> tuple[Array, Array, int]:
            nonlocal interrupted
            if interrupted:
                raise RunError("a step was interrupted and its processes are no longer in step")
            first = trainer.taken
            # ends at the same steps wherever a run is resumed, so it adds up losses in one order
            within = trainer.batches.place(first) % per_epoch
            count = min(shares.together - within % shares.together, most, per_epoch - within)
            order[:] = first, count, math.nan if rate is None else rate
            interrupted = True
            result = take()
            interrupted = False
            trainer.taken = first + count
            last = trainer.scheduled_rate(trainer.taken - 1) if rate is None else rate
            trainer.learning_rate = last
            return result

        trainer.shared = shares
        try:
            yield step
        finally:
            try:
                if not interrupted:
                    trainer.collect()
            finally:
                trainer.shared = None
