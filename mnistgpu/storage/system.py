"""What differs between Linux, macOS and Windows: files, ports, processors, processes.

Each function says what it does where. There are functions for files (`open_plain` to `is_in_use`),
for a port and the main thread, for processors and memory (`cores` to `processor`) and, on Linux
alone, for processes that share memory with this one (`can_fork` to `end`). What differs in a
terminal is in `terminal.py`: signals, consoles, shells. docs/platforms.md says what people notice
of all this.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import platform
import signal
import stat
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import socket

IN_USE_SECONDS = 1.0  # for how long to retry on a file that another program has open
NO_FORK = "Windows has no forked processes"
OPEN_FILES = "/proc/self/fd"  # of Linux
SHARED_MEMORY = "/dev/shm"  # of Linux, where the semaphores of processes are


# Files


def open_plain(path: Path) -> int:
    """Open a file to read and write, made if it is missing; its descriptor.

    A symbolic link is refused with an OSError: by the system itself on Linux and macOS. Windows
    cannot do that, so the link is looked for before.
    """
    no_links = getattr(os, "O_NOFOLLOW", 0)
    if not no_links and os.path.islink(path):
        raise OSError(errno.ELOOP, "a symbolic link", str(path))
    binary = getattr(os, "O_BINARY", 0)  # Windows would change line ends
    return os.open(path, os.O_RDWR | os.O_CREAT | no_links | binary, 0o644)


def flush(descriptor: int) -> None:
    """Wait until what was written to a file is on the disk.

    macOS's fsync leaves it in the cache of the disk; there F_FULLFSYNC is asked for.
    """
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):  # network drives lack it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def flush_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk: on Linux and macOS.

    Windows opens no folder as a file, and writes the names of NTFS to a journal by itself.
    """
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def let_others_read(descriptor: int) -> None:
    """Let everybody read a file and its owner write it; on Windows the folder decides that."""
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o644)


def replace(new: Path, old: Path) -> None:
    """Rename a file over another one; on Windows once no other program has that open, see below."""
    _once_closed(lambda: os.replace(new, old))


def remove(path: Path) -> None:
    """Remove a file if it exists; on Windows once no other program has it open, see below."""
    _once_closed(lambda: path.unlink(missing_ok=True))


def _once_closed(change: Callable[[], object]) -> None:
    """Change a file. Windows refuses that while a reader has it open: then try again for a while.

    Virus scanners and backups open each new file for a moment. PermissionError after
    IN_USE_SECONDS.
    """
    end = time.monotonic() + IN_USE_SECONDS
    while True:
        try:
            change()
            return
        except PermissionError as error:
            if not is_in_use(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)


def remove_and_close(path: Path, descriptor: int) -> None:
    """Remove an open file and close it, as far as the system allows it.

    It is removed while it is still open, since another process may lock it as soon as it is closed.
    Windows removes no open file: there it is removed afterwards, unless another process has opened
    it meanwhile.
    """
    with contextlib.suppress(OSError):
        path.unlink()
    os.close(descriptor)
    if os.name == "nt":
        with contextlib.suppress(OSError):
            path.unlink()


def is_at(descriptor: int, path: Path) -> bool:
    """Whether path still leads to an open file. On Windows it does: no open file is removed."""
    try:
        return os.name == "nt" or os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def is_plain(descriptor: int) -> bool:
    """Whether an open file is a regular one that has no second name (a hard link)."""
    found = os.fstat(descriptor)
    return stat.S_ISREG(found.st_mode) and found.st_nlink <= 1


def is_in_use(error: OSError) -> bool:
    """Whether a file cannot be changed because a program has it open: that happens on Windows.

    There the error is the same if a file is write-protected.
    """
    return os.name == "nt" and isinstance(error, PermissionError)


# Ports and the main thread


def set_address_reuse(bound: socket.socket) -> None:
    """Before a socket is bound: take a port that was used a moment ago, refuse one that is in use.

    On Linux and macOS that is SO_REUSEADDR. On Windows this option would let two programs listen on
    one port, which SO_EXCLUSIVEADDRUSE prevents; a port used a moment ago is free there.
    """
    import socket  # here, since training needs none

    option = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
    bound.setsockopt(socket.SOL_SOCKET, option, 1)


def in_main_thread() -> bool:
    """Whether this is the main thread of a program that multiprocessing has not started.

    Elsewhere (in threads, in workers of joblib or of a process pool) no processes are started and
    no signals are handled: that is the program's own business.
    """
    multiprocessing = sys.modules.get("multiprocessing.process")  # None: it has started nothing
    started = multiprocessing and multiprocessing.current_process().name != "MainProcess"
    return threading.current_thread() is threading.main_thread() and not started


# Processors and memory


def cores() -> int:
    """The processors this process may use, or whose time a container lets it have."""
    allowed = affinity()
    count = (os.cpu_count() or 1) if allowed is None else len(allowed)
    return max(1, min(count, quota() or count, *_most_cores))


_most_cores: list[int] = []  # the least of them counts


def be_a_rank(count: int) -> None:
    """This process is a rank of MPI from here on: at most so many `cores` are its own.

    It must not fork either, since what is forked after MPI has begun shares its connections.
    """
    _most_cores.append(count)


@functools.cache
def quota() -> int | None:
    """How many processors' time a container lets this process have (docker --cpus).

    None for no limit, and elsewhere than on Linux.
    """
    for folder in _control_groups():
        limit = _words(f"{folder}/cpu.max")  # of version 2, in one file
        limit = limit or [
            *_words(f"{folder}/cpu.cfs_quota_us"),
            *_words(f"{folder}/cpu.cfs_period_us"),
        ]
        with contextlib.suppress(ValueError):  # "max" is no limit, and no number
            most, period = map(int, limit)
            if most > 0:
                return max(1, most // period)
    return None


def _control_groups() -> Iterator[str]:
    """The folders that may hold a limit on the processor time of this process."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, kinds, own = line.split(":", 2)
            if kinds == "":  # version 2
                yield f"/sys/fs/cgroup{own}"
            elif "cpu" in kinds.split(","):  # version 1, which may hide the path in a container
                for kind in (kinds, "cpu"):
                    yield f"/sys/fs/cgroup/{kind}{own}"
                    yield f"/sys/fs/cgroup/{kind}"


def _words(path: str) -> list[str]:
    """The words of a small file; none if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8").split()
    except OSError:
        return []


def affinity() -> set[int] | None:
    """The processors that this process may use, by number; None if the system does not say."""
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def run_only_on(processors: set[int]) -> None:
    """Let this process use these processors alone: on Linux. OSError if it is forbidden."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors)


def give_way() -> None:
    """Let another process use this processor."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)


def memory() -> int | None:
    """The bytes of memory of this machine; None if the system does not say."""
    return _memory("SC_PHYS_PAGES", "total")


def free_memory() -> int | None:
    """The bytes of memory that are not in use; None if the system does not say, as on macOS."""
    return _memory("SC_AVPHYS_PAGES", "free")


def _memory(name: str, field: str) -> int | None:
    """Bytes by the name that sysconf has for them, or a field of Windows's MEMORYSTATUSEX."""
    if sys.platform == "win32":
        status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
        known = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(getattr(status, field)) if known else None
    if name not in os.sysconf_names:
        return None
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf(name))


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of sysinfoapi.h."""

    _fields_ = [  # ctypes needs a list, and changes it no more
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("free", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),  # of the page file and the address space
    ]


@functools.cache
def keep_freed_memory() -> None:
    """Ask glibc to keep freed arrays for the next ones instead of returning them to the system.

    By default every array over some 100 kB is fresh memory whose pages the kernel clears at first
    touch, which costs several times the arithmetic on it (measured: normal numbers for 256x512
    noise 2.9 ms before, 0.4 ms after). Elsewhere than on glibc nothing happens.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            m_trim_threshold, m_mmap_threshold = -1, -3  # the names of malloc.h
            libc.mallopt(m_mmap_threshold, 32 * 2**20)
            libc.mallopt(m_trim_threshold, 2**30)


def processor() -> str:
    """The name of the processor, as the system gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


# Processes that share memory with this one


def can_fork() -> bool:
    """Whether processes can be forked that go on computing: on Linux.

    macOS's frameworks do not survive a fork, Windows has none, and a rank of MPI must not.
    """
    return (
        not _most_cores
        and sys.platform == "linux"
        and os.path.isdir(OPEN_FILES)
        and hasattr(os, "fork")
    )


def semaphore() -> Any:
    """A semaphore, at 0, of this process and those it forks; OSError if the system refuses."""
    from multiprocessing import get_context

    return get_context("fork").Semaphore(0)


def fork(life: Callable[[], NoReturn]) -> int:
    """Start a process that shares this one's memory and calls `life`; its number.

    It handles no signals, and has none of this process's files, locks and pipes: those must end
    with this process. OSError if the system refuses.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, NO_FORK)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with warnings.catch_warnings():
            # Python warns of threads, which a forked process lacks: NumPy needs none here
            warnings.simplefilter("ignore")
            process = os.fork()
        if process == 0:
            try:
                _close_files()
                life()
            finally:
                os._exit(1)
        return process
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _close_files() -> None:
    """Close all files of this process; its standard streams lead to the null device."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    for number in map(int, os.listdir(OPEN_FILES)):
        if number > 2:
            with contextlib.suppress(OSError):  # already closed: that of listdir
                os.close(number)


def has_ended(process: int) -> str | None:
    """How a forked process has ended, in words ("" if that is not known); None if it runs."""
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, NO_FORK)
    try:
        ended, status = os.waitpid(process, os.WNOHANG)
    except ChildProcessError:  # another part of the program has waited for it
        return ""
    if not ended:
        return None
    code = os.waitstatus_to_exitcode(status)
    return f"killed by signal {-code}" if code < 0 else f"exit status {code}"


def end(process: int) -> None:
    """Kill a forked process, and wait until it is gone."""
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, NO_FORK)
    with contextlib.suppress(OSError):  # it is gone already
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
