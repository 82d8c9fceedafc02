"""The machine's cores: how many there are, a pool of threads on them, the threads of BLAS.

Here for speed alone. NumPy releases the interpreter lock inside products and element-wise
functions. Where there are several workers, BLAS uses one thread in each.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np


def cores() -> int:
    """The processors this process may use, or whose time a container lets it have."""
    count = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    return max(1, min(count, quota() or count))


def in_main_thread() -> bool:
    """Whether this is the main thread of a program that multiprocessing has not started.

    Elsewhere (in threads, in workers of joblib or of a process pool) no processes are started and
    no signals are handled: that is the program's own business.
    """
    multiprocessing = sys.modules.get("multiprocessing.process")  # None: it has started nothing
    started = multiprocessing and multiprocessing.current_process().name != "MainProcess"
    return threading.current_thread() is threading.main_thread() and not started


@functools.cache
def quota() -> int | None:
    """How many processors' time Linux lets this process have (docker --cpus); None for no limit."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        groups = Path("/proc/self/cgroup").read_text().splitlines()
        own = next(line[3:] for line in groups if line.startswith("0::"))
        most, period = Path(f"/sys/fs/cgroup{own}/cpu.max").read_text().split()
        return max(1, int(most) // int(period))  # "max" is no limit, and no number
    return None


@contextlib.contextmanager
def workers(count: int) -> Iterator[Executor | None]:
    """A pool of `count` threads, in each of which BLAS uses one thread; None for one: the caller's.

    Afterwards BLAS uses as many threads as before, also after an exception.
    """
    keep_freed_memory()
    if count == 1:
        yield None
        return
    warn_alike = functools.partial(np.seterr, **np.geterr())  # threads have settings of their own
    with one_blas_thread(), ThreadPoolExecutor(count, initializer=warn_alike) as pool:
        yield pool


def one_blas_thread() -> contextlib.AbstractContextManager[Any]:
    """Within it, BLAS computes each product in the thread that asks for it.

    Without threadpoolctl BLAS stays as it is: results are the same, small products slower.
    """
    blas = _blas()
    return contextlib.nullcontext() if blas is None else blas.limit(limits=1, user_api="blas")


def blas_architecture() -> str:
    """The processor for which NumPy's OpenBLAS chose its kernels, as "SkylakeX"; "" if unknown."""
    found = [] if _blas() is None else _blas().info()
    names = [each["architecture"] for each in found if each["internal_api"] == "openblas"]
    return next(iter(names), "")


@functools.cache
def _blas() -> Any:
    """What limits the threads of NumPy's BLAS, found once (a millisecond); None if nothing can."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:  # a machine for the GPU alone may lack it
        return None
    return ThreadpoolController()


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
