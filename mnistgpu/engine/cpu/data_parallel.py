"""Data parallel: the images of a batch shared out among processes, for batches of many shards.

What `Engine` does with a thread for each worker is done here with a process for each: the same
shards, summed in the same order, to the same bits. Each rank computes the gradient over its shards.
After a barrier it sums the gradients of all ranks, but only for its slice of the parameters, which
it alone updates, with its slice of the optimiser's state (a reduce-scatter).
"""

from __future__ import annotations

from collections.abc import Callable

from mnistgpu.backend import Array
from mnistgpu.engine.batches import images_in
from mnistgpu.engine.cpu.process_group import ProcessGroup, part_of
from mnistgpu.engine.gradient import Engine, weighted_means
from mnistgpu.engine.inputs import Keys
from mnistgpu.engine.trainer import Trainer


class DataParallel:
    """A trainer's vectors, gradients and sums in memory that all ranks see."""

    together = 1  # steps are taken one by one

    def __init__(self, trainer: Trainer, group: ProcessGroup):
        self.trainer, self.group = trainer, group
        engine, dtype, ranks = trainer.engine, trainer.theta.dtype, range(group.size)
        count = len(trainer.theta)
        self.vectors = {
            name: group.shared_array(count, dtype=dtype) for name in ("theta", *trainer.state)
        }
        self.gradients = [group.shared_array(count, dtype=dtype) for _ in ranks]
        self.losses = group.shared_array(group.size, dtype=dtype)
        self.right = group.shared_array(group.size, dtype="int64")
        self.largest = []  # what each rank has in place of `Shard.largest`
        if (largest := engine.shards[0].largest) is not None:
            self.largest = [group.shared_array(len(largest), dtype=dtype) for _ in ranks]
        # for each shard of a batch, mean and variance of every normalised layer
        sizes = engine.sizes[1:-1] if trainer.settings.batch_norm else ()
        self.statistics = [
            [group.shared_array(2, n, 1, dtype=dtype) for n in sizes]
            for _ in range(0, trainer.batches.size, engine.shard_rows)
        ]

    def distribute(self) -> None:
        """Copy the trainer's vectors to where the ranks have theirs, between two steps."""
        for name, vector in self.vectors.items():
            vector[...] = self.trainer.arrays()[name]

    def collect(self, *names: str) -> None:
        """Copy these vectors, or all, from the ranks into the trainer, between two steps."""
        for name in names or self.vectors:
            self.trainer.arrays()[name][...] = self.vectors[name]
        for own in self.largest:
            self.trainer.engine.note(own)

    def begin(self) -> Callable[[int, int, float | None], tuple[Array, Array, int]]:
        """What takes this rank's share of a step: see `tensor_parallel.TensorParallel.begin`."""
        slice_ = self.slice_of(self.group.rank)
        own = self.trainer.of_part(slice_, self.vectors, RankEngine(self))

        def take(first: int, count: int, rate: float | None) -> tuple[Array, Array, int]:
            own.taken = first
            return own.step(rate)

        return take

    def slice_of(self, rank: int) -> slice:
        """The parameters that a rank updates."""
        return part_of(len(self.trainer.theta), rank, self.group.size)


class RankEngine(Engine):
    """The trainer's engine with the ranks as its workers; its gradient is this rank's slice."""

    def __init__(self, shares: DataParallel):
        self.__dict__.update(vars(shares.trainer.engine))
        self.shares, self.rank = shares, shares.group.rank
        self.theta = shares.vectors["theta"]
        kind = type(self.shards[0])
        self.shard = self.new_shard(self.theta, shares.gradients[self.rank], kind)
        if shares.largest:
            self.shard.largest = shares.largest[self.rank]
        self.shards = [self.shard] * shares.group.size  # a batch is cut for so many workers
        slice_ = shares.slice_of(self.rank)
        self.slices = [each[slice_] for each in shares.gradients]

    def gradient(
        self, rows: Array | slice, keys: Keys | None = None, deform: bool = True
    ) -> tuple[Array, Array, Array]:
        """As `Engine.gradient`, of this rank's slice of the parameters."""
        shares, shard, statistics = self.shares, self.shard, self.shares.statistics
        count, starts = images_in(rows), self.cut(rows)
        if self.rank < len(starts):  # the last batch of an epoch may have few shards
            self.work(shard, starts[self.rank], rows, keys or {}, deform)
            shares.losses[self.rank], shares.right[self.rank] = shard.loss, shard.right
            for start, (_, layers) in zip(starts[self.rank], shard.statistics, strict=False):
                for memory, found in zip(statistics[start // self.shard_rows], layers, strict=True):
                    memory[...] = found
        shares.group.barrier()

        total = self.slices[0]  # in place: no other rank reads this slice of the gradients
        loss, right = shares.losses[0], shares.right[0]
        for rank in range(1, len(starts)):
            total += self.slices[rank]
            loss, right = loss + shares.losses[rank], right + shares.right[rank]
        shard.finish(total, shares.slice_of(self.rank).start, count)
        if self.settings.batch_norm:
            first = range(0, count, self.shard_rows)
            sizes = [min(self.shard_rows, count - start) for start in first]
            self.batch_statistics = weighted_means(list(zip(sizes, statistics, strict=False)))
        return total, loss, right
