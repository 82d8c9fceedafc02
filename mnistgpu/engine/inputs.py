"""From uint8 rows to the first activations: deform, select, scale, centre, disturb.

What training does to the pixels lives here, and so does the way back: `Inputs.unfold` turns the
parameters of a network on selected and centred pixels into those of a network on all pixels of an
image that gives the same answers. A saved model is always that plain network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mnistgpu import network
from mnistgpu.backend import Array, array_namespace, on_device_of
from mnistgpu.counter_rng import DEFORM, DROPOUT, NOISE, Key
from mnistgpu.data.mapped import MappedImages, pieces_of, total_of
from mnistgpu.errors import UsageError
from mnistgpu.maths import augment
from mnistgpu.maths.regularize import add_noise, drop
from mnistgpu.settings import Settings

FEW_UNITS = 8  # at least so many pixels for each unit of the first layer
# Whether a GPU multiplies the bytes of plain images by the weights of a first layer of up to
# BYTE_UNITS units, without a copy as numbers; off until benchmarks/gpu.py has shown that it pays
BYTE_PRODUCTS = False
BYTE_UNITS = 16  # sums that a thread of the kernels keeps in registers
# By what is folded into the key of a step: a purpose of `counter_rng`, and what it counts
Keys = Mapping[tuple[int, ...], Key]


def scale_of(images: Array) -> float:
    """What numbers are multiplied by: 1/255 of grey levels (uint8), 1 of features (floats)."""
    return 1.0 / 255.0 if images.dtype == array_namespace(images).uint8 else 1.0


class Chance(NamedTuple):
    """What the random numbers of a shard depend on, and whether it is deformed at all."""

    keys: Keys
    place: int = 0  # of its first image in the batch
    deform: bool = True


def inked(images: Array, min_ink: float) -> np.ndarray:
    """The indices of the pixels with ink in more than this share of images (N, pixels).

    UsageError if there are none.
    """
    counts = sum(np.count_nonzero(piece, axis=0) for piece in pieces_of(images))
    keep = np.flatnonzero(counts > min_ink * len(images))
    if len(keep) == 0:
        raise UsageError(
            f"--min-ink {min_ink:g} leaves no pixel: the one with ink most often has it in "
            f"{counts.max() / len(images):.1%} of the images; give a smaller share, such as 0.05"
        )
    return keep


def changing(images: np.ndarray) -> np.ndarray:
    """Which columns of images (N, pixels) are not the same in all rows: (pixels,) bool."""
    pairs = [(piece.min(axis=0), piece.max(axis=0)) for piece in pieces_of(images)]
    lowest, highest = (np.stack(each) for each in zip(*pairs, strict=True))
    found: np.ndarray = lowest.min(axis=0) < highest.max(axis=0)
    return found


class Inputs:
    """How the images of one training set become columns of activations.

    images (N, pixels) on the host decide the selected pixels and the mean; `like` says where the
    arrays live. They are grey levels (uint8), or features of any kind in the type of the settings,
    which are taken as they are. `known` are those of the same images with other settings, of what
    may change within a run: pixels and mean are not found again.
    """

    def __init__(
        self,
        images: Array,
        settings: Settings,
        image_shape: tuple[int, int],
        like: Array,
        known: Inputs | None = None,
    ):
        xp, where = array_namespace(like), on_device_of(like)
        self.settings, self.image_shape = settings, image_shape
        self.deformation = settings.deformation
        self.deforming = self.deformation.is_deforming
        self.fields: augment.SmoothFields | None = None
        if self.deformation.elastic > 0:
            self.fields = augment.SmoothFields(like, image_shape, self.deformation.elastic_sigma)
        self.scale = scale_of(images)
        # an array, since uint8 times a float would be float64
        self._scale = xp.asarray(np.asarray(self.scale, dtype=settings.dtype), **where)
        self.selected: Array | None = None
        self.mean: Array | None = None
        keep: np.ndarray = np.arange(images.shape[1])
        if settings.min_ink > 0:
            keep = inked(images, settings.min_ink) if known is None else known.keep
            self.selected = xp.asarray(keep, **where)
        self.keep: np.ndarray = keep
        self.pixels = len(keep)
        # 1/255 may scale the products of the first layer instead of the pixels: cheaper if it has
        # few units, for the same result but rounding
        disturbed = self.deforming or settings.input_noise > 0 or settings.input_dropout > 0
        disturbed = disturbed or settings.adversarial > 0 or settings.teacher is not None
        few = FEW_UNITS * settings.sizes[1] <= settings.sizes[0]
        plain = few and not disturbed and not settings.center
        self.in_bytes = (
            BYTE_PRODUCTS
            and plain
            and xp.__name__ != "numpy"
            and settings.precision == "float32"
            and self.scale != 1.0  # grey levels, which are bytes
            and settings.sizes[1] <= BYTE_UNITS
            and self.pixels % 4 == 0  # which a thread of the kernels reads at once
        )
        unscaled = self.in_bytes or (plain and xp.__name__ == "numpy")
        self.factor = self.scale if unscaled else 1.0
        # images, and what `crop` has made of them
        self._cropped: tuple[Array, Array] | None = None if known is None else known._cropped
        if settings.center and known is not None:
            self.mean = known.mean
        elif settings.center:
            mean = (total_of(images) / len(images))[keep]
            if self.scale != 1.0:
                mean = mean / 255.0  # whose last bit may differ from a product with 1/255
            self.mean = xp.asarray(mean[:, None].astype(settings.dtype), **where)
        # 1 for pixels that an adversarial change may move, (n_0, 1); None: it may move all
        self.changing: Array | None = None
        if known is not None and not (known.deforming or self.deforming):
            self.changing = known.changing
        elif settings.adversarial > 0 and not self.deforming:
            moves = changing(images)[keep]
            if not moves.all():
                self.changing = xp.asarray(moves[:, None].astype(settings.dtype), **where)

    def crop(self, images: Array) -> Array:
        """The selected pixels of images (N, pixels), once for the whole set if nothing deforms."""
        if self.selected is None or self.deforming:
            return images
        if isinstance(images, MappedImages):
            return images.with_pixels(self.keep)
        if self._cropped is None or self._cropped[0] is not images:
            cropped = array_namespace(images).take(images, self.selected, axis=1)
            self._cropped = images, cropped
        return self._cropped[1]

    def columns(self, images: Array, labels: Array, chance: Chance, dtype: Any) -> Array:
        """A shard's rows (m, pixels), as `crop` left them, to A_0 / factor (n_0, m).

        Grey levels stay uint8 if they are multiplied `in_bytes`. `chance` decides deformation,
        noise and dropout.
        """
        if self.in_bytes:
            return images.T
        return self.disturbed(self.clean(images, labels, chance, dtype), chance)

    def clean(self, images: Array, labels: Array, chance: Chance, dtype: Any) -> Array:
        """`columns` before noise and dropout."""
        xp, deform = array_namespace(images), chance.deform
        if deform:
            X = xp.astype(self.deformed(images, labels, chance), dtype, copy=False)
            X *= 1.0 / 255.0
        else:
            images = self.cropped(images)
            if xp.__name__ == "cupy":  # one pass over the memory: what a full batch waits for
                X = xp.multiply(images, self._scale)
            else:  # the same bits; faster on NumPy, and the only way of the array API standard
                X = xp.astype(images, dtype)
                if self.factor != self.scale:
                    X *= self.scale
        if self.mean is not None:
            X -= self.mean if deform else self.mean.T
        return X if deform else X.T

    def disturbed(self, X: Array, chance: Chance) -> Array:
        """Columns X (n_0, m) of `clean` with noise and dropout, in place.

        In the order in which the numbers lie in memory: images as columns after a deformation, as
        rows without one.
        """
        settings, (keys, place, deform) = self.settings, chance
        lines, axis = (X, 1) if deform else (X.T, 0)  # along which the images lie
        if settings.input_noise > 0:
            add_noise(lines, keys[(NOISE,)], settings.input_noise, axis, place)
        if settings.input_dropout > 0:
            drop(lines, keys[(DROPOUT,)], settings.input_dropout, axis, place)
        return lines if deform else lines.T

    def deformed(self, images: Array, labels: Array, chance: Chance) -> Array:
        """The selected pixels of the images, each deformed, as columns from 0 to 255."""
        limited, keys = None, chance.keys
        if self.deformation.rotation_1_7 is not None:
            limited = augment.is_1_or_7(labels)
        of_maps = keys[DEFORM, 0], keys[DEFORM, 1]
        exactly = self.settings.is_exact
        how = self.deformation, self.image_shape, limited, self.selected
        return augment.deform(
            images, of_maps, *how, fields=self.fields, first=chance.place, exactly=exactly
        )

    def cropped(self, images: Array) -> Array:
        """The selected pixels of images that `crop` has left whole, in the clean ending."""
        if self.selected is None or not self.deforming:
            return images
        return array_namespace(images).take(images, self.selected, axis=1)

    def fill(self, X: np.ndarray, images: np.ndarray) -> None:
        """Write images (m, pixels) into X (m, n_0): `columns` as rows, if none is random."""
        np.copyto(X, images)
        if self.factor != self.scale:
            X *= self.scale
        if self.mean is not None:
            X -= self.mean.T

    def fold(self, params: list[network.Layer]) -> list[network.Layer]:
        """The inverse of `unfold`, where no pixel is left out."""
        (W, b), *others = params
        return [(W, b if self.mean is None else b + W @ self.mean), *others]

    def unfold(self, params: list[network.Layer], pixels: int) -> list[network.Layer]:
        """The same network on all pixels: W_1 (X - mean) + b_1 = W_1 X + (b_1 - W_1 mean)."""
        W, b = params[0]
        xp = array_namespace(W)
        if self.mean is not None:
            b = b - W @ self.mean
        if self.selected is not None:
            place = xp.arange(pixels, **on_device_of(W))
            spread = xp.astype(self.selected[:, None] == place[None, :], W.dtype)
            W = W @ spread  # a column of zeros for every pixel left out
        return [(W, b), *params[1:]]
