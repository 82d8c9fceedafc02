"""`Inputs` of `--precision exact`: pixels in grey levels, on the grid that `exact_grids` plans.

1/255 is no power of two, so no scaled pixel is a number of few bits. It scales the weights of the
first layer instead, before they are rounded to their grid, and their gradient after it is summed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mnistgpu import network
from mnistgpu.backend import Array, array_namespace, on_device_of
from mnistgpu.counter_rng import DROPOUT, NOISE
from mnistgpu.data.mapped import total_of
from mnistgpu.engine.inputs import Chance, Inputs
from mnistgpu.maths import augment, exact, exact_grids
from mnistgpu.maths.activations import exact_activation
from mnistgpu.maths.exact_grids import Grids
from mnistgpu.maths.regularize import add_noise, drop
from mnistgpu.settings import Settings

LARGEST_NORMAL = 4.5  # no quantile of `counter_rng.normals` is as large


def grids_of(settings: Settings, pixels: int, images: int) -> Grids:
    """The grids of a run on so many pixels and training images.

    UsageError beyond the budget, and for an activation that has no exact form.
    """
    exact_activation(settings.activation)
    largest = 255.0 + LARGEST_NORMAL * 255.0 * settings.input_noise
    largest /= 1.0 - settings.input_dropout
    below = math.ldexp(1.0, math.frexp(largest)[1])
    disturbed = settings.input_noise > 0 or settings.input_dropout > 0
    whole = not (settings.center or settings.deformation.is_deforming or disturbed)
    bits = exact_grids.WHOLE_PIXELS if whole else exact_grids.PIXELS
    sizes = (pixels, *settings.sizes[1:])
    return exact_grids.plan(sizes, settings.batch_size or images, bits, below)


class ExactInputs(Inputs):
    """See `Inputs`. `grids` are those of the whole step, since they depend on the pixels too."""

    def __init__(
        self,
        images: Array,
        settings: Settings,
        image_shape: tuple[int, int],
        like: Array,
        known: Inputs | None = None,
    ):
        super().__init__(images, settings, image_shape, like, known)
        if self.fields is not None:
            sigma = self.deformation.elastic_sigma
            self.fields = augment.ExactFields(like, image_shape, sigma)
        xp, where = array_namespace(like), on_device_of(like)
        self.factor = 1.0 / 255.0
        self.grids = grids_of(settings, self.pixels, len(images))
        self._magic = exact.magic(self.grids.pixel_grid)
        if self.mean is not None:
            mean = total_of(images) / len(images)  # exact until the division
            if self.selected is not None:
                mean = mean[self.keep]
            self.mean = xp.asarray(exact.to_grid(mean[:, None], self._magic), **where)

    def columns(self, images: Array, labels: Array, chance: Chance, dtype: Any) -> Array:
        """See `Inputs`; in grey levels."""
        xp, settings, (keys, place, deform) = array_namespace(images), self.settings, chance
        if deform:
            X = xp.astype(self.deformed(images, labels, chance), dtype)  # on a grid of 2^-16
        else:
            X = xp.astype(self.cropped(images), dtype)
        if self.mean is not None:
            X -= self.mean if deform else self.mean.T
        axis = 1 if deform else 0  # along which the images lie
        if settings.input_noise > 0:
            deviation = 255.0 * settings.input_noise
            add_noise(X, keys[(NOISE,)], deviation, axis, place, exact.noise)
        if settings.input_dropout > 0:
            drop(X, keys[(DROPOUT,)], settings.input_dropout, axis, place)
        if self.grids.pixels == exact_grids.PIXELS:
            exact.to_grid(X, self._magic)
        return X if deform else X.T

    def fill(self, X: np.ndarray, images: np.ndarray) -> None:
        """See `Inputs`; in grey levels."""
        np.copyto(X, images)
        if self.mean is not None:
            X -= self.mean.T

    def unfold(self, params: list[network.Layer], pixels: int) -> list[network.Layer]:
        """See `Inputs`: W_1 mean is a product of numbers on grids, as W_1 X is."""
        W, b = params[0]
        xp = array_namespace(W)
        if self.mean is not None:
            factor = rounded_weights(W * self.factor, self.grids.first_weights)
            b = b - factor @ self.mean
        if self.selected is not None:
            place = np.full(pixels, self.pixels, dtype=np.int64)
            place[self.keep] = np.arange(self.pixels)
            zero = xp.zeros((W.shape[0], 1), dtype=W.dtype, **on_device_of(W))
            W = xp.concat([W, zero], axis=1)
            W = xp.take(W, xp.asarray(place, **on_device_of(W)), axis=1)
        return [(W, b), *params[1:]]


def rounded_weights(W: Array, bits: int) -> Array:
    """W in place on the grid of `bits` bits below the next power of two of its largest weight."""
    return exact.to_grid(W, exact.relative_magic(W, bits))
