"""The real CuPy wheel on a machine without a GPU: a clear refusal, and every name the code uses.

`.ci/run` runs this in an environment of its own, since CuPy is no dependency of the tests.
"""

import ast
import functools
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import mnistgpu

cupy = pytest.importorskip("cupy", reason="the CuPy wheel is not installed")

SOURCES = [ast.parse(path.read_text()) for path in Path(mnistgpu.__file__).parent.rglob("*.py")]
# what the sources call CuPy, or a part of it
ROOTS = {"xp": "", "_cupy": "", "cp": "", "cupy": "", "cuda": "cuda.", "runtime": "cuda.runtime."}
# what the sources use of CuPy's objects, which no name leads to
METHODS = {
    "cuda.Stream": ("begin_capture", "end_capture", "synchronize", "__enter__"),
    "cuda.MemoryPool": ("malloc", "free_bytes"),
    "cuda.Graph": ("launch",),
    "cuda.Device": ("use", "mem_info", "compute_capability", "cublas_handle", "__enter__"),
    "ndarray": ("astype", "strides", "itemsize", "data", "T", "__setitem__"),
}


def name_in_cupy(node):
    """The dotted name in CuPy that an expression stands for, such as cuda.Stream; else None."""
    if not isinstance(node, ast.Attribute):
        return None
    value = node.value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return node.attr if value.func.id == "array_namespace" else None
    root = value.id if isinstance(value, ast.Name) else getattr(value, "attr", None)
    if root in ROOTS:
        return ROOTS[root] + node.attr
    start = name_in_cupy(value)
    return start and f"{start}.{node.attr}"


def uses():
    """Every name of CuPy's in the package, and the keywords it is called with."""
    found: dict[str, set[str]] = {}
    for node in (node for source in SOURCES for node in ast.walk(source)):
        if name := name_in_cupy(node):
            found.setdefault(name, set())
        if isinstance(node, ast.Call):
            keywords = {k.arg for k in node.keywords if k.arg}  # **on_device_of has none
            if name := name_in_cupy(node.func):
                found[name] = found.get(name, set()) | keywords
            if isinstance(node.func, ast.Name) and node.func.id == "with_out":
                if name := name_in_cupy(node.args[0]):
                    found.setdefault(name, set()).add("out")
    return found


def looked_up(name):
    """The thing in CuPy of that dotted name."""
    try:
        return functools.reduce(getattr, name.split("."), cupy)
    except ImportError as error:  # CuPy loads a library when it is first named
        pytest.skip(f"{name}: its library is not here ({str(error).splitlines()[0]})")


def test_the_search_finds_what_is_used():
    found = uses()
    assert {"matmul", "exp", "argsort", "concat", "tanh", "cuda.Stream", "permute_dims"} <= set(
        found
    )
    assert {"cuda.runtime.getDeviceCount", "cuda.nvrtc.getVersion"} <= set(found)
    assert {"cuda.cublas.getVersion", "get_default_memory_pool"} <= set(found)
    assert "keepdims" in found["sum"]
    assert "out" in found["matmul"]
    assert found["cuda.Stream"] == {"non_blocking"}
    attributes = {
        node.attr
        for source in SOURCES
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute)
    }
    for names in METHODS.values():
        assert {name for name in names if not name.startswith("__")} <= attributes


@pytest.mark.parametrize(("name", "keywords"), sorted(uses().items()))
def test_cupy_has_every_function_and_keyword(name, keywords):
    function = looked_up(name)
    if isinstance(function, cupy.ufunc):
        assert keywords <= {"out", "dtype", "casting"}
        return
    if keywords:
        try:
            parameters = inspect.signature(function).parameters
        except ValueError:  # a class of C: what its documentation says
            assert all(f"{keyword} (" in function.__doc__ for keyword in keywords)
            return
        assert keywords <= set(parameters) or any(
            p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()
        )


@pytest.mark.parametrize("kind", METHODS)
def test_objects_of_cupy_have_every_method(kind):
    for name in METHODS[kind]:
        assert hasattr(looked_up(kind), name), name


def no_gpu():
    return not cupy.is_available()


@pytest.mark.skipif(not no_gpu(), reason="this machine has a GPU")
def test_selecting_cupy_without_a_gpu_is_one_sentence_and_status_1():
    done = subprocess.run(
        [sys.executable, "-m", "mnistgpu.train", "--backend", "cupy", "--iterations", "1"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: backend cupy: no usable NVIDIA driver")
    assert "nvidia-smi" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not no_gpu(), reason="this machine has a GPU")
def test_auto_says_why_it_chose_numpy():
    code = "from mnistgpu.backend import select; print(select('auto').chosen_because)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("auto chose numpy: backend cupy: no usable NVIDIA driver")
