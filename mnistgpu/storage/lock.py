"""One writer per directory: a lock that the system releases when its process ends."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import portalocker

from mnistgpu.errors import RunError
from mnistgpu.storage import system
from mnistgpu.storage.files import cannot_write

NAME = ".lock"


@contextmanager
def only_writer(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; RunError if another process holds it.

    The system releases the lock when the process ends, also after kill -9: the file that a killed
    process leaves behind locks nothing.
    """
    path = directory / NAME
    descriptor = acquire(path)
    try:
        yield
    finally:
        # Before the lock is released, since after that another process may hold it. Windows removes
        # no open file; there it stays, and locks nothing.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def acquire(path: Path) -> int:
    """The descriptor of the locked file at path, which then names the process that holds it."""
    while True:
        try:
            descriptor = system.open_plain(path)
        except OSError as error:
            if path.is_symlink():
                raise not_a_lock(path) from None
            raise cannot_write(path, error) from None
        try:
            if not system.is_plain(descriptor):  # the writer's name overwrites the content
                raise not_a_lock(path)
            portalocker.lock(descriptor, portalocker.LOCK_EX | portalocker.LOCK_NB)
            if is_at(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
                return descriptor
        except portalocker.AlreadyLocked:
            writer = written(descriptor)
            os.close(descriptor)
            raise RunError(
                f"{path.parent}: another run ({writer}) is writing there; wait for it, or choose "
                "another directory with --out"
            ) from None
        except (OSError, portalocker.LockException) as error:
            os.close(descriptor)
            raise cannot_write(path, error) from None
        except RunError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the last holder has removed this file meanwhile: lock the new one


def written(descriptor: int) -> str:
    """Who has locked an open file; Windows lets nobody else read that."""
    with contextlib.suppress(OSError):
        if writer := os.read(descriptor, 200).decode(errors="replace"):
            return writer
    return "just begun" if os.name == "posix" else "of another process"


def not_a_lock(path: Path) -> RunError:
    """The error for something else at the lock's path."""
    return RunError(
        f"{path}: is not the plain file that mnistgpu makes; remove it, or choose another "
        "directory with --out"
    )


def is_at(descriptor: int, path: Path) -> bool:
    """Whether path still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
