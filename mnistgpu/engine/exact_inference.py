"""Answers of a network with the same bits whatever computes them, as `exact_shard` trains one.

Other grids than in training, since no run is stopped here that leaves a range: the activations of
each image are rounded relative to the largest of that image, so every input is right, and an image
has the same answer whichever others are asked for with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mnistgpu.backend import Array, array_namespace
from mnistgpu.maths import exact
from mnistgpu.maths.activations import exact_activation
from mnistgpu.maths.exact_grids import EXPONENTIALS, HELD, LOSSES, LOSSES_BELOW, WHOLE_PIXELS
from mnistgpu.network import Layer


def rounded_layers(params: Sequence[Layer]) -> list[Layer]:
    """The layers with W on grids, W_1 scaled by 1/255: what `of_shard` takes."""
    rounded = []
    for i, (W, b) in enumerate(params):
        bits, _ = bits_of(W.shape[1], first=i == 0)
        factor = W * (1.0 if i else 1.0 / 255.0)
        rounded.append((exact.to_grid(factor, exact.relative_magic(factor, bits)), b))
    return rounded


def bits_of(terms: int, first: bool) -> tuple[int, int]:
    """How many bits the weights and the activations of a layer with so many inputs have."""
    left = HELD - (terms - 1).bit_length()
    activations = WHOLE_PIXELS if first else left // 2
    return left - activations, activations


def of_shard(params: Sequence[Layer], activation: str, images: Array) -> Array:
    """The logits (classes, m) of images (m, pixels) uint8, by layers of `rounded_layers`."""
    W, b = params[0]
    xp = array_namespace(W, images)
    value, _ = exact_activation(activation)
    Z = W @ xp.astype(images, W.dtype).T
    Z += b
    for W, b in params[1:]:
        A = value(Z)
        _, bits = bits_of(W.shape[1], first=False)
        magic = exact.magic_below(xp.max(abs(A), axis=0, keepdims=True), bits)
        Z = W @ exact.to_grid(A, magic)
        Z += b
    return Z


def softmax(Z: Array) -> Array:
    """`network.softmax` of logits (classes, m)."""
    E, total = exponentials(Z - array_namespace(Z).max(Z, axis=0, keepdims=True))
    return E / total


def exponentials(shifted: Array) -> tuple[Array, Array]:
    """exp of logits less their largest (classes, m), on a grid, and its column sums (1, m)."""
    xp = array_namespace(shifted)
    bits = min(EXPONENTIALS, HELD - (shifted.shape[0] - 1).bit_length())
    E = exact.to_grid(exact.exp(shifted), exact.magic(math.ldexp(1.0, -bits)))
    return E, xp.sum(E, axis=0, keepdims=True)


def total_loss(Z: Array, labels: Array) -> float:
    """The sum of -log softmax(Z)[label] over the columns of Z (classes, m). A sync point.

    It is exact for up to 2^21 columns, which are more than `inference.AT_ONCE`.
    """
    xp = array_namespace(Z, labels)
    shifted = Z - xp.max(Z, axis=0, keepdims=True)
    _, total = exponentials(shifted)
    there = xp.take_along_axis(shifted, xp.astype(labels, xp.int64)[None, :], axis=0)
    losses = exact.log(total) - xp.maximum(there, -LOSSES_BELOW)
    return float(xp.sum(exact.to_grid(losses, exact.magic(math.ldexp(LOSSES_BELOW, -LOSSES)))))
