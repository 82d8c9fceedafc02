"""The gradient of a plain shard as a list of NumPy calls, each bound to its arrays in advance.

A small training step spends much of its time in the Python between NumPy's calls: which layer,
which buffer, which setting. A plain network (ReLU, and nothing random: see `gradient.is_plain`)
makes the same calls on the same memory at every step, so `gradient_calls` binds them once, for
every size of a shard, and a step only makes them. They are the calls of `shard.Shard` in its order,
with results equal to the bit. `stepping` compares the first steps of a run with the plain form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mnistgpu import network
from mnistgpu.engine.gradient import Engine, is_plain
from mnistgpu.engine.inputs import Chance
from mnistgpu.engine.shard import Buffers, Shard

Call = Callable[[], object]


class BoundBuffers(Buffers):
    """Buffers for a shard of m images, and the calls that compute its gradient from them.

    The images are rows in `X` (m, n_0), their targets columns in `Y` (classes, m). The calls leave
    the logits less their largest in `Z[-1]`, and the column sums of their exp in `row`. If images
    have `weights` (m,), these multiply `Y` too.
    """

    weights: np.ndarray | None = None

    def __init__(self, like: np.ndarray, sizes: tuple[int, ...], m: int):
        super().__init__(like, sizes, m, batch_norm=False)
        self.X = np.empty((m, sizes[0]), like.dtype)
        self.Y = np.empty((sizes[-1], m), like.dtype)
        self.largest = np.empty((1, m), like.dtype)
        # layer by layer: what W multiplies, what b is added to, and the gradient by activations
        self.A = {0: self.X.T, **{i + 1: Z for i, Z in enumerate(self.Z[:-1])}}
        self.products = list(self.sums)
        self.dA = list(self.dZ)
        self.positive = [np.empty_like(dZ, dtype=bool) for dZ in self.dZ]
        self.calls: dict[Any, list[Call]] = {}

    def weigh(self, weights: np.ndarray | None) -> None:
        """Take in the weights (m,) of the images, if they have any, and multiply `Y` by them.

        Before the calls are bound for the first time, and always or never.
        """
        if weights is None:
            return
        if self.weights is None:
            self.weights = np.empty_like(weights)
        np.copyto(self.weights, weights)
        np.multiply(self.Y, self.weights, out=self.Y)

    # What ranks exchange if each has only some of the units, see `tensor_parallel`.

    def gather_activations(self, layer: int) -> list[Call]:
        """Calls after which A[layer + 1] has all units."""
        return []

    def sum_logits(self) -> list[Call]:
        """Calls after which products[-1] is the sum over all hidden units."""
        return []

    def sum_gradients(self, layer: int) -> list[Call]:
        """Calls after which dZ[layer] is the sum over all units of the layer after."""
        return []


def gradient_calls(
    params: list[network.Layer],
    gradients: list[network.Layer],
    buffers: BoundBuffers,
    matmul: Callable[..., Any],
    factor: float,
    scale: float,
) -> list[Call]:
    """The calls of a forward and a backward pass that write `scale` times the gradient."""
    calls: list[Call] = []

    def bind(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> None:
        calls.append(partial(function, *arguments, **keywords))

    last, A, Z, dZ = len(params) - 1, buffers.A, buffers.Z, buffers.exp
    for layer, (W, b) in enumerate(params):
        bind(matmul, W, A[layer], out=buffers.sums[layer])
        if layer == 0 and factor != 1.0:
            bind(np.multiply, buffers.sums[0], factor, out=buffers.sums[0])
        if layer == last:
            calls += buffers.sum_logits()
        bind(np.add, buffers.products[layer], b, out=Z[layer])
        if layer < last:
            bind(np.maximum, Z[layer], buffers.zero[layer], out=Z[layer])
            calls += buffers.gather_activations(layer)

    bind(np.maximum.reduce, Z[last], axis=0, keepdims=True, out=buffers.largest)
    bind(np.subtract, Z[last], buffers.largest, out=Z[last])
    bind(np.exp, Z[last], out=dZ)
    bind(matmul, buffers.ones_by_class, dZ, out=buffers.row)
    bind(np.divide, dZ, buffers.row, out=dZ)
    if buffers.weights is not None:
        bind(np.multiply, dZ, buffers.weights, out=dZ)
    bind(np.subtract, dZ, buffers.Y, out=dZ)
    bind(np.multiply, dZ, scale, out=dZ)

    for layer in range(last, -1, -1):
        dW, db = gradients[layer]
        bind(matmul, dZ, buffers.ones, out=db)
        if layer == 0 and factor != 1.0:
            bind(np.multiply, dZ, factor, out=dZ)
        bind(matmul, dZ, A[layer].T, out=dW)
        if layer > 0:
            before = layer - 1
            bind(matmul, params[layer][0].T, dZ, out=buffers.dA[before])
            calls += buffers.sum_gradients(before)
            dZ = buffers.dZ[before]
            bind(np.greater, Z[before], 0, out=buffers.positive[before])
            bind(np.multiply, dZ, buffers.positive[before], out=dZ)
    return calls


class BoundShard(Shard):
    """A plain `Shard` on NumPy that makes the calls of its buffers."""

    def add_images(
        self,
        images: Any,
        labels: Any,
        scale: float,
        first: bool,
        chance: Chance,
        weights: Any = None,
    ) -> None:
        """See `Shard`."""
        buffers = self.buffers_for(len(images))
        loss, right = (0.0, 0) if first else (self.loss, self.right)
        np.take(self.targets, labels, axis=1, out=buffers.Y)
        buffers.weigh(weights)
        self.inputs.fill(buffers.X, images)
        for call in self.calls(buffers, scale, first):
            call()
        self.loss = loss + total_loss(buffers.Z[-1], buffers.Y, buffers.row, buffers.weights)
        self.right = right + count_right(buffers.Z[-1], labels)

    def calls(self, buffers: BoundBuffers, scale: float, first: bool) -> list[Call]:
        """The calls that write the gradient, or add it to the sum, bound once."""
        if (scale, first) not in buffers.calls:
            into = self.gradients if first else self._addends
            calls = gradient_calls(self.params, into, buffers, self.matmul, self.factor, scale)
            if not first:
                calls.append(partial(np.add, self.gradient, self._addend, out=self.gradient))
            buffers.calls[scale, first] = calls
        return buffers.calls[scale, first]

    def new_buffers(self, m: int) -> BoundBuffers:
        """See `Shard`."""
        return BoundBuffers(self.gradient, self.sizes, m)


def bind_calls(engine: Engine, kind: type[Shard] = BoundShard) -> None:
    """Let the engine's workers make bound calls from here on, if its network is plain."""
    if is_plain(engine.settings) and engine.xp.__name__ == "numpy":
        engine.shards = [engine.new_shard(engine.theta, kind=kind) for _ in engine.shards]


def total_loss(
    Z: np.ndarray, Y: np.ndarray, row: np.ndarray, weights: np.ndarray | None = None
) -> Any:
    """The sum of losses: from logits less their largest Z (classes, m), targets Y, and the column
    sums of exp(Z), `row` (1, m); times `weights` (m,), if Y is.
    """
    logarithms = np.log(row)
    whole = logarithms.sum() if weights is None else np.vdot(logarithms, weights)
    return whole - np.vdot(Y, Z)


def count_right(Z: np.ndarray, labels: np.ndarray) -> Any:
    """How many columns of the logits Z (classes, m) are largest at their label; ties: the first."""
    return np.sum(np.argmax(Z, axis=0) == labels)
