"""Kernels for CuPy: one launch each for what the plain functions do in many.

Here for speed alone: on a GPU a launch costs more than the work of most of them. Each has the name
and the arguments of the function that it stands for (`backend.with_kernel`), whose docstring says
what it computes. Products and sums are not fused (--fmad=false), so that all have the bits of the
plain form on the same GPU, but for sums over images, classes and pixels in `head` and
`multiply_bytes`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np

from mnistgpu.backend import Array
from mnistgpu.counter_rng import Key
from mnistgpu.maths.optimizers import BETA_1, BETA_2, Numbers, State


def kernel(inputs: str, outputs: str, code: str, fuse: bool = False) -> Callable[..., Array]:
    """A kernel that computes number i of its outputs by this code.

    `fuse` lets the compiler make one operation of a multiplication and an addition.
    """
    options = () if fuse else ("--fmad=false",)
    made: Callable[..., Array] = cupy.ElementwiseKernel(
        inputs, outputs, code, "mnistgpu_kernel", options=options
    )
    return made


# counter_rng

_parts = kernel(
    "uint64 key, uint32 length, bool by_column, uint64 first, uint32 words, int32 shift, "
    "int32 step, uint64 mask",
    "uint64 part",
    """
    unsigned int line = (unsigned int)i / length, at = (unsigned int)i % length;
    unsigned int number = by_column ? line : at;
    unsigned long long place = first + (by_column ? at : line);
    unsigned long long z = key + (place * words + number % words + 1) * 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    part = ((z ^ (z >> 31)) >> (shift + step * (int)(number / words))) & mask;
    """,
)


def parts(
    key: Key,
    shape: tuple[int, ...],
    shifts: tuple[int, ...],
    width: int,
    axis: int | None = None,
    first: int = 0,
) -> Array:
    """See `counter_rng`. The shifts are evenly spaced."""
    lines, length = (math.prod(shape), 1) if axis is None else shape
    words = -(-(length if axis == 0 else lines) // len(shifts))
    step = shifts[-1] - shifts[-2] if len(shifts) > 1 else 0
    value = np.uint64(key.value) if isinstance(key.value, int) else key.value
    how = length, axis != 0, first, words, shifts[0], step, np.uint64(2**width - 1)
    return _parts(value, *how, cupy.empty(shape, "uint64"))


def bits(key: Key, count: int, places: range = range(1), axis: int = 1) -> Array:
    """See `counter_rng`."""
    shape = (count, len(places)) if axis == 1 else (len(places), count)
    return parts(key, shape, (0,), 64, axis, places.start)


# maths.augment

_moved = kernel(
    "raw uint8 images, raw float32 rows, raw float32 columns, uint32 m, uint32 group, uint32 k, "
    "int32 height, int32 width",
    "float32 out",
    """
    unsigned int pixel = (unsigned int)i / m, image = (unsigned int)i % m;
    float row = rows[image / group * k + pixel], column = columns[image / group * k + pixel];
    float top = floorf(row), left = floorf(column), down = row - top, right = column - left;
    int y = (int)fminf(fmaxf(top, -2.0f), (float)height);
    int x = (int)fminf(fmaxf(left, -2.0f), (float)width);
    float total = 0.0f;
    for (int corner = 0; corner < 4; corner++) {
        int r = y + corner / 2, c = x + corner % 2;
        bool inside = r >= 0 && r < height && c >= 0 && c < width;
        float weight = (corner / 2 ? down : 1.0f - down) * (corner % 2 ? right : 1.0f - right);
        total += inside ? (float)images[(image * height + r) * width + c] * weight : 0.0f;
    }
    out = total;
    """,
)


def moved(
    images: Array, group: int, rows: Array, columns: Array, image_shape: tuple[int, int]
) -> Array:
    """See `maths.augment`."""
    k, m = rows.shape[1], images.shape[0]
    return _moved(images, rows, columns, m, group, k, *image_shape, cupy.empty((k, m), "float32"))


# engine.shard

# A thread has the sums of one image, or of four pixels over IMAGES_OF_A_SUM images. It reads four
# pixels or weights at once; the sums of all units stay in its registers.
IMAGES_OF_A_SUM = 128
_FORWARD = """
    struct alignas(16) Weights { float of[4]; };
    float sum[units] = {};
    for (int k = 0; k < pixels; k += 4) {
        unsigned int four = *(const unsigned int*)&images[(long long)i * pixels + k];
        for (int unit = 0; unit < units; unit++) {
            Weights weights = *(const Weights*)&left[unit * pixels + k];
            for (int j = 0; j < 4; j++) sum[unit] += weights.of[j] * (float)(four >> 8 * j & 255);
        }
    }
    for (int unit = 0; unit < units; unit++) out[unit * m + i] = sum[unit];
"""
_BACKWARD = """
    float sum[units][4] = {};
    int k = i % (pixels / 4) * 4, part = i / (pixels / 4);
    for (int image = part * most; image < min((part + 1) * most, m); image++) {
        unsigned int four = *(const unsigned int*)&images[(long long)image * pixels + k];
        for (int unit = 0; unit < units; unit++)
            for (int j = 0; j < 4; j++)
                sum[unit][j] += left[unit * m + image] * (float)(four >> 8 * j & 255);
    }
    for (int unit = 0; unit < units; unit++)
        for (int j = 0; j < 4; j++) out[(part * units + unit) * pixels + k + j] = sum[unit][j];
"""


@functools.cache
def _bytes_kernel(code: str, units: int) -> Callable[..., Array]:
    arguments = "raw float32 left, raw uint8 images, int32 pixels, int32 m, int32 most"
    return kernel(arguments, "raw float32 out", f"const int units = {units};\n{code}", fuse=True)


def multiply_bytes(left: Array, images: Array, out: Array, matmul: Any) -> None:
    """See `engine.shard`. One of the axes of `images` counts pixels, by which they lie in rows."""
    units, most = left.shape[0], IMAGES_OF_A_SUM
    if images.strides[0] == 1:  # W_1 X
        pixels, m = images.shape
        _bytes_kernel(_FORWARD, units)(left, images.T, pixels, m, most, out, size=m)
    else:  # dZ X^T
        m, pixels = images.shape
        parts = -(-m // most)
        sums = cupy.empty((parts, units, pixels), "float32")
        _bytes_kernel(_BACKWARD, units)(
            left, images, pixels, m, most, sums, size=parts * pixels // 4
        )
        cupy.sum(sums, axis=0, out=out)


_head = kernel(
    "raw T sums, raw T b, raw T targets, int64 label, T weight, T scale, int32 classes, "
    "int32 columns, int32 m",
    "raw T Z, raw T dZ, T loss, int64 right",
    """
    T largest = sums[i] + b[0], sum = 0, likelihood = 0;
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (sums[c * m + i] + b[c] > largest) largest = sums[(best = c) * m + i] + b[best];
    for (int c = 0; c < classes; c++) {
        T z = Z[c * m + i] = sums[c * m + i] + b[c] - largest;  // sums may be Z
        sum += dZ[c * m + i] = exp(z);
        likelihood += targets[c * columns + label] * z;
    }
    for (int c = 0; c < classes; c++)
        dZ[c * m + i] = (dZ[c * m + i] / sum - targets[c * columns + label]) * weight * scale;
    loss = (log(sum) - likelihood) * weight;
    right = best == label;
    """,
)


def head(
    sums: Array,
    b: Array,
    labels: Array,
    targets: Array,
    scale: Any,
    buffers: Any,
    matmul: Any,
    weights: Array | None = None,
) -> tuple[Array, Array, Array]:
    """See `engine.shard`."""
    (classes, m), Z, dZ = sums.shape, buffers.Z[-1], buffers.exp
    weights = buffers.ones[:, 0] if weights is None else weights
    of_images = cupy.empty(m, sums.dtype), cupy.empty(m, "int64")
    columns = targets.shape[1]  # one more than classes where some images have no label
    _head(sums, b, targets, labels, weights, scale, classes, columns, m, Z, dZ, *of_images)
    return dZ, *map(cupy.sum, of_images)


_add_bias_relu = kernel("T sum, T b", "T A", "A = sum + b; A = A < 0 ? (T)0 : A;")
_keep_where_positive = kernel("T A", "T dA", "dA *= (T)(A > 0);")


def add_bias_relu(sums: Array, b: Array, zero: Any, out: Array) -> None:
    """See `engine.shard`."""
    _add_bias_relu(sums, b, out)


def keep_where_positive(dA: Array, A: Array) -> None:
    """See `engine.shard`."""
    _keep_where_positive(A, dA)


# maths.optimizers

_gradient_descent = kernel("T gradient, T rate", "T theta", "theta -= gradient * rate;")
_adam = kernel(
    "T gradient, T beta_1, T beta_2, T epsilon, T scale",
    "T theta, T first, T second",
    """
    first = first * beta_1 + gradient;
    second = second * beta_2 + gradient * gradient;
    theta -= first / ((sqrt(second) + epsilon) * scale);
    """,
)


def gradient_descent(theta: Array, gradient: Array, state: State, numbers: Numbers) -> None:
    """See `maths.optimizers`."""
    _gradient_descent(gradient, *numbers, theta)


def adam(theta: Array, gradient: Array, state: State, numbers: Numbers) -> None:
    """See `maths.optimizers`."""
    _adam(gradient, BETA_1, BETA_2, *numbers, theta, state["first"], state["second"])


_ALL = (
    *(bits, parts, moved, gradient_descent, adam),
    *(head, add_bias_relu, keep_where_positive, multiply_bytes),
)
KERNELS = {each.__name__: each for each in _ALL}
