"""npz: a zip archive of arrays, as numpy.savez writes it and Keras serves MNIST.

Which array is what is decided by names (x_train, train_images, X, ...), and where they do not say
it, by shapes: images have 64 numbers or more each, or rows and columns. Arrays that are not used
are named. `npy.py` reads the arrays themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mnistgpu.data import npy
from mnistgpu.data.naming import listed, role_of
from mnistgpu.data.raw import Raw
from mnistgpu.data.streams import Content, archive_at, open_member
from mnistgpu.errors import DataError

AGAIN = "write it again with numpy.savez"
NAMES = "x_train, y_train, x_test, y_test"
FEWEST_PIXELS = 64  # a row of fewer numbers is a label in one-hot form


class Pair(NamedTuple):
    """The names of an array of images and of its labels (None if there are none)."""

    images: str
    labels: str | None


class Layout(NamedTuple):
    """Which arrays are the parts (train, test, validation), and what is to be said of the file."""

    pairs: dict[str, Pair]
    notes: tuple[str, ...]


Shapes = Mapping[str, tuple[int, ...] | None]  # of each array; None where it cannot be read


def layout(path: Path) -> Layout:
    """Which arrays of the npz file are images and labels. Only names and headers are read."""
    with archive_at(path) as (archive, size):
        shapes: dict[str, tuple[int, ...] | None] = {}
        others = []
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name in shapes:
                raise DataError(f"{path}: holds {name[:60]!r} twice; {AGAIN}")
            if info.filename != f"{name}.npy":
                others.append(info.filename)
                continue
            with open_member(f"{path}, {info.filename}", archive, info, size) as stream:
                shapes[name] = npy.shape_of(stream)
    found = pairs_of(path, shapes)
    used = {name for pair in found.values() for name in pair}
    notes = [
        f"of {path} the arrays {pair.images} and {pair.labels} are taken as {part} images and "
        "labels"
        for part, pair in found.items()
        if part not in pair.images.lower() and pair.labels is not None
    ]
    if left := [*(name for name in shapes if name not in used), *others]:
        notes.append(f"{path} also holds {listed(left)}, which is not used")
    return Layout(found, tuple(notes))


def pairs_of(path: Path, shapes: Shapes) -> dict[str, Pair]:
    """The arrays that are images and labels, by the part that they belong to."""
    roles = {name: role_of(name) for name in shapes}
    found: dict[str, Pair] = {}
    families = sorted({role.family for role in roles.values() if role.kind == "images"})
    if len(families) > 1 and families[0]:
        raise DataError(
            f"{path}: holds several sets, {listed(families)}; save one of them alone with "
            "numpy.savez"
        )
    for part in ("train", None, "test", "validation"):
        wanted = [
            [
                name
                for name, role in roles.items()
                if families and role[:3] == (families[0], part, kind)
            ]
            for kind in ("images", "labels")
        ]
        if part is None and ("train" in found or not wanted[0]):
            continue
        images = one_of(path, wanted[0], shapes)
        labels = one_of(path, wanted[1], shapes)
        if images is None:
            if labels is not None:
                raise DataError(f"{path}: holds {labels} without its images; add the images")
            continue
        found["train" if part is None else part] = Pair(images, labels)
    if not found and shapes:
        found = pairs_by_shape(path, shapes)
    return found


def one_of(path: Path, names: Sequence[str], shapes: Shapes) -> str | None:
    """The one array with this role; of two with the same pixels the one that shows their rows."""
    if len(names) == 2:
        first, second = (shapes[name] or () for name in names)
        if first[:1] == second[:1] and math.prod(first) == math.prod(second):
            return names[0] if len(first) >= len(second) else names[1]
    if len(names) > 1:
        raise DataError(
            f"{path}: holds {listed(names)}, of which only one can be meant; leave the others out"
        )
    return names[0] if names else None


def pairs_by_shape(path: Path, shapes: Shapes) -> dict[str, Pair]:
    """One pair of images and labels, or two (to train on, then for the test), in their order."""
    images: list[str] = []
    labels: list[str] = []
    for name, shape in shapes.items():
        if shape is not None and shape:
            row = shape[1:]
            (images if len(row) > 1 or math.prod(row) >= FEWEST_PIXELS else labels).append(name)
    given: list[str | None] = [*labels] or [None] * len(images)
    pairs = [
        Pair(*pair)
        for pair in zip(images, given, strict=False)
        if pair[1] is None or (shapes[pair[0]] or ())[:1] == (shapes[pair[1]] or ())[:1]
    ]
    if len(pairs) == len(images) in (1, 2) and len(labels) in (0, len(images)):
        if len(pairs) == 1 or labels:
            return dict(zip(("train", "test"), pairs, strict=False))
    raise DataError(
        f"{path}: holds {listed(list(shapes))}, but no array is called {NAMES} or alike; save them "
        "under these names with numpy.savez"
    )


def read(path: Path, pair: Pair, source: str) -> Raw:
    """The arrays of a part."""
    images = read_array(path, pair.images)
    labels = None if pair.labels is None else read_array(path, pair.labels)
    return Raw(images, labels, source)


def read_array(path: Path, name: str) -> np.ndarray:
    """One array of an npz file."""
    with archive_at(path) as (archive, size):
        info = archive.getinfo(f"{name}.npy")
        where = f"{path}, {info.filename}"
        with open_member(where, archive, info, size) as stream:
            return npy.read(Content(where, stream, info.file_size, size), AGAIN)


def is_one_array(path: Path) -> bool:
    """Whether an npz file holds a single array, as those of KMNIST do."""
    with archive_at(path) as (archive, _):
        return len(archive.infolist()) == 1


def only_array(path: Path) -> np.ndarray:
    """The array of an npz file that holds a single one."""
    with archive_at(path) as (archive, _):
        name = archive.infolist()[0].filename.removesuffix(".npy")
    return read_array(path, name)
