"""Deformed digits: shift, rotation, scaling, shear and elastic distortion, on any backend.

A map says for every pixel of the new image where in the old image its ink comes from (Simard,
Steinkraus and Platt 2003; Ciresan, Meier, Gambardella and Schmidhuber 2010). A group of images may
share one map: making maps takes most of the time, and a network learns as well from one map for 32
images as from one map for each. The random numbers come from `counter_rng`, so the same key gives
the same deformed images on every backend.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from mnistgpu import counter_rng
from mnistgpu.backend import Array, array_namespace, on_device_of, with_kernel
from mnistgpu.counter_rng import Key
from mnistgpu.errors import UsageError, did_you_mean
from mnistgpu.maths import exact
from mnistgpu.maths.exact_grids import HELD


@dataclass(frozen=True)
class Deformation:
    """How far images are deformed at most; each map draws its own numbers within these limits.

    rotation is in degrees, for the digits 1 and 7 rotation_1_7 if it is not None; scaling is a
    share of the length along each axis; shear is in pixels a pixel; shift in pixels along each
    axis; mirror the share of maps that make left right; elastic the root mean square displacement
    in pixels of a field that is smooth over elastic_sigma pixels. images_per_map images share one
    map.
    """

    rotation: float
    rotation_1_7: float | None
    scaling: float
    shear: float
    shift: float
    mirror: float
    elastic: float
    elastic_sigma: float
    images_per_map: int

    @property
    def sorts(self) -> bool:
        """Whether 1s and 7s should share maps among themselves alone: see `is_1_or_7`."""
        return self.rotation_1_7 is not None and self.images_per_map > 1

    @property
    def is_deforming(self) -> bool:
        """Whether any limit is above 0."""
        limits = (self.rotation, self.rotation_1_7, self.scaling, self.shear, self.shift)
        return any((limit or 0.0) > 0 for limit in (*limits, self.mirror, self.elastic))


# Ciresan et al. 2010, section 3: rotation up to 15 degrees, 7.5 for 1 and 7, scaling 15-20%, and
# elastic distortion with sigma 5-6 and alpha 36-38: uniform noise in [-1, 1] smoothed by sigma 5.5
# and multiplied by 37 displaces a pixel by 37 / sqrt(3) / (2 sqrt(pi) 5.5) = 1.1 along each axis,
# 1.55 in all (root mean square). Lengths are drawn here (see `source`), and 2.34 has that mean.
CIRESAN = Deformation(
    rotation=15.0,
    rotation_1_7=7.5,
    scaling=0.175,
    shear=0.0,
    shift=0.0,
    mirror=0.0,
    elastic=2.34,
    elastic_sigma=5.5,
    images_per_map=1,
)
# Found on the validation images: see docs/recipes.md.
STRONG = Deformation(
    rotation=12.0,
    rotation_1_7=None,
    scaling=0.12,
    shear=0.15,
    shift=2.0,
    mirror=0.0,
    elastic=1.1,
    elastic_sigma=4.0,
    images_per_map=32,
)
PRESETS = {"ciresan": CIRESAN, "strong": STRONG}

POSITIONS, FIELDS = 2.0**-8, 2.0**-16  # grids of exact positions and fields, in pixels
PAPER = 2  # width of the border of 0: places just outside the image have four neighbours too


def preset(name: str) -> dict[str, Any]:
    """All settings of a named deformation; so no setting of an earlier preset remains.

    Raises UsageError with the nearest name for an unknown one.
    """
    if not isinstance(name, str) or name not in PRESETS:
        hint = did_you_mean(name, PRESETS)
        raise UsageError(f"--deform must be one of {', '.join(PRESETS)}, not {name!r}{hint}")
    return asdict(PRESETS[name])


def keys_of(key: Key) -> tuple[Key, Key]:
    """The keys that `deform` draws from: of the numbers of its maps, and of their smooth fields."""
    return counter_rng.fold_in(key, 0), counter_rng.fold_in(key, 1)


def deform(
    images: Array,
    keys: tuple[Key, Key],
    deformation: Deformation,
    image_shape: tuple[int, int] = (28, 28),
    limited: Array | None = None,
    wanted: Array | None = None,
    strength: float = 1.0,
    fields: SmoothFields | None = None,
    first: int = 0,
    exactly: bool = False,
) -> Array:
    """Deformed images as columns (pixels, m) from uint8 rows (m, pixels), still from 0 to 255.

    keys are those of `keys_of`. Each deformation.images_per_map rows share one map. The first row
    is at place `first` of a batch, a multiple of images_per_map, and a map depends on its place in
    the batch alone. limited (m,) bool marks the images whose rotation is limited to
    deformation.rotation_1_7; a map of such and other images has the narrower limit, so sort them.
    `wanted` (k,) int64 are the pixels to compute, by default all; `strength` scales every limit.
    `fields` are the smooth fields of elastic distortion: pass them to many calls, or each call
    makes its own. `exactly`: with the same bits whatever computes it (see `source`), as multiples
    of 2^-16.
    """
    xp = array_namespace(images)
    m = images.shape[0]
    group = min(deformation.images_per_map, m)
    start = first // deformation.images_per_map
    maps = range(start, start + -(-m // group))
    of_maps = None
    if limited is not None:
        padded = _pad_rows(xp.astype(limited, xp.float32)[:, None], len(maps) * group)
        of_maps = xp.max(xp.reshape(padded, (len(maps), group)), axis=1)
    how = strength, fields, exactly
    rows, columns = source(keys, maps, deformation, image_shape, of_maps, *how)
    if wanted is not None:
        rows, columns = xp.take(rows, wanted, axis=1), xp.take(columns, wanted, axis=1)
    return moved(images, group, rows, columns, image_shape)


def is_1_or_7(labels: Array) -> Array:
    """Which of the labels (m,) are 1 or 7: (m,) bool."""
    return (labels == 1) | (labels == 7)


def ones_and_sevens_last(rows: Array, labels: Array, size: int) -> Array:
    """Indices (N,) of images, of which each batch of `size` has its 1s and 7s at its end.

    labels (N,) are those of the rows. So few maps are shared by both kinds.
    """
    xp = array_namespace(rows)
    place = xp.arange(rows.shape[0], dtype=xp.int64, **on_device_of(rows))
    batch_and_kind = 2 * (place // size) + xp.astype(is_1_or_7(labels), xp.int64)
    # no two numbers are equal, so that every backend sorts alike
    return xp.take(rows, xp.argsort(batch_and_kind * rows.shape[0] + place))


def source(
    keys: tuple[Key, Key],
    maps: range,
    deformation: Deformation,
    image_shape: tuple[int, int],
    limited: Array | None = None,
    strength: float = 1.0,
    fields: SmoothFields | None = None,
    exactly: bool = False,
) -> tuple[Array, Array]:
    """Where each pixel's ink comes from: row and column (maps, pixels) float32, in pixels.

    maps: which of the batch. limited (maps,) float32 is 1 for those whose rotation is limited to
    rotation_1_7, else 0. `exactly`: computed by the operations of `maths/exact.py` in float64, and
    rounded to 1/256 of a pixel: then `moved`, whose weights are multiples of 2^-16, rounds nothing.
    """
    maps_key, fields_key = keys
    xp, where = array_namespace(maps_key.like), on_device_of(maps_key.like)
    height, width = image_shape
    u = counter_rng.uniforms(maps_key, (8, len(maps)), axis=1, first=maps.start)[:, :, None]
    dtype = xp.float64 if exactly else xp.float32
    u = xp.astype(u, dtype, copy=False) * 2.0 - 1.0
    turn = strength * math.pi / 180.0 * deformation.rotation
    angle = turn * u[0, ...]
    if limited is not None and deformation.rotation_1_7 is not None:
        narrow = strength * math.pi / 180.0 * deformation.rotation_1_7
        limited = xp.astype(limited, dtype, copy=False)
        angle = angle * (1.0 - limited[:, None]) + narrow * u[0, ...] * limited[:, None]
    tall = 1.0 / (1.0 + strength * deformation.scaling * u[1, ...])
    wide = 1.0 / (1.0 + strength * deformation.scaling * u[2, ...])
    slant = strength * deformation.shear * u[3, ...]
    down = strength * deformation.shift * u[4, ...]
    right = strength * deformation.shift * u[5, ...]

    pixel = xp.arange(height * width, dtype=xp.int64, **where)
    y = xp.astype(pixel // width, dtype)[None, :] - (height - 1) / 2
    x = xp.astype(pixel % width, dtype)[None, :] - (width - 1) / 2
    cos, sin = exact.cos_sin(angle) if exactly else (xp.cos(angle), xp.sin(angle))
    y0, x0 = y - down, x - right
    rows = tall * (cos * y0 - sin * x0)
    columns = wide * (sin * y0 + cos * x0) + slant * rows
    if deformation.elastic > 0:
        longest = strength * deformation.elastic
        length = longest * (0.625 + 0.375 * u[6, ...])  # a quarter of the limit to all of it
        kind = ExactFields if exactly else SmoothFields
        fields = fields or kind(fields_key.like, image_shape, deformation.elastic_sigma)
        down_field, right_field = fields.draw(fields_key, maps)
        rows, columns = rows + length * down_field, columns + length * right_field
    if deformation.mirror > 0:
        columns = xp.where(u[7, ...] < 2.0 * strength * deformation.mirror - 1.0, -columns, columns)
    rows, columns = rows + (height - 1) / 2, columns + (width - 1) / 2
    if exactly:
        C = exact.magic(POSITIONS)
        rows, columns = (xp.astype(exact.to_grid(each, C), xp.float32) for each in (rows, columns))
    return rows, columns


class SmoothFields:
    """Random fields, smooth over `sigma` pixels: what elastic distortion displaces pixels by.

    The smoothing matrices are on the device of `like`. `matmul` computes in float32, as all of a
    deformation does; a step captured as a CUDA graph replaces it by a product that can be captured.
    """

    def __init__(self, like: Array, image_shape: tuple[int, int], sigma: float):
        height, width = self.image_shape = image_shape
        self.vertical, self.horizontal = _gauss(like, height, sigma), _gauss(like, width, sigma)
        self.matmul: Callable[[Array, Array], Array] = array_namespace(like).matmul

    noise = staticmethod(counter_rng.normals)

    def once(self, across: Array) -> Array:
        """Fields that are smoothed along one axis."""
        return across

    def draw(self, key: Key, maps: range) -> tuple[Array, Array]:
        """Two fields (maps, pixels) float32, of root mean square length 1 together."""
        xp, (height, width), count = array_namespace(key.like), self.image_shape, len(maps)
        of_a_map = 2 * height * width
        noise = self.noise(key, (count, of_a_map), axis=0, first=maps.start)
        lines = xp.reshape(noise, (count * 2 * height, width))
        across = self.once(self.matmul(self.horizontal, lines.T))  # (width, maps 2 height)
        lines = xp.reshape(across, (width * count * 2, height))
        smooth = xp.reshape(self.matmul(lines, self.vertical.T), (width, count, 2, height))
        fields = xp.permute_dims(smooth, (2, 1, 3, 0)) * math.sqrt(0.5)
        fields = xp.reshape(fields, (2, count, height * width))
        return fields[0, ...], fields[1, ...]


class ExactFields(SmoothFields):
    """`SmoothFields` in float64, of which no product rounds: the factors are on grids.

    Noise has 23 bits, the numbers of a line that is smoothed once have at most 8 + 16, those of a
    smoothing matrix 20, and a sum over a line adds as many as its length has.
    """

    def __init__(self, like: Array, image_shape: tuple[int, int], sigma: float):
        super().__init__(like, image_shape, sigma)
        self.vertical, self.horizontal = (_exact_gauss(like, n, sigma) for n in image_shape)

    noise = staticmethod(exact.normals)

    def once(self, across: Array) -> Array:
        """See `SmoothFields`; on a grid."""
        return exact.to_grid(across, exact.magic(FIELDS))


def _gauss(like: Array, n: int, sigma: float) -> Array:
    """The matrix (n, n) that smooths a line of n pixels; it keeps the variance of white noise 1."""
    xp, where = array_namespace(like), on_device_of(like)
    i = xp.arange(n, dtype=xp.float32, **where)
    G = xp.exp(-((i[:, None] - i[None, :]) ** 2) / (2.0 * sigma * sigma))
    return G / xp.sqrt(xp.sum(G * G, axis=1, keepdims=True))


def _exact_gauss(like: Array, n: int, sigma: float) -> Array:
    """`_gauss` in float64, on a grid: its rows have the norm 1, so no number is beyond it."""
    xp, where = array_namespace(like), on_device_of(like)
    C = exact.magic(math.ldexp(1.0, -min(20, HELD - 24 - (n - 1).bit_length())))
    i = xp.arange(n, dtype=xp.float64, **where)
    apart = i[:, None] - i[None, :]
    G = exact.to_grid(exact.exp(apart * apart * (-1.0 / (2.0 * sigma * sigma))), C)
    return exact.to_grid(G / xp.sqrt(xp.sum(G * G, axis=1, keepdims=True)), C)


def _on_paper(images: Array, groups: int, image_shape: tuple[int, int]) -> Array:
    """Images (m, pixels) of `groups` equal groups, each with a border of PAPER pixels of 0."""
    xp = array_namespace(images)
    height, width = image_shape
    grouped = xp.reshape(images, (groups, -1, height, width))
    shape = (groups, height + 2 * PAPER, width + 2 * PAPER, grouped.shape[1])
    sheets = xp.zeros(shape, dtype=images.dtype, **on_device_of(images))
    sheets[:, PAPER:-PAPER, PAPER:-PAPER, :] = xp.permute_dims(grouped, (0, 2, 3, 1))
    return xp.reshape(xp.astype(sheets, xp.float32), (-1, shape[-1]))


@with_kernel
def moved(
    images: Array, group: int, rows: Array, columns: Array, image_shape: tuple[int, int]
) -> Array:
    """Values (k, m) float32 of uint8 images (m, pixels) at rows, columns (groups, k).

    By bilinear interpolation. Each `group` images that follow each other have their places, the
    last perhaps fewer images. Rows and columns are counted from the image's first pixel. Beyond the
    image values are 0. At whole pixels the value is the pixel's, to the bit.
    """
    xp, where = array_namespace(images), on_device_of(images)
    m, (height, width) = images.shape[0], image_shape
    groups, k = rows.shape
    sheets = _on_paper(_pad_rows(images, groups * group), groups, image_shape)
    rows, columns = (
        xp.reshape(xp.permute_dims(each, (1, 0)), (-1,)) for each in (rows, columns)
    )  # place by place, and group by group, as in the result
    top, left = xp.floor(rows), xp.floor(columns)
    down, right = rows - top, columns - left
    up, aside = 1.0 - down, 1.0 - right
    line = width + 2 * PAPER
    # a place beyond the paper moves to its edge, where all four neighbours are 0 as well
    pixel = _clamp(top, -PAPER, height) * line + _clamp(left, -PAPER, width) + PAPER * (line + 1)
    sheet = xp.arange(groups, dtype=xp.int64, **where) * (line * (height + 2 * PAPER))
    first = xp.reshape(xp.astype(pixel, xp.int64), (k, groups)) + sheet
    corners = (0, up * aside), (1, up * right), (line, down * aside), (line + 1, down * right)
    total = None
    for beyond, weight in corners:
        part = xp.take(sheets, xp.reshape(first + beyond, (-1,)), axis=0)
        part *= weight[:, None]
        if total is None:
            total = part
        else:
            total += part
    return xp.reshape(total, (k, -1))[:, :m]


def _clamp(values: Array, lowest: int, highest: int) -> Array:
    xp = array_namespace(values)
    return xp.minimum(xp.maximum(values, float(lowest)), float(highest))


def _pad_rows(rows: Array, count: int) -> Array:
    """rows (m, n) with rows of zeros appended up to `count`."""
    xp = array_namespace(rows)
    if rows.shape[0] == count:
        return rows
    missing = (count - rows.shape[0], rows.shape[1])
    return xp.concat([rows, xp.zeros(missing, dtype=rows.dtype, **on_device_of(rows))])
