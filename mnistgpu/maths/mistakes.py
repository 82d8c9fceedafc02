"""Gradients as some copies of the network compute them, to see what becomes of it.

Pure functions on xp. The right ones are in `network.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from mnistgpu.backend import Array, array_namespace

Layer = tuple[Array, Array]  # dW (n_l, n_{l-1}) and db (n_l, 1)


def bias_gradients_over_everything(gradients: Sequence[Layer]) -> list[Layer]:
    """The gradients [(dW_1, db_1), ...] as `np.sum(dZ)` without an axis gives them.

    Each db_l (n_l, 1) then has in every row the sum of dZ_l over images and units. In the last
    layer that is 0, since the probabilities and the one-hot labels of an image both sum to 1.
    """
    xp = array_namespace(*(array for layer in gradients for array in layer))
    return [(dW, xp.zeros_like(db) + xp.sum(db)) for dW, db in gradients]
