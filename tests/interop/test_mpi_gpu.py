"""Ranks that compute with CuPy: on a GPU, or with the CuPy that `tests/cupy_on_cpu` builds."""

import numpy as np
import pytest
from helpers import command
from helpers.mpi import SMALL, needs_mpi, run
from helpers.spaces import Space

from mnistgpu.errors import BackendError
from mnistgpu.interop import mpi_gpu
from mnistgpu.models import model

pytestmark = [pytest.mark.gpu, pytest.mark.slow]


@pytest.fixture
def cupy():
    with Space("cupy").strictest() as found:
        yield found.backend().xp


def test_sums_go_through_pinned_memory(cupy):
    """What MPI gets is an array of the host, also for the second of two sizes."""
    seen = []

    def add(host):
        seen.append(type(host))
        host *= 3.0

    staged = mpi_gpu.Staged(add)
    for count, kind in ((7, "float32"), (1000, "float64"), (7, "float32")):
        vector = cupy.arange(count, dtype=kind)
        staged.all_reduce(vector)
        assert np.array_equal(vector.get(), 3.0 * np.arange(count, dtype=kind))
    assert set(seen) == {np.ndarray}


@needs_mpi
def test_ranks_of_a_gpu_give_what_numpy_gives(cupy, digits, tmp_path):
    images, labels = digits
    data = tmp_path / "few.npz"
    np.savez(data, x_train=images[:650], y_train=labels[:650])
    how = ("--data", data, *SMALL, "--epochs", "2", "--input-noise", "0.1")
    one = command.run("train", *map(str, how), "--out", str(tmp_path / "1"))
    assert one.returncode == 0, one.stderr
    done = run(2, *how, "--out", tmp_path / "2", "--backend", "cupy", "--communicator", "mpi")
    assert done.returncode == 0, done.stderr
    assert "sums are staged through pinned memory of the host" in done.stdout
    theta = [model.load(tmp_path / name / "model.safetensors").theta for name in "12"]
    assert np.abs(theta[0] - theta[1]).max() < 1e-3 * np.abs(theta[0]).max()
    done = run(2, *how, "--out", tmp_path / "3", "--backend", "cupy", "--graph")
    assert done.returncode == 2
    assert "leave --graph out" in done.stderr


class FakeNccl:
    """What NCCL is asked for: `cupy.cuda.nccl` has no more of it where there is no GPU."""

    NCCL_FLOAT32, NCCL_FLOAT64, NCCL_SUM = 7, 8, 0
    available = True

    def __init__(self):
        self.made, self.sums = [], []

    def get_unique_id(self):
        return ("identity",)

    def NcclCommunicator(self, size, identity, rank):  # noqa: N802
        self.made.append((size, identity, rank))
        return self

    def allReduce(self, *arguments):  # noqa: N802
        self.sums.append(arguments)


def test_nccl_is_asked_for_the_sum_in_place_on_the_stream_of_the_step(cupy, monkeypatch):
    """As `ncclAllReduce` takes it; NCCL itself needs GPUs."""
    fake, shared = FakeNccl(), []
    monkeypatch.setattr(cupy.cuda, "nccl", fake, raising=False)
    for rank, own in ((0, ("identity",)), (1, None)):

        def share(given, own=own):
            shared.append((given, own))
            return ("identity",)

        communicator = mpi_gpu.Nccl(rank, 2, share)
    assert shared == [(("identity",), ("identity",)), (None, None)]  # rank 0 alone makes one
    assert fake.made == [(2, ("identity",), 0), (2, ("identity",), 1)]
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        for kind, number in (("float32", 7), ("float64", 8)):
            vector = cupy.ones(10, dtype=kind)
            communicator.all_reduce(vector)
            pointer = vector.data.ptr
            assert fake.sums.pop() == (pointer, pointer, 10, number, fake.NCCL_SUM, stream.ptr)


def test_why_nccl_cannot_be_used(cupy, monkeypatch):
    fake = FakeNccl()
    monkeypatch.setattr(cupy.cuda, "nccl", fake, raising=False)
    count = cupy.cuda.runtime.getDeviceCount()
    assert mpi_gpu.why_no_nccl(count) == ""
    assert mpi_gpu.chosen(None, "") == "nccl"
    why = mpi_gpu.why_no_nccl(count + 1)
    assert (
        why
        == f"NCCL needs a GPU for each rank, and {count + 1} ranks of this machine share {count}"
    )
    assert mpi_gpu.chosen(None, why) == "mpi"
    with pytest.raises(BackendError, match="use --communicator mpi"):
        mpi_gpu.chosen("nccl", why)
    fake.available = False
    assert "CuPy has no NCCL here; install" in mpi_gpu.why_no_nccl(1)
