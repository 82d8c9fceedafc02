"""Principal axes by subspace iteration: products of matrices alone, on either backend.

Halko, Martinsson and Tropp 2011, "Finding structure with randomness", algorithm 4.4. Only matrices
of a few rows and columns are decomposed, on the host.
"""

from __future__ import annotations

import numpy as np

from mnistgpu import counter_rng
from mnistgpu.backend import Array, array_namespace, on_device_of

BESIDE = 6  # axes more than are asked for, with which the iteration converges faster
ITERATIONS = 100  # at most
TOLERANCE = 1e-6  # of the largest variance: when no variance changes by more, it ends


def principal_axes(
    X: Array, count: int = 2, start: Array | None = None
) -> tuple[Array, np.ndarray, float]:
    """The axes along which columns X (n, m) vary most.

    Returns axes (n, count), orthonormal, the one of the largest variance first; the variances
    (count,) along them; and the variance along all n axes together. Each axis points as `start`
    does, axes found before of columns of as many rows, or else its largest number is positive.
    """
    xp, (n, m) = array_namespace(X), X.shape
    centred = X - xp.mean(X, axis=1, keepdims=True)
    whole = float(xp.sum(centred * centred)) / m
    wanted = min(count + BESIDE, n, m)
    V = counter_rng.normals(counter_rng.key(0, like=X), (n, wanted), X.dtype)
    if start is not None and start.shape[0] == n:
        known = min(int(start.shape[1]), wanted)
        V = xp.concat([start[:, :known], V[:, known:]], axis=1)
    before = np.zeros(min(count, wanted))
    for _ in range(ITERATIONS):
        axes = orthonormal(V)
        Y = centred.T @ axes  # (m, wanted)
        values, turn = np.linalg.eigh(on_host(Y.T @ Y) / m)
        found = np.maximum(values[::-1][:count], 0.0)
        if np.all(np.abs(found - before) <= TOLERANCE * max(found[0], 1e-30)):
            break
        before, V = found, centred @ Y
    axes = axes @ like(turn[:, ::-1][:, :count], X)
    return pointed(axes, start), found, whole


def orthonormal(V: Array) -> Array:
    """Orthonormal columns (n, k) that span those of V, as far as these are independent."""
    xp = array_namespace(V)
    longest = xp.max(xp.abs(V), axis=0, keepdims=True)
    V = V / xp.where(longest > 0, longest, xp.ones_like(longest))
    for _ in range(2):  # the second time removes the rounding of the first
        values, turn = np.linalg.eigh(on_host(V.T @ V))
        largest = max(float(values[-1]), 1e-300)
        with np.errstate(divide="ignore"):
            scale = np.where(values > 1e-12 * largest, 1.0 / np.sqrt(np.abs(values)), 0.0)
        V = V @ like(turn * scale, V)
    return V


def pointed(axes: Array, start: Array | None) -> Array:
    """The axes, each turned so that it points as before, or its largest number is positive."""
    xp = array_namespace(axes)
    if start is not None and start.shape == axes.shape:
        towards = on_host(xp.sum(axes * start, axis=0))
    else:
        signs = xp.where(axes < 0, -xp.ones_like(axes), xp.ones_like(axes))
        largest = xp.argmax(xp.abs(axes), axis=0)
        towards = np.array([float(signs[int(largest[i]), i]) for i in range(axes.shape[1])])
    return axes * like(np.where(towards < 0, -1.0, 1.0)[None, :], axes)


def on_host(array: Array) -> np.ndarray:
    """A small array, a vector or a matrix, as float64 on the host. A sync point."""
    if array.ndim == 1:
        return np.array([float(array[i]) for i in range(array.shape[0])])
    return np.stack([on_host(array[i, :]) for i in range(array.shape[0])])


def like(numbers: np.ndarray, array: Array) -> Array:
    """A small array of the host where another lives, in its type."""
    xp = array_namespace(array)
    made: Array = xp.asarray(numbers.tolist(), dtype=array.dtype, **on_device_of(array))
    return made
