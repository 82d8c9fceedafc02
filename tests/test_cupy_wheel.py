"""The real CuPy wheel on a machine without a GPU: a clear refusal, and every name the code uses.

`.ci/run` runs this in an environment of its own, since CuPy is no dependency of the tests.
"""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import mnistgpu

cupy = pytest.importorskip("cupy", reason="the CuPy wheel is not installed")

SOURCES = sorted(Path(mnistgpu.__file__).parent.glob("*.py"))


def uses_of_xp():
    """Every `xp.name` in the package, and the keywords it is called with."""
    found: dict[str, set[str]] = {}
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Attribute) and is_xp(node.value):
                found.setdefault(node.attr, set())
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if is_xp(node.func.value):
                    keywords = {k.arg for k in node.keywords if k.arg}  # **on_device_of has none
                    found.setdefault(node.func.attr, set()).update(keywords)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id == "into":  # into(out, xp.function, ...) or self.matmul
                    function = node.args[1]
                    if isinstance(function, ast.Attribute):
                        found.setdefault(function.attr, set()).add("out")
    return found


def is_xp(node):
    """`xp`, `backend.xp`, `self.xp` ..."""
    return (isinstance(node, ast.Name) and node.id == "xp") or (
        isinstance(node, ast.Attribute) and node.attr == "xp"
    )


def test_the_search_finds_what_is_used():
    uses = uses_of_xp()
    assert {"matmul", "exp", "argsort", "concat"} <= set(uses)
    assert "keepdims" in uses["sum"]
    assert "out" in uses["matmul"]


@pytest.mark.parametrize(("name", "keywords"), sorted(uses_of_xp().items()))
def test_cupy_has_every_function_and_keyword(name, keywords):
    function = getattr(cupy, name, None)
    assert function is not None, f"cupy.{name} does not exist"
    if isinstance(function, cupy.ufunc):
        assert keywords <= {"out", "dtype", "casting"}
        return
    if keywords:
        parameters = inspect.signature(function).parameters
        assert keywords <= set(parameters) or any(
            p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()
        )


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
