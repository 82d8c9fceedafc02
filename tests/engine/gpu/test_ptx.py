"""What NVIDIA's compiler makes of our kernels: no two operations are fused into one.

A fused multiply-add rounds once where a multiplication and an addition round twice, so a kernel
with one would have other bits than NumPy. The compiler (NVRTC, a package of its own) needs no GPU.
"""

import ctypes
import importlib.util
import re
import sys
import types
from pathlib import Path

import pytest

TYPES = {
    "T": "double", "float32": "float", "uint8": "unsigned char", "bool": "bool", "int32": "int",
    "uint32": "unsigned int", "int64": "long long", "uint64": "unsigned long long",
}  # fmt: skip
ALWAYS = ["-arch=compute_80", "-ftz=true"]  # the second as CuPy compiles
KERNELS = ("_parts", "_moved", "_add_bias_relu", "_keep_where_positive", "_adam")


@pytest.fixture(scope="module")
def nvrtc():
    """The library of the package nvidia-cuda-nvrtc, of CUDA 12 or 13."""
    for name in ("nvidia.cuda_nvrtc", "nvidia.cu13"):
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            continue
        for folder in spec.submodule_search_locations if spec else ():
            for path in sorted(Path(folder, "lib").glob("libnvrtc.so.*")):
                return ctypes.CDLL(str(path))
    pytest.skip("the package nvidia-cuda-nvrtc-cu12 is not installed")


@pytest.fixture
def kernels(monkeypatch):
    """The module of kernels, each a tuple of what CuPy would compile."""
    recorder = types.SimpleNamespace(ElementwiseKernel=lambda *made, **named: (*made, named))
    monkeypatch.setitem(sys.modules, "cupy", recorder)
    monkeypatch.delitem(sys.modules, "mnistgpu.engine.gpu.kernels", raising=False)
    module = importlib.import_module("mnistgpu.engine.gpu.kernels")
    yield module
    sys.modules.pop("mnistgpu.engine.gpu.kernels")


def source(inputs, outputs, code):
    """A kernel of CUDA with the element-wise code."""
    parameters, names = [], []
    for text, by_reference in ((inputs, ""), (outputs, "&")):
        for parameter in text.split(","):
            *raw, kind, name = parameter.split()
            parameters.append(f"{TYPES[kind]}* {name}{'' if raw else '_'}")
            if not raw:
                names.append(f"{TYPES[kind]}{by_reference} {name} = {name}_[i];")
    return (
        f'typedef double T;\nextern "C" __global__ void k({", ".join(parameters)}) {{\n'
        f"int i = blockIdx.x * blockDim.x + threadIdx.x;\n{' '.join(names)}\n{code}\n}}"
    )


def ptx(library, text, options):
    """What the compiler makes of a source: its operations, such as mul.f64."""
    program, made = ctypes.c_void_p(), ctypes.c_char_p(text.encode())
    assert library.nvrtcCreateProgram(ctypes.byref(program), made, b"k.cu", 0, None, None) == 0
    given = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    assert library.nvrtcCompileProgram(program, len(options), given) == 0, text
    size = ctypes.c_size_t()
    library.nvrtcGetPTXSize(program, ctypes.byref(size))
    content = ctypes.create_string_buffer(size.value)
    library.nvrtcGetPTX(program, content)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    found = re.findall(
        r"^\s+(?:@\S+ )?([a-z]+(?:\.\w+)*\.f(?:32|64))\b", content.value.decode(), re.M
    )
    return [each for each in found if not each.startswith(("ld", "st", "mov", "cvt", "setp"))]


@pytest.mark.parametrize("name", KERNELS)
def test_no_operation_is_fused_or_approximate(nvrtc, kernels, name):
    inputs, outputs, code, _, named = getattr(kernels, name)
    options = [*ALWAYS, *named["options"]]
    found = ptx(nvrtc, source(inputs, outputs, code), options)
    assert not [each for each in found if "fma" in each or "mad" in each or "approx" in each]
    assert all(".rn" in each for each in found if each.startswith(("div", "sqrt")))


@pytest.mark.parametrize("name", ["_FORWARD", "_BACKWARD"])
def test_the_sums_of_products_of_bytes_are_fused_and_stay_in_registers(nvrtc, kernels, name):
    """Ten units and four pixels: all loops over them are unrolled, so no array has an address."""
    inputs, outputs, code, _, named = kernels._bytes_kernel(getattr(kernels, name), 10)
    found = ptx(nvrtc, source(inputs, outputs, code), [*ALWAYS, *named["options"]])
    assert set(found) == {"fma.rn.ftz.f32"}
    assert len(found) % 40 == 0


def test_without_the_option_they_are_fused(nvrtc, kernels):
    inputs, outputs, code, _, _ = kernels._adam
    assert "fma.rn.f64" in ptx(nvrtc, source(inputs, outputs, code), ALWAYS)


def test_one_operation_of_an_array_function_stays_one(nvrtc):
    """What CuPy compiles for `+`, `*`, `/`, `sqrt` and `maximum`, with its own options."""
    for code, operation in (
        ("c = a + b;", "add.rn.f64|add.f64"),
        ("c = a * b;", "mul.rn.f64|mul.f64"),
        ("c = a / b;", "div.rn.f64"),
        ("c = sqrt(a);", "sqrt.rn.f64"),
        ("c = max(a, b);", "max.f64"),
    ):
        found = ptx(nvrtc, source("T a, T b", "T c", code), ALWAYS)
        assert len(found) == 1, found
        assert re.fullmatch(operation, found[0])


def test_a_rounding_is_not_simplified_away(nvrtc):
    """(x + C) - C, also where both operations stand in one kernel."""
    C = 1.5 * 2.0**42
    found = ptx(nvrtc, source("T a, T b", "T c", f"c = (a + {C!r}) - {C!r};"), ALWAYS)
    assert len(found) == 2
