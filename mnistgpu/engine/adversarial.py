"""The gradient of a shard with the virtual adversarial loss: see `maths/adversarial.py`.

A step has two more passes than a plain one: a product forward and one back for each power
iteration, and a forward and a backward pass of the changed images (`consistency.SecondPass`).
"""

from __future__ import annotations

from typing import Any

from mnistgpu.backend import Array, on_device_of
from mnistgpu.counter_rng import ADVERSARIAL, noise
from mnistgpu.engine.consistency import SecondPass
from mnistgpu.engine.inputs import Chance
from mnistgpu.engine.shard import Buffers
from mnistgpu.maths import regularize
from mnistgpu.maths.adversarial import fisher_product, unit_columns

POWER_ITERATIONS = 1


class AdversarialShard(SecondPass):
    """See `SecondPass`: the images, and then each changed as moves its answers most."""

    def add(
        self,
        X: Array,
        labels: Array,
        scale: Any,
        first: bool,
        chance: Chance,
        weights: Array | None = None,
    ) -> None:
        """See `Shard`."""
        super().add(X, labels, scale, first, chance, weights)
        P = self.first_answers(X.shape[1])
        V = self.direction(P, self.start(X, chance), self.buffers_for(X.shape[1]))
        changed = X + self.settings.adversarial * V
        self.agree(changed, P, scale, chance, weights)

    def start(self, X: Array, chance: Chance) -> Array:
        """Random unit columns (n_0, m) to begin with; 0 for pixels that never change."""
        key, (pixels, m) = chance.keys[(ADVERSARIAL,)], X.shape
        V = noise(key, (m, pixels), X.dtype, 0, chance.place).T
        if self.inputs.changing is not None:
            V = V * self.inputs.changing
        return unit_columns(V)  # alike, since images of a normalised group depend on each other

    def direction(
        self, P: Array, V: Array, buffers: Buffers, iterations: int = POWER_ITERATIONS
    ) -> Array:
        """The unit columns v (n_0, m) along which answers P (classes, m) move most.

        From columns V (n_0, m), and what the pass that gave P has left in the buffers.
        """
        for _ in range(iterations):
            V = self.to_pixels(fisher_product(P, self.tangent(V, buffers)), buffers)
            if self.inputs.changing is not None:
                V *= self.inputs.changing
            V = unit_columns(V)
        return V

    def tangent(self, V: Array, buffers: Buffers) -> Array:
        """J V (classes, m): how fast the logits move as the pixels do so by V (n_0, m)."""
        T = V
        for layer, (W, _) in enumerate(self.params):
            last = layer == len(buffers.dZ)
            out = buffers.exp if last else buffers.dZ[layer]
            self.matmul(W, T, out=out)
            T = out
            if not last:
                if self.settings.batch_norm:  # whose Jacobian is symmetric
                    regularize.normalize_groups_backward(T, buffers.groups[layer], self.group)
                self.bend(T, buffers, layer)
        return T

    def to_pixels(self, dZ: Array, buffers: Buffers) -> Array:
        """J^T dZ (n_0, m): the gradient by the pixels, from that by the logits (classes, m)."""
        for layer in range(len(buffers.dZ), -1, -1):
            if self.settings.batch_norm and layer < len(buffers.dZ):
                regularize.normalize_groups_backward(dZ, buffers.groups[layer], self.group)
            W = self.params[layer][0]
            if layer == 0:
                break
            self.matmul(W.T, dZ, out=buffers.dZ[layer - 1])
            dZ = buffers.dZ[layer - 1]
            self.bend(dZ, buffers, layer - 1)
        shape = W.shape[1], dZ.shape[1]
        dX = self.xp.empty(shape, dtype=dZ.dtype, **on_device_of(dZ))
        self.matmul(W.T, dZ, out=dX)
        return dX
