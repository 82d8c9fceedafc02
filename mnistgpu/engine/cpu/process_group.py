"""A group of processes that compute in step: how they start, wait for each other and end.

Threads of Python wait for each other at the interpreter lock, which for arrays of a few thousand
numbers is most of the time; every process has a lock of its own. Rank 0 is the process that makes
the group; it forks the other ranks, so all of them have the images without a copy. They exchange
numbers in shared memory. If rank 0 ends in any way, the other ranks end at their next barrier.
"""

from __future__ import annotations

import contextlib
import functools
import math
import mmap
import os
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from mnistgpu.engine.threads import blas_architecture
from mnistgpu.errors import RunError
from mnistgpu.storage import system

# A process that waits polls this often before it yields its core, and before it sleeps.
POLLS_BEFORE_YIELD, POLLS_BEFORE_SLEEP = 100, 1000  # some 10 microseconds, and a millisecond
SLEEP = 0.2  # seconds, after which it checks whether the other processes are still there
LONGEST_REASON = 1000  # bytes


@functools.cache
def is_possible() -> bool:
    """Whether a forked process can compute here: on Linux, with OpenBLAS, which survives a fork."""
    if not system.can_fork() or not blas_architecture():
        return False
    try:
        system.semaphore()
    except (ImportError, OSError):  # a machine without SHARED_MEMORY
        return False
    return True


def part_of(length: int, rank: int, size: int) -> slice:
    """The rank's part of `length` units or parameters, shared out evenly."""
    return slice(length * rank // size, length * (rank + 1) // size)


def shared_memory(size: int) -> mmap.mmap:
    """`size` bytes of zeros that this process shares with those it starts; MemoryError."""
    try:
        return mmap.mmap(-1, size)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"no memory to share {size} bytes: {error}") from None


class ProcessGroup:
    """`size` processes: this one has rank 0 and starts the other ranks in `running`."""

    def __init__(self, size: int):
        try:
            # signals[i][j] counts the barriers that rank i has reached and rank j has not yet seen
            self._signals = [[system.semaphore() for _ in range(size)] for _ in range(size)]
        except OSError as error:
            raise RunError(
                f"{size} processes cannot be synchronised ({error}); make "
                f"{system.SHARED_MEMORY} larger"
            ) from None
        self._reason = shared_memory(LONGEST_REASON)
        self.size, self._parent = size, os.getpid()
        self._children: list[int] = []
        self._take_rank(0)

    def shared_array(self, *shape: int, dtype: Any = np.float32) -> np.ndarray:
        """An array of zeros in memory that all ranks see, if it is made before they start."""
        count = math.prod(shape)
        memory = shared_memory(max(1, count) * np.dtype(dtype).itemsize)
        return np.frombuffer(memory, dtype, count).reshape(shape)

    def barrier(self) -> None:
        """Wait until every rank is here; what each wrote before can then be read."""
        self.signal()
        self.wait()

    def signal(self) -> None:
        """Signal to every other rank that this one has reached the barrier, without waiting."""
        for release in self._release:
            release()

    def wait(self) -> None:
        """Wait until every other rank has reached the barrier."""
        for acquire in self._acquire:
            for poll in range(POLLS_BEFORE_SLEEP):
                if acquire(False):
                    break
                if poll > POLLS_BEFORE_YIELD:
                    system.give_way()
            else:
                while not acquire(True, SLEEP):
                    self._check_alive()

    def spread_over_cores(self) -> None:
        """Pin this process to its own cores once, then allow all cores again.

        Two processes that woke up on one core would share it for seconds while another core is idle
        (seen on Linux 6.18): they wait for each other every few microseconds, and the scheduler
        does not move them. To stay pinned would be wrong, too: beside another busy program steps
        took two to three times as long.
        """
        with contextlib.suppress(OSError):  # it may be forbidden, and only speed depends on it
            before = system.affinity() or set()
            own = before & self._own_cores
            if own and own != before:
                try:
                    system.run_only_on(own)
                finally:
                    system.run_only_on(before)

    @contextlib.contextmanager
    def running(self, begin: Callable[[], Callable[[], object]]) -> Iterator[None]:
        """Start the other ranks; each calls `begin`, then again and again what that returned."""
        try:
            for rank in range(1, self.size):
                self._fork(rank, begin)
            yield
        finally:
            for process in self._children:
                system.end(process)
            self._children.clear()

    def _fork(self, rank: int, begin: Callable[[], Callable[[], object]]) -> None:
        """Start a rank; RunError if the system refuses a process.

        Rank 0 alone ends a run that is to stop, after a whole step; other ranks handle no signals.
        """
        try:
            self._children.append(system.fork(lambda: self._run_rank(rank, begin)))
        except OSError as error:
            raise RunError(
                f"no other process can be started to share a step with ({error}); end some "
                "programs, or allow more (ulimit -u)"
            ) from None

    def _run_rank(self, rank: int, begin: Callable[[], Callable[[], object]]) -> NoReturn:
        """The whole life of a forked process. It never returns."""
        try:
            self._take_rank(rank)
            work = begin()
            while True:
                work()
        except BaseException as error:
            text = f"{type(error).__name__}: {error}".encode()[: LONGEST_REASON - 1]
            self._reason[: len(text)] = text
        finally:
            os._exit(1)

    def _take_rank(self, rank: int) -> None:
        others = [other for other in range(self.size) if other != rank]
        self.rank = rank
        cores = sorted(system.affinity() or ())
        self._own_cores = set(cores[part_of(len(cores), rank, self.size)])
        self._release = [self._signals[rank][other].release for other in others]
        self._acquire = [self._signals[other][rank].acquire for other in others]

    def _check_alive(self) -> None:
        """RunError on rank 0 if another rank has ended; another rank ends if rank 0 has."""
        if self.rank > 0:
            if os.getppid() != self._parent:
                os._exit(1)
            return
        for process in self._children:
            how = system.has_ended(process)
            if how is not None:
                self._children.remove(process)
                reason = self._reason[:].rstrip(b"\0").decode(errors="replace")
                if reason.startswith("MemoryError"):
                    raise MemoryError(reason)
                raise RunError(
                    f"one of the {self.size} processes that share a step has ended "
                    f"({reason or how}); train again, or resume the run"
                )
