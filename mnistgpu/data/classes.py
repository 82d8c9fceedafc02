"""Classes: labels of every kind as numbers 0, 1, 2, ..., and the names that they stand for.

People number their classes from 0 or from 1, with gaps, or name them; they have integers, floats of
whole numbers, strings, categories, columns (N, 1) or one-hot rows. The network needs the numbers of
its outputs. Labels that are digits, all of them in 0 to 9, are their own names: `classes` is ().
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from mnistgpu.errors import DataError, ShapeError

MOST = 256  # classes, which uint8 can number
LONGEST = 100  # characters of a name
LARGEST = 2**62  # no whole number of a class reaches it
DIGITS = 10
WHOLE = re.compile(r"[+-]?[0-9]{1,18}")

Name = str | int


class Coded(NamedTuple):
    """Labels as numbers (N,) uint8, and the names that the numbers stand for."""

    labels: np.ndarray
    classes: tuple[Name, ...]


def coded(labels: Any, name: str, known: tuple[Name, ...] | None = None) -> Coded:
    """Labels (N,), (N, 1) or one-hot (N, classes), of any type, as numbers and names.

    known: the classes of a training set or a network, in which the labels are looked up; None to
    recognise them. `name` names the labels in messages.
    Raises ShapeError for another shape, DataError for a label that is missing, that is not whole or
    that is not among the known classes.
    """
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        return of_one_hot(array, name, known)
    if array.ndim != 1:
        raise ShapeError(
            f"{name}: labels must have the shape (N,), (N, 1) or, of one-hot rows, (N, classes), "
            f"not {array.shape}"
        )
    if not known and array.dtype.kind in "biu" and len(array):
        if array.min() >= 0 and array.max() < DIGITS:  # without sorting
            return Coded(array.astype(np.uint8), ())
    distinct, inverse = distinct_of(array, name)
    if known is not None:
        numbers = numbers_among(distinct, inverse, name, known)
        return Coded(numbers[inverse], known)
    if all(isinstance(each, int) and 0 <= each < DIGITS for each in distinct):
        return Coded(np.array(distinct, dtype=np.uint8)[inverse], ())
    if len(distinct) > MOST:
        raise DataError(
            f"{name}: {len(distinct):,} different labels, such as {shown(distinct)}, but there may "
            f"be {MOST} classes; are these labels?"
        )
    if any(isinstance(each, int) and abs(each) >= LARGEST for each in distinct):
        raise DataError(
            f"{name}: labels of 2^62 and more are too large; give them as strings, or number the "
            "classes"
        )
    classes = tuple(sorted(distinct, key=sorting_key(distinct)))
    numbers = np.array([classes.index(each) for each in distinct], dtype=np.uint8)
    return Coded(numbers[inverse], classes)


def distinct_of(array: np.ndarray, name: str) -> tuple[list[Name], np.ndarray]:
    """The different labels, as whole numbers or as strings, and the index of each label's."""
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
        check_whole(array, name)
        array = array.astype(np.int64)
    if array.dtype.kind in "biu":
        values, inverse = np.unique(array, return_inverse=True)
        return [int(value) for value in values], inverse
    if array.dtype.kind not in "USOT":
        raise DataError(
            f"{name}: labels must be whole numbers or strings, not {array.dtype}; number the "
            "classes or name them"
        )
    places: dict[Any, int] = {}
    try:
        inverse = np.array([places.setdefault(each, len(places)) for each in array.tolist()])
    except TypeError:  # not hashable
        raise DataError(
            f"{name}: labels must be whole numbers or strings, one for each image"
        ) from None
    found: list[Name] = []
    for value, place in places.items():
        found.append(as_name(value, f"{name}: the label of image {np.argmax(inverse == place)}"))
    if not all(isinstance(each, int) for each in found):
        found = [str(each) for each in found]
    same: dict[Name, int] = {}  # 7 and 7.0 were two places
    merged = np.array([same.setdefault(each, len(same)) for each in found], dtype=np.int64)
    return list(same), merged[inverse] if len(inverse) else inverse.astype(np.int64)


def check_whole(array: np.ndarray, name: str) -> None:
    """DataError unless all floats are whole numbers that an integer can hold."""
    with np.errstate(invalid="ignore"):
        wrong = ~(np.isfinite(array) & (array == np.round(array)) & (np.abs(array) < 2**53))
    if wrong.any():
        at = int(np.argmax(wrong))
        what = "is missing (nan)" if np.isnan(array[at]) else f"is {array[at]:g}, not whole"
        raise DataError(
            f"{name}: the label of image {at} {what}; labels are whole numbers or names"
        )


def as_name(value: Any, where: str) -> Name:
    """One label as a whole number or a string; DataError that begins with `where` if it is none."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        if not 0 < len(value) <= LONGEST or not value.isprintable():
            raise DataError(
                f"{where} is {value[:40]!r}; names have 1 to {LONGEST} characters that can be "
                "printed"
            )
        return value
    if value is None or str(value) in ("nan", "<NA>", "NaT"):
        raise DataError(f"{where} is missing; leave out the image, or give it a label")
    if isinstance(value, (bool, int, np.integer, np.bool_)):
        return int(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)
    raise DataError(
        f"{where} is {str(value)[:40]!r} of the type {type(value).__name__}; labels are whole "
        "numbers or names"
    )


def of_one_hot(array: np.ndarray, name: str, known: tuple[Name, ...] | None) -> Coded:
    """The labels of one-hot rows (N, classes): 0 but for one 1."""
    count = array.shape[1]
    numeric = array.dtype.kind in "biuf"
    if not numeric or not np.all((array == 0) | (array == 1)) or not np.all(array.sum(axis=1) == 1):
        raise ShapeError(
            f"{name}: labels must have the shape (N,), not {array.shape}; rows of {count} are "
            "taken only if each is one-hot, 0 but for one 1 (of probabilities give "
            "y.argmax(axis=1))"
        )
    if count > MOST:
        raise DataError(f"{name}: one-hot rows of {count:,}, but there may be {MOST} classes")
    classes: tuple[Name, ...] = () if count == DIGITS else tuple(range(count))
    if known:
        if len(known) != count:
            raise DataError(
                f"{name}: one-hot rows of {count}, but there are {len(known)} classes, "
                f"{shown(known)}; give the labels by name"
            )
        classes = known
    elif known is not None:
        classes = ()
    return Coded(np.argmax(array, axis=1).astype(np.uint8), classes)


def numbers_among(
    distinct: Sequence[Name], inverse: np.ndarray, name: str, known: tuple[Name, ...]
) -> np.ndarray:
    """The number of each of the different labels among the known classes; DataError for others."""
    numbers = {str(each): number for number, each in enumerate(known)}
    found = []
    for place, each in enumerate(distinct):
        number = numbers.get(str(each))
        if number is None and not known and WHOLE.fullmatch(str(each)) and 0 <= int(each) < MOST:
            number = int(each)
        if number is None:
            at = int(np.argmax(inverse == place))
            names = shown(known) if known else f"0, 1, 2, ..., at most {MOST - 1}"
            raise DataError(
                f"{name}: label {each!r} of image {at} is none of the classes, {names}; leave such "
                "images out"
            )
        found.append(number)
    return np.array(found, dtype=np.uint8)


def outputs_of(labels: np.ndarray, classes: tuple[Name, ...], outputs: int) -> Coded:
    """Labels for a network with so many outputs, which its layers say.

    If it has as many as there are different labels, they are numbered in their order; if it has
    more, and labels are whole numbers, they stay what they are.
    """
    if not classes:
        present = np.unique(labels)
        if outputs != len(present) or present[-1] < outputs:
            return Coded(labels, ())
        numbers = np.zeros(MOST, dtype=np.uint8)
        numbers[present] = np.arange(outputs)
        return Coded(numbers[labels], tuple(int(each) for each in present))
    if outputs != len(classes):
        if all(isinstance(each, int) and 0 <= each < outputs for each in classes):
            return Coded(np.array(classes, dtype=np.uint8)[labels], ())
    return Coded(labels, classes)


def names_of(classes: tuple[Name, ...], numbers: np.ndarray) -> np.ndarray:
    """The names that numbers (N,) stand for: strings, or integers; the numbers for ()."""
    if not classes:
        return numbers
    strings = all(isinstance(each, str) for each in classes)
    names: np.ndarray = np.array(classes, dtype=None if strings else np.int64)[numbers]
    return names


def check_names(classes: object, where: str, outputs: int) -> tuple[Name, ...]:
    """The classes in a file; DataError unless they are as many different names as outputs."""
    if isinstance(classes, list) and len(classes) == outputs <= MOST:
        kinds = {type(each) for each in classes}
        if kinds in ({str}, {int}) and len(set(classes)) == outputs:
            if all(abs(each) < LARGEST if isinstance(each, int) else True for each in classes):
                return tuple(as_name(each, f"{where}: a class") for each in classes)
    raise DataError(
        f"{where}: its classes are not {outputs} different names; copy it or train it again"
    )


def sorting_key(names: Collection[Name]) -> Any:
    """The key that sorts these names: numbers by value, also if they are strings."""
    if all(WHOLE.fullmatch(str(each)) for each in names):
        return lambda each: (int(each), str(each))
    return str


def shown(names: Sequence[Name]) -> str:
    """Names for a sentence: the first ones and the last."""
    texts = [str(each)[:20] for each in names]
    return ", ".join(texts if len(texts) <= 12 else [*texts[:5], "...", *texts[-2:]])
