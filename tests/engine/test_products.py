"""Products in reduced precision, and cuBLAS called with the right numbers.

A stand-in for the binding multiplies matrices in memory by the rules of BLAS (columns first), so
that every argument of the real call is proved but the device.
"""

import ctypes
import gc
import importlib
import itertools
import sys
import types

import numpy as np
import pytest

from mnistgpu.engine import shard
from mnistgpu.engine.products import cublas, small
from mnistgpu.engine.products import precision as products
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import BackendError, ShapeError, UsageError
from mnistgpu.settings import Settings


class OnHost(np.ndarray):
    """A NumPy array with the address where CuPy's arrays have it."""

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self.ctypes.data)


def on_host(array):
    return np.asarray(array).view(OnHost)


class HostBlas:
    """nvmath.bindings.cublas, as far as it is used, on addresses in host memory."""

    ComputeType = types.SimpleNamespace(
        COMPUTE_32F=68, COMPUTE_64F=70, COMPUTE_32F_FAST_TF32=77, COMPUTE_32F_FAST_16BF=75
    )

    def __init__(self):
        self.calls = []

    def create(self):
        self.calls.append(("create",))
        return 7

    def destroy(self, handle):
        self.calls.append(("destroy", handle))

    def set_stream(self, handle, stream):
        self.calls.append(("set_stream", handle, stream))

    def set_workspace(self, handle, address, size):
        self.calls.append(("set_workspace", handle, size))

    def gemm_ex(
        self, handle, turn_a, turn_b, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c,
        c_type, ldc, compute, algorithm,
    ):  # fmt: skip
        """C = alpha op(A) op(B) + beta C, all stored by columns."""
        assert (handle, algorithm) == (7, -1)
        assert a_type == b_type == c_type
        self.calls.append(("gemm_ex", c_type, compute))
        A = columns(a, a_type, (k, m) if turn_a else (m, k), lda)
        B = columns(b, b_type, (n, k) if turn_b else (k, n), ldb)
        C = columns(c, c_type, (m, n), ldc)
        alpha, beta = (columns(each, c_type, (1, 1), 1)[0, 0] for each in (alpha, beta))
        C[...] = alpha * multiplied(A.T if turn_a else A, B.T if turn_b else B) + beta * 0


def multiplied(A, B):
    """A B without OpenBLAS, which computes with what lies behind a vector, of which NumPy warns."""
    return np.einsum("ij,jk->ik", np.asarray(A), np.asarray(B))


def columns(address, kind, shape, lead):
    """The matrix at an address, stored by columns `lead` numbers apart."""
    assert lead >= shape[0]
    number = {0: ctypes.c_float, 1: ctypes.c_double}[kind]
    flat = np.ctypeslib.as_array((number * (lead * shape[1])).from_address(address))
    return flat.reshape(shape[1], lead).T[: shape[0]]


class Streams:
    """As much of CuPy as `Cublas` uses; its stream can be changed."""

    __name__ = "cupy"

    def __init__(self):
        self.stream = 11
        self.cuda = types.SimpleNamespace(
            get_current_stream=lambda: types.SimpleNamespace(ptr=self.stream)
        )

    def empty(self, shape, dtype):
        return on_host(np.empty(shape, dtype=dtype))


@pytest.fixture
def blas(monkeypatch):
    stand_in = HostBlas()
    monkeypatch.setattr(cublas, "binding", lambda: stand_in)
    return stand_in


def stored(shape, how, dtype):
    """A random matrix: by rows, by columns, or a part of a larger one of either kind."""
    rng = np.random.default_rng(sum(shape))
    rows, columns = shape
    if how == "rows":
        return on_host(rng.normal(size=shape).astype(dtype))
    if how == "columns":
        return on_host(rng.normal(size=(columns, rows)).astype(dtype)).T
    if how == "part by rows":
        return on_host(rng.normal(size=(rows, columns + 3)).astype(dtype))[:, :columns]
    return on_host(rng.normal(size=(columns, rows + 2)).astype(dtype)).T[:rows]


WAYS = ("rows", "columns", "part by rows", "part by columns")


@pytest.mark.parametrize(("how_a", "how_b"), list(itertools.product(WAYS, WAYS)))
@pytest.mark.parametrize("sizes", [(5, 7, 3), (1, 4, 6), (4, 1, 3), (6, 5, 1), (1, 1, 1)])
def test_every_way_to_store_the_factors(blas, how_a, how_b, sizes):
    n, k, m = sizes
    A, B = stored((n, k), how_a, "float32"), stored((k, m), how_b, "float32")
    product = cublas.Cublas(Streams()).product("float32")
    for out in (stored((n, m), "rows", "float32"), stored((n, m), "part by rows", "float32")):
        assert product(A, B, out=out) is out
        np.testing.assert_allclose(out, multiplied(A, B), rtol=1e-5, atol=1e-6)
    fresh = product(A, B)
    assert fresh.dtype == np.float32
    np.testing.assert_array_equal(fresh, out)


@pytest.mark.parametrize(
    ("precision", "kind", "compute"),
    [("float32", 0, 68), ("float64", 1, 70), ("tf32", 0, 77), ("bf16", 0, 75)],
)
def test_the_precision_is_asked_for(blas, precision, kind, compute):
    dtype = "float64" if precision == "float64" else "float32"
    A, out = stored((3, 3), "rows", dtype), stored((3, 3), "rows", dtype)
    cublas.Cublas(Streams()).product(precision)(A, A, out=out)
    assert ("gemm_ex", kind, compute) in blas.calls


def test_the_workspace_follows_the_stream_before_the_product(blas):
    cupy = Streams()
    product = cublas.Cublas(cupy).product("float32")
    A = stored((2, 2), "rows", "float32")
    for stream in (11, 11, 12):
        cupy.stream = stream
        product(A, A, out=A.copy())
    size = cublas.WORKSPACE_BYTES
    expected = ["set_stream 11", "workspace", "gemm", "gemm", "set_stream 12", "workspace", "gemm"]
    names = {("set_workspace", 7, size): "workspace", ("gemm_ex", 0, 68): "gemm"}
    found = [names.get(call) or f"{call[0]} {call[2]}" for call in blas.calls[1:]]
    assert found == expected
    del product
    gc.collect()
    assert blas.calls[-1] == ("destroy", 7)


def test_what_does_not_fit_is_refused(blas):
    product = cublas.Cublas(Streams()).product("float32")
    A, out = stored((4, 4), "rows", "float32"), stored((4, 4), "rows", "float32")
    with pytest.raises(ShapeError, match=r"no product of \(4, 4\) and \(3, 4\)"):
        product(A, A[:3], out=out)
    with pytest.raises(ShapeError, match="contiguous"):
        product(A[::2, ::2], A[:2], out=out[:2])
    with pytest.raises(ShapeError, match="rows of a product"):
        product(A, A, out=out.T)


def test_a_missing_binding_is_one_sentence(monkeypatch):
    for name in ("nvmath", "nvmath.bindings.cublas"):  # an earlier test may have imported it
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendError, match="pip install nvmath-python"):
        cublas.Cublas(Streams())


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_numpy_refuses_what_it_cannot_do(precision):
    with pytest.raises(UsageError, match=rf"--precision {precision} needs .*--backend cupy"):
        products.matmul_in(precision, np)
    settings = Settings(precision=precision)
    assert settings.dtype == "float32"


@pytest.mark.parametrize(("capability", "is_older"), [("75", True), ("80", False), ("120", False)])
def test_a_gpu_older_than_ampere_is_refused(monkeypatch, capability, is_older):
    monkeypatch.setattr(products, "refuse_hidden_tf32", lambda cupy, precision: None)
    monkeypatch.setattr(products, "in_tf32", lambda xp: "its product")
    device = types.SimpleNamespace(compute_capability=capability)
    gpu = types.SimpleNamespace(__name__="cupy", cuda=types.SimpleNamespace(Device=lambda: device))
    if is_older:
        with pytest.raises(BackendError, match="this one is older"):
            products.matmul_in("tf32", gpu)
    else:
        assert products.matmul_in("tf32", gpu) == "its product"


@pytest.mark.parametrize(
    ("precision", "override", "refused"),
    [
        ("float32", "1", True),
        ("bf16", "1", True),
        ("tf32", "0", True),
        ("float32", "0", False),
        ("tf32", "", False),
    ],
)
def test_the_environment_rounds_no_products(monkeypatch, precision, override, refused):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    switch = types.ModuleType("cupy._core._routines_linalg")
    switch.get_compute_type, switch.COMPUTE_TYPE_TF32 = lambda dtype: 0, 7
    core = types.ModuleType("cupy._core")
    core._routines_linalg = switch
    monkeypatch.setitem(sys.modules, "cupy", types.ModuleType("cupy"))
    monkeypatch.setitem(sys.modules, "cupy._core", core)
    device = types.SimpleNamespace(compute_capability="90")
    cupy = types.SimpleNamespace(
        __name__="cupy", matmul=None, cuda=types.SimpleNamespace(Device=lambda: device)
    )
    monkeypatch.setattr(products, "Cublas", lambda *_: types.SimpleNamespace(product=str))
    if refused:
        with pytest.raises(UsageError, match=f"NVIDIA_TF32_OVERRIDE={override} .*unset it"):
            products.matmul_in(precision, cupy)
    else:
        products.matmul_in(precision, cupy)
    switch.get_compute_type = lambda dtype: 7
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")
    with pytest.raises(UsageError, match="CUPY_TF32"):
        products.matmul_in(precision, cupy)


def test_float32_on_numpy_is_plain(monkeypatch):
    monkeypatch.setattr(small, "pays", lambda: False)
    assert products.matmul_in("float32", np) is np.matmul
    assert products.matmul_in("float64", np) is np.matmul
    assert products.description("float32", "numpy") == "float32"
    assert products.description("float32", "cupy") == "float32, TF32 off"
    for precision in ("float64", "exact"):
        assert products.description(precision, "cupy") == precision
    assert products.description("bf16", "cupy") == "float32, products in bfloat16"


def test_every_product_of_a_step_is_the_one_chosen(monkeypatch, digits):
    """With other products the parameters come out different, in every tensor."""
    from mnistgpu import network
    from mnistgpu.backend import NUMPY
    from mnistgpu.data import Digits

    def larger(A, B, out):
        return np.matmul(A * 1.001, B, out=out)

    settings = Settings(layers="784-9-8-10").changed(batch_size=64, init="he")
    results = []
    for matmul in (np.matmul, larger):
        monkeypatch.setattr(shard, "matmul_in", lambda *_, chosen=matmul: chosen)
        trainer = Trainer(settings, Digits(*digits, "digits"), NUMPY)
        trainer.step()
        results.append(network.layers(trainer.theta, settings.sizes))
    for exact, other in zip(*results, strict=True):
        for a, b in zip(exact, other, strict=True):
            assert np.any(a != b)
            np.testing.assert_allclose(a, b, atol=1e-2)


def test_the_real_binding_has_every_name(monkeypatch):
    """Where nvmath-python is installed, which needs no GPU."""
    real = pytest.importorskip("nvmath.bindings.cublas", reason="nvmath-python is not installed")
    for name in ("create", "destroy", "set_stream", "set_workspace", "gemm_ex"):
        assert callable(getattr(real, name))
    for name in cublas.COMPUTE.values():
        expected = getattr(HostBlas.ComputeType, name)
        assert int(getattr(real.ComputeType, name)) == expected
    assert int(real.GemmAlgo(cublas.GEMM_DEFAULT)) == -1
    types_of_cuda = importlib.import_module("nvmath").CudaDataType
    assert types_of_cuda.CUDA_R_32F == cublas.R_32F
    assert types_of_cuda.CUDA_R_64F == cublas.R_64F
    signature = (real.gemm_ex.__doc__ or "").split(")")[0]
    given = list(HostBlas.gemm_ex.__code__.co_varnames[1:20])
    assert signature.count(",") + 1 == len(given) == 19
    with pytest.raises(BackendError, match="cuBLAS cannot be used"):
        cublas.Cublas(Streams())


def test_the_real_cupy_has_the_switch_of_tf32():
    switch = pytest.importorskip("cupy._core._routines_linalg", reason="CuPy is not installed")
    assert callable(switch.set_compute_type)
    assert callable(switch.get_compute_type)
    assert switch.COMPUTE_TYPE_TF32 != switch.COMPUTE_TYPE_DEFAULT


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "float64", "tf32", "bf16"])
def test_products_on_a_gpu(precision):
    from mnistgpu.backend import select

    try:
        cupy = select("cupy").xp
    except BackendError as error:
        pytest.skip(str(error))
    dtype = "float64" if precision == "float64" else "float32"
    # sums of 784 products: rounding each sum, at worst, loses 784 x 6e-8 of the terms' size, and
    # how far it comes near that is a matter of the order in which a kernel adds
    bound = {"float32": 5e-6, "float64": 1e-14, "tf32": 1e-3, "bf16": 1e-2}[precision]
    chosen = [products.matmul_in(precision, cupy)]
    try:
        chosen.append(cublas.Cublas(cupy).product(precision))
    except BackendError as error:
        print(error)
    rng = np.random.default_rng(0)
    A = rng.normal(size=(300, 784)).astype(dtype)
    B = rng.normal(size=(128, 784)).astype(dtype)
    exact = A.astype("float64") @ B.T.astype("float64")
    for matmul in chosen:
        out = cupy.empty((300, 128), dtype=dtype)
        found = cupy.asnumpy(matmul(cupy.asarray(A), cupy.asarray(B).T, out=out))
        error = np.abs(found - exact).max() / np.abs(exact).max()
        assert error < bound
        if precision in ("tf32", "bf16"):
            assert error > 1e-5  # it was rounded
