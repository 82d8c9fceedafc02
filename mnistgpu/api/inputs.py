"""What the functions of the front door are given: data, a backend, a trained network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mnistgpu import backend as backends
from mnistgpu import data, models, recipes
from mnistgpu.api import reading, unlabeled
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset, Digits, arrays
from mnistgpu.data.classes import DIGITS
from mnistgpu.data.levels import RECOGNISED
from mnistgpu.data.splitting import number_of
from mnistgpu.data.weighting import with_weights
from mnistgpu.errors import DataError, Note, UsageError, warn
from mnistgpu.interop import hub
from mnistgpu.models import committee
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.runs import checkpoint, checks, stopped
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.starting import Start
from mnistgpu.runs.steering import Steering
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings, renamed
from mnistgpu.storage import files

AnyPath: TypeAlias = str | os.PathLike[str]

said: set[str] = set()  # sentences about grey levels that this process has said
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


def check_callers(callbacks: Any, stop: Any, steering: Any = None) -> None:
    """UsageError unless these are a list of callbacks, a Stop or None, and a Steering or None."""
    listed = isinstance(callbacks, (list, tuple))
    if not listed or not all(isinstance(each, Callback) for each in callbacks):
        raise UsageError(
            "callbacks: must be a list of objects whose classes are made from mnistgpu.Callback, "
            f"such as callbacks=[Print()], not {callbacks!r}"
        )
    if stop is not None and not isinstance(stop, Stop):
        raise UsageError(f"stop: must be a mnistgpu.Stop, such as mnistgpu.Stop(), not {stop!r}")
    if steering is not None and not isinstance(steering, Steering):
        raise UsageError(
            f"steering: must be a mnistgpu.Steering, such as mnistgpu.Steering(), not {steering!r}"
        )


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

    orientation: how a file stores its images; see `data.load`. bar: as for `reading.load_data`.
    """
    if X is None or is_path(X):
        if y is not None:
            raise labels_without_images(X)
        X = reading.load_data(X, orientation, bar=bar)
    elif isinstance(X, Dataset):
        if X.orientation != orientation:
            raise UsageError(
                f"orientation: the set was read as {X.orientation}, but the run says "
                f"{orientation}; give load_data and fit the same"
            )
    elif orientation == "transposed":
        raise UsageError("orientation: is for files; of an array give X.swapaxes(1, 2)")
    return arrays.as_dataset(X, y, test, validation)


def data_of_run(
    saved: checkpoint.Checkpoint,
    directory: Path,
    X: Any,
    y: Any,
    test: Any = None,
    validation: Any = None,
    bar: bool = False,
    sample_weight: Any = None,
    others: Any = None,
) -> Dataset:
    """The Dataset that the run in a directory was begun with: from where it was read, or as given.

    others: its images without labels, if they are not where they were.

    DataError if it is not the same any more.
    """
    where, settings = saved.data if X is None else X, saved.settings
    dataset = training_data(where, y, settings.orientation, test, validation, bar)
    dataset = with_weights(dataset, sample_weight)
    dataset = unlabeled.as_before(dataset, others, settings, bar)
    if dataset.digest != saved.data_digest:  # the set of a Run is prepared already
        dataset = data.prepared(dataset, settings.sizes[-1], settings.test_share)
    if dataset.digest != saved.data_digest:
        raise DataError(
            f"{dataset.source}: not the data that {directory} was trained on (their digest is "
            f"{dataset.digest[:16]}, not {saved.data_digest[:16]}); give those with --data (in "
            "Python as X and y, with their sample_weight and unlabeled if they had some)"
        )
    return dataset


def settings_and_data(
    X: Any,
    y: Any,
    recipe: str | None,
    deform: str | None,
    changes: Mapping[str, Any],
    test: Any = None,
    validation: Any = None,
    bar: bool = False,
    sample_weight: Any = None,
    others: Any = None,
) -> tuple[Settings, Dataset]:
    """The settings and the digits of a new run. others: images without labels, if there are any.

    Without layers among the changes, the first and the last layer of the recipe follow the data.
    validation: a number or a share of the training images to hold out, or a pair (images, labels).
    Without either it is the number of the recipe, but no more than a tenth of the training images.
    """
    changes, pair = with_validation(changes, validation)
    others = changes.get("unlabeled") if others is None else others
    if others is not None:
        changes = {**changes, "unlabeled": unlabeled.setting_of(others)}
    start, begun = start_of(changes.get("from_run")), None
    if start is not None:
        changes, begun = {**changes, "from_run": start.name}, start.settings(recipe)
    settings = recipes.settings_of(recipe, deform, changes, begun)
    dataset = training_data(X, y, settings.orientation, test, pair, bar)
    dataset = with_weights(unlabeled.detached(dataset), sample_weight)
    if "layers" not in changes:
        settings, dataset = following(settings, dataset)
    dataset = data.prepared(dataset, settings.sizes[-1], settings.test_share)
    count = len(dataset.train)
    if "validation" in changes:
        held_out = number_of(settings.validation, count)
    elif dataset.validation is not None:
        held_out = 0
    else:
        held_out = min(number_of(settings.validation, count), count // SHARE_HELD_OUT)
    settings = settings.changed(validation=held_out)
    if others is not None:
        dataset = unlabeled.attached(dataset, others, settings, bar)
    if settings.teacher is not None and settings.label_smoothing > 0:
        note = (
            f"--label-smoothing {settings.label_smoothing:g} does nothing with --teacher, whose "
            "answers are learnt in place of the labels"
        )
        dataset = noted(dataset, note)
    if settings.rotation_1_7 is not None and dataset.train.classes:
        settings, dataset = without_digits(settings, dataset)
    if start is not None:
        start.check(settings, dataset)
        if note := start.note(settings, dataset):
            dataset = noted(dataset, note)
    return settings, dataset


def start_of(given: Any) -> Start | None:
    """The network to begin with that a path, a Model or a Run stands for; None if none is given.

    UsageError for a committee.
    """
    if given is None or isinstance(given, Start):
        return given
    trained = network_of(given)
    place = given if is_path(given) else getattr(given, "directory", None)
    name = repr(trained) if place is None else os.fspath(place)
    if isinstance(trained, Committee):
        raise UsageError(f"--from {name}: a committee has no layers of its own; name one member")
    return Start(trained, name)


def following(settings: Settings, dataset: Dataset) -> tuple[Settings, Dataset]:
    """The settings with the first and last layer that the data need, which is said if they change.

    UsageError if all images have the same label.
    """
    train = dataset.train
    pixels, outputs = train.images.shape[1], len(train.classes) or DIGITS
    if outputs == 1:
        raise UsageError(
            f"{dataset.source}: all labels are {train.classes[0]!r}; a network needs at least two "
            "classes to tell apart"
        )
    layers = "-".join(map(str, (pixels, *settings.sizes[1:-1], outputs)))
    if layers == settings.layers:
        return settings, dataset
    height, width = train.image_shape
    note = (
        f"the layers are {layers}, since the images have {height}x{width} pixels and {outputs} "
        "classes"
    )
    return settings.changed(layers=layers), noted(dataset, note)


def without_digits(settings: Settings, dataset: Dataset) -> tuple[Settings, Dataset]:
    """The settings without the smaller rotation of the digits 1 and 7, where classes have names."""
    note = "classes with names are all rotated by --rotation; --rotation-1-7 is for digits"
    return settings.changed(rotation_1_7=None), noted(dataset, note)


def noted(dataset: Dataset, note: str) -> Dataset:
    """The set with one more sentence that is said of it."""
    train = replace(dataset.train, notes=(*dataset.train.notes, note))
    if "digest" in vars(dataset.train):  # computed already; notes are no part of it
        vars(train)["digest"] = dataset.train.digest
    return replace(dataset, train=train)


def with_validation(changes: Mapping[str, Any], validation: Any) -> tuple[dict[str, Any], Any]:
    """Changes of settings, by their own names, with what is to be held out; the pair or None.

    Where a pair (images, labels) is given, the number to hold out is 0.
    """
    changes = renamed(changes)
    if validation is None:
        return changes, None
    if is_number(validation):
        return {**changes, **renamed({"validation": validation})}, None
    return {**changes, "validation": 0}, validation


def is_number(given: object) -> bool:
    """Whether this is a number, of Python or NumPy, and not an array."""
    return isinstance(given, (int, float, np.number)) and not isinstance(given, bool)


def is_count(given: object) -> bool:
    """Whether this is a whole number, of Python or NumPy, and no truth value."""
    whole = hasattr(given, "__index__") and not hasattr(given, "__len__")
    return whole and not isinstance(given, bool)


def network_of(given: Any) -> Model | Committee:
    """The network that a path, a Model or a Run stands for; "shipped" is the package's own.

    Of a run that is not finished it is the network of its checkpoint, and a warning says so.
    """
    if isinstance(given, (Model, Committee)):
        return given
    if is_path(given):
        path = models.SHIPPED if str(given) == "shipped" else Path(given)
        if stopped.is_stopped(path):
            trained, _, how_far = stopped.read(path, reading.load_data, unlabeled.complete)
            warn(stopped.sentence(path, how_far))
            return trained
        found_there = committee.load(path)
        hub.check(path, found_there)
        return found_there
    given = getattr(given, "model", given)  # of a Run
    found: Model | Committee | None = getattr(given, "trained", None)
    if found is None:
        raise UsageError(
            f"expected a model, a run or the path of one, not {type(given).__name__}; "
            'load one with mnistgpu.load("runs/MY-RUN")'
        )
    return found


def labelled_digits(X: Any, y: Any, trained: Model | Committee) -> Digits:
    """Digits with their labels: the embedded test set (X is None), those at a path, or arrays.

    They are read as the network's own data were, and warnings say what contradicts that.
    """
    if y is not None and (X is None or is_path(X) or isinstance(X, Digits)):
        raise labels_without_images(X)
    if X is None or is_path(X):
        digits = data.load().test if X is None else digits_at(X, trained)
    elif isinstance(X, Digits):
        digits = X
    else:
        digits = arrays.as_digits(X, y, trained)
    if digits is None or digits.labels is None:
        raise UsageError(
            f"{X if is_path(X) else 'y'}: these images have no labels to compare with; use predict"
        )
    digits = arrays.checked(digits, "X", trained)
    checks.check_labels(digits, trained.sizes[-1])
    warn_of(digits.notes)
    return digits


def digits_at(path: AnyPath, trained: Model | Committee) -> Digits:
    """The digits in files, with the grey levels, the classes and the orientation of a network."""
    return reading.load_digits(path, trained, trained.orientation)


def warn_of(notes: tuple[str, ...]) -> None:
    """A Note for each sentence, at the line of the program that called this package.

    Grey levels that were recognised are said once: who trains on floats from 0 to 1 knows of them.
    """
    for sentence in notes:
        if sentence not in said:
            warn(sentence, Note)
    remember(notes)


def remember(notes: tuple[str, ...]) -> None:
    """Which grey levels have been said."""
    said.update(sentence for sentence in notes if RECOGNISED in sentence)


def labels_without_images(X: Any) -> UsageError:
    """The error for labels y whose images are not in an array X."""
    what = "missing" if X is None else "a path" if is_path(X) else f"a {type(X).__name__}"
    return UsageError(f"y is given, but X is {what}: give both as arrays, or leave y out")
