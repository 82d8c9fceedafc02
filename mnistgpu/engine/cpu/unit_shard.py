"""The gradient by the weights of a process's hidden units, which is told what it needs of others.

Here for speed alone: a part of `share_units`, which says who holds and tells what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mnistgpu import network
from mnistgpu.backend import Array
from mnistgpu.engine.cpu.process_group import Team, own
from mnistgpu.engine.cpu.recorded_shard import RecordedBuffers, RecordedShard
from mnistgpu.engine.cpu.tape import RecordedArray, bare
from mnistgpu.settings import Settings

Shapes = list[tuple[int, int]]  # of weights: units, and inputs of each


def own_layers(layers: list[network.Layer], rank: int, count: int) -> list[network.Layer]:
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
    read: between the two there is always another meeting, or another step's memory.
    """

    def __init__(self, team: Team, sizes: tuple[int, ...], rows: int, dtype: str):
        self.team, self.sizes = team, sizes
        ranks = range(team.count)
        # A of each hidden layer but the last, of all units
        self.activations = [team.shared(n * rows, dtype=dtype) for n in sizes[1:-2]]
        # W^T dZ for all units of the same layers, from each process
        self.errors = [[team.shared(n * rows, dtype=dtype) for _ in ranks] for n in sizes[1:-2]]
        # W_L A_{L-1}, from each process, of even steps and of odd ones
        self.sums = [[team.shared(sizes[-1] * rows, dtype=dtype) for _ in ranks] for _ in range(2)]
        self.loss, self.right = team.shared(dtype=dtype), team.shared(dtype="int64")


class UnitBuffers(RecordedBuffers):
    """Buffers for m images, of which some are memory that the other processes see."""

    def __init__(self, like: RecordedArray, sizes: tuple[int, ...], m: int, told: Told):
        super().__init__(like, sizes, m)
        array = like.recorder.array

        def columns(memory: np.ndarray, n: int) -> RecordedArray:
            return array(memory[: n * m].reshape(m, n).T)

        for Zs in (self.Z, self.dZ):
            Zs[: len(self.dZ)] = [columns(np.empty(Z.size, Z.dtype), len(Z)) for Z in self.dZ]
        self.sums[:-1] = self.Z[:-1]
        self.zero = [array(np.zeros_like(bare(Z))) for Z in self.dZ]
        *widths, _, classes = told.sizes[1:]
        self.activations = [columns(*each) for each in zip(told.activations, widths, strict=True)]
        self.errors = [
            [columns(part, n) for part in parts]
            for parts, n in zip(told.errors, widths, strict=True)
        ]
        for layer, parts in enumerate(self.errors):
            self.dZ[layer] = parts[told.team.rank]
        self.both_sums = [
            [array(part[: classes * m].reshape(classes, m)) for part in parts]
            for parts in told.sums
        ]
        self.rank = told.team.rank
        self.take_turn(0)

    def take_turn(self, turn: int) -> None:
        """Use the sums of even steps, or of odd ones, in what is recorded now."""
        self.all_sums = self.both_sums[turn]
        self.sums[-1] = self.all_sums[self.rank]


class UnitShard(RecordedShard):
    """The gradient by a process's parameters: the vector `theta`, of weights in these `shapes`.

    With `bias` the last pixel is that of the biases, whose weights these are.
    `fills_blank` says whether it has zeros for the weights of blank pixels, or what was there.
    `meanwhile` is done at every meeting, before this process waits for the others.
    """

    def __init__(
        self,
        theta: np.ndarray,
        shapes: Shapes,
        bias: bool,
        settings: Settings,
        factor: float,
        told: Told,
        fills_blank: bool,
    ):
        self.told, self.fills_blank = told, fills_blank
        self._shapes, self._bias = shapes, bias
        self.meanwhile: Callable[[], object] = int  # nothing
        team, whole = told.team, told.sizes
        self.own = [own(n, team.rank, team.count) for n in whole[1:-1]]
        sizes = (shapes[0][1] + bias, *(units.stop - units.start for units in self.own), whole[-1])
        super().__init__(theta, sizes, settings, factor)
        self._whole = self.params[0], self.gradients[0]

    def add(
        self, X: Array, labels: Array, targets: Array, scale: Any, first: bool, key: Array
    ) -> None:
        """See `Shard`. X may have the last pixels alone, where the first are blank."""
        (W, b), (dW, db) = self._whole
        blank = W.shape[1] - len(X)
        self.params[0], self.gradients[0] = (W[:, blank:], b), (dW[:, blank:], db)
        if self.fills_blank:
            dW[:, :blank] = 0.0
        super().add(X, labels, targets, scale, first, key)
        self.params[0], self.gradients[0] = self._whole

    def layers(self, vector: Array) -> list[network.Layer]:
        """See `Shard`. W_l takes all units of the layer before, but for the last.

        Where b_1 is a column of W_1, it is None apart.
        """
        layers = cut(vector, self._shapes)
        if self._bias:
            (units, pixels), *_ = self._shapes
            biased = vector[: (pixels + 1) * units].reshape(pixels + 1, units).T
            layers[0] = (biased, None)
        return layers

    def new_buffers(self, m: int) -> UnitBuffers:
        """See `Shard`."""
        return UnitBuffers(self.gradient, self.sizes, m, self.told)

    def meet(self) -> None:
        """Wait for the others, in this step and in those that repeat it."""
        self.recorder.call(self._meet)

    def _meet(self) -> None:
        self.told.team.tell()
        self.meanwhile()
        self.told.team.hear()

    def for_all_units(self, layer: int, A: Array, buffers: UnitBuffers) -> Array:
        """See `Shard`."""
        if layer == len(self.own) - 1:
            return A
        everyone = buffers.activations[layer]
        everyone[self.own[layer]] = A
        self.meet()
        return everyone

    def of_all_units(self, sums: Array, buffers: UnitBuffers) -> Array:
        """See `Shard`."""
        self.meet()
        return added(buffers.all_sums, buffers.Z[-1])

    def from_all_units(self, layer: int, dA: Array, buffers: UnitBuffers) -> Array:
        """See `Shard`. dA is this process's part, for all units."""
        if layer == len(self.own):
            return dA
        self.meet()
        rows = self.own[layer - 1]
        parts = [part[rows] for part in buffers.errors[layer - 1]]
        return added(parts)


def cut(vector: Array, shapes: Shapes) -> list[network.Layer]:
    """Views (W_l, b_l) of a vector, with W_l in these shapes; of W_1 it has the transpose."""
    views: list[network.Layer] = []
    start = 0
    for units, inputs in shapes:
        end = start + units * inputs
        numbers = vector[start:end]
        weights = numbers.reshape(units, inputs) if views else numbers.reshape(inputs, units).T
        views.append((weights, vector[end : end + units, None]))
        start = end + units
    return views


def added(parts: list[Array], out: Array | None = None) -> Array:
    """The sum of the parts, in the order of their processes."""
    total = np.add(parts[0], parts[1], out=out)
    for each in parts[2:]:
        total += each
    return total
