"""One writer per directory: a lock that the system releases when its process ends."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        system.remove_and_close(path, descriptor)


def acquire(path: Path) -> int:
    """The descriptor of the locked file at path, which then names the process that holds it."""
    import portalocker  # here, since it reads its own version, which takes 40 ms

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
            if system.is_at(descriptor, path):
                text = f"process {os.getpid()} on {socket.gethostname()}".encode()
                os.write(descriptor, text)
                with contextlib.suppress(OSError):  # the rest of a longer text does no harm
                    os.ftruncate(descriptor, len(text))
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
    """Which process has locked an open file; Windows does not let another one read that."""
    try:
        return os.read(descriptor, 200).decode(errors="replace") or "just begun"
    except OSError:
        return "of another process"


def not_a_lock(path: Path) -> RunError:
    """The error for something else at the lock's path."""
    return RunError(
        f"{path}: is not the plain file that mnistgpu makes; remove it, or choose another "
        "directory with --out"
    )
