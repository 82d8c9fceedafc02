"""Data parallel over MPI: one run of training, shared by the ranks that mpiexec or srun started.

    mpiexec -n 4 python -m mnistgpu.train --recipe strong

`run` begins MPI and watches over the ranks (`mpi_watch.py`) while a command line runs in each of
them. `Ranks` is the communicator that the engine asks for sums (`engine.distributed`), and what the
front door needs besides: rank 0 alone reads, writes and prints. docs/scaling.md says how fast that
is, and how to launch it on a cluster.

Needs mpi4py (the extra `mpi`, or `mpi-local`, which brings an MPI too).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from mnistgpu import __version__
from mnistgpu.backend import Array, Backend
from mnistgpu.engine import threads
from mnistgpu.engine.distributed import Alone
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import MnistGpuError, RunError, UsageError
from mnistgpu.interop import mpi_watch
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.stop import Stop
from mnistgpu.storage import system

COMMUNICATORS = ("mpi", "nccl", "self")
RANK_VARIABLES = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
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

    def gathered(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers (n,) of every rank: (ranks, n)."""
        return numbers[None]

    def check(self, backend: Backend) -> None:
        """UsageError if these ranks cannot add what this backend computes."""

    def described(self) -> list[str]:
        """Lines that say what shares the steps."""
        return ["ranks     1, by the communicator self"]

    def kept(self, words: Callable[[], str]) -> None:
        """Say with these words what is left of the run, if a rank ends the job."""

    def callbacks(self, asked: Stop) -> tuple[Stop, list[Callback]]:
        """The Stop for `train`, which follows `asked` on whichever rank; and what does that."""
        agreed = Stop()
        return agreed, [Agreement(self, asked, agreed)]

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

    def __init__(self, comm: Any, watch: mpi_watch.Watch, local: int, note: str):
        super().__init__(comm.rank, comm.size)
        self.comm, self.watch, self.local_rank, self._note = comm, watch, local, note

    def all_reduce(self, vector: Array) -> None:
        """See `Communicator`."""
        begun = time.perf_counter()
        if self.profiling:
            self.comm.Barrier()
            now = time.perf_counter()
            self.waiting += now - begun
            begun = now
        self.add(vector)
        self.reducing += time.perf_counter() - begun
        self.bytes += vector.nbytes

    def add(self, vector: Array) -> None:
        """The sum itself, of an array on the host."""
        from mpi4py import MPI

        self.comm.Allreduce(MPI.IN_PLACE, vector)

    def first(self, make: Callable[[], Made]) -> Made:
        """See `Ranks`. Arrays are sent without a copy, and in parts that MPI can count."""
        if self.rank == 0:
            try:
                made, error = make(), None
            except MnistGpuError as caught:
                made, error = None, caught
            buffers: list[pickle.PickleBuffer] = []
            told = (type(error), str(error)) if error else None
            head = pickle.dumps((made, told), 5, buffer_callback=buffers.append)
            views = [each.raw() for each in buffers]
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
        received, told = pickle.loads(head, buffers=views)  # from rank 0 of this job
        if told is not None:
            kind, text = told
            raise kind(text)
        return received  # type: ignore[no-any-return]

    def check(self, backend: Backend) -> None:
        """See `Ranks`."""
        if backend.name != "numpy":
            raise UsageError(f"--backend {backend.name}: ranks add gradients on numpy alone")

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
        return [f"ranks     {self.size}, by the communicator {self.name}; {self._note}"]


class Agreement(Callback):
    """Lets every rank stop after the same step, and compares their parameters at every row."""

    def __init__(self, ranks: Ranks, asked: Stop, agreed: Stop):
        self.ranks, self.asked, self.agreed = ranks, asked, agreed

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        self.trainer = trainer

    def step(self, trainer: Trainer, progress: Progress) -> None:
        """Follow what the votes of this step have decided, and vote for the next one."""
        interrupted, finished, status = self.ranks.voted.tolist()
        asked = self.asked
        self.ranks.vote[:] = asked.interrupting, asked.finishing, asked.exit_status
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


def short(text: str) -> str:
    """The text, cut after a line's length."""
    return text if len(text) <= 120 else f"{text[:117]}..."


# Beginning and end of a job

_world: MpiRanks | None = None


def chosen(name: str | None, timeout: float | None = None, profile: bool = False) -> Ranks | None:
    """The communicator of that name; by default the ranks of this job, if there are several.

    UsageError for an unknown name, or one that needs ranks where there are none.
    """
    if name is not None and name not in COMMUNICATORS:
        raise UsageError(f"--communicator must be one of {', '.join(COMMUNICATORS)}, not {name!r}")
    ranks: Ranks | None = Ranks() if name == "self" else _world
    if name == "self" and _world is not None:
        raise UsageError("--communicator self is for one rank; start it without mpiexec")
    if ranks is None:
        flag = f"--communicator {name}" if name else "--profile" if profile else "--rank-timeout"
        if name or profile or timeout is not None:
            raise UsageError(f"{flag} needs ranks: start them by mpiexec -n 2 python -m ...")
        return None
    if timeout is not None and _world is not None:
        if not timeout >= 2:
            raise UsageError(f"--rank-timeout must be 2 seconds or more, not {timeout:g}")
        _world.watch.timeout = timeout
    ranks.profiling = profile
    return ranks


def run(command: Callable[[], object]) -> NoReturn:
    """Begin MPI, run a command line on every rank, and end them all together.

    A rank that fails alone ends the job; an error of all ranks
    is printed once, by rank 0.
    """
    ranks = begin()
    tail = mpi_watch.Tail()
    if ranks.rank > 0:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        sys.stderr = tail
    status = 1
    try:
        ranks.alike("versions", versions())
        command()
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except MnistGpuError as error:
        status = error.exit_status
        print(f"error: {error}", file=sys.stderr)
    except BaseException as error:
        if not type(error).__module__.startswith("mpi4py"):  # which another rank has caused
            print(f"rank {ranks.rank}: {traceback.format_exc()}", file=sys.__stderr__, flush=True)
        tail.write(f"{type(error).__name__}: {error}")
    finish(ranks, status, tail.text)


def finish(ranks: MpiRanks, status: int, text: str = "") -> NoReturn:
    """End this rank with the others: at once if one has failed, else when all have ended."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # it may be closed
            stream.flush()
    agreed = bool(ranks.voted[0])  # every rank was interrupted after the same step
    ranks.watch.end(mpi_watch.End(status, agreed, mpi_watch.last_words(text)))
    sys.exit(status)


@functools.cache
def begin() -> MpiRanks:
    """Begin MPI, once: ranks, signs of life, and this rank's share of the cores.

    UsageError, printed by rank 0 alone, if mpi4py is missing or finds no MPI.
    """
    global _world
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        if any(os.environ.get(name, "0") == "0" for name in RANK_VARIABLES if name in os.environ):
            what = "is not installed" if isinstance(error, ImportError) else f"fails ({error})"
            print(
                f"error: several ranks were started, by mpiexec or srun, but mpi4py {what}; "
                "install it with: pip install 'mnistgpu[mpi]', which uses the MPI of the cluster, "
                "or 'mnistgpu[mpi-local]', which brings its own",
                file=sys.stderr,
            )
        sys.exit(2)
    comm = MPI.COMM_WORLD
    if comm.size == 1:
        print(
            "error: mpiexec or srun started several processes, but each of them is alone in its "
            "MPI: mpi4py was built for another one; start them with the mpiexec beside this Python",
            file=sys.stderr,
        )
        sys.exit(2)
    local = comm.Split_type(MPI.COMM_TYPE_SHARED)
    allowed = local.allgather(sorted(system.affinity() or range(os.cpu_count() or 1)))
    count = own_cores(allowed, local.rank)
    system.use_cores(max(1, min(count, (system.quota() or system.cores()) // local.size)))
    threads.limit_blas(system.cores())
    watch: mpi_watch.First | mpi_watch.Other
    if comm.rank == 0:
        watch = mpi_watch.First(comm.size, comm.Abort)
        comm.bcast((watch.token, watch.addresses))
        reached = True
    else:
        token, addresses = comm.bcast(None)
        watch = mpi_watch.Other(comm.rank, comm.size, comm.Abort, token, addresses)
        reached = watch.connected
    every = comm.allgather((reached, MPI.Get_processor_name()))
    hosts = len({host for _, host in every})
    where = "one machine" if hosts == 1 else f"{hosts} machines"
    note = f"on {where}, {system.cores()} {'thread' if system.cores() == 1 else 'threads'} in each"
    if unheard := [rank for rank, (heard, _) in enumerate(every) if not heard]:
        note += (
            f"; rank {unheard[0]} cannot reach rank 0 over TCP, so only the launcher notices if it "
            "is silent"
        )
    watch.start()
    _world = MpiRanks(comm, watch, local.rank, note)
    end_with_program(_world)
    return _world


def end_with_program(ranks: MpiRanks) -> None:
    """Where a script began the ranks: end this one with the script, and say if that has failed."""
    ended = mpi_watch.End(0, False, "")
    shown = sys.excepthook

    def failed(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        shown(kind, error, trace)
        ended.status, ended.words = 1, f"{kind.__name__}: {error}"

    sys.excepthook = failed
    atexit.register(ranks.watch.end, ended)  # before MPI's own end, which was registered earlier


def own_cores(allowed: Sequence[Sequence[int]], rank: int) -> int:
    """How many cores are this rank's, of those that each rank of the machine may use.

    A launcher may give each rank cores of its own; those that several ranks may use are shared.
    """
    users: dict[int, int] = {}
    for cores in allowed:
        for core in cores:
            users[core] = users.get(core, 0) + 1
    return max(1, int(sum(1.0 / users[core] for core in allowed[rank]) + 1e-9))


def versions() -> dict[str, str]:
    """What must be the same on every rank."""
    return {
        "mnistgpu": __version__,
        "numpy": np.__version__,
        "python": ".".join(map(str, sys.version_info[:2])),
    }
