"""What the functions of the front door are given: data, a backend, a trained network."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from mnistgpu import backend as backends
from mnistgpu import data, models, recipes
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset, Digits, arrays
from mnistgpu.errors import UsageError
from mnistgpu.models import committee
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.runs import stopped
from mnistgpu.settings import Settings

AnyPath: TypeAlias = str | os.PathLike[str]

SHARE_HELD_OUT = 10  # without a number of validation images, at most one of so many is held out


def is_path(given: object) -> bool:
    """Whether this names a file or folder."""
    return isinstance(given, (str, os.PathLike))


def backend_of(given: str | Backend | None) -> Backend:
    """The backend of that name, as for `backend.select`; a Backend is returned as it is."""
    return given if isinstance(given, Backend) else backends.select(given)


def training_data(X: Any, y: Any, classes: int, test: Any = None, validation: Any = None) -> Any:
    """A Dataset: the embedded MNIST (X is None), the one at a path, or one of arrays."""
    if X is None or is_path(X):
        if y is not None:
            raise UsageError(f"y is given, but X is {'missing' if X is None else 'a path'}")
        X = data.load(X, classes)
    return arrays.as_dataset(X, y, test, validation)


def settings_and_data(
    X: Any,
    y: Any,
    recipe: str | None,
    deform: str | None,
    changes: Mapping[str, Any],
    test: Any = None,
    validation: Any = None,
) -> tuple[Settings, Dataset]:
    """The settings and the digits of a new run.

    validation: a number of training images to hold out, or a pair (images, labels). Without either
    it is the number of the recipe, but no more than a tenth of the training images.
    """
    pair = None if validation is None or is_count(validation) else validation
    count = 0 if pair is not None else validation
    changes = changes if count is None else {**changes, "validation": count}
    settings = recipes.settings_of(recipe, deform, changes)
    dataset = training_data(X, y, max(10, settings.sizes[-1]), test, pair)
    if dataset.validation is not None and count is None:
        settings = settings.changed(validation=0)
    elif count is None:
        most = len(dataset.train) // SHARE_HELD_OUT
        settings = settings.changed(validation=min(settings.validation, most))
    return settings, dataset


def is_count(given: object) -> bool:
    """Whether this is a number, of Python or NumPy."""
    return hasattr(given, "__index__") and not hasattr(given, "__len__")


def network_of(given: Any) -> Model | Committee:
    """The network that a path, a Model or a Run stands for; "shipped" is the package's own.

    Of a run that is not finished it is the network of its checkpoint, and a warning says so.
    """
    if isinstance(given, (Model, Committee)):
        return given
    if is_path(given):
        path = models.SHIPPED if str(given) == "shipped" else Path(given)
        if stopped.is_stopped(path):
            trained, _, how_far = stopped.read(path)
            warnings.warn(how_far, stacklevel=3)
            return trained
        return committee.load(path)
    given = getattr(given, "model", given)  # of a Run
    found: Model | Committee | None = getattr(given, "trained", None)
    if found is None:
        raise UsageError(
            f"expected a model, a run or the path of one, not {type(given).__name__}; "
            'load one with mnistgpu.load("runs/MY-RUN")'
        )
    return found


def labelled_digits(X: Any, y: Any, trained: Model | Committee) -> Digits:
    """Digits with their labels: the embedded test set (X is None), those at a path, or arrays."""
    if X is None or is_path(X):
        digits = data.load().test if X is None else data.load_digits(X, trained.sizes[-1])
    elif isinstance(X, Digits):
        digits = X
    else:
        digits = arrays.as_digits(X, y, trained.image_shape)
    if digits is None or digits.labels is None:
        raise UsageError(
            f"{X if is_path(X) else 'y'}: these images have no labels to compare with; use predict"
        )
    return digits
