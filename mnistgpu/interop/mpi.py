"""Data parallel over MPI: one run of training, shared by the ranks that mpiexec or srun started.

    mpiexec -n 4 python -m mnistgpu.train --recipe strong

`run` begins MPI and watches over the ranks (`mpi_watch.py`) while a command line runs in each of
them. `mpi_ranks.Ranks` is the communicator that the engine asks for sums (`engine.distributed`),
and what the front door needs besides: rank 0 alone reads, writes and prints. `mpi_gpu.py` adds what
GPUs compute. docs/scaling.md says how fast all that is, and how to launch it on a cluster.

Needs mpi4py (the extra `mpi`, or `mpi-local`, which brings an MPI too).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from mnistgpu import __version__
from mnistgpu.backend import gist
from mnistgpu.engine import threads
from mnistgpu.errors import MnistGpuError, UsageError
from mnistgpu.interop import mpi_watch
from mnistgpu.interop.mpi_ranks import MpiRanks, Ranks
from mnistgpu.storage import system

MOST_NAMED = 16  # ranks whose processes are listed
COMMUNICATORS = ("mpi", "nccl", "self")
RANK_VARIABLES = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")


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
    if isinstance(ranks, MpiRanks):
        ranks.wanted = name
    if timeout is not None and _world is not None:
        if not timeout >= 2:
            raise UsageError(f"--rank-timeout must be 2 seconds or more, not {timeout:g}")
        _world.watch.timeout = timeout
    ranks.profiling = profile
    return ranks


def run(command: Callable[[], object], shared: Sequence[str] = ()) -> NoReturn:
    """Begin MPI, run a command line on every rank, and end them all together.

    A rank that fails alone ends the job; an error of all ranks is printed once, by rank 0.
    shared: the subcommands that ranks can share, if the command line has any.
    """
    ranks = begin()
    tail = mpi_watch.Tail()
    if ranks.rank > 0:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        sys.stderr = tail
    status = 1
    try:
        ranks.alike("versions", versions())
        named = sys.argv[1] if shared and len(sys.argv) > 1 else "-"
        if not named.startswith("-") and named not in shared:
            raise UsageError(
                f"mnistgpu {named} is for one process, and ranks can share only "
                f"{' and '.join(shared)}; start it without mpiexec"
            )
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
        if speaks():
            missing = isinstance(error, ImportError)
            what = "is not installed" if missing else f"fails ({gist(error)})"
            print(
                f"error: several ranks were started, by mpiexec or srun, but mpi4py {what}; "
                "install it with: pip install 'mnistgpu[mpi]', which uses the MPI of the cluster, "
                "or 'mnistgpu[mpi-local]', which brings its own",
                file=sys.stderr,
            )
        sys.exit(2)
    comm = MPI.COMM_WORLD
    if comm.size == 1:
        if speaks():
            print(
                "error: mpiexec or srun started several processes, but each is alone in its MPI: "
                "mpi4py was built for another one; start them with the mpiexec of that MPI",
                file=sys.stderr,
            )
        sys.exit(2)
    local = comm.Split_type(MPI.COMM_TYPE_SHARED)
    allowed = local.allgather(sorted(system.affinity() or range(os.cpu_count() or 1)))
    count = own_cores(allowed, local.rank)
    system.be_a_rank(max(1, min(count, (system.quota() or system.cores()) // local.size)))
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
    process = f"{os.getpid()} on {MPI.Get_processor_name()}"
    every = comm.allgather((reached, local.rank == 0, process))
    hosts = sum(is_first for _, is_first, _ in every)
    where = "one machine" if hosts == 1 else f"{hosts} machines"
    note = f"on {where}, {system.cores()} {'thread' if system.cores() == 1 else 'threads'} in each"
    if unheard := [rank for rank, (heard, *_) in enumerate(every) if not heard]:
        note += (
            f"; rank {unheard[0]} cannot reach rank 0 over TCP, so only the launcher notices if it "
            "is silent"
        )
    watch.start()
    # a launcher that is faster than the watch names a killed rank by its process
    named = ", ".join(process for *_, process in every[:MOST_NAMED])
    _world = MpiRanks(comm, local, watch, [note, f"processes {named}, by their ranks"])
    end_with_program(_world)
    return _world


def speaks() -> bool:
    """Whether this is rank 0 by what the launcher says, before MPI has begun."""
    numbers = (os.environ[name] for name in RANK_VARIABLES if name in os.environ)
    return next(numbers, "0") == "0"


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
