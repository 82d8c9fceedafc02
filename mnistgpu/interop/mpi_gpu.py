"""How ranks add the gradients of GPUs: by NCCL, or staged through pinned memory of the host.

An MPI that is not built for CUDA ends with a segmentation fault when it is given memory of a GPU,
and none says reliably whether it is. So MPI never gets any here: without NCCL a vector is copied to
pinned memory, added there, and copied back. NCCL needs a GPU of its own for each rank. Both work
between steps and never inside a captured CUDA graph, where a sum would hang unwatched if another
rank dies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mnistgpu.backend import Array
from mnistgpu.errors import BackendError


class Staged:
    """Sums through pinned memory, by any MPI. `add` replaces an array of the host by its sum."""

    name = "mpi"
    how = "staged through pinned memory of the host"

    def __init__(self, add: Callable[[np.ndarray], object]):
        import cupyx

        self._add, self._empty = add, cupyx.empty_pinned
        self._host: dict[tuple[int, str], np.ndarray] = {}

    def all_reduce(self, vector: Array) -> None:
        """Replace a vector of this GPU by the sum over all ranks. A sync point."""
        key = int(vector.size), str(vector.dtype)
        if key not in self._host:
            self._host[key] = self._empty(vector.shape, vector.dtype)
        host = self._host[key]
        vector.get(out=host)
        self._add(host)
        vector.set(host)


class Nccl:
    """Sums by NCCL, on the stream of the step, so that nothing waits for the host."""

    name = "nccl"
    how = "NCCL between the GPUs"

    def __init__(self, rank: int, size: int, share: Callable[[Any], Any]):
        """share: gives every rank what rank 0 has."""
        import cupy
        from cupy.cuda import nccl

        self._nccl, self._cupy = nccl, cupy
        identity = share(nccl.get_unique_id() if rank == 0 else None)
        self._communicator = nccl.NcclCommunicator(size, identity, rank)

    def all_reduce(self, vector: Array) -> None:
        """Replace a vector of this GPU by the sum over all ranks."""
        kinds = {"float32": self._nccl.NCCL_FLOAT32, "float64": self._nccl.NCCL_FLOAT64}
        pointer, stream = vector.data.ptr, self._cupy.cuda.get_current_stream().ptr
        kind = kinds[str(vector.dtype)]
        self._communicator.allReduce(
            pointer, pointer, vector.size, kind, self._nccl.NCCL_SUM, stream
        )


def why_no_nccl(local_size: int) -> str:
    """Why NCCL cannot add here; "" if it can."""
    try:
        import cupy
        from cupy.cuda import nccl
    except ImportError as error:
        return f"CuPy has no NCCL here ({error})"
    if not getattr(nccl, "available", False):
        return "CuPy has no NCCL here; install nvidia-nccl-cu13, or nvidia-nccl-cu12 for CUDA 12"
    count = cupy.cuda.runtime.getDeviceCount()
    if count < local_size:
        return (
            f"NCCL needs a GPU for each rank, and {local_size} ranks of this machine share {count}"
        )
    return ""


def device_of(local_rank: int) -> str:
    """The GPU of a rank, as a name for `backend.select`: the ranks of a machine in their order."""
    try:
        import cupy

        return f"cupy:{local_rank % cupy.cuda.runtime.getDeviceCount()}"
    except Exception:  # `select` says what is wrong
        return "cupy"


def chosen(name: str | None, why_not: str) -> str:
    """The communicator to use: that of this name, or the fastest that is possible.

    BackendError if NCCL is asked for and cannot be used.
    """
    if name == "nccl" and why_not:
        raise BackendError(f"--communicator nccl: {why_not}; use --communicator mpi")
    return name or ("mpi" if why_not else "nccl")
