"""CuPy on the CPU computes what NumPy does, and refuses what a GPU refuses.

Skipped unless `python tests/cupy_on_cpu/run.py` runs it.
"""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        "CPUSHIM_CACHE_DIR" not in os.environ,
        reason="this is for CuPy on the CPU: python tests/cupy_on_cpu/run.py",
    ),
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def equal(there, here, tolerance=1e-5):
    found = cupy.asnumpy(there)
    assert found.shape == np.shape(here)
    assert found.dtype == np.asarray(here).dtype
    np.testing.assert_allclose(found, here, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products(rng, dtype):
    X, Y = (rng.standard_normal(shape).astype(dtype) for shape in ((37, 53), (53, 29)))
    x, y = cupy.asarray(X), cupy.asarray(Y)
    for there, here in (
        (x @ y, X @ Y),
        (x.T @ x, X.T @ X),
        (y.T @ x.T, Y.T @ X.T),
        (x @ y[:, 0], X @ Y[:, 0]),
        (cupy.dot(x[0], x[1]), np.dot(X[0], X[1])),
        (cupy.outer(x[0], x[1]), np.outer(X[0], X[1])),
        (cupy.einsum("ij,jk->ik", x, y), X @ Y),
        (cupy.linalg.norm(x), np.linalg.norm(X)),
    ):
        equal(there, here, 1e-4)
    out = cupy.empty((37, 29), dtype)
    cupy.matmul(x, y, out=out)
    equal(out, X @ Y, 1e-4)


REDUCTIONS = ("sum", "max", "min", "mean", "prod", "argmax", "argmin", "std", "var")


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_reductions(rng, name, axis):
    X = rng.standard_normal((37, 53)).astype("float32")
    equal(getattr(cupy, name)(cupy.asarray(X), axis=axis), getattr(np, name)(X, axis=axis), 1e-4)


def test_elements_and_indices(rng):
    X = rng.standard_normal((37, 53)).astype("float32")
    x, i = cupy.asarray(X), rng.integers(0, 37, 20)
    there = cupy.asarray(i)
    for name in ("exp", "tanh", "cos", "sign", "floor"):
        equal(getattr(cupy, name)(x), getattr(np, name)(X))
    equal(x[there], X[i])
    equal(cupy.take(x, there, axis=0), X[i])
    equal(x[x > 0], X[X > 0])
    equal(cupy.where(x > 0, x, 0), np.where(X > 0, X, np.float32(0)))
    equal(cupy.cumsum(x, axis=1), X.cumsum(1), 1e-4)
    equal(cupy.sort(x, axis=1), np.sort(X, 1))
    equal(cupy.argsort(x, axis=1), np.argsort(X, 1))
    equal(cupy.bincount(there), np.bincount(i))
    equal(x.astype("float16"), X.astype("float16"), 1e-3)
    equal(cupy.concatenate([x, x]), np.concatenate([X, X]))
    unsigned = cupy.arange(20, dtype="uint64") * cupy.uint64(0x9E3779B97F4A7C15)
    equal(unsigned, np.arange(20, dtype="uint64") * np.uint64(0x9E3779B97F4A7C15))
    x[cupy.asarray([1, 2])] = 7
    X[[1, 2]] = 7
    equal(x, X)


KERNELS = {
    "threads alone": (
        "int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) a[i] *= 2;",
        lambda A: 2 * A,
    ),
    "a barrier": (
        "extern __shared__ float s[]; int i = threadIdx.x; s[i] = a[i]; __syncthreads();"
        "a[i] = s[n - 1 - i];",
        lambda A: A[::-1],
    ),
    "a warp": (
        "a[threadIdx.x] = __shfl_down_sync(0xffffffff, a[threadIdx.x], 1);",
        lambda A: np.where(np.arange(64) % 32 == 31, A, np.roll(A, -1)),
    ),
    "an atomic sum": ("atomicAdd(a, threadIdx.x ? 1.0f : 0.0f);", lambda A: A + 63 * (A == 0)),
}


@pytest.mark.parametrize(("body", "expected"), KERNELS.values(), ids=KERNELS)
def test_kernels(body, expected):
    source = f'extern "C" __global__ void k(float* a, int n) {{ {body} }}'
    a, A = cupy.arange(64, dtype="float32"), np.arange(64, dtype="float32")
    cupy.RawKernel(source, "k")((1,), (64,), (a, np.int32(64)), shared_mem=256)
    equal(a, expected(A).astype("float32"))


def test_a_product_and_a_sum_have_one_rounding_unless_that_is_forbidden():
    """1 + 2**-12 squared, less its rounded value: the rest is seen where nothing was rounded."""
    source = 'extern "C" __global__ void k(float* a) { a[0] = a[1] * a[1] + a[2]; }'
    x = np.float32(1 + 2**-12)
    found = []
    for options in ((), ("--fmad=false",)):
        a = cupy.asarray(np.array([0, x, -(x * x)], "float32"))
        cupy.RawKernel(source, "k", options)((1,), (1,), (a,))
        found.append(float(a[0]))
    assert found == [2.0**-24, 0.0]


def test_kernels_that_cupy_makes():
    X = np.linspace(-1, 1, 100, dtype="float32")
    x = cupy.asarray(X)
    equal(cupy.ElementwiseKernel("T x, raw T y", "T z", "z = x + y[i]", "e")(x, x), X + X)
    squares = cupy.ReductionKernel("T x", "T y", "x * x", "a + b", "y = sqrt(a)", "0", "l2")
    equal(squares(x), np.linalg.norm(X))
    equal(length(x, x), np.sqrt(X * X + X * X))


@cupy.fuse
def length(a, b):
    return cupy.sqrt(a * a + b * b)


def test_a_graph_repeats_what_was_captured():
    with cupy.cuda.Stream(non_blocking=True) as stream:
        z = cupy.zeros(4, "float32")
        z += 1
        stream.synchronize()
        stream.begin_capture()
        z += 1
        z *= 2
        graph = stream.end_capture()
        assert cupy.asnumpy(z).tolist() == [1] * 4
        for _ in range(3):
            graph.launch(stream)
        assert cupy.asnumpy(z).tolist() == [22] * 4


FORBIDDEN = {
    "a host read": lambda z: float(z[0, 0]),
    "a copy": lambda z: cupy.asarray(np.zeros(4, "float32")),
    "a product of CuPy's": lambda z: z @ z,
    "waiting": lambda z: cupy.cuda.runtime.streamSynchronize(
        cupy.cuda.get_current_stream().ptr
    ),
    "waiting for the device": lambda z: cupy.cuda.Device().synchronize(),
    "an allocation": lambda z: cupy.cuda.memory.Memory(512),
}  # fmt: skip
STRICT = {"an allocation": cupy.cuda.runtime.streamCaptureModeGlobal}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_capture_forbids(name):
    """The first three CuPy itself refuses, and the others CUDA, which voids the capture."""
    with cupy.cuda.Stream(non_blocking=True) as stream:
        z = cupy.zeros((2, 2), "float32")
        stream.synchronize()
        stream.begin_capture(STRICT.get(name))
        with pytest.raises(Exception, match=r"[cC]aptur"):
            FORBIDDEN[name](z)
        if list(FORBIDDEN).index(name) < 3:
            stream.end_capture()
        else:
            with pytest.raises(Exception, match="cudaErrorStreamCaptureInvalidated"):
                stream.end_capture()
        z += 1  # the stream is as it was before
        assert cupy.asnumpy(z).tolist() == [[1, 1]] * 2  # which waits for this stream alone


def test_what_is_asked_for_is_counted():
    count = ctypes.CDLL("libcudart.so.12").cpushim_count
    count.restype = ctypes.c_ulonglong
    x = cupy.ones(4, "float32")
    x = x + x  # compiles the kernel
    before = [count(what) for what in range(2)]
    y = x + x
    y += x
    float(y[0])
    operations, waits = (count(what) - before[what] for what in range(2))
    assert operations == 3  # two sums and a copy to the host
    assert waits == 2  # the copy itself, and CuPy's waiting for the stream after it


STREAMS = """
import cupy
own = cupy.cuda.Stream(non_blocking={non_blocking})
warm = cupy.zeros(4, "float32") * 2 + 1
cupy.cuda.Device().synchronize()
a = cupy.zeros(4, "float32")
a += 1
{order}
with own:
    b = a * 2
    own.synchronize()
print(b.get(stream=own)[0])
"""
ORDERS = {  # what is done between the two streams, whether the second one blocks, the result
    "nothing": ("", True, False),
    "waiting for the first": ("cupy.cuda.get_current_stream().synchronize()", True, True),
    "an event": ("e = cupy.cuda.Event(); e.record(); own.wait_event(e)", True, True),
    "a stream that waits for the default one": ("", False, True),
}


def process(code, **variables):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", ORDERS)
def test_two_streams_in_lazy_mode(name):
    """Without any order the second stream reads what nobody has written yet."""
    order, non_blocking, ordered = ORDERS[name]
    code = STREAMS.format(order=order, non_blocking=non_blocking)
    done = process(code, CPUSHIM_LAZY="1", CPUSHIM_NOPOOL="1")
    assert done.returncode == 0, done.stderr
    assert (done.stdout.strip() == "2.0") is ordered, done.stdout


def test_memory_that_nobody_wrote_is_not_zero():
    done = process("import cupy; print(cupy.empty(4, 'float32'))", CPUSHIM_NOPOOL="1")
    assert done.stdout.strip() == "[nan nan nan nan]", done.stderr


def test_what_is_written_behind_an_array_is_found():
    kernel = 'extern \\"C\\" __global__ void k(float* a) { a[4] = 1; }'
    code = f'import cupy; a = cupy.zeros(4, "float32"); cupy.RawKernel("{kernel}", "k")'
    done = process(f"{code}((1,), (1,), (a,)); del a", CPUSHIM_NOPOOL="1")
    assert done.returncode < 0
    assert "something was written behind the end of 16 bytes" in done.stderr


def test_memory_ends():
    code = "import cupy; cupy.zeros(300 * 2**20, 'uint8')"
    assert process(code).returncode == 0
    done = process(code, CPUSHIM_MEMORY_MB="256", CPUSHIM_NOPOOL="0")  # it is the pool's error
    assert "OutOfMemoryError" in done.stderr


def test_a_driver_without_a_device():
    code = "from mnistgpu import backend; backend.select('cupy')"
    done = process(code, CPUSHIM_NO_DEVICE="1")
    assert "backend cupy: a driver, but no GPU (" in done.stderr
    assert "cudaErrorNoDevice" in done.stderr
