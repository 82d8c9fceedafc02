"""Data parallel over ranks: each computes its shards of every batch, and sums over ranks add up.

What several threads do for one machine is done here by ranks for many (`gradient.Communicator`): a
gradient is a sum over shards. Each rank holds all parameters. It applies the whole update after an
all-reduce, or on CPUs a part of it (`divided_update.py`). Random numbers are keyed by the step and
an image's place in the whole batch, so the number of ranks changes a gradient by rounding alone,
and in exact arithmetic not at all.

All that a step adds up lies in one vector:

    gradient | loss, right answers | votes | statistics of each shard | largest numbers of each rank

The last two have a place for every shard, or rank, in which the others have zeros: so they are
gathered rather than added, and averaged in the order of the shards.
"""

from __future__ import annotations

import math
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from mnistgpu.backend import Array, array_namespace, on_device_of
from mnistgpu.engine.batches import images_in
from mnistgpu.engine.gradient import Communicator, Engine, Found, rows_of_a_shard, undivided
from mnistgpu.engine.inputs import Inputs, Keys
from mnistgpu.engine.shard import Shard
from mnistgpu.settings import Settings
from mnistgpu.storage.system import cores

VOTES = 4  # numbers of `Communicator.vote`


class Alone:
    """The communicator named `self`: one rank, which has no other to add to."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.vote, self.voted = np.zeros(VOTES), np.zeros(VOTES)

    def all_reduce(self, vector: Array) -> None:
        """See `Communicator`."""

    def reduce_scatter(self, vector: Array) -> Array:
        """See `Communicator`."""
        return vector

    def all_gather(self, vector: Array) -> None:
        """See `Communicator`."""

    def part(self, length: int) -> slice:
        """See `Communicator`."""
        return slice(length * self.rank // self.size, length * (self.rank + 1) // self.size)

    def block(self, length: int) -> slice:
        """See `Communicator`."""
        begin, last = length // self.size * self.rank, self.rank == self.size - 1
        return slice(begin, length if last else begin + length // self.size)


class DistributedEngine(Engine):
    """See `Engine`. `workers` are the threads of this rank."""

    def __init__(
        self,
        communicator: Communicator,
        theta: Array,
        settings: Settings,
        images: Array,
        labels: Array,
        inputs: Inputs,
        batch_rows: int,
        workers: int | None = None,
        weights: Array | None = None,
    ):
        self.communicator = communicator
        self.own: slice | None = None  # the part of the gradient that this rank wants; None: all
        # of each shard: its gradient, and room after it
        self._memory: WeakKeyDictionary[Shard, Array] = WeakKeyDictionary()
        xp = array_namespace(theta)
        on_cpu = xp.__name__ == "numpy"
        unit = undivided(settings, batch_rows)
        share = math.ceil(math.ceil(batch_rows / unit) / communicator.size) * unit  # the largest
        alone = rows_of_a_shard(settings, batch_rows, on_cpu)
        threads = workers or (cores() if on_cpu else 1)
        rows = min(alone, rows_of_a_shard(settings, share, on_cpu) if threads > 1 else share)
        self._room = self._first = 0
        super().__init__(
            theta, settings, images, labels, inputs, batch_rows, workers, rows, weights
        )
        shards = -(-batch_rows // self.shard_rows)
        own = -(-shards // communicator.size)
        normalized = sum(2 * mean.shape[0] for mean, _ in self.running_statistics)
        noted = self.shards[0].largest
        self._largest = 0 if noted is None else int(noted.shape[0])
        self._statistics = normalized
        self._room = 2 + VOTES + shards * normalized + communicator.size * self._largest
        self.shards = [self.new_shard(theta) for _ in self.shards[: max(1, own)]]

    def new_shard(
        self, theta: Array, gradient: Array | None = None, kind: type[Shard] | None = None
    ) -> Shard:
        """See `Engine`."""
        xp, count = array_namespace(theta), int(theta.shape[0])
        memory = xp.zeros(count + self._room, dtype=theta.dtype, **on_device_of(theta))
        shard = super().new_shard(theta, memory[:count], kind)
        self._memory[shard] = memory
        return shard

    def cut(self, rows: Array | slice) -> list[range]:
        """Where each of this rank's workers' shards begin; none if there are too few for it."""
        starts = range(0, images_in(rows), self.shard_rows)
        own = starts[self.communicator.part(len(starts))]
        share = max(1, -(-len(own) // len(self.shards)))
        return [own[i : i + share] for i in range(0, len(own), share)]

    def gradient(
        self, rows: Array | slice, keys: Keys | None = None, deform: bool = True
    ) -> tuple[Array, Array, Array]:
        """As `Engine.gradient`, of the whole batch, on every rank."""
        busy = self.computed(rows, keys or {}, deform)
        total = self.shards[0]
        if not busy:  # the last batch of an epoch may have fewer shards than there are ranks
            total.gradient[...] = 0.0
            total.loss, total.right = 0.0, 0
        memory = self._memory[total]
        room = memory[-self._room :]
        votes = self.pack(room, busy)
        gradient, begin = total.gradient, 0
        if self.own is None:
            self.communicator.all_reduce(memory)
        else:
            gradient, begin = self.communicator.reduce_scatter(gradient), self.own.start
            self.communicator.all_reduce(room)
        if votes is None:
            self.communicator.voted[:] = room[2 : 2 + VOTES]
        else:
            self.communicator.all_reduce(votes)
            self.communicator.voted[:] = votes
        total.loss = room[0] + 0.0  # a copy: the next step overwrites the sums
        total.right = self.xp.astype(room[1:2], self.xp.int64)[0]
        found, images = self.unpack(room, images_in(rows)), images_in(rows)
        return self.finished(total, found, images, gradient, begin)

    def pack(self, room: Array, busy: list[Shard]) -> Any:
        """Write what this rank adds to the sums. The votes, if they are added up on the host."""
        communicator, votes = self.communicator, None
        room[...] = 0.0
        if busy:
            xp, total = self.xp, busy[0]
            room[0] = total.loss
            room[1] = xp.astype(xp.asarray(total.right), room.dtype)
        if self.xp.__name__ == "numpy":
            room[2 : 2 + VOTES] = communicator.vote
        else:  # so that no step waits for the device
            votes = communicator.vote.copy()
        begin = 2 + VOTES
        if self._statistics and busy:
            found = [each for shard in busy for each in shard.statistics]
            for number, (_, layers) in enumerate(found, self._first):
                place = begin + number * self._statistics
                for pair in layers:
                    for values in pair:
                        count = values.shape[0]
                        room[place : place + count] = values[:, 0]
                        place += count
        if self._largest:
            for shard in busy[1:]:
                self.note(shard.largest)
            place = room.shape[0] - (communicator.size - communicator.rank) * self._largest
            room[place : place + self._largest] = self.shards[0].largest
        return votes

    def computed(self, rows: Array | slice, keys: Keys, deform: bool) -> list[Shard]:
        """See `Engine`; empty if this rank has no shard."""
        if shares := self.cut(rows):
            self._first = shares[0].start // self.shard_rows
        return super().computed(rows, keys, deform)

    def unpack(self, room: Array, images: int) -> Found:
        """The statistics of every shard of the batch; notes the largest numbers of all ranks."""
        begin, found = 2 + VOTES, []
        if self._statistics:
            for number, start in enumerate(range(0, images, self.shard_rows)):
                place, layers = begin + number * self._statistics, []
                for mean, _ in self.running_statistics:
                    n = mean.shape[0]
                    layers.append(
                        (room[place : place + n, None], room[place + n : place + 2 * n, None])
                    )
                    place += 2 * n
                found.append((min(self.shard_rows, images - start), layers))
        if self._largest:
            place = room.shape[0] - self.communicator.size * self._largest
            for _ in range(self.communicator.size):
                self.note(room[place : place + self._largest])
                place += self._largest
        return found
