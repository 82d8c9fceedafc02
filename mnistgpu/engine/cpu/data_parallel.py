"""The images of a batch shared out among processes, for batches of many shards.

Here for speed alone. What `Engine` does with a thread for each worker is done here with a process
for each: the same shards, summed in the same order, to the same bits. A process computes the
gradient over its images; then it adds up those of all for its slice of the parameters, which it
alone changes, and of which it alone remembers what the optimiser does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

from mnistgpu.backend import Array
from mnistgpu.engine.cpu.process_group import Team
from mnistgpu.engine.gradient import Engine, weighted_means

if TYPE_CHECKING:
    from mnistgpu.engine.trainer import Trainer


class ImageShares:
    """A trainer's vectors, gradients and sums in memory that all processes of a team see."""

    together = 1  # steps

    def __init__(self, trainer: Trainer, team: Team):
        self.trainer, self.team = trainer, team
        engine, dtype, ranks = trainer.engine, trainer.theta.dtype, range(team.count)
        count = len(trainer.theta)
        self.vectors = {"theta": trainer.theta, **trainer.state}
        for name, vector in self.vectors.items():
            self.vectors[name] = team.shared(count, dtype=dtype)
            self.vectors[name][...] = vector
        self.gradients = [team.shared(count, dtype=dtype) for _ in ranks]
        self.losses = team.shared(team.count, dtype=dtype)
        self.right = team.shared(team.count, dtype="int64")
        # for each shard of a batch, mean and variance of every normalised layer
        sizes = engine.sizes[1:-1] if trainer.settings.batch_norm else ()
        self.statistics = [
            [team.shared(2, n, 1, dtype=dtype) for n in sizes]
            for _ in range(0, trainer.batches.size, engine.shard_rows)
        ]

    def slice_of(self, rank: int) -> slice:
        """The parameters that a process changes."""
        n = len(self.trainer.theta)
        return slice(n * rank // self.team.count, n * (rank + 1) // self.team.count)

    def taker(self) -> Callable[[int, int, float | None], tuple[Array, Array, int]]:
        """What takes this process's share of one step: see `share_units.UnitSteps.take`."""
        share = self.mine()

        def take(first: int, count: int, rate: float | None) -> tuple[Array, Array, int]:
            share.taken = first
            return share.step(rate)

        return take

    def mine(self) -> Trainer:
        """The trainer that takes this process's share of a step."""
        share, slice_ = copy.copy(self.trainer), self.slice_of(self.team.rank)
        share.state = {name: vector[slice_] for name, vector in self.vectors.items()}
        share.theta = share.state.pop("theta")
        share.engine = ShareEngine(self)
        share.params = []  # a slice has no weights: what works on these is not shared
        return share

    def collect(self, *names: str) -> None:
        """Bring these vectors, or all, into the trainer, between two steps."""
        for name in names or self.vectors:
            self.trainer.arrays()[name][...] = self.vectors[name]


class ShareEngine(Engine):
    """An engine whose workers are the processes of a team; its gradient is this one's slice."""

    def __init__(self, shares: ImageShares):
        self.__dict__.update(vars(shares.trainer.engine))
        self.shares, self.rank = shares, shares.team.rank
        self.theta = shares.vectors["theta"]
        gradient = shares.gradients[self.rank]
        self.shard = self.new_shard(self.theta, gradient)
        slice_ = shares.slice_of(self.rank)
        self.slices = [each[slice_] for each in shares.gradients]

    def gradient(
        self, rows: Array | slice, key: Array | None = None, deform: bool = True
    ) -> tuple[Array, Array, Array]:
        """As of `Engine`, but of the gradient this process's slice."""
        shares, shard = self.shares, self.shard
        count, starts = self.cut(rows)
        if self.rank < len(starts):  # the last batch of an epoch may have few shards
            self.work(shard, starts[self.rank], rows, count, key, deform)
            shares.losses[self.rank], shares.right[self.rank] = shard.loss, shard.right
            if self.settings.batch_norm:
                self.tell_statistics(starts[self.rank])
        shares.team.meet()

        total = self.slices[0]  # in place: only this process reads its slice of all gradients
        loss, right = shares.losses[0], shares.right[0]
        for rank in range(1, len(starts)):
            total += self.slices[rank]
            loss, right = loss + shares.losses[rank], right + shares.right[rank]
        if self.settings.batch_norm:
            self.batch_statistics = weighted_means(self.all_statistics(count), count)
        return total, loss, right

    def tell_statistics(self, starts: range) -> None:
        """Means and variances of this process's shards, which begin there, to all."""
        for start, (_, layers) in zip(starts, self.shard.statistics, strict=True):
            memories = self.shares.statistics[start // self.shard_rows]
            for memory, found in zip(memories, layers, strict=True):
                memory[0], memory[1] = found

    def all_statistics(self, count: int) -> list[tuple[int, list[tuple[Array, Array]]]]:
        """For every shard of a batch of so many images, as `Shard.statistics`."""
        found = []
        for start in range(0, count, self.shard_rows):
            memories = self.shares.statistics[start // self.shard_rows]
            m = min(self.shard_rows, count - start)
            found.append((m, [(mean, variance) for mean, variance in memories]))
        return found
