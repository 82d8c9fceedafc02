"""The gradient of a shard with a decoder's cost: see `maths/denoising.py`.

The decoder's numbers follow those of the network in theta and in a gradient. A step has a pass down
the decoder and one back besides a plain one: as many products, and the combinations of numbers
element by element. Both have the noise of the step's only pass through the network. The rows of the
decoder are normalised by the same groups of images as those of the network.
"""

from __future__ import annotations

from typing import Any

from mnistgpu import network
from mnistgpu.backend import Array, on_device_of
from mnistgpu.engine.inputs import Chance
from mnistgpu.engine.shard import Buffers, Shard
from mnistgpu.maths import denoising, regularize
from mnistgpu.maths.adversarial import fisher_product


class DenoisingShard(Shard):
    """See `Shard`. The loss that it counts is the cross-entropy alone, as that of a plain one."""

    def __init__(self, theta: Array, sizes: tuple[int, ...], *how: Any) -> None:
        super().__init__(theta, sizes, *how)
        begin = network.parameter_count(sizes)
        self.rungs, self.of_first, self.of_others = (
            denoising.rungs(vector[begin:], sizes)
            for vector in (theta, self.gradient, self._addend)
        )
        self.X: Array  # (n_0, m), without noise
        self.shares: Any  # of each image in the mean over all: a number, or (m,)

    def add_images(
        self,
        images: Array,
        labels: Array,
        scale: float,
        first: bool,
        chance: Chance,
        weights: Array | None = None,
    ) -> None:
        """See `Shard`. An image counts in both losses by its weight; if some have no label, all
        count alike in the decoder's.
        """
        X = self.inputs.clean(images, labels, chance, self.gradient.dtype)
        self.X, self.shares = X + 0.0, scale
        if weights is not None and self.settings.unlabeled is None:
            self.shares = scale * weights
        self.add(self.inputs.disturbed(X, chance), labels, scale, first, chance, weights)

    def backward(self, dZ: Array, buffers: Buffers, gradients: list[network.Layer]) -> None:
        """See `Shard`; with the decoder's cost, and the gradient of the decoder."""
        first = gradients is self.gradients
        dZ += self.decode(buffers, self.of_first if first else self.of_others)
        super().backward(dZ, buffers, gradients)

    def bend(self, slopes: Array, buffers: Buffers, layer: int) -> None:
        """See `Shard`; with what the decoder's cost asks of Z."""
        super().bend(slopes, buffers, layer)
        slopes += buffers.beside[layer]

    def decode(self, buffers: Buffers, gradients: list[denoising.Rung]) -> Array:
        """Down the decoder and back: what its cost asks of the logits, (classes, m).

        What it asks of each Z_l stands in the buffers then, and dV and da in `gradients`.
        """
        P = D = network.softmax(buffers.Z[-1])  # the logits, less their largest
        kept = []
        for layer in range(len(self.rungs) - 1, -1, -1):
            rung, above = self.rungs[layer], D
            U = self.empty(rung.V.shape[0], above)
            self.matmul(rung.V, above, out=U)
            groups = regularize.normalize_groups(U, self.group)
            Z = buffers.Z[layer - 1] if layer > 0 else buffers.A[0]
            D, combined = denoising.combine(Z, U, rung.a)
            kept.append((above, groups, (Z, U, rung.a, combined)))
        dD = (D - self.X) * (2.0 * self.settings.denoising / self.X.shape[0] * self.shares)
        for layer, (rung, gradient) in enumerate(zip(self.rungs, gradients, strict=True)):
            above, groups, of_rung = kept.pop()
            dZ, dU, da = denoising.combine_backward(dD, *of_rung)
            for number, slope in enumerate(da):
                gradient.a[number, ...] = slope
            regularize.normalize_groups_backward(dU, groups, self.group)
            self.matmul(dU, above.T, out=gradient.V)
            dD = self.empty(above.shape[0], above)
            self.matmul(rung.V.T, dU, out=dD)
            if layer > 0:
                buffers.beside[layer - 1] = dZ
        return fisher_product(P, dD)

    def empty(self, n: int, like: Array) -> Array:
        """Memory for a product (n, m), row by row, with as many columns as `like`."""
        return self.xp.empty((n, like.shape[1]), dtype=like.dtype, **on_device_of(like))

    def new_buffers(self, m: int) -> Buffers:
        """See `Shard`; the sums of hidden units stay, since the decoder takes them."""
        buffers = super().new_buffers(m)
        buffers.hidden = [self.xp.empty_like(Z) for Z in buffers.hidden]
        return buffers
