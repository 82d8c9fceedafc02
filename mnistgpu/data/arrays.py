"""Arrays that people have, as digits: uint8 rows (N, pixels), 0 for paper and 255 for ink.

`conversion.py` makes arrays of what people hold them in, `shapes.py` brings them into one shape,
`levels.py` reads their grey levels and `classes.py` their labels. Whatever else is given is refused
with the line that mends it, since a wrong scale gives wrong answers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mnistgpu.backend import NUMPY, Array, Backend
from mnistgpu.data import classes, digits
from mnistgpu.data.conversion import as_array, is_picture, on_host
from mnistgpu.data.digits import Alike, Dataset, Digits, read_only
from mnistgpu.data.levels import FEWEST, OURS
from mnistgpu.data.mapped import MappedImages
from mnistgpu.errors import DataError, ShapeError, UsageError


def as_images(
    X: Any, like: Alike, name: str = "X", backend: Backend = NUMPY
) -> tuple[Array, tuple[str, ...]]:
    """Images as uint8 rows (N, pixels) for a network, and what is to be said of them.

    like: the network, whose image shape and grey levels are applied. backend: where it computes;
    an array that is there already stays there.

    Raises ShapeError for another shape, DataError for values that are no grey levels, BackendError
    for an array on another device.
    """
    if is_usual(X, like):
        height, width = like.image_shape
        return np.ascontiguousarray(X).reshape(len(X), height * width), ()
    if isinstance(X, Digits):
        return images_of(X, name, like), ()
    if isinstance(X, Dataset):
        raise DataError(f"{name}: is a Dataset; give one of its parts, such as {name}.test")
    array = as_array(X, name, backend)
    found = digits.rows_of(array[None] if is_picture(X) else array, name, like)
    return found.rows, found.notes


def is_usual(X: Any, like: Alike) -> bool:
    """Whether these are a few images as a network of this program has them.

    This is all that one image of uint8 is checked for: in a small network the answer takes
    microseconds, and so does every look at the pixels.
    """
    if type(X) is not np.ndarray or X.dtype != np.uint8 or X.ndim < 2:
        return False
    if not 0 < len(X) < FEWEST:
        return False
    shape, size = X.shape[1:], like.image_shape
    return (shape == size or shape == (size[0] * size[1],)) and like.levels == OURS


def as_digits(X: Any, y: Any = None, like: Alike | None = None, names: str = "X y") -> Digits:
    """Digits of arrays. names: what the caller calls the two, for messages.

    like: the training set or the network whose image shape, grey levels and classes are applied.
    """
    of_images, of_labels = names.split()
    labels = None if y is None else as_labels(y, of_labels)
    return digits.as_digits(on_host(X, of_images), labels, of_images, like, (), of_labels)


def as_labels(y: Any, name: str) -> np.ndarray:
    """Labels as an array of NumPy; DataError for a single one."""
    if isinstance(y, (str, bytes)) or np.isscalar(y):
        raise DataError(f"{name}: must be labels, one for each image, not {y!r}")
    array = on_host(y, name)
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        at = int(np.argmax(np.ma.getmaskarray(array).ravel()))
        raise DataError(f"{name}: the label of image {at} is masked; leave out the image")
    return np.asarray(array)


def checked(given: Digits, name: str, like: Alike | None = None) -> Digits:
    """Labelled digits that a caller may have made by hand; arrays of other types are converted.

    like: the training set or the network whose image shape and classes they must have. Images of
    uint8 are taken as they are, from 0 for paper to 255 for ink. Raises what `as_digits` raises,
    and DataError if there are no labels.
    """
    if not isinstance(given, Digits):
        raise DataError(f"{name}: must be mnistgpu.Digits, not {type(given).__name__}")
    if given.labels is None:
        raise DataError(f"{name}: has no labels; give digits that have some")
    images, labels = images_of(given, name, given if like is None else like), given.labels
    if like is None or like.classes == given.classes:
        known = given.classes if given.classes else None if like is None else ()
        coded = as_coded(labels, f"{name}.labels", known)
    else:
        names = classes.names_of(given.classes, as_labels(labels, f"{name}.labels"))
        coded = classes.coded(names, f"{name}.labels", like.classes)
    if len(coded.labels) != len(images):
        raise ShapeError(
            f"{name}.labels: {len(coded.labels):,} labels for {len(images):,} images; give one for "
            "each"
        )
    if coded.labels is labels and images is given.images:
        return given  # with the digest that it may have computed
    return replace(
        given,
        images=read_only(images.view()),
        labels=read_only(coded.labels.view()),
        classes=coded.classes,
    )


def as_coded(labels: Any, name: str, known: tuple[classes.Name, ...] | None) -> classes.Coded:
    """The labels of digits as numbers, which they are already if `known` names their classes."""
    array = as_labels(labels, name)
    if array.ndim == 1 and array.dtype == np.uint8 and (known or array.max(initial=0) < 10):
        if known and array.max(initial=0) >= len(known):
            raise DataError(f"{name}: label {array.max()}, but there are {len(known)} classes")
        return classes.Coded(array, known or ())
    return classes.coded(array, name, known)


def images_of(given: Digits, name: str, like: Alike) -> Array:
    """The images of digits as rows, which they are unless somebody made them by hand.

    uint8 is from 0 for paper to 255 for ink, whatever the network was trained on. ShapeError unless
    they have the size of `like`.
    """
    (height, width), mapped = like.image_shape, isinstance(given.images, MappedImages)
    images = given.images if mapped else on_host(given.images, f"{name}.images")
    rows = images.ndim == 2 and images.dtype == np.uint8 and images.size > 0
    if not rows or images.shape[1] != height * width:
        ours = replace(given, image_shape=like.image_shape, levels=OURS)
        images = digits.rows_of(images, f"{name}.images", ours).rows
    if given.image_shape != like.image_shape:
        raise ShapeError(
            f"{name}: has the image_shape {given.image_shape}, but needs {like.image_shape}"
        )
    return images


def pair(given: Any, name: str, like: Digits) -> Digits:
    """Digits of a pair (images, labels), such as `test=(X_test, y_test)`, as those to train on."""
    if isinstance(given, Digits):
        return checked(given, name, like)
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        count = (
            "a number of training images to hold out, a share of them, or "
            if name == "validation"
            else ""
        )
        raise DataError(
            f"{name}: must be {count}a pair of images and labels, such as "
            f"{name}=(X_{name}, y_{name})"
        )
    images, labels = given
    if labels is None:
        raise DataError(f"{name}[1]: is missing; give a label for each image")
    return as_digits(images, labels, like, f"{name}[0] {name}[1]")


def as_dataset(X: Any, y: Any, test: Any = None, validation: Any = None) -> Dataset:
    """A set to train on from arrays, or from a Dataset. test, validation: pairs, or None."""
    if isinstance(X, Dataset):
        if y is not None:
            raise UsageError("y: is given, but X is a Dataset, which has labels; leave y out")
        train = checked(X.train, "X.train")
        tested, held_out, source, path = X.test, X.validation, X.source, X.path
    elif isinstance(X, Digits):
        train = checked(X if y is None else replace(X, labels=y, classes=()), "X")
        tested, held_out, source, path = None, None, X.source, None
    else:
        images = on_host(X, "X")
        if y is None:
            raise DataError("y: is missing; give a label for each image, as in fit(X, y)")
        train, tested, held_out, source, path = as_digits(images, y), None, None, "arrays", None
    if test is not None:
        tested = pair(test, "test", train)
    elif tested is not None:
        tested = checked(tested, "X.test", train)
    if validation is not None:
        held_out = pair(validation, "validation", train)
    elif held_out is not None:
        held_out = checked(held_out, "X.validation", train)
    orientation = X.orientation if isinstance(X, Dataset) else "by-name"
    return Dataset(train, tested, source, held_out, path, orientation)
