"""A folder of pictures as digits: a sub-folder for each class, or the class before each name.

    digits/7/photo.jpg        digits/7_0001.png        digits/train/7/1.png, digits/test/7/2.png

Small pictures of one size are read as they are, unless they are too few to tell whether they show
ink on white paper, and look so. Others are prepared like photographs: the digit is found, scaled
and centred.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mnistgpu.data.digits import Alike, Dataset, Digits, as_digits
from mnistgpu.data.levels import FEWEST, OURS, Levels, is_white
from mnistgpu.errors import DataError, printable
from mnistgpu.pictures import decode, images
from mnistgpu.pictures.folder_contents import Found, parts_of, walk
from mnistgpu.runs.counting import counted

SMALL_SIDE, SMALL_BYTES = 64, 2**16  # what is read as it is; a larger picture is a photograph
ALIKE = 0.9  # the least share of pictures of one size that makes a set of small ones
SAMPLE = 200  # pictures that tell whether paper is white
MOST_NAMED = 20  # pictures that are left out, by name
Size = tuple[int, int]  # height and width
Sizes = dict[Path, Size | None]

AS_THEY_ARE = "pictures are read as they are, since they are small and of one size"
PREPARED = "pictures are prepared like photographs: each digit is found, scaled and centred"


class Prepared(NamedTuple):
    """What is known of pictures that were prepared: their levels are ours."""

    classes: tuple[str | int, ...]
    image_shape: tuple[int, int]
    levels: Levels = OURS


def load(folder: Path, bar: bool = False) -> Dataset:
    """The labelled set in a folder of pictures, with the parts train, test and validation if it has
    folders of these names. bar: show how far the reading is, on a terminal or in a notebook.

    Pictures that cannot be read are left out; the notes of the digits name and count them.
    DataError if no class is known, or if none of the pictures of a class can be read.
    """
    found = parts_of(folder)
    train = found.get("train", found.get("all"))
    if train is None:
        raise DataError(
            f"{folder}: holds a folder {next(iter(found))}, but none that is called train; add it"
        )
    sizes = sizes_of([path for part in found.values() for path in part.paths], bar)
    size = size_as_is(train.paths, sizes)
    digits = read(train, sizes, size, None, bar, labelled=True)
    rest = {
        part: read(found[part], sizes, size, digits, bar, labelled=True)
        for part in ("test", "validation")
        if part in found
    }
    path = os.path.abspath(folder)
    return Dataset(digits, rest.get("test"), str(folder), rest.get("validation"), path)


def load_digits(
    folder: Path, like: Alike | None = None, bar: bool = False, first: str = "test"
) -> Digits:
    """The pictures in a folder, with their labels if all of them have one; those of the part
    `first` if it has that. like: a network whose classes, levels and size of images they must have.
    """
    found = parts_of(folder)
    names = (first, "test", "all", "train", "validation")
    part = next(found[name] for name in names if name in found)
    sizes = sizes_of(part.paths, bar)
    return read(part, sizes, size_as_is(part.paths, sizes, like), like, bar)


def pictures_below(folder: Path) -> list[Path]:
    """All pictures in a folder and those within it, in the order of their names."""
    return list(walk(folder))


def are_read_as_they_are(paths: Sequence[Path], like: Alike) -> bool:
    """Whether a network is given these pictures as they are."""
    return size_as_is(paths, sizes_of(paths), like) is not None


def sizes_of(paths: Sequence[Path], bar: bool = False) -> Sizes:
    """Height and width of each picture with a small file, and None for each other file."""
    return {path: size_of(path) for path in counted(paths, "looking at the pictures", bar)}


def size_as_is(paths: Sequence[Path], sizes: Sizes, like: Alike | None = None) -> Size | None:
    """Height and width of small pictures that are read as they are; None if they are prepared.

    like: the network that answers them, whose images have another size or the other side bright
    where they are prepared; None for a set to train on. Of less than FEWEST pictures of such a set
    nobody can tell whether their paper is white, so that they are prepared if it looks so.
    """
    counts = Counter(sizes[path] for path in paths)
    size, count = max(counts.items(), key=lambda item: item[1], default=(None, 0))
    if size is None or max(size) > SMALL_SIDE or count < ALIKE * len(paths):
        return None
    if like is not None and size != like.image_shape:
        return None
    if like is None and len(paths) >= FEWEST:
        return size
    some = []
    for path in paths[:: -(-len(paths) // SAMPLE)]:
        with contextlib.suppress(DataError):
            some.append(image_of(path, sizes[path], size, size))
    white = bool(some) and is_white(np.stack(some).reshape(-1, *size), 255)
    return size if white == (like is not None and like.levels.is_white) else None


def size_of(path: Path) -> Size | None:
    """Height and width of a picture, from its header; None if its file is large or no picture."""
    from PIL import Image

    try:
        if not os.path.isfile(path) or os.path.getsize(path) > SMALL_BYTES:
            return None
        with Image.open(path, formats=decode.FORMATS) as picture:
            width, height = picture.size
    except Exception:  # the reading itself says what is wrong
        return None
    return height, width


def read(
    found: Found,
    sizes: Sizes,
    size: Size | None,
    like: Alike | None,
    bar: bool,
    labelled: bool = False,
) -> Digits:
    """The digits of a part. sizes, size: of each picture, and of all where they are read as they
    are; None where they are prepared.

    like: what has the classes, the levels and the size that they must have; None for a set that is
    trained on. labelled: whether each must have a class.
    """
    shape = size or ((28, 28) if like is None else like.image_shape)
    unnamed = [path for path, name in zip(found.paths, found.names, strict=True) if name is None]
    if labelled and (unnamed or not found.paths):
        such = f", such as {unnamed[0].name}" if unnamed else ""
        raise DataError(
            f"{found.folder}: has pictures of no class{such}; put those of each class into a "
            "folder named by it, or begin each name with the class, as in 7_0001.png"
        )
    rows, names, problems = [], [], []
    pairs = list(zip(found.paths, found.names, strict=True))
    for path, name in counted(pairs, f"reading {found.folder.name or found.folder}", bar):
        try:
            rows.append(image_of(path, sizes[path], size, shape))
            names.append(name)
        except DataError as error:
            problems.append(str(error))
    if not rows:
        raise DataError(
            f"{found.folder}: none of its {len(pairs)} pictures can be read: {problems[0]}"
        )
    lost = sorted(set(found.names) - set(names), key=str)
    if lost and labelled:
        raise DataError(f"{found.folder}: no picture of class {lost[0]} can be read: {problems[0]}")
    labels = None if unnamed else labels_of(names)
    if size is None and like is not None:
        like = Prepared(like.classes, shape)
    notes = notes_of(found, len(rows), size, shape, problems)
    return as_digits(np.stack(rows).reshape(-1, *shape), labels, str(found.folder), like, notes)


def image_of(
    path: Path,
    own: Size | None,
    size: Size | None,
    shape: Size,
) -> np.ndarray:
    """The image (pixels,) uint8 of a picture: as it is if all have a size, else prepared.

    own: the size of the picture if its file is small.
    """
    if size is None:
        image: np.ndarray = images.read_picture(path, shape).images[0]
        return image
    is_large = own is None and os.path.isfile(path) and os.path.getsize(path) > SMALL_BYTES
    if own != size and (own is not None or is_large):
        what = "a large file" if own is None else f"{own[1]}x{own[0]} pixels"
        raise DataError(
            f"{path}: {what}, but the other pictures have {size[1]}x{size[0]} pixels; scale it to "
            "that size"
        )
    image = images.read_as_is(path, size).images[0]
    return image


def labels_of(names: Sequence[str | None]) -> np.ndarray:
    """Names of classes (N,): numbers where every name is one as it is written, else texts."""
    if all(
        name is not None and name.isascii() and name.isdigit() and name == str(int(name))
        for name in set(names)
    ):
        return np.array([int(name or 0) for name in names])
    return np.array(names, dtype=str)


def notes_of(
    found: Found,
    count: int,
    size: Size | None,
    shape: Size,
    problems: Sequence[str],
) -> tuple[str, ...]:
    """What is said about a part: how it was read, and what was left out."""
    height, width = shape
    how = AS_THEY_ARE if size else PREPARED
    notes = [f"{found.folder}: {count:,} {how}, {width}x{height}"]
    notes += [f"left out: {problem}" for problem in problems[:MOST_NAMED]]
    if problems:
        total = count + len(problems)
        notes.append(f"{found.folder}: {len(problems):,} of {total:,} pictures are left out")
    if found.strangers:
        such = ", ".join(found.strangers[:3])
        notes.append(
            f"{found.folder}: {len(found.strangers):,} more files or folders are not read, such as "
            f"{such}"
        )
    return tuple(map(printable, notes))
