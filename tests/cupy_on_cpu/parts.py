"""Folders that take minutes to make are kept between runs, and checked before they are used.

A part is named after a digest of everything that it is made from, so that a change of any of it
makes another part. It is made in a temporary folder and moved in place when it is whole; with it
goes a list of its files, which are compared with the list whenever the part is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LIST = "files.json"  # of a part: the digest of every file, the target of every link
UNUSED_DAYS = 30  # a part of another version is deleted after so many days without use


def cache() -> Path:
    """The folder of all parts: ${XDG_CACHE_HOME:-~/.cache}/mnistgpu/cupy_on_cpu."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "mnistgpu" / "cupy_on_cpu"


def digest_of(path: Path) -> str:
    """What identifies a file: the SHA-256 of its content, or the target of a link."""
    if path.is_symlink():
        return f"link to {os.readlink(path)}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(inputs: list[str | Path]) -> str:
    """16 hexadecimal digits that change with any of the texts and files."""
    found = [
        f"{each.name} {digest_of(each)}" if isinstance(each, Path) else each for each in inputs
    ]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]


def files_of(folder: Path) -> dict[str, str]:
    """Every file and link of a part with its digest, but for what Python compiles by itself."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if "__pycache__" not in inner.parts and (path.is_symlink() or path.is_file()):
            found[inner.as_posix()] = digest_of(path)
    found.pop(LIST, None)
    return found


def damage(folder: Path) -> str:
    """What is wrong with a part, in words; "" if every file is as it was made."""
    try:
        expected = json.loads((folder / LIST).read_text())
    except FileNotFoundError:
        return "is not there yet"
    except ValueError:
        return "has a damaged list of its files"
    found = files_of(folder)
    for name, digest in expected.items():
        if found.get(name) != digest:
            return f"has a changed file, {name}" if name in found else f"lacks the file {name}"
    return ""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time; another one waits until it is done."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another process builds CuPy for the CPU; this one waits for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def kept(name: str, inputs: list[str | Path], make: Callable[[Path], None]) -> Path:
    """The folder of a part. `make` fills an empty folder where none is kept that is intact."""
    folder = cache() / f"{name}-{key_of(inputs)}"
    with locked(cache()):
        why = damage(folder)
        if not why:
            os.utime(folder)
            return folder
        print(f"building {name}: {folder} {why}", flush=True)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=cache()) as temporary:
            made = Path(temporary) / "made"
            made.mkdir()
            make(made)
            (made / LIST).write_text(json.dumps(files_of(made), indent=0))
            if folder.exists():
                folder.rename(Path(temporary) / "damaged")
            made.rename(folder)
        remove_unused(name, folder)
        print(f"built {name} in {time.monotonic() - started:.0f} s", flush=True)
    return folder


def remove_unused(name: str, current: Path) -> None:
    """Delete the parts of this name that were not used for a month."""
    for folder in cache().glob(f"{name}-*"):
        age = (time.time() - folder.stat().st_mtime) / 86400
        if folder != current and age > UNUSED_DAYS:
            print(f"deleting {folder}, which was not used for {age:.0f} days", file=sys.stderr)
            shutil.rmtree(folder)
