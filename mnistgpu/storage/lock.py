"""One writer per directory: a lock that the system releases when its process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnistgpu.errors import RunError
from mnistgpu.storage.files import cannot_write

NAME = ".lock"


@contextmanager
def only_writer(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; RunError if another process holds it.

    The system releases the lock when the process ends, also after kill -9: the file that a killed
    process leaves behind locks nothing. fcntl's locks work over NFS, and no child inherits them.
    """
    path = directory / NAME
    descriptor = acquire(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # before the lock is released: after that another process may hold it
        os.close(descriptor)


def acquire(path: Path) -> int:
    """The descriptor of the locked file at path, which then names the process that holds it."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            if path.is_symlink():
                raise not_a_lock(path) from None
            raise cannot_write(path, error) from None
        try:
            check_plain(descriptor, path)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
                return descriptor
        except (BlockingIOError, PermissionError):
            writer = os.read(descriptor, 200).decode(errors="replace")
            os.close(descriptor)
            raise RunError(
                f"{path.parent}: another run ({writer or 'just begun'}) is writing there; wait for "
                "it, or choose another directory with --out"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise cannot_write(path, error) from None
        except RunError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the last holder has removed this file meanwhile: lock the new one


def check_plain(descriptor: int, path: Path) -> None:
    """RunError if the open file has a second name (a hard link), or is a pipe or a device.

    The writer's name overwrites its content, so the file must have no other use.
    """
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise not_a_lock(path)


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
