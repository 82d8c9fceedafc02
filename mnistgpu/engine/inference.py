"""The answers of a network to many images: `network.forward` where nothing will go backward.

Images are taken a shard at a time, which bounds the memory, and the shards shared out among the
cores. What backward would need is not kept. A test holds the logits equal to those of `network`.
"""

from __future__ import annotations

from collections.abc import Sequence

from mnistgpu import network
from mnistgpu.backend import Array, array_namespace, on_device_of
from mnistgpu.engine.shard import is_narrow
from mnistgpu.engine.threads import cores, workers
from mnistgpu.maths.activations import ACTIVATIONS

ROWS = 1024


def logits(theta: Array, sizes: tuple[int, ...], activation: str, images: Array) -> Array:
    """Z_L (classes, N) of images (N, pixels) uint8, by parameters theta (parameter_count,)."""
    xp, params = array_namespace(theta, images), network.layers(theta, sizes)
    count = images.shape[0]
    if count <= ROWS:
        return of_shard(params, activation, images)
    Z = xp.empty((sizes[-1], count), dtype=theta.dtype, **on_device_of(theta))

    def answer(start: int) -> None:
        stop = min(start + ROWS, count)
        Z[:, start:stop] = of_shard(params, activation, images[start:stop, :])

    starts = range(0, count, ROWS)
    with workers(min(cores(), len(starts)) if xp.__name__ == "numpy" else 1) as pool:
        list(pool.map(answer, starts) if pool else map(answer, starts))
    return Z


def of_shard(params: Sequence[network.Layer], activation: str, images: Array) -> Array:
    """The logits (classes, m) of a few images (m, pixels)."""
    (W, b), value = params[0], ACTIVATIONS[activation].value
    xp, m = array_namespace(images), images.shape[0]
    X = xp.astype(images, W.dtype)
    X *= 1.0 / 255.0
    Z = (X @ W.T).T if is_narrow(W.shape[0], m) else W @ X.T
    Z += b
    for W, b in params[1:]:
        Z = W @ value(Z)
        Z += b
    return Z
