"""`bound_calls` of `--precision exact`: the calls of `exact_shard.ExactShard`, bound in advance.

They have the results of the plain form to the bit, which `stepping` compares with tolerance 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mnistgpu.engine.cpu.bound_calls import BoundBuffers, Call, count_right
from mnistgpu.engine.exact_shard import ExactShard, total_loss
from mnistgpu.engine.inputs import Chance
from mnistgpu.maths import exact
from mnistgpu.maths.exact_grids import Grids
from mnistgpu.network import Layer


class ExactMemory:
    """What exact calls write to besides `BoundBuffers`.

    `highest` and `lowest` (2 hidden layers,) are of A_l, then of dZ_l; `zero` is the magic number
    of the activations, below which ReLU is 0.
    """

    def __init__(self, buffers: BoundBuffers, C: float):
        self.zero = [zero + C for zero in buffers.zero]
        self.power = np.empty_like(buffers.exp)  # of exp
        self.highest, self.lowest = np.zeros(2 * len(self.zero)), np.zeros(2 * len(self.zero))

    def largest(self) -> np.ndarray:
        """The largest |A_l|, then the largest |dZ_l|, as in `ExactShard.largest`."""
        return np.maximum(self.highest, -self.lowest)


class ExactBuffers(BoundBuffers):
    """See `BoundBuffers`."""

    def __init__(self, like: np.ndarray, sizes: tuple[int, ...], m: int, C: float):
        super().__init__(like, sizes, m)
        self.sums, self.products = list(self.Z), list(self.Z)
        self.memory = ExactMemory(self, C)


def gradient_calls(
    factors: list[Layer],
    gradients: list[Layer],
    buffers: BoundBuffers,
    memory: ExactMemory,
    matmul: Callable[..., Any],
    grids: Grids,
) -> list[Call]:
    """The calls of a forward and a backward pass that write the gradient, summed over the images.

    factors: `ExactShard.factors`.
    """
    calls: list[Call] = []

    def bind(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> None:
        calls.append(partial(function, *arguments, **keywords))

    def to_grid(x: np.ndarray, C: float) -> None:
        bind(np.add, x, C, out=x)
        bind(np.subtract, x, C, out=x)

    last, A, Z, E = len(factors) - 1, buffers.A, buffers.Z, buffers.exp
    C, C_errors = grids.magic_numbers()
    highest, lowest = (
        [place[i : i + 1].reshape(()) for i in range(2 * last)]
        for place in (memory.highest, memory.lowest)
    )
    for layer, (W, b) in enumerate(factors):
        bind(matmul, W, A[layer], out=buffers.sums[layer])
        if layer == last:
            calls += buffers.sum_logits()
        bind(np.add, buffers.products[layer], b, out=Z[layer])
        if layer < last:
            bind(np.maximum, Z[layer], memory.zero[layer], out=Z[layer])
            bind(np.subtract, Z[layer], C, out=Z[layer])
            bind(np.maximum.reduce, Z[layer], axis=None, out=highest[layer])
            calls += buffers.gather_activations(layer)

    bind(np.maximum.reduce, Z[last], axis=0, keepdims=True, out=buffers.largest)
    bind(np.subtract, Z[last], buffers.largest, out=Z[last])
    power = memory.power  # E = exp(Z), as `exact.exp`
    bind(np.maximum, Z[last], exact.LOWEST, out=power)
    bind(np.multiply, power, 2.0**-exact.SQUARINGS, out=power)
    bind(np.multiply, power, exact.EXP_COEFFICIENTS[-1], out=E)
    for coefficient in exact.EXP_COEFFICIENTS[-2:0:-1]:
        bind(np.add, E, coefficient, out=E)
        bind(np.multiply, E, power, out=E)
    bind(np.add, E, exact.EXP_COEFFICIENTS[0], out=E)
    for _ in range(exact.SQUARINGS):
        bind(np.multiply, E, E, out=E)
    to_grid(E, exact.magic(grids.exponential_grid))
    bind(np.add.reduce, E, axis=0, keepdims=True, out=buffers.row)
    bind(np.divide, E, buffers.row, out=E)
    bind(np.subtract, E, buffers.Y, out=E)
    to_grid(E, C_errors)

    dZ = E
    for layer in range(last, -1, -1):
        dW, db = gradients[layer]
        bind(matmul, dZ, buffers.ones, out=db)
        bind(matmul, dZ, A[layer].T, out=dW)
        if layer > 0:
            before = layer - 1
            bind(matmul, factors[layer][0].T, dZ, out=buffers.dA[before])
            calls += buffers.sum_gradients(before)
            dZ = buffers.dZ[before]
            bind(np.greater, Z[before], 0, out=buffers.positive[before])
            bind(np.multiply, dZ, buffers.positive[before], out=dZ)
            to_grid(dZ, C_errors)
            bind(np.maximum.reduce, dZ, axis=None, out=highest[last + before])
            bind(np.minimum.reduce, dZ, axis=None, out=lowest[last + before])
    return calls


class BoundExactShard(ExactShard):
    """A plain `ExactShard` on NumPy that makes the calls of its buffers."""

    def add_images(
        self,
        images: Any,
        labels: Any,
        scale: float,
        first: bool,
        chance: Chance,
        weights: Any = None,
    ) -> None:
        """See `Shard`, and `ExactShard` about weights."""
        if first:
            self.round_weights()
        buffers = self.buffers_for(len(images))
        loss, right = (0.0, 0) if first else (self.loss, self.right)
        np.take(self.targets, labels, axis=1, out=buffers.Y)
        self.inputs.fill(buffers.X, images)
        for call in self.calls(buffers, first):
            call()
        np.maximum(self.largest, buffers.memory.largest(), out=self.largest)
        self.loss = loss + total_loss(buffers.Z[-1], buffers.Y, buffers.row, self.grids)
        self.right = right + count_right(buffers.Z[-1], labels)

    def calls(self, buffers: ExactBuffers, first: bool) -> list[Call]:
        """The calls that write the gradient, or add it to the sum, bound once."""
        if first not in buffers.calls:
            into = self.gradients if first else self._addends
            calls = gradient_calls(
                self.factors, into, buffers, buffers.memory, self.matmul, self.grids
            )
            if not first:
                calls.append(partial(np.add, self.gradient, self._addend, out=self.gradient))
            buffers.calls[first] = calls
        return buffers.calls[first]

    def new_buffers(self, m: int) -> ExactBuffers:
        """See `Shard`."""
        return ExactBuffers(self.gradient, self.sizes, m, self.C)
