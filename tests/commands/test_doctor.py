"""The self-check: green on a machine that is fit, and it finds what is broken elsewhere."""

import contextlib
import importlib
import sys
import types
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from helpers.command import run
from helpers.fake_cupy import fake_cupy
from helpers.tape import Tape, TapeRecorder

from mnistgpu import backend
from mnistgpu.backend import NUMPY
from mnistgpu.commands import doctor
from mnistgpu.data import Digits
from mnistgpu.engine import gradient as engine
from mnistgpu.engine.gpu import cuda_graph
from mnistgpu.errors import DataError


@pytest.fixture(autouse=True)
def quick(monkeypatch, digits):
    """Few images and little time; no CuPy, and nothing said by the environment."""
    dataset = type("Dataset", (), {"train": Digits(*digits, "digits")})
    monkeypatch.setattr(doctor.data, "load", lambda: dataset)
    monkeypatch.setattr(doctor, "SPEED_SECONDS", 0.01)
    monkeypatch.delenv(backend.ENVIRONMENT_VARIABLE, raising=False)
    without_cupy(monkeypatch, ImportError("No module named 'cupy'"))


def without_cupy(monkeypatch, instead):
    def import_module(name):
        if isinstance(instead, Exception):
            raise instead
        return instead

    monkeypatch.setattr(importlib, "import_module", import_module)


def findings(name=None):
    return {finding.subject: finding for finding in doctor.examine(name)}


def test_a_machine_without_a_gpu_is_fit_and_told_what_a_gpu_needs():
    found = findings()
    assert all(finding.good for finding in found.values()), found
    assert "pip install -e '.[cuda13]' in the clone" in found["gpu"].text
    assert "central differences, in all 4 tensors" in found["gradient on numpy"].text
    assert "784-128-10 with 128 images" in found["speed on numpy"].text
    assert f"numpy {np.__version__}" in found["packages"].text


@pytest.mark.parametrize(
    ("broken", "cure"),
    [
        (RuntimeError("cudaErrorInsufficientDriver: too old"), "nvidia-smi"),
        (None, f"NVRTC and the CUDA headers come with {sys.executable} -m pip install"),
    ],
    ids=["driver", "nvrtc"],
)
def test_a_gpu_that_was_asked_for_and_fails_is_bad_with_its_cure(monkeypatch, broken, cure):
    kernel = None if broken else RuntimeError("libnvrtc.so.13 not found")
    without_cupy(monkeypatch, fake_cupy(driver=broken, kernel=kernel))
    monkeypatch.setenv(backend.ENVIRONMENT_VARIABLE, "cupy")
    found = findings()
    assert not found["backend"].good
    assert cure in found["backend"].cure
    assert found["gradient on numpy"].good  # the rest is examined all the same


def test_a_wrong_gradient_is_found(monkeypatch):
    right = engine.Engine.gradient

    def wrong(self, *arguments):
        gradient, loss, count = right(self, *arguments)
        gradient[-1] *= 1.001  # one bias of the last layer
        return gradient, loss, count

    monkeypatch.setattr(engine.Engine, "gradient", wrong)
    finding = findings()["gradient on numpy"]
    assert not finding.good
    assert "memory of the card" in finding.cure


class Elsewhere:
    """NumPy under another name, whose arrays come out a little wrong."""

    name, xp, asarray, synchronize = "cupy", np, NUMPY.asarray, NUMPY.synchronize

    def __init__(self, error):
        self.error = error

    def to_numpy(self, array):
        return array * (1 + self.error)


@pytest.mark.parametrize(("error", "good"), [(1e-6, True), (1e-3, False)])
def test_parity_tells_rounding_from_an_error(digits, error, good):
    found = doctor.parity([NUMPY, Elsewhere(error)], Digits(*digits, "digits"))
    assert found[0] is good


def test_what_is_missing_or_breaks_is_named(monkeypatch):
    def version(name):
        if name == "rich":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor, "version", version)
    found = [each for each in doctor.packages() if not each.good]
    assert [each.cure for each in found] == [f"{sys.executable} -m pip install rich"]

    def breaks(*arguments):
        raise RuntimeError("no luck\nat all")

    monkeypatch.setattr(doctor, "speed", breaks)
    finding = doctor.checked("speed", breaks)
    assert (finding.good, finding.text) == (False, "RuntimeError: no luck")
    assert "docs/gpu.md" in finding.cure


def test_only_what_a_plain_installation_brings_is_demanded(monkeypatch):
    lines = ["numpy>=2.1", "pillow (>=10)", "typer", "safetensors>=0.5; extra == 'test'"]
    monkeypatch.setattr(doctor, "requires", lambda name: lines)
    assert doctor.needed() == ["numpy", "pillow", "typer"]
    absent = {"safetensors", "nvmath-python"}

    def version(name):
        if name in absent:
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor, "version", version)
    assert all(finding.good for finding in doctor.packages())
    absent.add("pillow")
    assert not all(finding.good for finding in doctor.packages())

    def not_installed(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", not_installed)
    assert doctor.needed() == []


class Replaying(TapeRecorder):
    """A recorder on the CPU; `error` goes into its products while they are recorded."""

    error = 0.0

    def __init__(self, tape, precision):
        super().__init__(tape)

    def matmul(self, A, B, **keywords):
        wrong = self.error if self.tape.entries is not None else 0.0
        return super().matmul(A * (1 + wrong), B, **keywords)

    running = staticmethod(contextlib.nullcontext)


@pytest.mark.parametrize(
    ("error", "good", "text"),
    [(0.0, True, "8 steps were replayed"), (0.01, False, "replays moved theta differently")],
)
def test_replayed_steps_are_tried(monkeypatch, digits, error, good, text):
    monkeypatch.setattr(cuda_graph, "CudaRecorder", Replaying)
    monkeypatch.setattr(Replaying, "error", error)
    monkeypatch.setattr(doctor.cublas, "binding", lambda: None)
    found = doctor.graph(Tape().backend("cupy"), Digits(*digits, "digits"))
    assert found[0] is good
    assert text in found[1]


def test_without_nvmath_replays_are_not_tried_which_is_no_fault(monkeypatch, digits):
    monkeypatch.setitem(sys.modules, "nvmath", None)
    good, text, _ = doctor.graph(Tape().backend("cupy"), Digits(*digits, "digits"))
    assert good
    assert text.startswith("not tried: this needs nvmath-python")


def test_cublas_numbers_read_as_versions():
    cuda = types.SimpleNamespace(
        cublas=types.SimpleNamespace(getVersion=lambda handle: {5: 130203}[handle]),
        Device=lambda ordinal: types.SimpleNamespace(cublas_handle=5),
    )
    there = types.SimpleNamespace(xp=types.SimpleNamespace(cuda=cuda), device=0)
    assert doctor.cublas_version(there) == "13.2.3"


def test_damaged_data_ends_the_examination(monkeypatch):
    def load():
        raise DataError("x: damaged; install again")

    monkeypatch.setattr(doctor.data, "load", load)
    found = findings()
    assert found["data"].cure == "x: damaged; install again"
    assert "gradient on numpy" not in found


def test_cuda_numbers_read_as_versions():
    assert [doctor.cuda_version(n) for n in (12040, 13020, 13000)] == ["12.4", "13.2", "13.0"]


@pytest.mark.slow
def test_the_command_exits_with_0_or_1():
    good = run("doctor", "--backend", "numpy")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "ok   speed on numpy" in good.stdout
    bad = run("doctor", "--backend", "nupy")
    assert bad.returncode == 1
    assert "cure: unknown backend 'nupy'" in bad.stdout


@pytest.mark.slow
@pytest.mark.gpu
def test_the_gpu_is_fit(monkeypatch):
    monkeypatch.undo()
    if not any(finding.subject == "cupy device" for finding in doctor.examine("auto")):
        pytest.skip("no GPU here")
    found = list(doctor.examine("cupy"))
    assert all(finding.good for finding in found), found
    assert {"gradient on cupy", "numpy and cupy", "speed on cupy"} <= {f.subject for f in found}
