"""Folders and zip archives alike: the files in each folder, from the top down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mnistgpu.data.formats import is_idx_name
from mnistgpu.data.naming import role_of
from mnistgpu.data.streams import Source, archive_at
from mnistgpu.errors import DataError

DEPTH = 2  # how many levels of folders are looked through, as in MNIST/raw below the one given
MOST_FOLDERS = 200  # of them


class Folder(NamedTuple):
    """A folder, on the disk or in an archive, and the files in it."""

    path: Path  # its own, or that of the archive
    where: str  # for messages
    depth: int  # below the one that was given
    files: tuple[Source, ...]


def folders_in(path: Path, is_archive: bool) -> Iterator[Folder]:
    """The folder (or the zip archive) at path, then those in it, level by level."""
    yield from in_archive(path) if is_archive else on_disk(path)


def on_disk(path: Path) -> Iterator[Folder]:
    """The folder at path and those in it. DataError if it cannot be listed."""
    level = [path]
    for depth in range(DEPTH + 1):
        below: list[Path] = []
        for folder in level[:MOST_FOLDERS]:
            names, folders = listing(folder)
            files = [Source(folder / name) for name in names]
            for name in folders:
                if depth == 0 and is_of_idx(name):  # as some programs unpack: a/a or a.idx/a-idx
                    inner, _ = listing(folder / name)
                    files += [Source(folder / name / each) for each in inner if is_of_idx(each)]
                elif not name.startswith((".", "__")):
                    below.append(folder / name)
            yield Folder(folder, str(folder), depth, tuple(files))
        level = below


def listing(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the files and of the folders in a folder, sorted."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, is_folder(entry)) for entry in entries]
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be listed ({error.strerror or error}); check its permissions"
        ) from None
    files, folders = ([name for name, is_dir in found if is_dir == kind] for kind in (False, True))
    return sorted(files), sorted(folders)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False


def is_of_idx(name: str) -> bool:
    """Whether a name is that of an IDX file, or of a folder with one."""
    return is_idx_name(name) and role_of(name).stored and role_of(name).kind is not None


def members_in(path: Path) -> list[str]:
    """The names of the files in a zip archive."""
    with archive_at(path) as (archive, _):
        names = [info.filename for info in archive.infolist()]
    return [name for name in names if name and not name.endswith("/")]


def in_archive(path: Path) -> Iterator[Folder]:
    """The folders of a zip archive."""
    members = members_in(path)
    if len(set(members)) < len(members):
        raise DataError(f"{path}: holds a file twice; zip it again")
    folders: dict[PurePosixPath, list[Source]] = {}
    for member in members:
        parent = PurePosixPath(member).parent
        if not {"__MACOSX", ".."} & set(parent.parts):
            folders.setdefault(parent, []).append(Source(path, member))
    for parent in sorted(folders, key=lambda each: (len(each.parts), each)):
        where = f"{path}, {parent}" if parent.parts else str(path)
        yield Folder(path, where, len(parent.parts), tuple(sorted(folders[parent])))
