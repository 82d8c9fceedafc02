"""What the functions of the front door are given: data, a backend, a trained network."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mnistgpu import backend as backends
from mnistgpu import data, models, recipes
from mnistgpu.api import reading
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset, Digits, arrays
from mnistgpu.errors import UsageError
from mnistgpu.models import committee
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.runs import checks, stopped
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings
from mnistgpu.storage import files

AnyPath: TypeAlias = str | os.PathLike[str]

SHARE_HELD_OUT = 10  # without a number of validation images, at most one of so many is held out


def is_path(given: object) -> bool:
    """Whether this names a file or folder."""
    return isinstance(given, (str, os.PathLike))


def directory_of(out: AnyPath) -> Path:
    """The path of a directory to write to; UsageError for the current directory."""
    path = files.path_of(out, "--out")
    if path == Path() or os.path.realpath(path) == os.getcwd():
        raise UsageError("--out must name a directory of its own, such as runs/first")
    return path


def check_switches(**switches: object) -> None:
    """UsageError unless each is True or False: a text such as "no" would count as True."""
    for name, value in switches.items():
        if not isinstance(value, (bool, np.bool_)):
            raise UsageError(f"{name}: must be True or False, not {value!r}")


def check_callers(callbacks: Any, stop: Any) -> None:
    """UsageError unless these are a list of callbacks, and a Stop or None."""
    listed = isinstance(callbacks, (list, tuple))
    if not listed or not all(isinstance(each, Callback) for each in callbacks):
        raise UsageError(
            "callbacks: must be a list of objects whose classes are made from mnistgpu.Callback, "
            f"such as callbacks=[Print()], not {callbacks!r}"
        )
    if stop is not None and not isinstance(stop, Stop):
        raise UsageError(f"stop: must be a mnistgpu.Stop, such as mnistgpu.Stop(), not {stop!r}")


def backend_of(given: str | Backend | None) -> Backend:
    """The backend of that name, as for `backend.select`; a Backend is returned as it is."""
    return given if isinstance(given, Backend) else backends.select(given)


def training_data(
    X: Any,
    y: Any,
    orientation: str,
    test: Any = None,
    validation: Any = None,
    bar: bool = False,
) -> Dataset:
    """A Dataset: the embedded MNIST (X is None), the one at a path, or one of arrays.

    orientation: how a file stores its images; see `data.load`.
    """
    if X is None or is_path(X):
        if y is not None:
            raise labels_without_images(X)
        X = reading.load_data(X, orientation, bar=bar)
    elif orientation == "transposed" and not isinstance(X, Dataset):
        raise UsageError("orientation: is for files; of an array give X.swapaxes(1, 2)")
    return arrays.as_dataset(X, y, test, validation)


def settings_and_data(
    X: Any,
    y: Any,
    recipe: str | None,
    deform: str | None,
    changes: Mapping[str, Any],
    test: Any = None,
    validation: Any = None,
    bar: bool = False,
) -> tuple[Settings, Dataset]:
    """The settings and the digits of a new run.

    validation: a number of training images to hold out, or a pair (images, labels). Without either
    it is the number of the recipe, but no more than a tenth of the training images.
    """
    changes, pair = with_validation(changes, validation)
    settings = recipes.settings_of(recipe, deform, changes)
    dataset = training_data(X, y, settings.orientation, test, pair, bar)
    if dataset.validation is not None and "validation" not in changes:
        settings = settings.changed(validation=0)
    elif "validation" not in changes:
        most = len(dataset.train) // SHARE_HELD_OUT
        settings = settings.changed(validation=min(settings.validation, most))
    return settings, dataset


def with_validation(changes: Mapping[str, Any], validation: Any) -> tuple[dict[str, Any], Any]:
    """Changes of settings with the number of images to hold out, if one is given; the pair or None.

    Where a pair (images, labels) is given, the number is 0.
    """
    if validation is None:
        return dict(changes), None
    count = is_count(validation)
    return {**changes, "validation": validation if count else 0}, None if count else validation


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
            trained, _, how_far = stopped.read(path, reading.load_data)
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
    if y is not None and (X is None or is_path(X) or isinstance(X, Digits)):
        raise labels_without_images(X)
    if X is None or is_path(X):
        digits = data.load().test if X is None else reading.load_digits(X, trained)
    elif isinstance(X, Digits):
        digits = X if X.labels is None else arrays.checked(X, "X", trained.image_shape)
    else:
        digits = arrays.as_digits(X, y, trained.image_shape)
    if digits is None or digits.labels is None:
        raise UsageError(
            f"{X if is_path(X) else 'y'}: these images have no labels to compare with; use predict"
        )
    checks.check_labels(digits, trained.sizes[-1])
    return digits


def labels_without_images(X: Any) -> UsageError:
    """The error for labels y whose images are not in an array X."""
    what = "missing" if X is None else "a path" if is_path(X) else f"a {type(X).__name__}"
    return UsageError(f"y is given, but X is {what}: give both as arrays, or leave y out")
