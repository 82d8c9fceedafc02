"""Which files at a path are the parts of a set: to train on, for the test, for the validation.

A path is a file, a folder or a zip archive. Names decide (`naming.py`); what lies there and is not
taken is named.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from mnistgpu.data import emnist, idx, npy, npz, parquet, table
from mnistgpu.data.folders import Folder, folders_in, listing, members_in
from mnistgpu.data.formats import ENDINGS, MENDS, ending_of, format_of, is_idx_name, stem_of
from mnistgpu.data.naming import Role, listed, role_of, words_of
from mnistgpu.data.raw import Raw
from mnistgpu.data.streams import Source, mode_of
from mnistgpu.errors import DataError, UsageError

TABLES = (".csv", ".tsv", ".txt", ".parquet")
SINGLE = (".csv", ".tsv", ".npz", ".parquet", ".zip")  # read alone whatever its name is
AGAIN = "write it again with numpy.save"
# what a folder of data may hold besides, which nobody expects to be read
ASIDE = (".md", ".rst", ".pdf", ".html", ".py", ".ipynb", ".json", ".toml", ".xml", ".log")

Reader = Callable[[], Raw]


@dataclass(frozen=True)
class Found:
    """A reader for each part of a set, and what is to be said of the choice.

    The part "unlabelled" is a table of test images whose labels are not known, as Kaggle's.
    """

    readers: Mapping[str, Reader]
    notes: tuple[str, ...] = ()


Members = dict[str, dict[str, Source]]  # by part and kind: images, labels, or table


def find(given: str | os.PathLike[str], orientation: str = "by-name") -> Found:
    """The parts of the set at a path. DataError if there is none, or no one can tell which."""
    if not isinstance(given, (str, os.PathLike)):
        raise UsageError(f"data: must be a path, as text or a Path, not {type(given).__name__}")
    emnist.check_orientation(orientation)
    path = Path(given)
    if is_family(path):
        return of_folder(path.parent, not path.parent.is_dir(), orientation, path.name.lower())
    if stat.S_ISDIR(mode_of(path)):
        return of_folder(path, False, orientation)
    source = Source(path)
    kind = format_of(source)
    if kind == "zip":
        return of_folder(path, True, orientation)
    if kind == "npz":
        return of_npz(source, orientation)
    if kind in ("table", "parquet"):
        reader = partial(read_table, source, str(path), orientation)
        return Found({"train": reader}, test_beside(source))
    labels = labels_beside(source)
    reader = partial(read_pair, source, labels, str(path), orientation)
    return Found({"train": reader}, test_beside(source))


def is_there(path: str) -> bool:
    """Whether something is at a path, or it names one of several sets in a folder."""
    return os.path.exists(path) or is_family(Path(path))


def is_family(path: Path) -> bool:
    """Whether a path is none, but names one of several sets in a folder or a zip archive, as
    FOLDER/emnist-letters and gzip.zip/emnist-letters do.
    """
    name, parent = path.name.lower(), path.parent
    try:
        os.lstat(path)
        return False
    except (FileNotFoundError, NotADirectoryError):
        if parent.is_dir():
            names = listing(parent)[0]
        elif parent.suffix.lower() == ".zip" and parent.is_file():
            names = [PurePosixPath(member).name for member in members_in(parent)]
        else:
            return False
    except (OSError, ValueError):  # no right to look, or a zero byte in the name
        return False
    return bool(name) and any(role_of(stem_of(each)).family == name for each in names)


# One file


def of_npz(source: Source, orientation: str) -> Found:
    """The parts in an npz file; or a pair of such files of one array each, as of KMNIST."""
    role = role_of(stem_of(source.name))
    if role.kind is not None and npz.is_one_array(source.path):
        labels = labels_beside(source)
        reader = partial(read_pair, source, labels, str(source), orientation)
        return Found({"train": reader}, test_beside(source))
    pairs, notes = npz.layout(source.path)
    readers = {
        part: partial(read_npz, source, pair, f"{source}, {part}", orientation)
        for part, pair in pairs.items()
    }
    return Found(readers, notes)


def beside(source: Source) -> list[tuple[Source, Role]]:
    """The other files in the folder of a file, of the same format and family, and their roles."""
    own = role_of(stem_of(source.name))
    found = []
    for name in listing(source.path.parent)[0]:
        other = Source(source.path.parent / name)
        role = role_of(stem_of(name))
        if role.family == own.family and name != source.name and alike(name, source.name):
            found.append((other, role))
    return found


def alike(name: str, other: str) -> bool:
    """Whether two names are of the same format."""
    if is_idx_name(other):
        return is_idx_name(name)
    return ending_of(name) == ending_of(other)


def labels_beside(source: Source) -> Source | None:
    """The file of labels that belongs to a file of images; a plain one before a zipped one."""
    own = role_of(stem_of(source.name))
    if own.kind != "images":
        return None
    can_be = [
        other for other, role in beside(source) if (role.part, role.kind) == (own.part, "labels")
    ]
    return one_of(can_be, f"labels of {source}") if can_be else None


def test_beside(source: Source) -> tuple[str, ...]:
    """The sentence that a file of test images lies beside the one to train on, if one does."""
    own = role_of(stem_of(source.name))
    if own.part != "train":
        return ()
    try:
        near = beside(source)
    except DataError:  # no right to list the folder: the file itself can be read all the same
        return ()
    others = [each for each, role in near if (role.part, role.kind) == ("test", own.kind)]
    if not others or (own.kind is None and not may_be_test(others[0])):
        return ()
    return (f"{others[0]} lies beside it and is not used; give the folder to use it for the test",)


def may_be_test(source: Source) -> bool:
    """Whether a table has labels: Kaggle's test.csv has none."""
    try:
        return table_has_labels(source)
    except DataError:  # of a file that was not asked for
        return False


# A folder, or a zip archive


def of_folder(path: Path, is_archive: bool, orientation: str, family: str | None = None) -> Found:
    """The set in a folder or archive, or in the first level below that holds one."""
    seen: list[str] = []
    every: list[Folder] = []
    for depth, level in itertools.groupby(folders_in(path, is_archive), lambda each: each.depth):
        folders = list(level)
        every += folders
        seen += [str(each) for folder in folders for each in folder.files if is_single(each)]
        found = [(folder, members) for folder in folders if (members := set_in(folder, family))]
        if len(found) > 1:
            names = listed([folder.where for folder, _ in found])
            raise DataError(f"{path}: holds several sets of data, {names}; give one of them")
        if found:
            folder, members = found[0]
            notes = [f"{path}: the data are in {folder.where}"] if depth else []
            if isinstance(members, Source):
                inner = of_single(path, members, orientation)
            else:
                inner = of_members(path, members, orientation)
            notes += left_over(folder, members) if family is None else []
            return Found(inner.readers, (*notes, *inner.notes))
    if seen:
        raise DataError(
            f"{path}: holds {listed(seen)}, and no name says which is to train on; give one of them"
        )
    for source in (each for folder in every for each in folder.files):
        if ending_of(source.name) in MENDS and is_data(source):
            format_of(source)  # raises, and says how to save it so that it is read
    raise DataError(
        f"{path}: holds neither train-images-idx3-ubyte (or .gz) nor train.csv, nor other files of "
        "images under usual names; give the folder that does, or a file"
        + (" (if it holds pictures, unpack it, and give the folder)" if is_archive else "")
    )


def set_in(folder: Folder, family: str | None) -> Members | Source | None:
    """The files of the set in a folder, by part and kind; or the only file of data there."""
    roles = [
        (source, role_of(stem_of(source.name)))
        for source in folder.files
        if is_idx_name(source.name) or ending_of(source.name) in ENDINGS
    ]
    for kind_of in (idx_kind, table_kind, array_kind):
        sets: dict[str, list[tuple[str, str, Source]]] = {}
        for source, role in roles:
            if kind := kind_of(source, role):
                sets.setdefault(role.family, []).append((role.part or "train", kind, source))
        if family is not None:
            sets = {name: files for name, files in sets.items() if name == family}
        if not sets:
            continue
        if len(sets) > 1 and "" not in sets:
            ways = listed([str(folder.path / name) for name in sorted(sets)])
            raise DataError(f"{folder.where}: holds several sets; give one of {ways}")
        return members_of(folder, sets.get("") or next(iter(sets.values())))
    single = [source for source in folder.files if is_single(source)]
    return single[0] if len(single) == 1 else None


def idx_kind(source: Source, role: Role) -> str | None:
    """images or labels for an IDX file of a set, None for another file."""
    known = is_idx_name(source.name) and (role.stored or role.part is not None)
    return role.kind if known else None


def table_kind(source: Source, role: Role) -> str | None:
    """table for a table of a part of a set, labels for one of labels, None for another file."""
    if ending_of(source.name) not in TABLES or role.part is None:
        return None
    return "labels" if role.kind == "labels" else "table"


def array_kind(source: Source, role: Role) -> str | None:
    """images or labels for an npy file, or an npz of one array, None for another file."""
    ending = ending_of(source.name)
    known = ending == ".npy" or (ending == ".npz" and role.part is not None)
    return role.kind if known else None


def members_of(folder: Folder, files: Sequence[tuple[str, str, Source]]) -> Members:
    """The files of a set by part and kind; of the same file in two forms the plain one."""
    roles: dict[tuple[str, str], list[Source]] = {}
    for part, kind, source in files:
        roles.setdefault((part, kind), []).append(source)
    members: Members = {}
    for (part, kind), sources in roles.items():
        members.setdefault(part, {})[kind] = one_of(sources, f"{part} {kind} of {folder.where}")
    for part, kinds in members.items():
        if "labels" in kinds and "images" not in kinds and "table" not in kinds:
            name = "t10k" if part == "test" else part
            raise DataError(
                f"{kinds['labels']}: has no images; add {name}-images-idx3-ubyte beside it, or "
                "whatever its name is"
            )
    return members


def one_of(sources: Sequence[Source], what: str) -> Source:
    """The plain one of several forms of one file; DataError if they are different files."""
    names = {" ".join(words_of(stem_of(source.name))) for source in sources}
    if len(names) > 1:
        raise DataError(
            f"{listed([str(source) for source in sources])}: each could be the {what}; give one "
            "file, or move the others elsewhere"
        )
    return min(sources, key=lambda each: (len(each.folders), each.name.count("."), each))


def of_single(path: Path, source: Source, orientation: str) -> Found:
    """The set in the only file of data in a folder or archive."""
    if not source.member:
        found = find(source.path, orientation)
        return replace(found, notes=(f"{path}: {source.name} is read", *found.notes))
    if ending_of(source.name) in (".npz", ".zip"):
        raise DataError(f"{source}: an archive in an archive; unpack {path}, and give the folder")
    return Found({"train": partial(read_table, source, str(source), orientation)})


def of_members(path: Path, members: Members, orientation: str) -> Found:
    """Readers of the files of a set."""
    readers: dict[str, Reader] = {}
    notes = []
    for part, kinds in members.items():
        where = f"{path}, {part}"
        if "table" in kinds:
            source = kinds["table"]
            read = partial(read_table, source, str(source), orientation)
            if "labels" in kinds and not table_has_labels(source):
                raise DataError(
                    f"{kinds['labels']}: labels without their pixels; join the two by "
                    "pandas.concat([labels, pixels], axis=1), and save with to_csv(index=False)"
                )
            if part == "test" and not table_has_labels(source):
                readers["unlabelled"] = read
                notes.append(f"{source} has no labels, so it is no test; submit answers it")
                continue
        else:
            read = partial(read_pair, kinds["images"], kinds.get("labels"), where, orientation)
        readers[part] = read
    return Found(readers, tuple(notes))


def left_over(folder: Folder, members: Members | Source) -> list[str]:
    """The sentence that names what lies in the folder and is not taken, if anything does."""
    used = [members] if isinstance(members, Source) else []
    if isinstance(members, dict):
        used = [source for kinds in members.values() for source in kinds.values()]
    taken = {" ".join(words_of(stem_of(source.name))) for source in used}
    names = [
        source.name
        for source in folder.files
        if is_data(source) and " ".join(words_of(stem_of(source.name))) not in taken
    ]
    return [f"{folder.where} also holds {listed(names)}, which is not used"] if names else []


def is_single(source: Source) -> bool:
    """Whether a file may be read without a name that says what it is."""
    return ending_of(source.name) in SINGLE and is_data(source)


def is_data(source: Source) -> bool:
    """Whether somebody may expect that a file in a folder of data is read."""
    name = source.name.lower()
    written = "submission" in name or "mapping" in name or name.startswith((".", "readme", "licen"))
    return not written and not name.endswith(ASIDE)


# Readers of one part each


def read_pair(images: Source, labels: Source | None, where: str, orientation: str) -> Raw:
    """A file of images and one of labels, or images alone: IDX, npy, or npz of one array."""
    found = read_one(images, "images")
    raw = Raw(found, None if labels is None else read_one(labels, "labels"), where)
    return emnist.oriented(raw, images, orientation, is_idx_name(images.name))


def read_one(source: Source, kind: str) -> np.ndarray:
    """The array in a file of images or of labels."""
    ending = ending_of(source.name)
    if ending == ".npz":
        if source.member:
            raise DataError(f"{source}: an archive in an archive; unpack {source.path} first")
        return npz.only_array(source.path)
    if ending == ".npy" or format_of(source) == "npy":
        with source.opened() as content:
            return npy.read(content, AGAIN)
    if kind == "labels":
        return idx.read_labels(source)
    return idx.read_images(source)[..., None]  # one channel, so that nobody guesses their size


def read_npz(source: Source, pair: npz.Pair, where: str, orientation: str) -> Raw:
    """A part of an npz file."""
    return emnist.oriented(npz.read(source.path, pair, where), source, orientation, False)


def read_table(source: Source, where: str, orientation: str) -> Raw:
    """A table, as text or parquet."""
    inner = in_zip(source)
    if ending_of(inner.name) == ".parquet" or format_of(inner) == "parquet":
        return emnist.oriented(parquet.read(inner), source, orientation, False)
    return emnist.oriented(table.read(inner), source, orientation, True)


def table_has_labels(source: Source) -> bool:
    """Whether a table has a column of labels, or may have one."""
    inner = in_zip(source)
    return ending_of(inner.name) == ".parquet" or table.has_labels(inner)


def in_zip(source: Source) -> Source:
    """The table itself; of train.csv.zip it is the only member."""
    if source.member or not source.name.lower().endswith(".zip"):
        return source
    members = [name for name in members_in(source.path) if not name.startswith("__MACOSX")]
    if len(members) != 1:
        raise DataError(
            f"{source}: holds {len(members)} files, where one table is expected; unpack it, and "
            "give the folder"
        )
    return Source(source.path, members[0])
