"""Digits from files: a whole set to train on (`load`), or images to answer (`load_digits`)."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mnistgpu.data import embedded, finding, shapes
from mnistgpu.data import made as made_data
from mnistgpu.data.digits import Alike, Dataset, Digits, as_digits
from mnistgpu.data.naming import EMBEDDED
from mnistgpu.data.raw import Raw
from mnistgpu.errors import DataError, ShapeError, UsageError, printable

UNLABELLED = "unlabelled"


def load(path: str | os.PathLike[str] | None = None, orientation: str = "by-name") -> Dataset:
    """A labelled set: the embedded MNIST, or the set at a path.

    The path is a folder, a zip archive or a file: IDX files as of MNIST, EMNIST and QMNIST, tables
    as of Kaggle, npz, npy or parquet; docs/your-data.md lists them. Or it is what `mnistgpu
    make-data` has made, whose images stay in their files. Grey levels and classes are recognised on
    the images to train on, and applied to the others. What was recognised, turned or left out is
    said in the notes of the digits.
    orientation: whether the images are stored "upright" or "transposed"; "by-name" turns those of
    EMNIST, by the name of the file.

    Raises DataError if something is missing, damaged or in another format.
    """
    if path is None:
        with ThreadPoolExecutor(2) as pool:  # unpacking and hashing release Python's lock
            parts = list(pool.map(embedded.read, ("train", "test")))
        return Dataset(parts[0], parts[1], EMBEDDED, orientation=orientation)
    if made_data.is_made(path):
        if orientation == "transposed":
            raise UsageError(f"orientation: {path} has been made upright; leave it out")
        return replace(made_data.read(path), orientation=orientation)
    found = finding.find(path, orientation)
    if "train" not in found.readers:
        raise DataError(
            f"{path}: holds no training images; add train-images-idx3-ubyte to a folder, or "
            "x_train to an npz file"
        )
    names = [name for name in ("train", "test", "validation") if name in found.readers]
    with ThreadPoolExecutor(2) as pool:
        raws = dict(zip(names, pool.map(lambda name: found.readers[name](), names), strict=True))
    for raw in raws.values():
        if raw.labels is None:
            raise DataError(without_labels(raw, found.notes))
    training = made(raws["train"], None, found.notes)
    test, validation = (
        alike(raws[name], training) if name in raws else None for name in ("test", "validation")
    )
    return Dataset(training, test, str(path), validation, os.path.abspath(path), orientation)


def load_digits(
    path: str | os.PathLike[str],
    like: Alike | None = None,
    orientation: str = "by-name",
    first: str = "test",
) -> Digits:
    """The images at a path, as for `load`, with their labels if there are any.

    If the path has a training and a test part, the images are those of the part `first`.
    like: the training set or the network whose image shape, grey levels and classes are applied.
    """
    if made_data.is_made(path):
        return made_data.read(path).train if first == "train" else made_data.test_part(path)
    found = finding.find(path, orientation)
    for name in (UNLABELLED, first, "test", "train", "validation"):
        if name in found.readers:
            return made(found.readers[name](), like, found.notes)
    raise DataError(f"{path}: holds no images; save them as x_test with numpy.savez")


def made(raw: Raw, like: Alike | None, notes: tuple[str, ...] = ()) -> Digits:
    """Digits of what a reader found."""
    if raw.labels is not None and len(raw.images) != len(raw.labels):
        mend = "take both from one set"
        if raw.images.shape[-1] == len(raw.labels):
            mend = "the images are in the last dimension: save np.moveaxis(X, -1, 0)"
        raise DataError(
            f"{raw.source}: {len(raw.images):,} images, but {len(raw.labels):,} labels; {mend}"
        )
    said = tuple(printable(note) for note in (*notes, *raw.notes))
    try:
        digits = as_digits(raw.images, raw.labels, raw.source, like, said)
    except ShapeError as error:  # of a file, not of a caller's array
        raise DataError(str(error)) from None
    return replace(digits, ids=raw.ids)


def alike(raw: Raw, training: Digits) -> Digits:
    """Digits of another part of the set; DataError if its images are of another size."""
    stacked, _ = shapes.stack(raw.images[:1], None, raw.source)
    if stacked.shape[1:] != training.image_shape:
        found, wanted = (
            "x".join(map(str, each)) for each in (stacked.shape[1:], training.image_shape)
        )
        raise DataError(
            f"{raw.source}: images of {found}, but those to train on have {wanted}; take both from "
            "one set"
        )
    return made(raw, training)


def without_labels(raw: Raw, notes: tuple[str, ...]) -> str:
    """The message for images to train on, or for the test, that have no labels."""
    pixels = raw.images[0].size
    said = f" ({'; '.join((*notes, *raw.notes))})" if notes or raw.notes else ""
    return (
        f"{raw.source}: looks like test.csv, {pixels} pixels and no label{said}; use it with "
        "predict or submit, or add the labels (a column called label, a file labels-idx1-ubyte, or "
        "an array y_...)"
    )
