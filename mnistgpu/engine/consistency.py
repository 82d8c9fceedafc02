"""The gradient of a shard whose images keep their answers when they are deformed.

Sajjadi, Javanmardi and Tasdizen 2016 (arXiv:1606.04586); Xie, Dai, Hovy, Luong and Le 2020
(arXiv:1904.12848). It asks for no labels. Of an image x and its deformed copy d(x)

    p = softmax(Z_L(x))                    held fixed
    q = softmax(Z_L(d(x)))
    loss = KL(p || q) = sum p log(p / q)   added to the cross-entropy of x, times its weight, as a
    dZ_L = weight (q - p) / m              mean over the images

A step has two more passes than a plain one, one forward and one back.
"""

from __future__ import annotations

from typing import Any

from mnistgpu import network
from mnistgpu.backend import Array
from mnistgpu.engine.inputs import Chance
from mnistgpu.engine.shard import Shard


class SecondPass(Shard):
    """See `Shard`. Changed images have a second pass, whose answers shall be those of the first.

    Noise and dropout are those of the first pass, since they are functions of the step and the
    image's place, so the answers differ by the change alone. The changed images are normalised by
    statistics of their own, which the running ones do not follow. The loss that it counts is the
    cross-entropy alone, as that of a plain one.
    """

    def first_answers(self, m: int) -> Array:
        """The answers (classes, m) of the first pass, from what its head has left."""
        return network.softmax(self.buffers_for(m).Z[-1])

    def agree(self, X: Array, P: Array, scale: Any, chance: Chance, weights: Array | None) -> None:
        """Add the gradient of KL(P || answers to X), as a sum over images times `scale`.

        X (n_0, m) and P (classes, m) are constants. An image counts by its weight, as in the other
        loss; if some have no label, all count alike.
        """
        buffers = self.buffers_for(X.shape[1])
        sums, b = self.forward(X, buffers, chance), self.params[-1][1]
        dZ = (network.softmax(sums + b) - P) * scale
        if weights is not None and self.settings.unlabeled is None:
            dZ *= weights
        self.backward(dZ, buffers, self._addends)
        del buffers.A[0]
        self.gradient += self._addend


class ConsistentShard(SecondPass):
    """See `SecondPass`: first the images as they are, then deformed."""

    def add_images(
        self,
        images: Array,
        labels: Array,
        scale: float,
        first: bool,
        chance: Chance,
        weights: Array | None = None,
    ) -> None:
        """See `Shard`; without a deformation, as at the end of a run, there is one pass alone."""
        plain = chance._replace(deform=False)
        super().add_images(images, labels, scale, first, plain, weights)
        if chance.deform:
            P = self.first_answers(images.shape[0])
            X = self.inputs.clean(images, labels, chance, self.gradient.dtype)
            X = self.inputs.disturbed(X, plain)  # by the same numbers for each pixel
            self.agree(X, P, scale * self.settings.consistency, chance, weights)
