"""Whatever is at a path, as digits: `data` reads tables and arrays, `pictures` folders of pictures.

Both are imported when they are needed, since `mnistgpu train` reads its digits first.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mnistgpu import data
from mnistgpu.errors import UsageError
from mnistgpu.storage import files

if TYPE_CHECKING:
    import os

    from mnistgpu.data.digits import Alike


def load_data(
    path: str | os.PathLike[str] | None = None,
    orientation: str = "by-name",
    *,
    bar: bool = False,
) -> data.Dataset:
    """A labelled set: the embedded MNIST, or the set at a path, as for `data.load`; also a folder
    of pictures (see `pictures.folder`).

    orientation: as for `data.load`.
    bar: show how far the reading of pictures is, on a terminal or in a notebook.
    DataError if something is missing, damaged or in another format.
    """
    if path is not None and holds_pictures(files.path_of(path, "data")):
        from mnistgpu.pictures import folder

        if orientation == "transposed":
            raise UsageError(f"orientation: is for files of arrays, but {path} holds pictures")
        return replace(folder.load(Path(path), bar), orientation=orientation)
    return data.load(path, orientation)


def load_digits(
    path: str | os.PathLike[str],
    like: Alike | None = None,
    orientation: str = "by-name",
    *,
    bar: bool = False,
    first: str = "test",
) -> data.Digits:
    """The images at a path, as for `data.load_digits`; also a folder of pictures.

    like: a network whose classes and grey levels they have. bar: as for `load_data`. first: the
    part of a set that is read, if it has that.
    """
    if holds_pictures(files.path_of(path, "data")):
        from mnistgpu.pictures import folder

        return folder.load_digits(Path(path), like, bar, first)
    return data.load_digits(path, like, orientation, first)


def holds_pictures(path: Path) -> bool:
    """Whether this is a folder of pictures; nothing is imported to answer it for a file."""
    if not path.is_dir():
        return False
    from mnistgpu.pictures import folder_contents

    return folder_contents.is_one(path)
