"""What a folder of pictures holds: the parts of a set, and the class of each picture by names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mnistgpu.errors import DataError
from mnistgpu.pictures import decode

DEPTH = 4  # of folders below the given one
PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("validation", "valid", "val"),
}
WORDS = {name for names in PARTS.values() for name in names}
# what holds digits in other formats: such a folder is read by `data`
OTHERS = re.compile(r"idx[13]|ubyte|^(train|test)\.[ct]sv|\.(npz|npy|parquet)$", re.I)


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
    return holds_pictures(path) and not any(map(OTHERS.search, names_below(path)))


def parts_of(folder: Path) -> dict[str, Found]:
    """The parts of a set by their names; "all" alone if there are no folders for them."""
    top = innermost(folder)
    below = {entry.name.lower(): Path(entry) for entry in entries(top) if entry.is_dir()}
    for part, names in PARTS.items():
        own = [name for name in names if name in below and holds_pictures(below[name])]
        if len(own) > 1:
            raise DataError(f"{folder}: {' and '.join(own)} are both for {part}; keep one of them")
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


def names_below(folder: Path, depth: int = DEPTH) -> Iterator[str]:
    """The names of all files in a folder and in those below it."""
    for entry in entries(folder):
        if entry.is_dir():
            if depth:
                yield from names_below(Path(entry), depth - 1)
        else:
            yield entry.name


def holds_pictures(folder: Path) -> bool:
    """Whether there is a picture in a folder or below it."""
    return next(walk(folder), None) is not None


def is_named_as_picture(name: str) -> bool:
    """Whether a name has the ending of a picture, also of a kind that is refused later."""
    return name.lower().endswith((*decode.PICTURES, *decode.FROM_PHONES))
