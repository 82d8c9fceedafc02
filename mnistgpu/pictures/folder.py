"""A folder of pictures as digits: a sub-folder for each class, or the class before each name.

    digits/7/photo.jpg        digits/7_0001.png        digits/train/7/1.png, digits/test/7/2.png

Small pictures of one size are read as they are. Others are prepared like photographs: the digit is
found, scaled and centred.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mnistgpu.data.digits import Alike, Dataset, Digits, as_digits
from mnistgpu.data.levels import OURS, Levels
from mnistgpu.errors import DataError, printable
from mnistgpu.pictures import images
from mnistgpu.runs.counting import counted

SMALL_SIDE, SMALL_BYTES = 64, 2**16  # what is read as it is; a larger picture is a photograph
ALIKE = 0.9  # the least share of pictures of one size that makes a set of small ones
DEPTH = 4  # of folders below the given one
MOST_NAMED = 20  # pictures that are left out, by name
PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("validation", "valid", "val"),
}
WORDS = {name for names in PARTS.values() for name in names}
# what holds digits in other formats: such a folder is read by `data`
OTHERS = re.compile(r"idx[13]|ubyte|^(train|test)\.[ct]sv|\.(npz|npy|parquet)$", re.I)

Sizes = dict[Path, tuple[int, int] | None]

AS_THEY_ARE = "pictures are read as they are, since they are small and of one size"
PREPARED = "pictures are prepared like photographs: each digit is found, scaled and centred"


class Prepared(NamedTuple):
    """What is known of pictures that were prepared: their levels are ours."""

    classes: tuple[str | int, ...]
    image_shape: tuple[int, int]
    levels: Levels = OURS


@dataclass(frozen=True)
class Found:
    """The pictures of one part, in the order of their names, each with the name of its class."""

    folder: Path
    paths: tuple[Path, ...]
    names: tuple[str | None, ...]
    strangers: tuple[str, ...] = ()  # what is there too and is not read


def is_one(path: Path) -> bool:
    """Whether this is a folder that holds pictures, and no digits in another format."""
    if not os.path.isdir(path):
        return False
    inside = entries(path)
    return not any(OTHERS.search(entry.name) for entry in inside) and holds_pictures(path)


def load(folder: Path, bar: bool = False) -> Dataset:
    """The labelled set in a folder of pictures, with the parts train, test and validation if it has
    folders of these names. bar: show how far the reading is, on a terminal or in a notebook.

    Pictures that cannot be read are left out; the notes of the digits name and count them.
    DataError if no class is known, or if none of the pictures of a class can be read.
    """
    found = parts_of(folder)
    train = found.get("train", found.get("all"))
    if train is None:
        raise DataError(f"{folder}: holds a folder test, but none that is called train; add it")
    sizes = sizes_of([path for part in found.values() for path in part.paths], bar)
    digits = read(train, sizes, None, bar, labelled=True)
    rest = {
        part: read(found[part], sizes, digits, bar, labelled=True)
        for part in ("test", "validation")
        if part in found
    }
    path = os.path.abspath(folder)
    return Dataset(digits, rest.get("test"), str(folder), rest.get("validation"), path)


def load_digits(folder: Path, like: Alike | None = None, bar: bool = False) -> Digits:
    """The pictures in a folder, with their labels if all of them have one; those of its test part
    if it has one. like: a network whose classes, levels and size of images they must have.
    """
    found = parts_of(folder)
    part = next(found[name] for name in ("test", "all", "train", "validation") if name in found)
    return read(part, sizes_of(part.paths, bar), like, bar)


def pictures_below(folder: Path) -> list[Path]:
    """All pictures in a folder and those within it, in the order of their names."""
    return list(walk(folder))


def are_read_as_they_are(paths: Sequence[Path], image_shape: tuple[int, int]) -> bool:
    """Whether a network that reads images of this shape is given these pictures as they are."""
    return common_size(sizes_of(paths)) == image_shape


# Which pictures are there, and of which class


def parts_of(folder: Path) -> dict[str, Found]:
    """The parts of a set by their names; "all" alone if there are no folders for them."""
    top = innermost(folder)
    below = {entry.name.lower(): Path(entry) for entry in entries(top) if entry.is_dir()}
    parts = {
        part: labelled_pictures(below[name])
        for part, names in PARTS.items()
        for name in names
        if name in below and holds_pictures(below[name])
    }
    if not parts:
        return {"all": labelled_pictures(top)}
    strangers = [name for name in below if name not in WORDS and holds_pictures(below[name])]
    if strangers and "train" in parts:
        train = parts["train"]
        parts["train"] = Found(
            train.folder, train.paths, train.names, (*train.strangers, *strangers)
        )
    return parts


def labelled_pictures(folder: Path) -> Found:
    """The pictures in a folder: of sub-folders named by classes, or else of the folder itself,
    whose names then begin with the class and _ or -.
    """
    top = innermost(folder)
    inside = entries(top)
    classes = [Path(entry) for entry in inside if entry.is_dir() and holds_pictures(Path(entry))]
    own = [Path(entry) for entry in inside if entry.is_file() and is_named_as_picture(entry.name)]
    strangers = [
        entry.name for entry in inside if entry.is_file() and not is_named_as_picture(entry.name)
    ]
    if classes:
        pairs = [(path, each.name) for each in classes for path in walk(each)]
        strangers += [path.name for path in own]
    else:
        prefixes = [re.match(r"([^_-]+)[_-]", path.name) for path in own]
        pairs = [
            (path, prefix[1].strip() if prefix else None)  # type: ignore[misc]
            for path, prefix in zip(own, prefixes, strict=True)
        ]
    paths, names = zip(*pairs, strict=True) if pairs else ((), ())
    return Found(folder, paths, names, tuple(strangers))


def innermost(folder: Path) -> Path:
    """The folder, or the only one within it, as archives have it, if that has folders too."""
    for _ in range(DEPTH):
        inside = entries(folder)
        if any(entry.is_file() and is_named_as_picture(entry.name) for entry in inside):
            break
        folders = [Path(entry) for entry in inside if entry.is_dir()]
        full = [each for each in folders if holds_pictures(each)]
        if len(full) != 1 or full[0].name.lower() in WORDS:
            break
        if not any(entry.is_dir() for entry in entries(full[0])):
            break
        folder = full[0]
    return folder


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name, without hidden files; DataError if it cannot be listed."""
    try:
        with os.scandir(folder) as inside:
            shown = [entry for entry in inside if not entry.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be listed ({error.strerror or error}); check its permissions"
        ) from None
    return sorted(shown, key=lambda entry: entry.name)


def walk(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """The pictures in a folder and in those below it, each folder in the order of its names."""
    for entry in entries(folder):
        if entry.is_dir():
            if depth:
                yield from walk(Path(entry), depth - 1)
        elif is_named_as_picture(entry.name):
            yield Path(entry)


def holds_pictures(folder: Path) -> bool:
    """Whether there is a picture in a folder or below it."""
    return next(walk(folder), None) is not None


def is_named_as_picture(name: str) -> bool:
    """Whether a name has the ending of a picture, also of a kind that is refused later."""
    return name.lower().endswith((*images.PICTURES, *images.UNREAD))


# Reading them


def sizes_of(paths: Sequence[Path], bar: bool = False) -> Sizes:
    """Height and width of each small picture, and None for each other file."""
    return {path: small_size(path) for path in counted(paths, "looking at the pictures", bar)}


def common_size(sizes: Sizes) -> tuple[int, int] | None:
    """Height and width of small pictures of one size; None if these are not such pictures."""
    counts = Counter(sizes.values())
    size, count = max(counts.items(), key=lambda item: item[1], default=(None, 0))
    return size if count >= ALIKE * len(sizes) else None


def small_size(path: Path) -> tuple[int, int] | None:
    """Height and width of a small picture; None for a larger one, or if it cannot be read.

    A small picture has a small file, whose header alone is read here.
    """
    from PIL import Image

    try:
        if os.path.getsize(path) > SMALL_BYTES:
            return None
        with Image.open(path, formats=images.FORMATS) as picture:
            width, height = picture.size
    except Exception:  # the reading itself says what is wrong
        return None
    return (height, width) if max(height, width) <= SMALL_SIDE else None


def read(
    found: Found,
    sizes: Sizes,
    like: Alike | None,
    bar: bool,
    labelled: bool = False,
) -> Digits:
    """The digits of a part. sizes: of the small pictures, by which all are read as they are or not.

    like: what has the classes, the levels and the size that they must have; None for a set that is
    trained on. labelled: whether each must have a class.
    """
    size = common_size(sizes)
    if like is not None and size != like.image_shape:
        size = None
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
    own: tuple[int, int] | None,
    size: tuple[int, int] | None,
    shape: tuple[int, int],
) -> np.ndarray:
    """The image (pixels,) uint8 of a picture: as it is if all have a size, else prepared.

    own: the size of the picture if it is small.
    """
    if size is None:
        image: np.ndarray = images.read_picture(path, shape).images[0]
        return image
    if own is not None and own != size:
        raise DataError(
            f"{path}: {own[1]}x{own[0]} pixels, but the other pictures have {size[1]}x{size[0]}; "
            "scale it to that size"
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
    size: tuple[int, int] | None,
    shape: tuple[int, int],
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
