"""What scikit-learn hands to an estimator, as the training takes it; and answers as arrays of X.

Rows are images (uint8, divided by 255 as everywhere here) or features (floats, taken as they are).
Arrays of another library than NumPy come in if scikit-learn dispatches to the array API: those of
CuPy stay on the GPU to be answered, others go through the host.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from mnistgpu.backend import Array, Backend, on_device_of
from mnistgpu.data import Dataset, Digits
from mnistgpu.data.conversion import on_host
from mnistgpu.errors import DataError, ShapeError, UsageError

MOST_UINT8 = 256  # classes that uint8 can number


def is_cupy(array: object) -> bool:
    """Whether this is an array of CuPy."""
    return type(array).__module__.partition(".")[0] == "cupy"


def to_host(array: Any, name: str) -> np.ndarray:
    """An array of any library as one of NumPy."""
    if is_cupy(array):
        return np.asarray(array.get())
    if type(array) is not np.ndarray and hasattr(array, "to_device"):  # another virtual device
        array = array.to_device("cpu") if is_name(array.device) else moved(array)
    return np.asarray(on_host(array, name))


def is_name(device: object) -> bool:
    """Whether a library names its devices by texts."""
    return isinstance(device, str)


def moved(array: Any) -> Any:
    """An array of array-api-strict on the device whose arrays NumPy can read."""
    xp = array.__array_namespace__()
    named = getattr(xp, "Device", None)
    return array if named is None else array.to_device(named("CPU_DEVICE"))


def like(answers: np.ndarray, X: Any) -> Any:
    """Answers on the host as an array of the library and on the device of X."""
    if isinstance(X, np.ndarray):
        return answers
    with X.device if is_cupy(X) else contextlib.nullcontext():
        return namespace_of(X).asarray(answers, **on_device_of(X))


def namespace_of(array: Any) -> Any:
    """The library of an array."""
    if is_cupy(array):
        import cupy

        return cupy
    if type(array).__module__.partition(".")[0] == "torch":
        import torch

        return torch
    return array.__array_namespace__()


def labels_like(labels: np.ndarray, found: Any) -> Any:
    """Labels on the host as an array of the library of `found`, if that has such labels."""
    return like(labels, found) if labels.dtype.kind in "biuf" else labels


def checked(estimator: Any, X: Any, **more: Any) -> Any:
    """X, or X and y, as `validate_data` of scikit-learn checks them: uint8 and floats stay."""
    return validate_data(estimator, X, dtype=kinds_of(X), **more)


def kinds_of(X: Any) -> list[Any]:
    """The types of numbers that need no conversion, in the library of X; the first is for others"""
    array = hasattr(X, "device") and get_config()["array_api_dispatch"]
    xp = namespace_of(X) if array else np
    return [xp.float64, xp.float32, xp.uint8]


def numbered(y: np.ndarray, classes: np.ndarray, name: str = "y") -> np.ndarray:
    """Labels (N,) as numbers of the sorted classes; DataError for one that is none of them."""
    numbers = np.searchsorted(classes, y)
    numbers[numbers == len(classes)] = 0
    unknown = classes[numbers] != y
    if unknown.any():
        raise DataError(
            f"{name}: label {y[np.argmax(unknown)]} is none of the classes "
            f"{', '.join(map(str, classes[:10]))}; give all of them when fitting begins"
        )
    return numbers.astype(np.uint8 if len(classes) <= MOST_UINT8 else np.int64)


def classes_of(y: np.ndarray) -> np.ndarray:
    """The different labels, sorted; DataError for fewer than two of them."""
    check_classification_targets(y)
    classes = np.unique(y)
    if len(classes) < 2:
        raise DataError(
            f"y: all labels are {classes[0]}, which is 1 class; a classifier needs at least 2 "
            "classes to tell apart"
        )
    return classes


def names_of(classes: np.ndarray) -> tuple[str | int, ...]:
    """The names of the outputs; () if they are 0, 1, 2, ..., their own names."""
    whole = classes.dtype.kind in "iu"
    if whole and np.array_equal(classes, np.arange(len(classes))):
        return ()
    return tuple(int(each) if whole else str(each) for each in classes)


def image_shape_of(given: Any, features: int) -> tuple[int, int]:
    """Height and width of an image of so many pixels; UsageError if they do not fit."""
    if given is None:
        side = math.isqrt(features)
        return (side, side) if side * side == features else (1, features)
    try:
        height, width = map(operator.index, given)
    except (TypeError, ValueError):
        raise UsageError(
            "image_shape: must be the height and the width of an image, such as (28, 28), not "
            f"{given!r}"
        ) from None
    if min(height, width) < 1 or height * width != features:
        raise UsageError(
            f"image_shape: {height}x{width} is not {features}, the number of features of X"
        )
    return height, width


def weights_of(
    sample_weight: Any, class_weight: Any, y: np.ndarray, classes: np.ndarray
) -> np.ndarray | None:
    """The weight of each row (N,), times those of a dictionary of classes; None if all count alike.

    Raises ShapeError or DataError for weights that are none, UsageError for an unknown class.
    """
    weights = None
    if sample_weight is not None:
        weights = np.array(to_host(sample_weight, "sample_weight"), dtype=np.float64)
        if weights.ndim == 0:
            weights = np.full(len(y), float(weights))
        if weights.shape != (len(y),):
            raise ShapeError(
                f"sample_weight: must have the shape ({len(y)},), a weight for each row of X, not "
                f"{weights.shape}"
            )
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise DataError("sample_weight: weights must be finite numbers of at least 0")
        if not weights.any():
            raise DataError(
                "sample_weight: every weight is zero, so no row would count; give some more"
            )
    if isinstance(class_weight, Mapping):
        of_class = np.ones(len(classes))
        for label, weight in class_weight.items():
            at = np.flatnonzero(classes == label)
            is_number = isinstance(weight, (int, float, np.number))
            if len(at) == 0 or not is_number or not (0 <= weight < math.inf):
                raise UsageError(
                    f"class_weight: {{{label!r}: {weight!r}}} must be one of the classes "
                    f"{', '.join(map(str, classes[:10]))} and a number of at least 0"
                )
            of_class[at[0]] = weight
        chosen = of_class[np.searchsorted(classes, y)]
        weights = chosen if weights is None else weights * chosen
    return weights


def digits_of(
    X: np.ndarray,
    numbers: np.ndarray,
    weights: np.ndarray | None,
    names: tuple[str | int, ...],
    image_shape: tuple[int, int],
    dtype: str,
    name: str = "X",
    *,
    alone: bool = False,
) -> Digits:
    """The rows to train on, without those of weight 0.

    DataError if fewer than two classes stay, unless a class may be `alone`, and if no row does.
    """
    if weights is not None and not weights.all():
        kept = weights > 0
        X, numbers, weights = X[kept], numbers[kept], weights[kept]
        if len(X) == 0:
            raise DataError(f"{name}: every row has the weight 0; give some of them a larger one")
        if not alone and len(np.unique(numbers)) < 2:
            raise DataError(
                "sample_weight and class_weight leave fewer than 2 classes of a weight above 0; a "
                "classifier needs at least 2 classes to tell apart"
            )
    rows = X if X.dtype == np.uint8 else X.astype(dtype, copy=False)
    rows = np.ascontiguousarray(rows)
    return Digits(rows, numbers, name, image_shape, names, weights=weights)


def labelled_rows(y: np.ndarray, takes_none: bool) -> np.ndarray | None:
    """Which rows (N,) have labels, if the label -1 says that a row has none; None if all have.

    It does so with a loss that can learn from such rows (`takes_none`); else -1 is a class.
    DataError if no row has a label.
    """
    if not takes_none or y.dtype.kind not in "if":
        return None
    labelled: np.ndarray = y != -1
    if labelled.all():
        return None
    if not labelled.any():
        raise DataError("y: every label is -1, which says that there is none; label some rows")
    return labelled


def with_others(train: Digits, others: np.ndarray, dtype: str) -> Digits:
    """The rows to train on, with others without labels."""
    rows = others if others.dtype == np.uint8 else others.astype(dtype, copy=False)
    return replace(train, unlabeled=np.ascontiguousarray(rows))


class Features(Dataset):
    """A set of features. No model file says what it was trained on, so it needs no digest, which
    would take as long as part of an epoch.
    """

    digest = ""


def rows_to_answer(X: Any, grey: bool, exact: bool, dtype: str, backend: Backend) -> Array:
    """Rows of X as a network takes them that was trained on grey levels (uint8), or on features.

    Other types are taken as the same numbers: 0 to 255 for a network of grey levels.
    """
    rows = X if is_cupy(X) and backend.name == "cupy" else to_host(X, "X")
    xp = backend.xp if is_cupy(rows) else np
    if grey and rows.dtype != np.uint8:
        levels = xp.clip(xp.rint(rows), 0, 255).astype(np.uint8)
        if bool((levels == rows).all()):
            return levels
        if exact:
            raise DataError(
                "X: a network of --precision exact answers whole grey levels from 0 to 255 alone; "
                "round them first"
            )
        return rows.astype(dtype) * xp.asarray(1.0 / 255.0, dtype=dtype)
    return rows if grey else rows.astype(dtype, copy=False)
