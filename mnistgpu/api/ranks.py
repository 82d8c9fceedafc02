"""What `fit` and `resume` do where several ranks share a run: rank 0 alone reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mnistgpu.api.inputs import is_path
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset, Digits
from mnistgpu.errors import UsageError
from mnistgpu.runs import run_directory
from mnistgpu.settings import Settings

if TYPE_CHECKING:  # a run of one process imports nothing of other tools
    from mnistgpu.interop.mpi_ranks import Ranks

Made = TypeVar("Made")


def ranks_of(given: str | Ranks | None) -> Ranks | None:
    """The ranks that share a run: those given, or by the name of their communicator.

    UsageError for an unknown name, or if there are no such ranks.
    """
    if given is None:
        return None
    from mnistgpu.interop import mpi, mpi_ranks

    if isinstance(given, mpi_ranks.Ranks):
        return given
    if given in ("mpi", "nccl"):
        mpi.begin()
    return mpi.chosen(given)


def device_of(ranks: Ranks | None, backend: str | Backend | None) -> str | Backend | None:
    """The backend of this rank: with "cupy" each rank of a machine has a GPU of its own."""
    if ranks is None or isinstance(backend, Backend):
        return backend
    return ranks.device(backend)


def in_front(ranks: Ranks | None, make: Callable[[], Made]) -> Made:
    """What `make` returns on rank 0, on every rank; its error is raised on each."""
    return make() if ranks is None else ranks.first(make)


def new_directory(
    held: ExitStack, path: Path, settings: Settings, dataset: Dataset, force: bool
) -> None:
    """Make and lock the directory of a new run, until `held` is closed."""
    held.enter_context(run_directory.writing(path))
    run_directory.create(path, settings, dataset, force)


def check_shared(settings: Settings, backend: Backend, ranks: Ranks | None) -> None:
    """UsageError if ranks cannot share steps with these settings on this backend."""
    if ranks is None:
        return
    if settings.graph:
        raise UsageError(
            "--graph replays a whole step, and ranks must add their gradients within it; leave "
            "--graph out"
        )
    ranks.check(backend)


def check_alike(ranks: Ranks | None, X: Any, y: Any, **others: object) -> None:
    """UsageError unless all ranks were given the same data, settings and so on."""
    if ranks is None:
        return
    for what, value in others.items():
        ranks.alike(what, sorted(value.items()) if isinstance(value, dict) else value)
    ranks.alike("data", (described(X), described(y)))


def described(X: Any) -> str:
    """What tells data apart: their path or digest; of other things than arrays, their type."""
    if X is None or is_path(X):
        return str(X)
    if isinstance(X, Dataset | Digits):
        return X.digest
    if isinstance(X, np.ndarray):
        import hashlib

        return hashlib.sha256(np.ascontiguousarray(X).data).hexdigest()
    return type(X).__name__
