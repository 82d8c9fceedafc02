"""Arrays that people have, as digits: uint8 rows (N, pixels), 0 for paper and 255 for ink.

Images may be (N, pixels) or (N, H, W), of integers from 0 to 255 or of floats from 0 to 1. Whatever
else is given is refused with the line that mends it, since a wrong scale gives wrong answers.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from mnistgpu.data.digits import Dataset, Digits, read_only
from mnistgpu.errors import DataError, ShapeError

LARGEST_LABEL = 255


def as_images(
    X: Any, image_shape: tuple[int, int] | None = None, name: str = "X"
) -> tuple[np.ndarray, tuple[int, int]]:
    """Images as uint8 rows (N, pixels), and the height and width of one.

    image_shape: what the images must have; None for any. Rows of pixels without it are taken as
    square images, or as one line of pixels where their number is no square.

    Raises ShapeError for another shape, DataError for values that are no grey levels.
    """
    array = on_host(X, name)
    if array.ndim == 3:
        found = (array.shape[1], array.shape[2])
    elif array.ndim == 2 and image_shape is not None:
        height, width = image_shape
        found = image_shape if array.shape[1] == height * width else (1, array.shape[1])
    elif array.ndim == 2:
        side = math.isqrt(array.shape[1])
        found = (side, side) if side * side == array.shape[1] else (1, array.shape[1])
    else:
        mend = f"; for one image give {name}[None]" if array.ndim in (1, 2) else ""
        raise ShapeError(
            f"{name}: images must have the shape (N, pixels) or (N, height, width), not "
            f"{array.shape}{mend}"
        )
    if image_shape is not None and found != image_shape:
        height, width = image_shape
        one = f"; for one image give {name}[None]" if array.shape == image_shape else ""
        raise ShapeError(
            f"{name}: has the shape {array.shape}, but this network reads images of {height}x"
            f"{width} = {height * width} pixels: give (N, {height * width}) or (N, {height}, "
            f"{width}){one}"
        )
    if len(array) == 0 or array.shape[-1] == 0 or array.size == 0:
        raise ShapeError(f"{name}: has the shape {array.shape} and so no pixels; give images")
    levels = as_levels(array, name).reshape(len(array), -1)
    return read_only(levels.view()), found


def as_levels(array: np.ndarray, name: str) -> np.ndarray:
    """Grey levels as uint8; floats from 0 to 1 are multiplied by 255 and rounded."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise DataError(
            f"{name}: grey levels must be integers from 0 to 255 or floats from 0 to 1, not "
            f"{array.dtype}"
        )
    low, high = array.min(), array.max()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise DataError(
            f"{name}: holds nan or infinity; replace it, for example with np.nan_to_num({name})"
        )
    if np.issubdtype(array.dtype, np.integer):
        if low < 0 or high > 255:
            raise DataError(
                f"{name}: integers from {low} to {high}, but grey levels are 0 (paper) to 255 "
                "(ink); scale them to that range"
            )
        return np.ascontiguousarray(array, dtype=np.uint8)
    if low < 0 or high > 1:
        mend = f"{name}.astype('uint8')" if low >= 0 and 1 < high <= 255 else "scale them"
        raise DataError(
            f"{name}: floats from {low:g} to {high:g}, but floats must be from 0 (paper) to 1 "
            f"(ink), or be integers from 0 to 255: {mend}"
        )
    levels: np.ndarray = np.round(array * array.dtype.type(255)).astype(np.uint8)
    return levels


def as_labels(y: Any, count: int, name: str = "y") -> np.ndarray:
    """Labels (N,) as uint8, one for each of `count` images."""
    array = on_host(y, name)
    if array.ndim == 2 and array.shape[0] == count and array.shape[1] > 1:
        raise ShapeError(
            f"{name}: labels must have the shape ({count},), not {array.shape}; of one-hot rows "
            f"give {name}.argmax(axis=1)"
        )
    if array.ndim != 1:
        raise ShapeError(
            f"{name}: labels must have the shape ({count},), not {array.shape}; give {name}.ravel()"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{name}: labels must be integers 0, 1, 2, ..., not {array.dtype}")
    if len(array) != count:
        raise ShapeError(f"{name}: {len(array):,} labels for {count:,} images; give one for each")
    if count and (array.min() < 0 or array.max() > LARGEST_LABEL):
        wrong = int(np.argmax((array < 0) | (array > LARGEST_LABEL)))
        raise DataError(
            f"{name}: label {array[wrong]} of image {wrong}; labels are 0 to {LARGEST_LABEL}"
        )
    return read_only(array.astype(np.uint8))


def as_digits(
    X: Any, y: Any = None, image_shape: tuple[int, int] | None = None, names: str = "X y"
) -> Digits:
    """Digits of arrays. names: what the caller calls the two, for messages."""
    of_images, of_labels = names.split()
    images, shape = as_images(X, image_shape, of_images)
    labels = None if y is None else as_labels(y, len(images), of_labels)
    return Digits(images, labels, of_images, shape)


def pair(given: Any, name: str, image_shape: tuple[int, int]) -> Digits:
    """Digits of a pair (images, labels), such as `test=(X_test, y_test)`."""
    if isinstance(given, Digits):
        return given
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise DataError(
            f"{name}: must be a pair of images and labels, such as {name}=(X_{name}, y_{name})"
        )
    images, labels = given
    return as_digits(images, labels, image_shape, f"{name}[0] {name}[1]")


def as_dataset(X: Any, y: Any, test: Any = None, validation: Any = None) -> Dataset:
    """A set to train on from arrays, or from a Dataset. test, validation: pairs, or None."""
    if isinstance(X, Dataset):
        train, tested, source, path = X.train, X.test, X.source, X.path
        held_out = X.validation
    else:
        if y is None:
            raise DataError("y: is missing; give a label for each image, as in fit(X, y)")
        train, tested, source, path, held_out = as_digits(X, y), None, "arrays", None, None
    shape = train.image_shape
    if test is not None:
        tested = pair(test, "test", shape)
    if validation is not None:
        held_out = pair(validation, "validation", shape)
    return Dataset(train, tested, source, held_out, path)


def on_host(given: Any, name: str) -> np.ndarray:
    """The array itself if it is NumPy's, a copy if it is CuPy's."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(given, cupy.ndarray):
        return np.asarray(cupy.asnumpy(given))
    if not isinstance(given, np.ndarray):
        raise DataError(
            f"{name}: must be an array of NumPy or CuPy, not {type(given).__name__}; give "
            f"np.asarray({name})"
        )
    return given
