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
from mnistgpu.errors import DataError, ShapeError, UsageError

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
        mend = f"; for one image give {name}[None]" if array.ndim == 1 else ""
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
    if array.size == 0:
        raise ShapeError(f"{name}: has the shape {array.shape} and so no pixels; give images")
    levels = as_levels(array, name).reshape(len(array), -1)
    return read_only(levels.view()), found


def as_levels(array: np.ndarray, name: str) -> np.ndarray:
    """Grey levels as uint8; floats from 0 to 1 are multiplied by 255 and rounded."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "iuf":
        raise DataError(
            f"{name}: grey levels must be integers from 0 to 255 or floats from 0 to 1, not "
            f"{array.dtype}"
        )
    low, high = array.min(), array.max()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise DataError(
            f"{name}: holds nan or infinity; replace it, for example with np.nan_to_num({name})"
        )
    if array.dtype.kind != "f":
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
    if array.dtype.kind not in "iu":
        mend = f"{name}.astype(int)" if array.dtype.kind in "bf" else "number the classes"
        raise DataError(f"{name}: labels must be integers 0, 1, 2, ..., not {array.dtype}; {mend}")
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


def checked(digits: Digits, name: str, image_shape: tuple[int, int] | None = None) -> Digits:
    """Labelled digits that a caller may have made by hand; arrays of other types are converted.

    image_shape: what the images must have; None for any. Raises what `as_digits` raises, and
    DataError if there are no labels.
    """
    if not isinstance(digits, Digits):
        raise DataError(f"{name}: must be mnistgpu.Digits, not {type(digits).__name__}")
    if digits.labels is None:
        raise DataError(f"{name}: has no labels; give digits that have some")
    wanted = digits.image_shape if image_shape is None else image_shape
    images, found = as_images(digits.images, wanted, f"{name}.images")
    labels = as_labels(digits.labels, len(images), f"{name}.labels")
    if digits.image_shape != found:
        raise ShapeError(f"{name}: has the image_shape {digits.image_shape}, but needs {found}")
    same = digits.images.shape == images.shape and digits.images.dtype == images.dtype
    if same and digits.labels.dtype == labels.dtype:
        return digits  # with the digest that it may have computed
    return Digits(images, labels, digits.source, found)


def pair(given: Any, name: str, image_shape: tuple[int, int]) -> Digits:
    """Digits of a pair (images, labels), such as `test=(X_test, y_test)`."""
    if isinstance(given, Digits):
        return checked(given, name, image_shape)
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        count = "a number of training images to hold out, or " if name == "validation" else ""
        raise DataError(
            f"{name}: must be {count}a pair of images and labels, such as "
            f"{name}=(X_{name}, y_{name})"
        )
    images, labels = given
    if labels is None:
        raise DataError(f"{name}[1]: is missing; give a label for each image")
    return as_digits(images, labels, image_shape, f"{name}[0] {name}[1]")


def as_dataset(X: Any, y: Any, test: Any = None, validation: Any = None) -> Dataset:
    """A set to train on from arrays, or from a Dataset. test, validation: pairs, or None."""
    if isinstance(X, Dataset):
        if y is not None:
            raise UsageError("y: is given, but X is a Dataset, which has labels; leave y out")
        train = checked(X.train, "X.train")
        tested, held_out, source, path = X.test, X.validation, X.source, X.path
    else:
        on_host(X, "X")
        if y is None:
            raise DataError("y: is missing; give a label for each image, as in fit(X, y)")
        train, tested, held_out, source, path = as_digits(X, y), None, None, "arrays", None
    shape = train.image_shape
    if test is not None:
        tested = pair(test, "test", shape)
    elif tested is not None:
        tested = checked(tested, "X.test", shape)
    if validation is not None:
        held_out = pair(validation, "validation", shape)
    elif held_out is not None:
        held_out = checked(held_out, "X.validation", shape)
    return Dataset(train, tested, source, held_out, path)


def on_host(given: Any, name: str) -> np.ndarray:
    """The array itself if it is NumPy's, a copy if it is CuPy's; DataError for anything else."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(given, cupy.ndarray):
        return np.asarray(cupy.asnumpy(given))
    if not isinstance(given, np.ndarray) or isinstance(given, np.ma.MaskedArray):
        mend = f"np.asarray({name})"
        if isinstance(given, np.ma.MaskedArray):
            mend = f"{name}.filled(0)"
        elif isinstance(given, (Digits, Dataset)):
            mend = f"its arrays, such as {name}{'.train' * isinstance(given, Dataset)}.images"
        raise DataError(
            f"{name}: must be an array of NumPy or CuPy, not {type(given).__name__}; give {mend}"
        )
    return np.asarray(given)  # for a subclass, such as np.matrix, whose operators differ
