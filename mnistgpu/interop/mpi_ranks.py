"""The ranks of a run as the engine and the front door see them: sums, agreement, one writer.

`Ranks` is one rank by itself, the communicator named `self`; `MpiRanks` are those that MPI
connects. `Agreement` is what the training loop calls on each of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from mnistgpu.backend import ENVIRONMENT_VARIABLE, Array, Backend
from mnistgpu.engine.distributed import Alone
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import MnistGpuError, RunError, UsageError
from mnistgpu.interop import mpi_watch
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.stop import Stop

CHUNK = 2**30  # bytes of one broadcast
Made = TypeVar("Made")


class Ranks(Alone):
    """A communicator, and what the front door needs besides. This one has one rank: `self`."""

    name = "self"
    profiling = False

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        super().__init__(rank, size)
        self.reducing = self.waiting = 0.0  # seconds
        self.bytes = 0

    def first(self, make: Callable[[], Made]) -> Made:
        """What `make` returns on rank 0, on every rank. Its MnistGpuError is raised on each."""
        return make()

    def alike(self, what: str, value: object) -> None:
        """UsageError on every rank that names the first one whose value is not that of rank 0."""

    def everyone(self, value: Made) -> list[Made]:
        """What each rank has, on every rank. All of them wait for the last."""
        return [value]

    def agree_to_stop(self) -> None:
        """This rank was stopped as all others are, and has saved its run: no failure of its own."""
        self.voted[0] = 1.0

    def gathered(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers (n,) of every rank: (ranks, n)."""
        return numbers[None]

    def device(self, name: str | None) -> str | None:
        """The backend of this rank: with "cupy" each rank of a machine has a GPU of its own."""
        return name

    def check(self, backend: Backend) -> None:
        """UsageError if these ranks cannot add what this backend computes."""

    def described(self) -> list[str]:
        """Lines that say what shares the steps."""
        return ["ranks     1, by the communicator self"]

    def kept(self, words: Callable[[], str]) -> None:
        """Say with these words what is left of the run, if a rank ends the job."""

    def callbacks(self, asked: Stop) -> tuple[Stop, Callback, Callback]:
        """The Stop for `train`, which follows `asked` on whichever rank; and what does that: the
        first and the last of the callbacks.
        """
        agreed = Stop()
        return agreed, Agreement(self, asked, agreed), LastRow(self, agreed)

    def profile(self, seconds: float) -> str:
        """How the time of the steps was spent, on the average of all ranks."""
        shares = self.gathered(np.array([self.reducing, self.waiting])).mean(axis=0) / seconds
        reducing, waiting = shares.tolist()
        return (
            f"profile   compute {1 - reducing - waiting:.1%}, all-reduce {reducing:.1%}, waiting "
            f"for other ranks {waiting:.1%} of {seconds:.1f} s; {self.bytes / 2**20:,.0f} MiB added"
        )


class MpiRanks(Ranks):
    """Ranks of MPI, by the communicator named `mpi`."""

    name = "mpi"

    def __init__(self, comm: Any, local: Any, watch: mpi_watch.Watch, notes: list[str]):
        """local: the communicator of this machine's ranks. notes: lines that say who they are."""
        super().__init__(comm.rank, comm.size)
        self.comm, self.watch, self._notes = comm, watch, notes
        self.local_rank, self.local_size = local.rank, local.size
        self.wanted: str | None = None  # the name of a communicator
        self._gpu: Any = None  # what adds up vectors of GPUs

    def all_reduce(self, vector: Array) -> None:
        """See `Communicator`."""
        gpu = self._gpu if not isinstance(vector, np.ndarray) else None
        if gpu is not None and gpu.name == "nccl":  # on the stream: this thread does not wait
            gpu.all_reduce(vector)
            return
        with self.timed():
            if gpu is None:
                self.add(vector)
            else:
                gpu.all_reduce(vector)
        self.bytes += vector.nbytes

    def reduce_scatter(self, vector: Array) -> Array:
        """See `Communicator`. On the host alone."""
        from mpi4py import MPI

        counts = [len(vector) // self.size] * self.size
        counts[-1] += len(vector) % self.size
        with self.timed():  # the sum is written to the beginning of the vector
            self.comm.Reduce_scatter(MPI.IN_PLACE, vector, counts)
        self.bytes += vector.nbytes
        return vector[: counts[self.rank]]

    def all_gather(self, vector: Array) -> None:
        """See `Communicator`. On the host alone.

        By Allgather, which needs equal parts: mpich's Allgatherv takes three times as long.
        """
        from mpi4py import MPI

        equal = len(vector) - len(vector) % self.size
        with self.timed():
            self.comm.Allgather(MPI.IN_PLACE, vector[:equal])
            if equal < len(vector):
                self.comm.Bcast(vector[equal:], self.size - 1)

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Note how long the ranks exchange numbers within it, and wait for each other before."""
        begun = time.perf_counter()
        if self.profiling:
            self.comm.Barrier()
            now = time.perf_counter()
            self.waiting += now - begun
            begun = now
        yield
        self.reducing += time.perf_counter() - begun

    def add(self, vector: Array) -> None:
        """The sum itself, of an array on the host."""
        from mpi4py import MPI

        self.comm.Allreduce(MPI.IN_PLACE, vector)

    def first(self, make: Callable[[], Made]) -> Made:
        """See `Ranks`. Arrays are sent without a copy, and in parts that MPI can count."""
        from mpi4py import MPI

        if self.rank == 0:
            try:
                made, error = make(), None
            except MnistGpuError as caught:
                made, error = None, caught
            told = (type(error), str(error)) if error else None
            packed: tuple[bytes, list[Any]] = MPI.pickle.dumps_oob((made, told))
            head, views = packed[0], [memoryview(each).cast("B") for each in packed[1]]
            self.comm.bcast((head, [view.nbytes for view in views]))
            for view in views:
                self.send(np.frombuffer(view, np.uint8))
            if error is not None:
                raise error
            return made  # type: ignore[return-value]
        head, sizes = self.comm.bcast(None)
        arrays = [np.empty(size, np.uint8) for size in sizes]
        for array in arrays:
            self.send(array)
        views = [array.data.toreadonly() for array in arrays]
        received, told = MPI.pickle.loads_oob(head, views)
        if told is not None:
            kind, text = told
            raise kind(text)
        return received  # type: ignore[no-any-return]

    def device(self, name: str | None) -> str | None:
        """See `Ranks`."""
        wanted = name or os.environ.get(ENVIRONMENT_VARIABLE)
        if wanted != "cupy":
            return name
        from mnistgpu.interop import mpi_gpu

        return mpi_gpu.device_of(self.local_rank)

    def check(self, backend: Backend) -> None:
        """See `Ranks`."""
        if backend.name == "numpy":
            if self.wanted == "nccl":
                raise UsageError("--communicator nccl adds what GPUs compute; add --backend cupy")
            return
        from mnistgpu.interop import mpi_gpu

        possible = self.comm.allgather(mpi_gpu.why_no_nccl(self.local_size))
        self.name = mpi_gpu.chosen(self.wanted, next(filter(None, possible), ""))
        if self.name == "nccl":
            self._gpu = mpi_gpu.Nccl(self.rank, self.size, self.comm.bcast)
        else:
            self._gpu = mpi_gpu.Staged(self.add)

    def send(self, array: np.ndarray) -> None:
        """Broadcast an array of bytes from rank 0."""
        for start in range(0, len(array), CHUNK):
            self.comm.Bcast(array[start : start + CHUNK])

    def alike(self, what: str, value: object) -> None:
        """See `Ranks`."""
        values = self.comm.allgather(repr(value))
        for rank, other in enumerate(values):
            if other != values[0]:
                raise UsageError(
                    f"rank {rank} has other {what} than rank 0: {short(other)} instead of "
                    f"{short(values[0])}; start all ranks with the same command, data and versions"
                )

    def everyone(self, value: Made) -> list[Made]:
        """See `Ranks`."""
        return self.comm.allgather(value)  # type: ignore[no-any-return]

    def gathered(self, numbers: np.ndarray) -> np.ndarray:
        """See `Ranks`."""
        every = np.empty((self.size, *numbers.shape), numbers.dtype)
        self.comm.Allgather(np.ascontiguousarray(numbers), every)
        return every

    def kept(self, words: Callable[[], str]) -> None:
        """See `Ranks`."""
        self.watch.kept = words

    def described(self) -> list[str]:
        """See `Ranks`."""
        note, *more = self._notes
        lines = [f"ranks     {self.size}, by the communicator {self.name}; {note}"]
        lines += [f"ranks     {each}" for each in more]
        return lines if self._gpu is None else [*lines, f"ranks     sums are {self._gpu.how}"]


class Agreement(Callback):
    """Lets every rank stop after the same step, and compares their parameters at every row."""

    def __init__(self, ranks: Ranks, asked: Stop, agreed: Stop):
        self.ranks, self.asked, self.agreed = ranks, asked, agreed

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        self.trainer = trainer

    def step(self, trainer: Trainer, progress: Progress) -> None:
        """Follow what the votes of this step have decided, and vote for the next one."""
        interrupted, finished, status, _ = self.ranks.voted.tolist()
        asked = self.asked
        self.ranks.vote[:3] = asked.interrupting, asked.finishing, asked.exit_status
        if finished:
            self.agreed.finish()
        if interrupted:
            reason = asked.reason or "a signal to another rank"
            self.agreed.interrupt(reason, round(status / interrupted))
            asked.interrupt(reason, self.agreed.exit_status)
            self.agreed.wants_outcome = asked.wants_outcome

    def row(self, row: Row, theta: Array) -> None:
        """RunError on every rank if the parameters of one are not those of rank 0."""
        values = np.ascontiguousarray(self.trainer.backend.to_numpy(self.trainer.theta))
        digest = np.frombuffer(hashlib.sha256(values.data).digest()[:8], np.uint64)
        every = self.ranks.gathered(digest)[:, 0]
        for rank in np.flatnonzero(every != every[0]).tolist():
            raise RunError(
                f"the parameters of rank {rank} differ from those of rank 0 after iteration "
                f"{row.iteration:,}: a machine has computed something wrong, or not all have the "
                "same NumPy and processor; resume the run without it"
            )


class LastRow(Callback):
    """Ends the run on every rank after the row in which a callback of one has asked for it."""

    def __init__(self, ranks: Ranks, agreed: Stop):
        self.ranks, self.agreed = ranks, agreed

    def row(self, row: Row, theta: Array) -> None:
        if self.ranks.gathered(np.array([self.agreed.finishing])).any():
            self.agreed.finish()


def short(text: str) -> str:
    """The text, cut after a line's length."""
    return text if len(text) <= 120 else f"{text[:117]}..."
