"""Threads: a pool of them, and how many BLAS uses.

Here for speed alone. NumPy releases the interpreter lock inside products and element-wise
functions. Where there are several workers, BLAS uses one thread in each.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np

from mnistgpu.storage.system import keep_freed_memory


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


def limit_blas(count: int) -> None:
    """Let BLAS use at most so many threads, from here to the end of this process."""
    if (blas := _blas()) is not None:
        for library in blas.select(user_api="blas").lib_controllers:
            library.set_num_threads(min(count, library.get_num_threads()))


def blas_architecture() -> str:
    """The processor for which NumPy's OpenBLAS chose its kernels, as "SkylakeX"; "" if unknown."""
    found = [] if _blas() is None else _blas().info()
    names = [each["architecture"] for each in found if each["internal_api"] == "openblas"]
    return next(iter(names), "")


def blas_name() -> str:
    """NumPy's BLAS by name, version and kernels, as "openblas 0.3.30 (SkylakeX)"."""
    found = [] if _blas() is None else _blas().info()
    names = [
        " ".join(
            str(part)
            for part in (each["internal_api"], each["version"], f"({each.get('architecture')})")
            if part not in (None, "(None)")
        )
        for each in found
        if each["user_api"] == "blas"
    ]
    return next(iter(names), "the BLAS of NumPy")


@functools.cache
def _blas() -> Any:
    """What limits the threads of NumPy's BLAS, found once (a millisecond); None if nothing can."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:  # a machine for the GPU alone may lack it
        return None
    return ThreadpoolController()
