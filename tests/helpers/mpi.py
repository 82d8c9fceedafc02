"""Ranks under a real mpiexec."""

import importlib.util
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from helpers import processes

ROOT = Path(__file__).resolve().parents[2]
BESIDE = Path(sys.executable).with_name("mpiexec")  # that of the extra mpi-local
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
WHY = "needs mpi4py and mpiexec: pip install -e '.[mpi-local]'"
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None, reason=WHY
)
SMALL = ("--layers", "784-32-10", "--batch-size", "100", "--validation", "0", "--alpha", "0.05")

# the command line, in which each rank updates its part also of a small network
DIVIDED = (
    "-c",
    "from mnistgpu.engine import divided_update; divided_update.MANY = 0; "
    "from mnistgpu import train; train.main()",
)
ADAM = ("--optimizer", "adam", "--alpha", "0.01")


def command(ranks, *arguments, program=("-m", "mnistgpu.train"), flags=()):
    """What starts so many ranks of a command line, or of another program, by mpiexec's flags."""
    return [MPIEXEC, *flags, "-n", str(ranks), sys.executable, *program, *map(str, arguments)]


def environment(**more):
    """That of this process, without what an mpiexec around the tests has set."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PMI")}
    if MPIEXEC and (library := Path(MPIEXEC).parent.parent / "lib").exists():
        before = own.get("LD_LIBRARY_PATH")  # for a Python in another place, as CuPy's on the CPU
        own["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, (before, str(library))))
    return {**own, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", **more}


def start(ranks, *arguments, program=("-m", "mnistgpu.train"), flags=(), **more):
    """A job that goes on by itself, see `processes.start`."""
    started = command(ranks, *arguments, program=program, flags=flags)
    return processes.start(started, env=environment(**more))


def run(ranks, *arguments, program=("-m", "mnistgpu.train"), **more):
    """A job until its end: exit status and output."""
    return processes.run(command(ranks, *arguments, program=program), env=environment(**more))


def processes_of(job, ranks):
    """The numbers of the processes of a job's ranks, in their order. Linux alone."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if b"mnistgpu" not in (folder / "cmdline").read_bytes():
                    continue
                words = (folder / "environ").read_bytes().split(b"\0")
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                above = (Path("/proc") / parent / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            rank = [word for word in words if word.startswith(b"PMI_RANK=")]
            if rank and int(above) == job.pid:
                found[int(rank[0].partition(b"=")[2])] = int(folder.name)
        if len(found) == ranks:
            return [found[rank] for rank in range(ranks)]
        time.sleep(0.05)
    raise AssertionError(f"no {ranks} ranks of process {job.pid}")


def wait_for(path, job, seconds=60):
    """Until a file is there. AssertionError if the job ends before."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < end, f"{path} was not written"
        time.sleep(0.02)
