"""Files that are whole or not there: reads of bounded size, and writes that replace atomically."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mnistgpu.errors import DataError, RunError, UsageError
from mnistgpu.storage import system

# what the beginning of a picture of this program holds: a text of PNG, a comment of GIF
PNG_MARK, GIF_MARK = b"Software\0mnistgpu", b"!\xfe\x08mnistgpu"


def path_of(given: Any, name: str) -> Path:
    """A path that a caller gave under this name; UsageError if it is none.

    RunError if the system refuses it, as it does a name that is too long or a folder that may not
    be read: later that would be an OSError.
    """
    if not isinstance(given, (str, os.PathLike)) or isinstance(os.fspath(given), bytes):
        raise UsageError(f"{name}: must be a path, as text or a Path, not {type(given).__name__}")
    try:
        os.lstat(given)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{name} {given}: cannot be used ({reason}); choose another path") from None
    return Path(given)


def replace_bytes(path: Path, content: bytes, check: Callable[[Path], None] | None = None) -> None:
    """Write content beside path, flush it to the disk, and rename it over path.

    A reader sees the old file or the new one, never a part, even after a power cut. check: called
    with the path of the new content before it replaces the old file, which stays if check raises.
    Raises RunError if the system refuses to write.
    """
    path = Path(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            system.let_others_read(file.fileno())
            file.write(content)
            file.flush()
            system.flush(file.fileno())
        if check is not None:
            check(temporary)
        system.replace(temporary, path)
        temporary = None
        system.flush_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        if temporary is not None:  # also if a signal interrupts the write
            with contextlib.suppress(OSError):
                temporary.unlink()


def cannot_write(path: Path, error: Exception) -> RunError:
    """The error for a file that the system refuses to write, or to remove."""
    reason = getattr(error, "strerror", None) or error
    cure = "free space"
    if isinstance(error, OSError) and system.is_in_use(error):
        cure = "close the programs that have it open"
    return RunError(
        f"{path}: cannot be written ({reason}); {cure}, or choose another directory with --out"
    )


def remove(path: Path) -> None:
    """Remove a file if it exists; RunError if the system refuses.

    It stays away after a power cut too, whatever is written to the folder after this.
    """
    if not os.path.lexists(path):
        return
    try:
        system.remove(path)
        system.flush_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from None


def remove_leftovers(directory: Path, names: Iterable[str]) -> None:
    """Remove the temporary files of a `replace_bytes` whose program was killed.

    names: of the files, or patterns such as "member-*". The names of temporary files end in eight
    letters and digits of `tempfile`, unlike those of an editor (.swp).
    """
    for name in names:
        for leftover in directory.glob(f".{name}.*"):
            replaced, _, ending = leftover.name[1:].rpartition(".")
            if re.fullmatch("[a-z0-9_]{8}", ending) and fnmatchcase(replaced, name):
                remove(leftover)


def make_directory(path: Path, exist_ok: bool = True) -> None:
    """Make a directory and its parents; RunError if the system refuses.

    FileExistsError if it is there already and `exist_ok` is False.
    """
    try:
        path.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        if isinstance(error, FileExistsError) and not exist_ok:
            raise
        raise RunError(
            f"--out {path}: the directory cannot be made ({error.strerror}); choose another one"
        ) from None


def check_folder(option: str, path: Path) -> None:
    """RunError if no file can be written at path; called before the work that makes the file."""
    if not path.parent.is_dir():
        raise RunError(f"{option} {path}: no such folder; make it, or name another")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise RunError(f"{option} {path}: cannot be written; name another file")


def check_appendable(option: str, path: Path) -> None:
    """RunError if no line can be added to the file at path, or none can be made there."""
    check_folder(option, path)
    if os.path.lexists(path) and not (is_file(path) and os.access(path, os.W_OK)):
        raise RunError(f"{option} {path}: cannot be written; name another file")


def check_ours(option: str, path: Path, ending: str, mark: bytes) -> None:
    """Check, before long work, that its result may be written at path.

    UsageError for a name with another ending, or if the file exists without `mark`: only a file
    that this program made is replaced. RunError if the file cannot be written.
    """
    if path.suffix.lower() != ending:
        raise UsageError(f"{option} {path}: the name must end with {ending}")
    check_folder(option, path)
    check_replaceable(option, path, mark)


def check_replaceable(option: str, path: Path, mark: bytes) -> None:
    """UsageError if a file is there that this program has not made: without `mark` it stays."""
    if os.path.lexists(path) and not has_mark(path, mark):
        raise UsageError(
            f"{option} {path}: the file exists and is not one this program made; choose another "
            "name"
        )


def has_mark(path: Path, mark: bytes) -> bool:
    """Whether the first 64 KiB of a file hold the mark that this program writes into its own."""
    with opened(path) as file:
        return mark in file.read(2**16)


def replace_json(path: Path, value: Any) -> None:
    """Write value as indented JSON, atomically."""
    replace_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def is_file(path: Path) -> bool:
    """Whether path is a regular file; False also for a name that the system cannot have."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


@contextmanager
def opened(path: Path) -> Iterator[io.FileIO]:
    """The regular file at path, open for reading; an error of the system becomes a DataError."""
    path = Path(path)
    if not is_file(path):  # opening a named pipe would wait for a writer
        if os.path.lexists(path):
            raise DataError(f"{path}: not a regular file; give the path of a file")
        raise DataError(f"{path}: no such file; check the path")
    try:
        with io.FileIO(path) as stream:
            yield stream
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except MemoryError:
        raise DataError(f"{path}: does not fit in memory; use a machine that has more") from None


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes; DataError if it is larger."""
    with opened(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise DataError(
                f"{path}: {size:,} bytes, where at most {limit:,} are expected; check that this is "
                "the right file"
            )
        return stream.read(limit)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; DataError if it is not one."""
    try:
        value = json.loads(read_bytes(path, limit=2**20))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not valid JSON ({error}); was it edited?") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected a JSON object, in braces; was it edited?")
    return value
