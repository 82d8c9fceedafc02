"""Processes that work in step, each with its share: what they need to begin, to meet and to end.

Here for speed alone. Threads of Python wait for each other at the interpreter lock, which for
arrays of a few thousand numbers is most of the time; processes have a lock each. A team is forked
from the process that leads it, so everybody has the images without a copy; what they tell each
other lies in shared memory. Whoever leads may die in any way: the others end at their next meeting.
"""

from __future__ import annotations

import contextlib
import functools
import math
import mmap
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mnistgpu.engine.threads import blas_architecture
from mnistgpu.errors import RunError
from mnistgpu.runs.signals import SIGNALS

# How often a process that waits looks, before it lets others have its core, and before it sleeps
LOOKS, PATIENCE = 100, 1000  # some 10 microseconds, and a millisecond
ASLEEP = 0.2  # seconds, after which it looks whether the others are still there
LONGEST_REASON = 1000
OPEN_FILES = "/proc/self/fd"


@functools.cache
def is_possible() -> bool:
    """Whether a forked process computes here: on Linux, with OpenBLAS, which outlives a fork."""
    if sys.platform != "linux" or not os.path.isdir(OPEN_FILES) or not blas_architecture():
        return False
    try:
        from multiprocessing import get_context

        get_context("fork").Semaphore(0)
    except (ImportError, OSError):  # a machine without /dev/shm
        return False
    return True


def own(things: int, rank: int, count: int) -> slice:
    """Which of so many things, such as the units of a layer, are those of a process."""
    return slice(things * rank // count, things * (rank + 1) // count)


class Team:
    """`count` processes: this one, which leads, has rank 0 and forks the others in `working`."""

    def __init__(self, count: int):
        from multiprocessing import get_context

        make = get_context("fork").Semaphore
        try:
            # told[i][j] is how often i has told j that it has come to a meeting
            self._told = [[make(0) for _ in range(count)] for _ in range(count)]
        except OSError as error:
            raise RunError(
                f"{count} processes cannot meet ({error}); make /dev/shm larger"
            ) from None
        self._reason = mmap.mmap(-1, LONGEST_REASON)
        self.count, self.rank, self._leader = count, 0, os.getpid()
        self._others: list[int] = []
        self._take_rank(0)

    def shared(self, *shape: int, dtype: Any = np.float32) -> np.ndarray:
        """An array of zeros that all processes see, if it is made before they are."""
        count = math.prod(shape)
        try:
            memory = mmap.mmap(-1, max(1, count) * np.dtype(dtype).itemsize)
        except (OSError, OverflowError) as error:
            raise MemoryError(f"no memory to share an array of {shape}: {error}") from None
        return np.frombuffer(memory, dtype, count).reshape(shape)

    def meet(self) -> None:
        """Wait until all have come here; what they wrote before can then be read."""
        self.tell()
        self.hear()

    def tell(self) -> None:
        """Come to a meeting, and go on with what depends on nobody."""
        for tell in self._tell:
            tell()

    def hear(self) -> None:
        """Wait until all have come to the meeting to which this process has."""
        for hear in self._hear:
            for look in range(PATIENCE):
                if hear(False):
                    break
                if look > LOOKS:
                    os.sched_yield()
            else:
                while not hear(True, ASLEEP):
                    self._look()

    def spread(self) -> None:
        """Go to cores that no other of the team goes to, from where the system may move it on.

        Two that woke up on one core would share it for seconds with another one idle (seen on
        Linux 6.18): who waits for the other every few microseconds seems too warm to be moved. To
        stay would be wrong, too: where somebody else needs a core, steps took two to three times
        as long.
        """
        with contextlib.suppress(OSError):  # it may be forbidden, and is for speed alone
            before = os.sched_getaffinity(0)
            alone = before & self._own_cores
            if alone and alone != before:
                try:
                    os.sched_setaffinity(0, alone)
                finally:
                    os.sched_setaffinity(0, before)

    @contextlib.contextmanager
    def working(self, begin: Callable[[], Callable[[], object]]) -> Iterator[None]:
        """Fork the others; each does again and again what `begin` returns, until the block ends."""
        try:
            for rank in range(1, self.count):
                self._fork(rank, begin)
            yield
        finally:
            for process in self._others:
                with contextlib.suppress(OSError):  # it is gone already
                    os.kill(process, signal.SIGKILL)
                    os.waitpid(process, 0)
            self._others.clear()

    def _fork(self, rank: int, begin: Callable[[], Callable[[], object]]) -> None:
        """Start another process; RunError if there may be none."""
        # a stop is for the leader to make, after a whole step: no other process hears of it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            with warnings.catch_warnings():
                # of threads, which a forked process has not: NumPy and the meetings need none
                warnings.simplefilter("ignore")
                process = os.fork()
            if process == 0:
                self._follow(rank, begin)
            self._others.append(process)
        except OSError as error:
            raise RunError(
                f"no other process can be started to share a step with ({error}); end some "
                "programs, or allow more (ulimit -u)"
            ) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _follow(self, rank: int, begin: Callable[[], Callable[[], object]]) -> None:
        """What a process does that does not lead. It never returns."""
        try:
            null = os.open(os.devnull, os.O_RDWR)  # the leader's locks and pipes end with it
            for standard in range(3):
                os.dup2(null, standard)
            for number in map(int, os.listdir(OPEN_FILES)):
                if number > 2:
                    with contextlib.suppress(OSError):  # that of the list itself
                        os.close(number)
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
        others = [other for other in range(self.count) if other != rank]
        self.rank = rank
        cores = sorted(os.sched_getaffinity(0))
        self._own_cores = set(cores[own(len(cores), rank, self.count)])
        self._tell = [self._told[rank][other].release for other in others]
        self._hear = [self._told[other][rank].acquire for other in others]

    def _look(self) -> None:
        """RunError if a process that another waits for is gone."""
        if self.rank > 0:
            if os.getppid() != self._leader:
                os._exit(1)
            return
        for process in self._others:
            try:
                ended, status = os.waitpid(process, os.WNOHANG)
            except ChildProcessError:  # somebody else has asked for it
                ended, status = process, 0
            if ended:
                self._others.remove(process)
                reason = self._reason[:].rstrip(b"\0").decode(errors="replace")
                if reason.startswith("MemoryError"):
                    raise MemoryError(reason)
                if not reason:
                    how = os.waitstatus_to_exitcode(status)
                    reason = f"killed by signal {-how}" if how < 0 else f"exit status {how}"
                raise RunError(
                    f"one of the {self.count} processes that share a step has ended ({reason}); "
                    "train again, or resume the run"
                )
