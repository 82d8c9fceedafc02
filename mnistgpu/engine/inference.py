"""The answers of a network to many images, or to one: the logits of `network.forward`, faster.

Images are taken a shard at a time, which bounds the memory, and the shards are divided among the
cores. What only `backward` needs is not kept. A test compares the logits with those of `network`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnistgpu import network
from mnistgpu.backend import Array, array_namespace, on_device_of
from mnistgpu.engine import exact_inference
from mnistgpu.engine.inputs import scale_of
from mnistgpu.engine.shard import is_narrow
from mnistgpu.engine.threads import workers
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.storage.system import cores

AT_ONCE = 2**16  # images that an evaluation has on the device together, which bounds the memory
ROWS = 1024  # of a shard, whose arrays then stay in a core's cache
GPU_NUMBERS = 2**25  # in the layers of one shard: 128 MiB of float32


def logits(
    theta: Array, sizes: tuple[int, ...], activation: str, images: Array, exact: bool = False
) -> Array:
    """Z_L (classes, N) of images (N, pixels), by parameters theta (parameter_count,).

    The images are grey levels (uint8) or features (floats), see `inputs.scale_of`.

    exact: in the arithmetic of `exact_inference`.
    """
    return of_layers(network.layers(theta, sizes), activation, images, exact)


def of_layers(
    params: Sequence[network.Layer], activation: str, images: Array, exact: bool = False
) -> Array:
    """As `logits`, from the layers: for one image, making them takes longer than the products."""
    W = params[-1][0]
    xp, count = array_namespace(W, images), images.shape[0]
    if count == 1 and xp is np and not exact:
        return of_image(params, activation, images[0])[:, None]
    numbers = images.shape[1] + sum(b.shape[0] for _, b in params)
    rows, of_some = rows_of_a_shard(numbers, xp is np), of_shard
    if exact:
        params, of_some = exact_inference.rounded_layers(params), exact_inference.of_shard
    if count <= rows:
        return of_some(params, activation, images)
    Z = xp.empty((W.shape[0], count), dtype=W.dtype, **on_device_of(W))

    def answer(start: int) -> None:
        stop = min(start + rows, count)
        Z[:, start:stop] = of_some(params, activation, images[start:stop, :])

    starts = range(0, count, rows)
    with workers(min(cores(), len(starts)) if xp.__name__ == "numpy" else 1) as pool:
        list(pool.map(answer, starts) if pool else map(answer, starts))
    return Z


def rows_of_a_shard(numbers: int, on_cpu: bool) -> int:
    """How many images are answered together, which have so many numbers in all layers each."""
    return ROWS if on_cpu else max(ROWS, GPU_NUMBERS // numbers)


def of_image(params: Sequence[network.Layer], activation: str, image: np.ndarray) -> np.ndarray:
    """The logits (classes,) of one image (pixels,), on NumPy: products of a matrix and a vector.

    As a column (n, 1) each array would cost NumPy more than it computes in a small network.
    """
    (W, b), value = params[0], ACTIVATIONS[activation].value
    x = image.astype(W.dtype)
    x *= scale_of(image)
    Z: np.ndarray = W.dot(x)
    Z += b[:, 0]
    for W, b in params[1:]:
        Z = W.dot(value(Z))
        Z += b[:, 0]
    return Z


def of_shard(params: Sequence[network.Layer], activation: str, images: Array) -> Array:
    """The logits (classes, m) of a few images (m, pixels)."""
    (W, b), value = params[0], ACTIVATIONS[activation].value
    xp, m = array_namespace(images), images.shape[0]
    X = xp.astype(images, W.dtype)
    X *= scale_of(images)
    Z = (X @ W.T).T if is_narrow(W.shape[0], m) else W @ X.T
    Z += b
    for W, b in params[1:]:
        Z = W @ value(Z)
        Z += b
    return Z
