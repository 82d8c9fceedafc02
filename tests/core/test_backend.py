"""Choosing a backend: names, refusals that name the cure, and the proof that CuPy computes."""

import importlib
import subprocess
import sys
import types

import numpy as np
import pytest
from helpers.fake_cupy import fake_cupy

from mnistgpu import backend
from mnistgpu.errors import BackendError, UsageError


def test_numpy_is_the_default_and_the_environment_chooses(monkeypatch):
    monkeypatch.delenv("MNISTGPU_BACKEND", raising=False)
    assert backend.select().name == "numpy"
    monkeypatch.setenv("MNISTGPU_BACKEND", "nupy")
    with pytest.raises(UsageError, match="nupy"):
        backend.select()
    assert backend.select("numpy").xp is np  # an argument comes before the environment


@pytest.mark.parametrize("name", ["nupy", "cupy:x", "cupy:-1", "numpy:0", "auto:1", "CUPY"])
def test_an_unknown_name_lists_the_choices(name):
    with pytest.raises(UsageError, match="numpy, cupy, auto, or cupy:1") as refusal:
        backend.select(name)
    assert refusal.value.exit_status == 2


FRAMED = """
================================================================
Failed to import CuPy.

If you installed CuPy via wheels, make sure that the package matches.

Original error:
  ImportError: libcuda.so.1: cannot open shared object file
================================================================
"""


def test_the_gist_of_an_error_has_words():
    assert backend.gist(ValueError("\n====\n  3: too few \nmore")) == "ValueError: 3: too few"
    assert backend.gist(ValueError("----")) == backend.gist(ValueError()) == "ValueError"
    assert backend.gist(ValueError("a frame\nOriginal error:")) == "ValueError: a frame"


@pytest.mark.parametrize(
    ("cupy", "message"),
    [
        (
            ImportError("No module named 'cupy'"),
            r"cannot be imported \(ImportError: No .*pip install -e '\.\[cuda13\]' in the clone",
        ),
        (
            ImportError(FRAMED),
            r"cannot be imported \(ImportError: libcuda.so.1: cannot open .*pip install -e ",
        ),
        (
            fake_cupy(driver=RuntimeError("cudaErrorInsufficientDriver: too old")),
            r"no usable NVIDIA driver .*InsufficientDriver.*nvidia-smi.* -e '\.\[cuda12\]'",
        ),
        (
            fake_cupy(driver=RuntimeError("cudaErrorNoDevice: no CUDA-capable device")),
            r"a driver, but no GPU \(.*NoDevice.*CUDA_VISIBLE_DEVICES may hide it",
        ),
        (fake_cupy(count=0), r"0 GPU\(s\)"),
        (
            fake_cupy(kernel=RuntimeError("libnvrtc.so.13 not found")),
            r"no kernel could be compiled .*libnvrtc.*NVRTC .*pip install",
        ),
        (
            fake_cupy(product=ImportError("libcublas.so.13: no such file")),
            r"no matrix product ran .*libcublas.*cuBLAS .*pip install",
        ),
    ],
    ids=["package", "library", "driver", "no device", "device", "nvrtc", "cublas"],
)
def test_each_missing_part_is_named_with_its_cure(monkeypatch, cupy, message):
    def import_module(name):
        if isinstance(cupy, Exception):
            raise cupy
        return cupy

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(BackendError, match=message) as refusal:
        backend.select("cupy")
    assert refusal.value.exit_status == 1
    assert "\n" not in str(refusal.value)
    chosen = backend.select("auto")
    assert chosen.name == "numpy"
    assert chosen.chosen_because.startswith("auto chose numpy: backend cupy")


def test_auto_takes_a_cupy_that_proves_itself(monkeypatch):
    monkeypatch.setattr(importlib, "import_module", lambda name: fake_cupy())
    chosen = backend.select("auto")
    assert chosen.name == "cupy"
    assert "auto chose cupy" in chosen.chosen_because


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(importlib, "import_module", lambda name: fake_cupy(count=2))
    assert backend.select("cupy:1").device == 1
    with pytest.raises(BackendError, match=r"cupy:2: this machine has 2 GPU"):
        backend.select("cupy:2")


def test_two_gpus_live_in_one_process():
    """What is asked of a backend happens on its GPU, whichever was selected last."""
    current, seen = [0], []

    class Device:
        def __init__(self, ordinal):
            self.ordinal = ordinal

        def __enter__(self):
            self.before, current[0] = current[0], self.ordinal

        def __exit__(self, *exception):
            current[0] = self.before

    def note(result):
        return lambda *arguments, **keywords: (seen.append(current[0]), result)[1]

    stream = types.SimpleNamespace(synchronize=note(None))
    properties = {"name": b"a card", "totalGlobalMem": 2**30}
    runtime = types.SimpleNamespace(
        getDeviceProperties=note(properties), runtimeGetVersion=note(1), driverGetVersion=note(1)
    )
    cuda = types.SimpleNamespace(Device=Device, get_current_stream=lambda: stream, runtime=runtime)
    cupy = types.SimpleNamespace(asarray=note(None), cuda=cuda, __version__="14")
    for ordinal in (1, 0):
        chosen = backend.Backend("cupy", cupy, ordinal)
        chosen.asarray([1])
        chosen.synchronize()
        chosen.describe()
        assert seen == [ordinal] * 5
        seen.clear()
    assert current == [0]


def test_describe_and_copies():
    chosen = backend.select("numpy")
    facts = chosen.describe()
    assert facts["backend"] == "numpy"
    assert facts["numpy"] == np.__version__
    assert facts["device"]
    assert facts["memory"].endswith("GiB")
    array = chosen.asarray([[1, 2], [3, 4]], dtype=np.uint8)
    assert array.dtype == np.uint8
    assert chosen.asarray(array) is array
    assert chosen.to_numpy(array) is array
    chosen.synchronize()


@pytest.mark.gpu
def test_cupy_for_real():
    try:
        chosen = backend.select("cupy")
    except BackendError as error:
        pytest.skip(str(error))
    array = chosen.asarray(np.arange(6).reshape(2, 3))
    assert backend.array_namespace(array) is chosen.xp
    np.testing.assert_array_equal(chosen.to_numpy(array), np.arange(6).reshape(2, 3))
    chosen.synchronize()
    facts = chosen.describe()
    assert facts["cupy"] == chosen.xp.__version__
    assert "cupy:0" in facts["device"]


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, mnistgpu, mnistgpu.cli, mnistgpu.runs.training, mnistgpu.network; "
        "print([m for m in ('pandas', 'matplotlib', 'cupy', 'PIL', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
