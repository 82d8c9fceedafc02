"""Against overfitting: noise, dropout, batch normalisation, weight decay, limits on norms.

Each works in place on columns (units, m), one image a column. Random numbers are drawn from a key,
so that the backward pass, another backend or a resumed run can draw the same ones again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from mnistgpu import counter_rng
from mnistgpu.backend import Array, array_namespace
from mnistgpu.counter_rng import Key
from mnistgpu.network import Layer

VARIANCE_FLOOR = 1e-5
# What sums over the last axis: `last_axis_sum`, or `exact.fold` in an order of its own
Total = Callable[[Array], Array]


def last_axis_sum(A: Array) -> Array:
    """The sums over the last axis: (..., n) to (...), in whatever order is fastest."""
    return array_namespace(A).sum(A, axis=-1)


def add_noise(
    Z: Array,
    key: Key,
    deviation: float,
    axis: int = 1,
    first: int = 0,
    draw: Callable[..., Array] = counter_rng.noise,
) -> None:
    """Z += deviation * standard normal numbers, those of `counter_rng.noise` or another `draw`.

    The images lie along this axis of Z, the first at place `first` of the batch. Numbers are drawn
    in runs that follow each other in memory, and only whole runs are independent. In columns
    (units, m) a run belongs to one unit and several images, so the noise of one image is
    independent; in rows of pixels it belongs to neighbouring pixels of one image.
    """
    noise = draw(key, Z.shape, Z.dtype, axis, first)
    noise *= deviation
    Z += noise


def drop(A: Array, key: Key, rate: float, axis: int = 1, first: int = 0) -> Array:
    """Set a share `rate` of A to 0 and scale the rest by 1 / (1 - rate), which keeps its mean.

    Inverted dropout (Srivastava et al. 2014): prediction needs no change. Returns the factors (0 or
    1 / (1 - rate)) of A's shape, by which the backward pass multiplies the gradient. The images lie
    along this axis of A, the first at place `first` of the batch.
    """
    kept = counter_rng.coins(key, A.shape, 1.0 - rate, A.dtype, axis, first)
    kept *= 1.0 / (1.0 - rate)
    A *= kept
    return kept


def normalize(Z: Array) -> tuple[Array, Array]:
    """Make each row of Z (..., m) mean 0 and variance 1; returns the means and deviations (..., 1).

    Batch normalisation (Ioffe and Szegedy 2015) of W A, before the bias is added, which takes the
    place of its shift. There is no scale: the weights of the next layer can do the same.
    """
    xp = array_namespace(Z)
    m = Z.shape[-1]
    mean = row_sums(Z) / m
    Z -= mean
    deviation = xp.sqrt(row_products(Z, Z) / m + VARIANCE_FLOOR)
    Z /= deviation
    return mean, deviation


def normalize_backward(dZ: Array, normalized: Array, deviation: Array) -> None:
    """From the gradient dN with respect to the normalised rows N to that of the rows, in place.

    Mean and deviation depend on every column, so the mean of dN and its part along N are
    subtracted: dZ = (dN - mean(dN) - N mean(dN N)) / deviation.
    """
    m = dZ.shape[-1]
    along = row_products(dZ, normalized) / m
    dZ -= row_sums(dZ) / m
    dZ -= along * normalized
    dZ /= deviation


# Of each group of images that is normalised together: a view of its columns, means, deviations
Groups = list[tuple[Array, Array, Array]]


def normalize_groups(
    Z: Array, group: int, normalize: Callable[[Array], tuple[Array, Array]] = normalize
) -> Groups:
    """`normalize` columns Z (n, m), `group` at a time; what `normalize_groups_backward` needs.

    Ghost batches (Hoffer, Hubara and Soudry 2017).
    """
    return [(view, *normalize(view)) for view in group_views(Z, group)]


def normalize_groups_backward(dZ: Array, normalized: Groups, group: int) -> None:
    """`normalize_backward`, group by group."""
    for slope, (N, _, deviation) in zip(group_views(dZ, group), normalized, strict=True):
        normalize_backward(slope, N, deviation)


def group_views(Z: Array, group: int) -> list[Array]:
    """Z (n, m) as all whole groups (n, groups, group) and the rest."""
    n, m = Z.shape
    whole = m // group
    if m <= group:
        return [Z]
    grouped = array_namespace(Z).reshape(Z[:, : whole * group], (n, whole, group))
    return [grouped, Z[:, whole * group :]] if whole * group < m else [grouped]


def statistics(normalized: Groups, total: Total = last_axis_sum) -> tuple[Array, Array]:
    """Mean and variance (n, 1): the means over all images of what their groups have."""
    counts = [math.prod(view.shape[1:]) for view, _, _ in normalized]
    means = [_over_groups(mean, total) for _, mean, _ in normalized]
    variances = [_over_groups(deviation * deviation, total) for _, _, deviation in normalized]
    return weighted_mean(means, counts), weighted_mean(variances, counts)


def weighted_mean(values: Sequence[Array], counts: Sequence[int]) -> Array:
    """The mean of arrays of one shape, each as often as its count says."""
    if len(values) == 1:
        return values[0]
    total = sum(counts)
    return sum(count / total * value for count, value in zip(counts, values, strict=True))


def _over_groups(values: Array, total: Total) -> Array:
    """The mean over groups (n, groups, 1), as (n, 1)."""
    if values.ndim == 2:
        return values
    if total is last_axis_sum:  # as one kernel on a GPU
        return array_namespace(values).mean(values, axis=1)
    return total(values[:, :, 0])[:, None] / values.shape[1]


def row_sums(A: Array) -> Array:
    """The sum of each row of A (..., m): (..., 1)."""
    xp = array_namespace(A)
    if xp.__name__ == "numpy":  # BLAS adds five times as fast as NumPy
        return A @ xp.ones((A.shape[-1], 1), dtype=A.dtype)
    return xp.sum(A, axis=-1, keepdims=True)


def row_products(A: Array, B: Array) -> Array:
    """The sum of each row of A * B, both (..., m): (..., 1)."""
    xp = array_namespace(A)
    if xp.__name__ == "numpy":  # BLAS needs no memory for A * B
        import numpy as np  # CuPy has no `vecdot`

        return np.vecdot(A, B)[..., None]
    return xp.sum(A * B, axis=-1, keepdims=True)


def clip(gradient: Array, longest: float, total: Total = last_axis_sum) -> None:
    """Shorten the gradient (n,) to the norm `longest` if it is longer (Pascanu et al. 2013)."""
    xp = array_namespace(gradient)
    norm = xp.sqrt(total(gradient * gradient))
    gradient *= longest / xp.maximum(norm, longest)


def decay(params: Sequence[Layer], kept: Any) -> None:
    """W *= kept; the biases are not changed (Loshchilov and Hutter 2019)."""
    for W, _ in params:
        W *= kept


def add_l2(gradients: Sequence[Layer], params: Sequence[Layer], strength: float) -> None:
    """Add strength * W to dW, the gradient of strength/2 * sum of squared weights; no biases."""
    for (dW, _), (W, _) in zip(gradients, params, strict=True):
        dW += strength * W


def limit_norms(params: Sequence[Layer], longest: float, total: Total = last_axis_sum) -> None:
    """Shorten the weights into every unit to the norm `longest` (Srivastava et al. 2014, 5.1)."""
    for W, _ in params:
        xp = array_namespace(W)
        norms = xp.sqrt(total(W * W))[:, None]
        W *= longest / xp.maximum(norms, longest)
