"""Tensor parallel: the hidden units shared out among processes, for plain batches of one shard.

Each rank holds the weights into its units and, of the last layer, the weights out of them; it
reads, updates and keeps optimiser state for no others. So little is exchanged, and no gradient:

    forward    A_l of its units, which all ranks gather, for l < L - 1
               its part of W_L A_{L-1}, which all ranks sum (an all-reduce of the logits)
    backward   its part of W_l^T dZ_l, for 1 < l < L, of which each rank sums the rows of its units

Every rank computes the softmax, ten numbers an image. Results differ from those of one process by
rounding.

A rank's gradient is a list of bound calls (`bound_calls`), with the exchanges between them. Work
that does not depend on the weights is done for several steps together: labels are looked up before
the first, losses and right answers are counted after the last. The images of the next step are
fetched while a rank waits at a barrier.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mnistgpu import network
from mnistgpu.backend import Array
from mnistgpu.engine.cpu.bound_calls import (
    BoundBuffers,
    BoundShard,
    Call,
    count_right,
    gradient_calls,
    total_loss,
)
from mnistgpu.engine.cpu.process_group import ProcessGroup, part_of
from mnistgpu.engine.trainer import Trainer
from mnistgpu.maths import regularize

# At most so many steps are taken together, of at most so many multiply-adds, some ten milliseconds:
# a request to stop waits for them. What is done once a step counts as so many images more.
TOGETHER, WORK, BESIDE = 16, 2**29, 64


class TensorParallel:
    """A trainer's vectors in parts, one for each rank, in memory that all ranks see."""

    checked_steps = 3  # since even and odd steps use memory of their own

    def __init__(self, trainer: Trainer, group: ProcessGroup):
        self.trainer, self.group, self.sizes = trainer, group, trainer.engine.sizes
        work = len(trainer.theta) * (trainer.batches.size + BESIDE)
        self.together = max(1, min(TOGETHER, WORK // work))
        self.exchange = Exchange(group, self.sizes, trainer.batches.size, dtype=trainer.theta.dtype)
        self.shapes = [
            [W.shape for W, _ in self.part_of(trainer.theta, rank)] for rank in range(group.size)
        ]
        counts = [sum(n * (n_in + 1) for n, n_in in shapes) for shapes in self.shapes]
        self.vectors = [
            {name: group.shared_array(n, dtype=v.dtype) for name, v in trainer.arrays().items()}
            for n in counts
        ]

    def part_of(self, vector: Array, rank: int) -> list[network.Layer]:
        """Views of a rank's weights and biases in a vector of the trainer.

        Every rank has the biases of the last layer; all update their copies alike.
        """
        *hidden, (W, b) = network.layers(vector, self.sizes)
        own = [part_of(len(b), rank, self.group.size) for _, b in hidden]
        views = [(W[units], b[units]) for (W, b), units in zip(hidden, own, strict=True)]
        return [*views, (W[:, own[-1]], b)]

    def distribute(self) -> None:
        """Copy the trainer's vectors to where the ranks have theirs, between two steps."""
        self._copy(list(self.vectors[0]), to_ranks=True)

    def collect(self, *names: str) -> None:
        """Copy these vectors, or all, from the ranks into the trainer, between two steps."""
        self._copy(names or list(self.vectors[0]), to_ranks=False)

    def _copy(self, names: Any, to_ranks: bool) -> None:
        for name in names:
            for rank, vectors in enumerate(self.vectors):
                whole = self.part_of(self.trainer.arrays()[name], rank)
                parts = rank_layers(vectors[name], self.shapes[rank])
                for layer, part in zip(whole, parts, strict=True):
                    for ours, theirs in zip(layer, part, strict=True):
                        np.copyto(*((theirs, ours) if to_ranks else (ours, theirs)))

    def begin(self) -> Callable[[int, int, float | None], tuple[Array, Array, int]]:
        """The function (first, count, rate) that takes this rank's share of `count` steps.

        It returns sum of losses, right answers and images, which can be read after a barrier.
        """
        return RankSteps(self).take


class Exchange:
    """What the ranks exchange in a step: memory for columns of up to `rows` images.

    No rank writes to it before all have read: between the two there is another barrier, or the
    memory is that of the other step (double buffering of the logits).
    """

    def __init__(self, group: ProcessGroup, sizes: tuple[int, ...], rows: int, dtype: Any):
        self.group, self.sizes = group, sizes
        ranks, shared = range(group.size), partial(group.shared_array, dtype=dtype)
        gathered = sizes[1:-2]  # units of all hidden layers but the last
        self.activations = [shared(n * rows) for n in gathered]
        self.gradients = [[shared(n * rows) for _ in ranks] for n in gathered]  # W^T dZ
        self.logits = [[shared(sizes[-1] * rows) for _ in ranks] for _ in ("even", "odd")]
        self.loss, self.right = shared(), group.shared_array(dtype="int64")


def columns(memory: np.ndarray, n: int, m: int) -> np.ndarray:
    """The first numbers of `memory` as (n, m), with what belongs to an image side by side."""
    return memory[: n * m].reshape(m, n).T


class RankBuffers(BoundBuffers):
    """Buffers of a rank for m images: what other ranks read lies in the memory of the exchange."""

    def __init__(
        self, like: np.ndarray, sizes: tuple[int, ...], m: int, exchange: Exchange, barrier: Call
    ):
        super().__init__(like, sizes, m)
        group, self.barrier = exchange.group, barrier
        self.zero = [np.zeros((m, n), like.dtype).T for n in sizes[1:-1]]
        self.positive = [np.zeros((m, n), bool).T for n in sizes[1:-1]]
        for arrays in (self.Z, self.dZ):
            arrays[: len(self.zero)] = [np.empty_like(zero) for zero in self.zero]
        self.dA, self.A[len(self.dZ)] = list(self.dZ), self.Z[-2]
        self.parts: list[list[np.ndarray]] = []  # of every rank, for the units of this one
        for layer, memories in enumerate(exchange.gradients):
            n = exchange.sizes[layer + 1]
            own = part_of(n, group.rank, group.size)
            self.A[layer + 1] = columns(exchange.activations[layer], n, m)
            self.Z[layer] = self.A[layer + 1][own]
            gradients = [columns(memory, n, m) for memory in memories]
            self.dA[layer] = gradients[group.rank]
            self.parts.append([gradient[own] for gradient in gradients])
        self.sums[:-1] = self.products[:-1] = self.Z[:-1]
        self.products[-1] = self.Z[-1]
        classes = sizes[-1]
        self._rank, self._logits = (
            group.rank,
            [
                [memory[: classes * m].reshape(classes, m) for memory in parts]
                for parts in exchange.logits
            ],
        )
        self.use(0)

    def use(self, parity: int) -> None:
        """Use the memory of even steps (0) or of odd ones (1) for the logits of calls bound now."""
        self.logits = self._logits[parity]
        self.sums[-1] = self.logits[self._rank]

    def gather_activations(self, layer: int) -> list[Call]:
        """See `BoundBuffers`."""
        return [self.barrier] if layer < len(self.parts) else []

    def sum_logits(self) -> list[Call]:
        """See `BoundBuffers`."""
        return [self.barrier, *sum_calls(self.logits, self.Z[-1])]

    def sum_gradients(self, layer: int) -> list[Call]:
        """See `BoundBuffers`."""
        if layer == len(self.parts):
            return []
        return [self.barrier, *sum_calls(self.parts[layer], self.dZ[layer])]


def sum_calls(parts: list[np.ndarray], out: np.ndarray) -> list[Call]:
    """Calls that write the sum of the parts, in the order of their ranks."""
    first = partial(np.add, parts[0], parts[1], out=out)
    return [first, *(partial(np.add, out, each, out=out) for each in parts[2:])]


class RankShard(BoundShard):
    """The gradient by a rank's parameters."""

    def __init__(self, shares: TensorParallel, barrier: Call):
        group, engine = shares.group, shares.trainer.engine
        self._shapes, self._exchange = shares.shapes[group.rank], shares.exchange
        self._barrier = barrier
        units = [n for n, _ in self._shapes]
        super().__init__(
            shares.vectors[group.rank]["theta"],
            (shares.sizes[0], *units),
            shares.trainer.settings,
            engine.inputs.for_units(units[0]),
            engine.targets,
        )

    def layers(self, vector: Array) -> list[network.Layer]:
        """See `Shard`. W_l takes all units of the layer before, except the last."""
        return rank_layers(vector, self._shapes)

    def new_buffers(self, m: int) -> RankBuffers:
        """See `Shard`."""
        return RankBuffers(self.gradient, self.sizes, m, self._exchange, self._barrier)

    def step_calls(self, buffers: RankBuffers, parity: int) -> list[Call]:
        """What writes the mean gradient in an even or an odd step, bound once."""
        if parity not in buffers.calls:
            buffers.use(parity)
            buffers.calls[parity] = gradient_calls(
                self.params, self.gradients, buffers, self.matmul, self.factor, 1.0 / len(buffers.X)
            )
        return buffers.calls[parity]


class RankSteps:
    """A rank's share of steps."""

    def __init__(self, shares: TensorParallel):
        engine, rank, size = shares.trainer.engine, shares.group.rank, shares.trainer.batches.size
        self.group, self.exchange, self.engine = shares.group, shares.exchange, engine
        self.shard = shard = RankShard(shares, self.barrier)
        self.trainer = trainer = copy.copy(shares.trainer)
        trainer.state = dict(shares.vectors[rank])
        trainer.theta, trainer.params = trainer.state.pop("theta"), shard.params
        # the results of steps, batch by batch
        most, dtype = shares.together * size, trainer.theta.dtype
        self.Z, self.row = np.empty((shares.sizes[-1], most), dtype), np.empty((1, most), dtype)
        # rows of images to fetch, those of the last step first, and the memory for the next step's
        self.to_fetch: list[np.ndarray] = []
        self.is_fetched = False
        self.fetched = np.empty((size, engine.images.shape[1]), engine.images.dtype)

    def barrier(self) -> None:
        """Signal, fetch the images of the next step, then wait."""
        self.group.signal()
        self.prefetch()
        self.group.wait()

    def prefetch(self) -> None:
        """Fetch the images of the next step, if there is one and they are not there yet."""
        if self.to_fetch and not self.is_fetched:
            rows = self.to_fetch.pop()
            out = self.fetched[: len(rows)]
            np.take(self.engine.images, rows, axis=0, out=out, mode="clip")
            self.is_fetched = True

    def take(self, first: int, count: int, rate: float | None) -> tuple[Array, Array, int]:
        """Take `count` steps from step `first` on, as `Trainer.step` takes one."""
        trainer, size = self.trainer, self.trainer.batches.size
        rows = trainer.batches.rows(first, count)
        if isinstance(rows, slice):
            rows = np.arange(rows.start, rows.stop)
        labels = self.engine.labels[rows]
        Y, m = self.engine.targets[:, labels], len(labels)
        starts = range(0, m, size)
        self.to_fetch = [rows[start : start + size] for start in reversed(starts)]
        self.prefetch()
        for taken, start in zip(range(first, first + count), starts, strict=True):
            part = slice(start, min(start + size, m))
            step_rate = trainer.scheduled_rate(taken) if rate is None else rate
            buffers = self.step(Y[:, part], taken, step_rate)
            np.copyto(self.Z[:, part], buffers.Z[-1])
            np.copyto(self.row[:, part], buffers.row)

        # every rank has these results: one counts the right answers, another adds up the losses
        Z, row = self.Z[:, :m], self.row[:, :m]
        if self.group.rank == 0:
            self.exchange.right[...] = count_right(Z, labels)
        if self.group.rank == 1:
            self.exchange.loss[...] = total_loss(Z, Y, row)
        return self.exchange.loss, self.exchange.right, m

    def step(self, Y: np.ndarray, taken: int, rate: float) -> RankBuffers:
        """Take the step after so many, with the images fetched and their targets Y (classes, m)."""
        shard, m = self.shard, Y.shape[1]
        buffers = shard.buffers_for(m)
        shard.inputs.fill(buffers.X, self.fetched[:m])
        self.is_fetched = False
        np.copyto(buffers.Y, Y)
        for call in shard.step_calls(buffers, taken % 2):
            call()
        if self.trainer.settings.l2 > 0:
            regularize.add_l2(shard.gradients, shard.params, self.trainer.settings.l2)
        self.trainer.update(shard.gradient, self.trainer.numbers(taken, rate))
        return buffers


def rank_layers(vector: np.ndarray, shapes: list[tuple[int, int]]) -> list[network.Layer]:
    """Views (W_l, b_l) of a rank's vector, with W_l in these shapes.

    The numbers of W_1 that belong to a pixel lie side by side, as those of an image do in the
    buffers: products with the images are fastest so.
    """
    views: list[network.Layer] = []
    start = 0
    for units, inputs in shapes:
        end = start + units * inputs
        numbers = vector[start:end]
        W = numbers.reshape(units, inputs) if views else numbers.reshape(inputs, units).T
        views.append((W, vector[end : end + units, None]))
        start = end + units
    return views
