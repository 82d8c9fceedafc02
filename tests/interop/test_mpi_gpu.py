"""Ranks that compute with CuPy: on a GPU, or with the CuPy that `tests/cupy_on_cpu` builds."""

import numpy as np
import pytest
from helpers import command
from helpers.mpi import SMALL, needs_mpi, run
from helpers.spaces import Space

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
