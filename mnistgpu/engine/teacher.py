"""Distillation: the answers of trained networks in place of labels.

Hinton, Vinyals and Dean 2015 (arXiv:1503.02531). The targets of a shard are the mean probabilities
of the teachers for the very columns that it learns from, deformed and noisy as they are, since a
student learns best what its teacher says of the same view (Beyer et al. 2022, arXiv:2106.05237):

    Y = mean over teachers of softmax(Z_L(X))     dZ_L = (A_L - Y) / m     no temperature
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from mnistgpu import network
from mnistgpu.backend import Array, Backend, array_namespace, on_device_of
from mnistgpu.engine.inputs import Inputs
from mnistgpu.maths.activations import ACTIVATIONS


class Trained(Protocol):
    """A trained plain network on all pixels from 0 to 1, such as `models.Model`."""

    @property
    def theta(self) -> np.ndarray: ...

    @property
    def sizes(self) -> tuple[int, ...]: ...

    @property
    def activation(self) -> str: ...


class Teacher:
    """Answers a shard's columns as several trained networks do on average.

    It sees what the student sees: pixels that `inputs` leaves out are blank for it, too.
    """

    def __init__(self, members: Sequence[Trained], inputs: Inputs, backend: Backend, dtype: str):
        self.members = []
        for member in members:
            theta = backend.asarray(member.theta.astype(dtype))
            (W, b), *others = network.layers(theta, member.sizes)
            if inputs.selected is not None:
                W = backend.xp.take(W, inputs.selected, axis=1)
            params = inputs.fold([(W, b), *others])
            self.members.append((params, ACTIVATIONS[member.activation].value))

    def answers(self, X: Array, matmul: Callable[..., Array]) -> Array:
        """Mean probabilities (classes, m) for columns X (n_0, m) of `Inputs.columns`.

        matmul(A, B, out=): what multiplies, see `products.precision`.
        """
        total: Array = 0.0
        for params, activation in self.members:
            A = X
            for i, (W, b) in enumerate(params):
                shape = W.shape[0], X.shape[1]
                Z = array_namespace(W, A).empty(shape, dtype=W.dtype, **on_device_of(W))
                matmul(W, A, out=Z)
                Z += b
                A = activation(Z) if i < len(params) - 1 else network.softmax(Z)
            total = total + A
        return total / len(self.members)
