"""Tensor parallel: the hidden units shared out among processes, for plain batches of one shard.

Each rank holds the weights into its units and, of the last layer, the weights out of them. It reads
and updates only these, and keeps the optimiser's state of these alone. So little is exchanged, and
no gradient of a weight:

    forward    A_l of its units, which all ranks gather, for l < L - 1
               its part of W_L A_{L-1}, which all ranks sum (an all-reduce of the logits)
    backward   its part of W_l^T dZ_l, for 1 < l < L, of which each rank sums the rows of its units

Every rank computes the softmax, ten numbers an image. Results differ from those of one process by
rounding.

A rank's gradient is a list of bound calls (`bound_calls`), with the exchanges between them. Work
that does not depend on the weights is done for several steps together: labels are looked up before
the first, losses and right answers are counted after the last.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from mnistgpu import network
from mnistgpu.backend import Array
from mnistgpu.engine.cpu import bound_calls, exact_calls
from mnistgpu.engine.cpu.bound_calls import BoundBuffers, Call
from mnistgpu.engine.cpu.exact_calls import ExactMemory
from mnistgpu.engine.cpu.process_group import ProcessGroup, part_of
from mnistgpu.engine.exact_shard import ExactShard, finish, total_loss
from mnistgpu.engine.products.precision import matmul_in
from mnistgpu.engine.trainer import Trainer
from mnistgpu.maths import exact, regularize

# At most so many steps are taken together, of at most so many multiply-adds, some ten milliseconds:
# a request to stop waits for them. What is done once a step counts as BESIDE more images.
TOGETHER, WORK, BESIDE = 16, 2**29, 64


class TensorParallel:
    """A trainer's vectors in parts, one for each rank, in memory that all ranks see.

    What the ranks exchange in a step lies in such memory too. No rank writes to it before all have
    read: there is another barrier between the two, or the logits of even and of odd steps have
    memory of their own (a double buffer).
    """

    def __init__(self, trainer: Trainer, group: ProcessGroup):
        self.trainer, self.group, self.sizes = trainer, group, trainer.engine.sizes
        size, dtype, ranks = trainer.batches.size, trainer.theta.dtype, range(group.size)
        self.together = max(1, min(TOGETHER, WORK // (len(trainer.theta) * (size + BESIDE))))
        self.shapes = [[W.shape for W, _ in self.part(trainer.theta, rank)] for rank in ranks]
        counts = [sum(n * (n_in + 1) for n, n_in in shapes) for shapes in self.shapes]
        shared = partial(group.shared_array, dtype=dtype)
        self.vectors = [{name: shared(n) for name in trainer.arrays()} for n in counts]
        gathered = self.sizes[1:-2]  # units of all hidden layers but the last
        self.activations = [shared(n * size) for n in gathered]
        self.gradients = [[shared(n * size) for _ in ranks] for n in gathered]  # W^T dZ
        self.logits = [[shared(self.sizes[-1] * size) for _ in ranks] for _ in ("even", "odd")]
        self.loss, self.right = shared(), group.shared_array(dtype="int64")
        layers = len(self.sizes) - 1
        self.largest_weights = [shared(layers) for _ in ranks]  # of each layer, in exact steps
        self.largest = [shared(2 * (layers - 1)) for _ in ranks]  # as `Shard.largest`

    def part(self, vector: Array, rank: int) -> list[network.Layer]:
        """Views of a rank's weights and biases in a vector of the trainer.

        Every rank has a copy of the last layer's biases; all copies are updated in the same way.
        """
        *hidden, (W, b) = network.layers(vector, self.sizes)
        own = [part_of(len(b), rank, self.group.size) for _, b in hidden]
        views = [(W[units], b[units]) for (W, b), units in zip(hidden, own, strict=True)]
        return [*views, (W[:, own[-1]], b)]

    def distribute(self) -> None:
        """Copy the trainer's vectors to where the ranks have theirs, between two steps."""
        for whole, part in self.pairs(*self.vectors[0]):
            part[...] = whole

    def collect(self, *names: str) -> None:
        """Copy these vectors, or all, from the ranks into the trainer, between two steps."""
        for whole, part in self.pairs(*(names or self.vectors[0])):
            whole[...] = part
        for own in self.largest:
            self.trainer.engine.note(own)

    def pairs(self, *names: str) -> Iterator[tuple[Array, Array]]:
        """Weights and biases of these vectors: a part of the trainer's, and the rank's own."""
        for name, (rank, vectors) in product(names, enumerate(self.vectors)):
            whole = self.part(self.trainer.arrays()[name], rank)
            own = rank_layers(vectors[name], self.shapes[rank])
            for ours, theirs in zip(whole, own, strict=True):
                yield from zip(ours, theirs, strict=True)

    def begin(self) -> Callable[[int, int, float | None], tuple[Array, Array, int]]:
        """The function (first, count, rate) that takes this rank's share of `count` steps.

        It returns sum of losses, right answers and images, which can be read after a barrier.
        """
        return RankSteps(self).take


def rank_layers(vector: np.ndarray, shapes: list[tuple[int, int]]) -> list[network.Layer]:
    """Views (W_l, b_l) of a rank's vector, with W_l in these shapes.

    W_l has a column for each unit of the layer before, W_L only for each unit of the rank. The
    numbers of W_1 that belong to a pixel lie side by side, as those of an image do in the buffers:
    so products with the images are fastest.
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


class RankBuffers(BoundBuffers):
    """Buffers of a rank for m images; what other ranks read is in shared memory."""

    def __init__(self, shares: TensorParallel, sizes: tuple[int, ...], m: int):
        super().__init__(shares.trainer.theta, sizes, m)

        def columns(memory: np.ndarray, n: int) -> np.ndarray:
            """(n, m), with what belongs to an image side by side."""
            return memory[: n * m].reshape(m, n).T

        like, group = shares.trainer.theta, shares.group
        self.barrier, self.rank = group.barrier, group.rank
        for i, n in enumerate(sizes[1:-1]):
            self.Z[i], self.dZ[i] = (columns(np.empty(n * m, like.dtype), n) for _ in range(2))
            self.zero[i] = np.zeros_like(self.Z[i])
            self.positive[i] = np.empty_like(self.Z[i], dtype=bool)
        self.dA, self.A[len(self.dZ)] = list(self.dZ), self.Z[-2]
        self.own: list[slice] = []  # this rank's units of each gathered layer
        self.parts: list[list[np.ndarray]] = []  # what each rank adds to their gradients
        for i, memory in enumerate(shares.activations):
            n = shares.sizes[i + 1]
            self.own.append(part_of(n, self.rank, group.size))
            self.A[i + 1], self.dA[i] = columns(memory, n), columns(np.empty(n * m, like.dtype), n)
            self.parts.append([columns(each, n) for each in shares.gradients[i]])
        self.sums, self.products = list(self.Z), list(self.Z)
        n = sizes[-1]
        self.double = [[each[: n * m].reshape(n, m) for each in parts] for parts in shares.logits]
        self.use(0)

    def use(self, parity: int) -> None:
        """Use the memory of even steps (0) or of odd ones (1) for the logits of calls bound now."""
        self.logits = self.double[parity]
        self.sums[-1] = self.logits[self.rank]

    # Results are copied to the memory that other ranks see, except the few logits: a product that
    # wrote there itself would wait, at every cache line, for the cache of another core.

    def gather_activations(self, layer: int) -> list[Call]:
        """See `BoundBuffers`."""
        if layer == len(self.own):
            return []
        return [partial(np.copyto, self.A[layer + 1][self.own[layer]], self.Z[layer]), self.barrier]

    def sum_logits(self) -> list[Call]:
        """See `BoundBuffers`."""
        return [self.barrier, *sum_calls(self.logits, self.Z[-1])]

    def sum_gradients(self, layer: int) -> list[Call]:
        """See `BoundBuffers`."""
        if layer == len(self.own):
            return []
        own, dA, parts = self.own[layer], self.dA[layer], self.parts[layer]
        mine, others = parts[self.rank], [*parts[: self.rank], *parts[self.rank + 1 :]]
        copies = [
            partial(np.copyto, mine[rows], dA[rows])
            for rows in (slice(own.start), slice(own.stop, None))
            if len(dA[rows])
        ]
        sums = sum_calls([dA[own], *(part[own] for part in others)], self.dZ[layer])
        return [*copies, self.barrier, *sums]


def sum_calls(parts: list[np.ndarray], out: np.ndarray) -> list[Call]:
    """Calls that write the sum of the parts, in their order."""
    first, *others = parts
    return [partial(np.add, out if i else first, each, out=out) for i, each in enumerate(others)]


class RankSteps:
    """A rank's share of steps."""

    def __init__(self, shares: TensorParallel):
        self.shares, self.group, self.engine = shares, shares.group, shares.trainer.engine
        shapes, vectors = shares.shapes[self.group.rank], shares.vectors[self.group.rank]
        self.sizes = (shares.sizes[0], *(units for units, _ in shapes))
        self.trainer = trainer = copy.copy(shares.trainer)
        trainer.state = dict(vectors)
        trainer.theta = trainer.state.pop("theta")
        trainer.params = rank_layers(trainer.theta, shapes)
        kept = trainer.params[: trainer.settings.freeze]
        trainer.frozen = sum(W.size + b.size for W, b in kept)
        self.gradient = np.empty_like(trainer.theta)
        self.gradients = rank_layers(self.gradient, shapes)
        self.matmul = matmul_in(trainer.settings.precision, np)
        self.buffers: dict[int, RankBuffers] = {}  # of a batch, and of the last of an epoch
        self.exact = ExactRank(self) if trainer.settings.is_exact else None
        # the results of steps, batch by batch
        size, dtype = trainer.batches.size, trainer.theta.dtype
        self.Z = np.empty((shares.sizes[-1], shares.together * size), dtype)
        self.row = np.empty((1, shares.together * size), dtype)
        self.images = np.empty((size, self.sizes[0]), self.engine.images.dtype)

    def take(self, first: int, count: int, rate: float | None) -> tuple[Array, Array, int]:
        """Take `count` steps from step `first` on, as `Trainer.step` takes one."""
        trainer, size = self.trainer, self.trainer.batches.size
        rows = trainer.batches.rows(first, count)
        if isinstance(rows, slice):
            rows = np.arange(rows.start, rows.stop)
        labels = self.engine.labels[rows]
        Y, m = self.engine.targets[:, labels], len(labels)
        parts = [slice(start, min(start + size, m)) for start in range(0, m, size)]
        weights: Array | None = None
        if self.engine.weights is not None:
            weights = np.concatenate([self.engine.relative_weights(rows[part]) for part in parts])
        for taken, part in zip(range(first, first + count), parts, strict=True):
            step_rate = trainer.scheduled_rate(taken) if rate is None else rate
            own = None if weights is None else weights[part]
            buffers = self.step(rows[part], Y[:, part], own, taken, step_rate)
            np.copyto(self.Z[:, part], buffers.Z[-1])
            np.copyto(self.row[:, part], buffers.row)

        # every rank has these results: one counts the right answers, another adds up the losses
        Z, row = self.Z[:, :m], self.row[:, :m]
        if self.group.rank == 0:
            self.shares.right[...] = bound_calls.count_right(Z, labels)
        if self.group.rank == 1:
            if self.exact:
                self.shares.loss[...] = self.exact.total_loss(Z, Y, row)
            else:
                weighted = Y if weights is None else Y * weights
                self.shares.loss[...] = bound_calls.total_loss(Z, weighted, row, weights)
        return self.shares.loss, self.shares.right, m

    def step(
        self, rows: np.ndarray, Y: np.ndarray, weights: Array | None, taken: int, rate: float
    ) -> RankBuffers:
        """Take the step after so many, with these rows (m,) and their targets Y (classes, m).

        weights: those of the rows (m,), relative to their mean, or None.
        """
        trainer, m = self.trainer, len(rows)
        if m not in self.buffers:
            self.buffers[m] = RankBuffers(self.shares, self.sizes, m)
        buffers = self.buffers[m]
        np.take(self.engine.images, rows, axis=0, out=self.images[:m], mode="clip")
        self.engine.inputs.fill(buffers.X, self.images[:m])
        np.copyto(buffers.Y, Y)
        buffers.weigh(weights)
        if self.exact:
            self.exact.round_weights()
        for call in self.calls(buffers, taken % 2):
            call()
        if self.exact:
            self.exact.finish(buffers)
        if trainer.settings.l2 > 0:
            regularize.add_l2(self.gradients, trainer.params, trainer.settings.l2)
        trainer.update(self.gradient, trainer.numbers(taken, rate))
        return buffers

    def calls(self, buffers: RankBuffers, parity: int) -> list[Call]:
        """The calls that write the mean gradient of an even or an odd step, bound once."""
        if parity not in buffers.calls:
            buffers.use(parity)
            scale, factor = 1.0 / len(buffers.X), self.engine.inputs.factor
            if self.exact:
                buffers.calls[parity] = self.exact.calls(buffers)
            else:
                buffers.calls[parity] = bound_calls.gradient_calls(
                    self.trainer.params, self.gradients, buffers, self.matmul, factor, scale
                )
        return buffers.calls[parity]


class ExactRank:
    """What a rank does otherwise in exact arithmetic, see `exact_shard`."""

    def __init__(self, steps: RankSteps):
        self.steps, trainer = steps, steps.trainer
        shard = trainer.engine.shards[0]
        assert isinstance(shard, ExactShard)
        self.grids, self.factor, self.C = shard.grids, shard.factor, shard.C
        self.factors = [(np.empty_like(W), np.empty_like(b)) for W, b in trainer.params]
        self.memories: dict[int, ExactMemory] = {}

    def round_weights(self) -> None:
        """As `ExactShard.round_weights`: the grid of a layer follows its weights on all ranks."""
        shares, params = self.steps.shares, self.steps.trainer.params
        own = shares.largest_weights[self.steps.group.rank]
        for i, ((W, b), (factor, addend)) in enumerate(zip(params, self.factors, strict=True)):
            np.multiply(W, 1.0 if i else self.factor, out=factor)
            own[i] = exact.largest(factor)
            np.add(b, self.C if i < len(params) - 1 else 0.0, out=addend)
        self.steps.group.barrier()
        all_largest = np.max(shares.largest_weights, axis=0)
        for i, (factor, _) in enumerate(self.factors):
            exact.to_grid(factor, exact.magic_below(all_largest[i], self.grids.weight_bits(i)))

    def calls(self, buffers: RankBuffers) -> list[Call]:
        """The calls that write the gradient, summed over the images."""
        m = len(buffers.X)
        memory = self.memories.setdefault(m, ExactMemory(buffers, self.C))
        gradients, matmul = self.steps.gradients, self.steps.matmul
        return exact_calls.gradient_calls(
            self.factors, gradients, buffers, memory, matmul, self.grids
        )

    def finish(self, buffers: RankBuffers) -> None:
        """Make the gradient a mean, and keep the largest numbers."""
        m = len(buffers.X)
        units, inputs = self.steps.gradients[0][0].shape
        finish(self.steps.gradient, units * inputs, self.factor, m)
        largest = self.steps.shares.largest[self.steps.group.rank]
        np.maximum(largest, self.memories[m].largest(), out=largest)

    def total_loss(self, Z: np.ndarray, Y: np.ndarray, row: np.ndarray) -> Any:
        """See `exact_shard.total_loss`."""
        return total_loss(Z, Y, row, self.grids)
