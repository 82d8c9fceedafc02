"""The hidden units of a network shared out among processes, for batches of one shard.

Here for speed alone. Each process holds the weights into its units and, of the last layer, the
weights out of them: it reads, changes and remembers (in the optimiser) no others. So little must be
told, and no gradient:

    forward    A_l of its units, to all, for l < L - 1; its part of W_L A_{L-1}, which all add up
    backward   its part of W_l^T dZ_l, for 1 < l < L, of which each adds up the rows of its units

Softmax, of ten numbers an image, everybody computes alike. A step is `Trainer.step`, taken by
a trainer of these units alone; results differ from those of one process by rounding.

What belongs to an image, or to a pixel in W_1, lies in one piece of memory: so products with the
images are fastest, and pixels that are blank in a whole batch can be left out (`blank_pixels`).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from mnistgpu import network
from mnistgpu.backend import Array
from mnistgpu.blank_pixels import SortedImages, sort_where_it_pays
from mnistgpu.engine import Engine
from mnistgpu.settings import Settings
from mnistgpu.shard import Buffers, Shard
from mnistgpu.team import Team

if TYPE_CHECKING:
    from mnistgpu.training import Trainer


def own(units: int, rank: int, count: int) -> slice:
    """The units of a layer that are those of a process."""
    return slice(units * rank // count, units * (rank + 1) // count)


def part(layers: list[network.Layer], rank: int, count: int) -> list[network.Layer]:
    """Views of the weights and biases of a process, from those of the whole network.

    The biases of the last layer are everybody's: all change their copies alike.
    """
    *hidden, (W, b) = layers
    mine = [own(len(b), rank, count) for _, b in hidden]
    views = [(W[units], b[units]) for (W, b), units in zip(hidden, mine, strict=True)]
    return [*views, (W[:, mine[-1]], b)]


class Told:
    """What the processes of a team tell each other in a step: memory that all of them see.

    It is for columns of up to so many `rows`, the images of a batch. Nobody writes before all have
    read: between the two there is always another meeting.
    """

    def __init__(self, team: Team, sizes: tuple[int, ...], rows: int, dtype: str):
        self.team, self.sizes = team, sizes
        ranks = range(team.count)
        # A of each hidden layer but the last, of all units
        self.activations = [team.shared(n * rows, dtype=dtype) for n in sizes[1:-2]]
        # W^T dZ for all units of the same layers, from each process
        self.errors = [[team.shared(n * rows, dtype=dtype) for _ in ranks] for n in sizes[1:-2]]
        # W_L A_{L-1}, from each process
        self.sums = [team.shared(sizes[-1] * rows, dtype=dtype) for _ in ranks]
        self.loss, self.right = team.shared(dtype=dtype), team.shared(dtype="int64")


class UnitBuffers(Buffers):
    """Buffers for m images, of which some are memory that the other processes see."""

    def __init__(self, like: Array, sizes: tuple[int, ...], m: int, told: Told):
        super().__init__(like, sizes, m, batch_norm=False)

        def columns(memory: np.ndarray, n: int) -> np.ndarray:
            return memory[: n * m].reshape(m, n).T

        for Zs in (self.Z, self.dZ):
            Zs[: len(self.dZ)] = [columns(np.empty(Z.size, Z.dtype), len(Z)) for Z in self.dZ]
        self.sums[:-1] = self.Z[:-1]
        *widths, _, classes = told.sizes[1:]
        self.activations = [columns(*each) for each in zip(told.activations, widths, strict=True)]
        self.errors = [
            [columns(part, n) for part in parts]
            for parts, n in zip(told.errors, widths, strict=True)
        ]
        self.all_sums = [part[: classes * m].reshape(classes, m) for part in told.sums]
        self.sums[-1] = self.all_sums[told.team.rank]
        for layer, parts in enumerate(self.errors):
            self.dZ[layer] = parts[told.team.rank]


class UnitShard(Shard):
    """The gradient by a process's parameters: the vector `theta`, cut like the views `like`."""

    def __init__(
        self, theta: Array, like: list[network.Layer], settings: Settings, factor: float, told: Told
    ):
        self.told, self._like = told, like
        team, whole = told.team, told.sizes
        self.own = [own(n, team.rank, team.count) for n in whole[1:-1]]
        sizes = (whole[0], *(units.stop - units.start for units in self.own), whole[-1])
        super().__init__(theta, sizes, settings, factor)
        self._whole = self.params[0], self.gradients[0]

    def add(
        self, X: Array, labels: Array, targets: Array, batch_rows: int, first: bool, key: Array
    ) -> None:
        """See `Shard`. X may have the last pixels alone, where the first are blank."""
        (W, b), (dW, db) = self._whole
        blank = W.shape[1] - len(X)
        self.params[0], self.gradients[0] = (W[:, blank:], b), (dW[:, blank:], db)
        dW[:, :blank] = 0.0
        super().add(X, labels, targets, batch_rows, first, key)
        self.params[0], self.gradients[0] = self._whole

    def layers(self, vector: Array) -> list[network.Layer]:
        """See `Shard`. W_l takes all units of the layer before, but for the last."""
        return cut(vector, self._like)

    def new_buffers(self, m: int) -> Buffers:
        """See `Shard`."""
        return UnitBuffers(self.gradient, self.sizes, m, self.told)

    def for_all_units(self, layer: int, A: Array, buffers: UnitBuffers) -> Array:
        """See `Shard`."""
        if layer == len(self.own) - 1:
            return A
        everyone = buffers.activations[layer]
        everyone[self.own[layer]] = A
        self.told.team.meet()
        return everyone

    def of_all_units(self, sums: Array, buffers: UnitBuffers) -> Array:
        """See `Shard`."""
        self.told.team.meet()
        return added(buffers.all_sums, buffers.Z[-1])

    def from_all_units(self, layer: int, dA: Array, buffers: UnitBuffers) -> Array:
        """See `Shard`. dA is this process's part, for all units."""
        if layer == len(self.own):
            return dA
        self.told.team.meet()
        rows = self.own[layer - 1]
        parts = [part[rows] for part in buffers.errors[layer - 1]]
        return added(parts, np.empty_like(parts[0]))

    # What all would compute alike, one does, and another the other; it can be read after the step.

    def right_answers(self, Z: Array, labels: Array) -> Array:
        """See `Shard`."""
        if self.told.team.rank == 0:
            self.told.right[...] = super().right_answers(Z, labels)
        return self.told.right

    def sum_of_losses(self, Z: Array, targets: Array, buffers: Buffers) -> Array:
        """See `Shard`."""
        if self.told.team.rank == 1:
            self.told.loss[...] = super().sum_of_losses(Z, targets, buffers)
        return self.told.loss


def cut(vector: Array, like: list[network.Layer]) -> list[network.Layer]:
    """Views of a vector in the shapes of these layers; of W_1 it has the transpose."""
    views: list[network.Layer] = []
    start = 0
    for W, b in like:
        end = start + W.size
        numbers = vector[start:end]
        weights = numbers.reshape(W.shape) if views else numbers.reshape(W.T.shape).T
        views.append((weights, vector[end : end + b.size, None]))
        start = end + b.size
    return views


def added(parts: list[Array], out: Array) -> Array:
    """The sum of the parts, in the order of their processes, in `out`."""
    np.add(parts[0], parts[1], out=out)
    for each in parts[2:]:
        out += each
    return out


class UnitEngine(Engine):
    """The engine of a process: its shard, and the images with their pixels sorted, if they are."""

    def __init__(self, shares: UnitShares, theta: Array, like: list[network.Layer]):
        self.__dict__.update(vars(shares.trainer.engine))
        self.theta, self.sorted = theta, shares.images
        self.inputs = self.inputs.for_units(len(like[0][1]))
        self.shards = [UnitShard(theta, like, self.settings, self.inputs.factor, shares.told)]

    def images_of(self, rows: Array | slice) -> Array:
        """See `Engine`. Pixels that are blank in all of these images are left out."""
        return super().images_of(rows) if self.sorted is None else self.sorted.batch(rows)


class UnitShares:
    """A trainer in parts, a part for each process of a team; see the sketch of this module."""

    def __init__(self, trainer: Trainer, team: Team):
        self.trainer, self.team = trainer, team
        self.sizes = trainer.engine.sizes
        self.told = Told(team, self.sizes, trainer.batches.size, trainer.settings.dtype)
        self.images: SortedImages | None = None
        if not trainer.settings.center:  # which leaves no pixel zero
            images, rows = trainer.engine.images, trainer.batches.size
            self.images = sort_where_it_pays(images, rows, trainer.steps)
        self.pixels = slice(None) if self.images is None else self.images.order
        self.vectors = [self.vectors_of(rank) for rank in range(team.count)]

    def vectors_of(self, rank: int) -> dict[str, Array]:
        """A process's part of all that a step changes, in memory that the leader sees too."""
        vectors = {}
        for name, whole in self.trainer.arrays().items():
            (W, b), *others = self.part_of(whole, rank)
            values = network.flatten([(W[:, self.pixels].T, b), *others])
            vectors[name] = self.team.shared(len(values), dtype=values.dtype)
            vectors[name][...] = values
        return vectors

    def part_of(self, whole: Array, rank: int) -> list[network.Layer]:
        """The views of a process into a vector of the trainer."""
        return part(network.layers(whole, self.sizes), rank, self.team.count)

    def mine(self) -> Trainer:
        """The trainer of this process's units."""
        share = copy.copy(self.trainer)
        share.state = dict(self.vectors[self.team.rank])
        share.theta = share.state.pop("theta")
        like = self.part_of(self.trainer.theta, self.team.rank)
        share.engine = UnitEngine(self, share.theta, like)
        share.params = share.engine.shards[0].layers(share.theta)
        return share

    def collect(self, *names: str) -> None:
        """Bring the parts of these vectors, or of all, into the trainer, between two steps."""
        for name in names or self.vectors[0]:
            for rank, vectors in enumerate(self.vectors):
                there = self.part_of(self.trainer.arrays()[name], rank)
                found = cut(vectors[name], there)
                for layer, ((W, b), (W_of, b_of)) in enumerate(zip(there, found, strict=True)):
                    W[:, self.pixels if layer == 0 else slice(None)] = W_of
                    b[...] = b_of
