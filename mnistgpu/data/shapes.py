"""Arrays of images in the shapes that people have, as a stack (N, H, W) of grey images."""

from __future__ import annotations

import math

import numpy as np

from mnistgpu.backend import Array, array_namespace
from mnistgpu.errors import DataError, ShapeError

CHANNELS = (1, 3, 4)  # grey, colours, colours with transparency
SMALLEST_SQUARE = 8  # rows of an image of which one column too many is recognised
OPAQUE = (1, 255, 65535)  # in the alpha channel, by the scale of the others
LARGEST = 65535
BLOCK = 2048  # images whose colours are converted at once, which bounds the memory


def stack(array: Array, wanted: tuple[int, int] | None, name: str) -> tuple[Array, tuple[str, ...]]:
    """Images (N, H, W) of an array in another customary shape, and what is to be said.

    (N, pixels), (N, H, W), (N, H, W, channels), (N, channels, H, W) with 1, 3 or 4 channels; if
    `wanted`, the height and width of the images, is known, also one image without the N. Without it
    rows of pixels are square images, or lines where their number is no square.
    Raises ShapeError for other shapes and sizes, DataError for transparent images.
    """
    if array.size == 0:
        raise ShapeError(f"{name}: has the shape {array.shape} and so no pixels; give images")
    found = of_known_size(array, *wanted) if wanted else of_any_size(array)
    if found is None:
        raise not_images(array.shape, wanted, name)
    if found.ndim == 3:
        return found, ()
    if found.shape[3] == 1:
        return found[..., 0], ()
    return grey(found, name), (f"{name}: colours are converted to grey",)


def of_known_size(array: Array, height: int, width: int) -> Array | None:
    """(N, H, W) or (N, H, W, channels) of images of that size; None if they are of another."""
    shape, size, pixels = array.shape, (height, width), height * width
    if array.ndim > 1 and shape[-1] == pixels and math.prod(shape[1:]) == pixels:
        return array.reshape(-1, height, width)  # rows of pixels
    if shape in (size, (pixels,)):
        return array.reshape(1, height, width)
    if array.ndim == 3:
        if shape[1:] == size:
            return array
        if shape[:2] == size and shape[2] in CHANNELS:
            return array[None]
        if shape[1:] == (pixels, 1):
            return array.reshape(-1, height, width)
    if array.ndim == 4:
        if shape[1:3] == size and shape[3] in CHANNELS:
            return array
        if shape[2:] == size and shape[1] in CHANNELS:
            return array.transpose(0, 2, 3, 1)
    return None


def of_any_size(array: Array) -> Array | None:
    """(N, H, W) or (N, H, W, channels) of images of any size; None for other shapes."""
    shape = array.shape
    if array.ndim == 2:
        side = math.isqrt(shape[1])
        square = side * side == shape[1]
        if side >= SMALLEST_SQUARE and shape[1] == side * side + 1:
            return None  # one column too many, such as that of the label
        return array.reshape(-1, side, side) if square else array[:, None, :]
    if array.ndim == 3:
        return array
    if array.ndim == 4 and shape[3] in CHANNELS:
        return array
    if array.ndim == 4 and shape[1] in CHANNELS:
        return array.transpose(0, 2, 3, 1)
    return None


def not_images(shape: tuple[int, ...], wanted: tuple[int, int] | None, name: str) -> ShapeError:
    """The error for an array of a shape that images do not have, or of images of another size."""
    if wanted is None:
        mend = f"; for one image give {name}[None]" if len(shape) == 1 else ""
        if len(shape) == 2:  # which `of_any_size` refuses for one column too many
            mend = (
                f"; give {shape[1] - 1} columns: leave out the one that is the label or a number "
                f"(if none is, give {name}[:, None, :])"
            )
        return ShapeError(
            f"{name}: images must have the shape (N, pixels), (N, height, width) or (N, height, "
            f"width, channels), not {shape}{mend}"
        )
    height, width = wanted
    pixels = height * width
    mend = f"give (N, {pixels}) or (N, {height}, {width})"
    if len(shape) == 2 and shape[0] == pixels:
        mend = f"these are columns, one for each image: give {name}.T"
    elif len(shape) == 2 and shape[1] == pixels + 1:
        mend = f"give {pixels} columns: leave out the one that is the label or a number"
    elif size := size_of(shape):
        had = f"{size[0]}x{size[1]} = {size[0] * size[1]:,}"
        return ShapeError(
            f"{name}: images of {had} pixels (the shape is {shape}), but this network reads "
            f"{height}x{width} = {pixels:,}; scale them to that size, as model.read does with a "
            "photograph"
        )
    return ShapeError(
        f"{name}: has the shape {shape}, but this network reads images of {height}x{width} = "
        f"{pixels} pixels: {mend}"
    )


def size_of(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Height and width of images in an array of this shape, where it tells them."""
    if len(shape) == 3:
        return (shape[0], shape[1]) if shape[2] in CHANNELS else (shape[1], shape[2])
    if len(shape) == 4 and shape[3] in CHANNELS:
        return shape[1], shape[2]
    if len(shape) == 4 and shape[1] in CHANNELS:
        return shape[2], shape[3]
    side = math.isqrt(shape[-1]) if shape else 0
    return (side, side) if len(shape) == 2 and side > 3 and side * side == shape[1] else None


def grey(images: Array, name: str) -> Array:
    """Images (N, H, W, 3 or 4) as grey (N, H, W), by the luma of ITU-R BT.601 as in Pillow.

    DataError if some pixel is transparent: what is behind it is not known.
    """
    whole = images.dtype.kind in "iu"
    if images.dtype.kind not in "biuf":
        return images[..., 0]  # refused with its other values
    if whole and images.dtype != np.uint8:  # what the sums below could not hold is refused later
        if images.max() > LARGEST:
            return images.max(axis=3)
        if images.min() < 0:
            return images.min(axis=3)
    if images.shape[3] == 4:
        alpha = images[..., 3]
        if alpha.min() != alpha.max() or alpha.max() not in OPAQUE:
            raise DataError(
                f"{name}: images with transparent pixels; lay them on paper first, or give "
                f"{name}[..., 3] if the ink is in the alpha channel"
            )
    levels = array_namespace(images).empty(
        images.shape[:3], dtype=images.dtype if whole else np.float32
    )
    for start in range(0, len(images), BLOCK):
        some = images[start : start + BLOCK]
        if whole:
            red, green, blue = (some[..., i].astype(np.int64) for i in range(3))
            levels[start : start + BLOCK] = (
                19595 * red + 38470 * green + 7471 * blue + 0x8000
            ) >> 16
        else:
            red, green, blue = (some[..., i].astype(np.float32) for i in range(3))
            levels[start : start + BLOCK] = 0.299 * red + 0.587 * green + 0.114 * blue
    return levels
