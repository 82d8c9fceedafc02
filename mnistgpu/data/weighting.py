"""How much each image counts: a weight for each class, times a weight for each image.

Both multiply an image's loss (`network.shares`), and with it its part of the gradient. They are one
array, `Digits.weights`, so nothing beyond this module knows of classes. NumPy is imported where it
is needed, since `settings` checks a text before there are arrays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from mnistgpu.errors import DataError, ShapeError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from mnistgpu.data.digits import Dataset, Digits

NONE, BALANCED = "none", "balanced"
MOST_APART = 1e30  # the largest weight divided by the smallest, which a float32 still holds

AnyDigits = TypeVar("AnyDigits", "Digits", "Digits | None")


def parsed(text: str) -> dict[str, float] | None:
    """Weights by the names of classes, from "0:1,7:2.5"; None if it is no such list."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, colon, number = part.rpartition(":")
        try:
            weight = float(number)
        except ValueError:
            return None
        name = name.strip()
        if not (colon and name) or name in found or not 0 < weight < math.inf:
            return None
        found[name] = weight
    return found


def is_class_weight(text: str) -> bool:
    """Whether a text is none, balanced or a list of weights."""
    return text in (NONE, BALANCED) or parsed(text) is not None


def as_text(given: Any) -> Any:
    """What Python programs have as the text of the setting: a dictionary, or None."""
    if given is None:
        return NONE
    if isinstance(given, Mapping):
        return ",".join(f"{name}:{weight}" for name, weight in given.items())
    return given


def of_classes(class_weight: str, digits: Digits, outputs: int) -> np.ndarray | None:
    """The weight of each of the outputs (outputs,), from the digits to train on; None for "none".

    balanced: the weight of all images, divided by the number of classes that have some and by the
    weight of the images of the class, as in scikit-learn: then every class counts alike. A class
    that a list does not name has the weight 1. UsageError if the list names another class.
    """
    import numpy as np

    from mnistgpu.data.classes import shown

    if class_weight == NONE:
        return None
    labels = np.asarray(digits.labels)
    if class_weight == BALANCED:
        sums = np.bincount(labels, scaled(digits.weights), minlength=outputs)
        present = np.count_nonzero(sums)
        return np.where(sums > 0, sums.sum() / (present * np.where(sums > 0, sums, 1.0)), 1.0)
    weights, places = np.ones(outputs), named(digits, outputs)
    for name, weight in (parsed(class_weight) or {}).items():
        if name not in places:
            raise UsageError(
                f"--class-weight names the class {name[:40]!r}, but the classes of {digits.source} "
                f"are {shown(list(places))}; write them as they are there"
            )
        weights[places[name]] = weight
    return weights


def named(digits: Digits, outputs: int) -> dict[str, int]:
    """The number of each class by its name as a text."""
    names = digits.classes or range(outputs)
    return {str(name): i for i, name in enumerate(names)}


def weighted(digits: AnyDigits, training: Digits, class_weight: str, outputs: int) -> AnyDigits:
    """The digits, or None, with their own weights times those of their classes.

    training: the digits that are trained on, which decide what is balanced.
    """
    import numpy as np

    if digits is None:
        return digits
    of_class = of_classes(class_weight, training, outputs)
    if of_class is None:
        return digits
    weights: np.ndarray = of_class[np.asarray(digits.labels)]
    if digits.weights is not None:
        weights = weights * digits.weights
    return replace(digits, weights=weights)


def scaled(weights: np.ndarray | None) -> np.ndarray | None:
    """The weights (N,) times the power of 2 that makes the largest one about 1.

    Only ratios of weights count, and so they have sums in every type of numbers; bits stay.
    """
    import numpy as np

    if weights is None:
        return None
    near_1: np.ndarray = np.ldexp(weights, -np.frexp(weights.max())[1])
    return near_1


def check(digits: Digits, class_weight: str, outputs: int) -> None:
    """UsageError for an unknown class, DataError for weights that no sum can hold together."""
    counted = weighted(digits, digits, class_weight, outputs).weights
    if counted is None:
        return
    low, high = float(counted.min()), float(counted.max())
    if not 0 < high / MOST_APART <= low <= high < math.inf:
        raise DataError(
            f"{digits.source}: the weights of the images, times those of their classes, reach from "
            f"{low:g} to {high:g}; the largest may be {MOST_APART:g} times the smallest, so choose "
            "them closer together, or 0 to leave images out"
        )


def with_weights(dataset: Dataset, sample_weight: Any) -> Dataset:
    """The set with a weight for each training image; images of weight 0 are left out, as is said.

    sample_weight: (N,) numbers of at least 0, or None. Raises ShapeError for another shape,
    DataError for other values.
    """
    import numpy as np

    from mnistgpu.data.conversion import on_host
    from mnistgpu.data.splitting import selection

    if sample_weight is None:
        return dataset
    train, array = dataset.train, on_host(sample_weight, "sample_weight")
    if array.shape != (len(train),):
        raise ShapeError(
            f"sample_weight: must have the shape ({len(train)},), a weight for each training "
            f"image, not {array.shape}"
        )
    if array.dtype.kind not in "biuf":
        raise DataError(f"sample_weight: must be numbers, not {array.dtype}")
    weights = np.array(array, dtype=np.float64)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(
            f"sample_weight: the weight of image {at} is {weights[at]:g}; weights are finite "
            "numbers of at least 0"
        )
    if not weights.any():
        raise DataError("sample_weight: all weights are 0, so no image would count; give some more")
    weights.flags.writeable = False
    train = replace(train, weights=weights)
    nothing = int(np.count_nonzero(weights == 0))
    if nothing:
        note = f"sample_weight: {nothing:,} images of weight 0 are left out"
        source, notes = train.source, (*train.notes, note)
        train = replace(selection(train, weights > 0, "of some weight"), source=source, notes=notes)
    return replace(dataset, train=train)
