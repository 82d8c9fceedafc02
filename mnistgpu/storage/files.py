"""Files that are whole or not there: bounded reads, and writes that replace atomically."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mnistgpu.errors import DataError, RunError, UsageError


def replace_bytes(path: Path, content: bytes, check: Callable[[Path], None] | None = None) -> None:
    """Write content beside path, flush it to the disk, and rename it over path.

    A reader sees the old file or the new one, never half, also after a power cut. check: may look
    at what was written, and raise to keep the old file.
    """
    path = Path(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if check is not None:
            check(temporary)
        os.replace(temporary, path)
        temporary = None
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        if temporary is not None:  # also when a signal ends the program in the middle
            with contextlib.suppress(OSError):
                temporary.unlink()


def cannot_write(path: Path, error: OSError) -> RunError:
    """What to say where the system refuses to write."""
    return RunError(
        f"{path}: cannot be written ({error.strerror or error}); free space, or choose another "
        "directory with --out"
    )


def remove(path: Path) -> None:
    """Remove a file if it is there; RunError where the system refuses."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None


def remove_leftovers(directory: Path, names: Iterable[str]) -> None:
    """Remove what a `replace_bytes` of these files left behind when its program was killed."""
    for name in names:
        for leftover in directory.glob(f".{name}.*"):
            remove(leftover)


def make_directory(path: Path) -> None:
    """Make a directory and its parents; RunError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"--out {path}: no directory can be made there ({error.strerror}); choose another"
        ) from None


def check_folder(option: str, path: Path) -> None:
    """RunError where no file can be written at path: said before the work, not after it."""
    if not path.parent.is_dir():
        raise RunError(f"{option} {path}: no such folder; make it, or name another")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise RunError(f"{option} {path}: cannot be written there; name another file")


def check_ours(option: str, path: Path, ending: str, mark: bytes) -> None:
    """Before the work: whether a file of this kind can be written, and replaces none but its like.

    UsageError for another ending, or a file without the mark that this program leaves in its own.
    """
    if path.suffix.lower() != ending:
        raise UsageError(f"{option} {path}: the name must end with {ending}")
    check_folder(option, path)
    if path.exists() and not has_mark(path, mark):
        raise UsageError(
            f"{option} {path}: the file exists and is not one this program made; choose another "
            "name"
        )


def has_mark(path: Path, mark: bytes) -> bool:
    """Whether a file has the mark near its start that this program leaves in its own."""
    with opened(path) as file:
        return mark in file.read(4096)


def replace_json(path: Path, value: Any) -> None:
    """Write value as indented JSON, atomically."""
    replace_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def is_file(path: Path) -> bool:
    """Whether a regular file is there; also for a name that the system finds impossible."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


@contextmanager
def opened(path: Path) -> Iterator[io.FileIO]:
    """The regular file at path, open to be read; what the system refuses becomes a DataError."""
    path = Path(path)
    if not is_file(path):  # to open a named pipe is to wait for ever
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
    """The content of a regular file of at most `limit` bytes; DataError otherwise."""
    with opened(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise DataError(f"{path}: {size:,} bytes, where at most {limit:,} are expected")
        return stream.read(limit)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; DataError if it is not one."""
    try:
        value = json.loads(read_bytes(path, limit=2**20))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error)[:200]
        raise DataError(f"{path}: not valid JSON ({reason}); was it edited?") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected a JSON object, in braces; was it edited?")
    return value
