"""Threads: a pool of them, and how many BLAS uses.

Here for speed alone. NumPy releases the interpreter lock inside products and element-wise
functions. Where there are several workers, BLAS uses one thread in each.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
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
    names = [each["architecture"] for each in _found() if each["internal_api"] == "openblas"]
    return next(iter(names), "")


def blas_name() -> str:
    """NumPy's BLAS by name, version and kernels, as "openblas 0.3.30 (SkylakeX)"."""
    names = [
        " ".join(
            str(part)
            for part in (each["internal_api"], each["version"], f"({each.get('architecture')})")
            if part not in (None, "(None)")
        )
        for each in _found()
    ]
    return next(iter(names), "the BLAS of NumPy")


def _found() -> list[dict[str, Any]]:
    """What is known of each BLAS in this process, NumPy's own first.

    OpenCV and SciPy bring one each, which a wheel keeps in a folder named after its package.
    """
    every = [] if _blas() is None else _blas().info()

    def is_of_others(each: dict[str, Any]) -> bool:
        folder = Path(each["filepath"]).parent
        return not (folder.name.startswith("numpy") or folder.parent.name == "numpy")

    return sorted((each for each in every if each["user_api"] == "blas"), key=is_of_others)


@functools.cache
def _blas() -> Any:
    """What limits the threads of NumPy's BLAS, found once (a millisecond); None if nothing can."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:  # a machine for the GPU alone may lack it
        return None
    return ThreadpoolController()
