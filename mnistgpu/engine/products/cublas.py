"""cuBLAS, called directly: products that CuPy's `matmul` does not offer.

CuPy refuses a product while a CUDA graph is captured, and has none that rounds to bfloat16. cuBLAS
does both; nvmath-python, an optional package, calls its functions from Python. One object owns the
handle and its workspace, which a capture needs.
"""

from __future__ import annotations

import functools
import importlib
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from mnistgpu.backend import INSTALL, Array
from mnistgpu.errors import BackendError, ShapeError

WORKSPACE_BYTES = 32 * 2**20  # what NVIDIA recommends for Hopper; older GPUs need less
R_32F, R_64F = 0, 1  # cudaDataType in library_types.h
GEMM_DEFAULT = -1  # cublasGemmAlgo_t in cublas_api.h: cuBLAS chooses
COMPUTE = {
    "float32": "COMPUTE_32F",
    "float64": "COMPUTE_64F",
    "tf32": "COMPUTE_32F_FAST_TF32",
    "bf16": "COMPUTE_32F_FAST_16BF",  # rounds the factors, and adds up in float32
}


class Cublas:
    """A cuBLAS handle on the current device, and the one workspace of all its products.

    Raises BackendError if nvmath-python or cuBLAS is not there.
    """

    def __init__(self, cupy: Any):
        self._cupy, self._binding = cupy, binding()
        self._factors = [np.asarray([1, 0], dtype=dtype) for dtype in ("float32", "float64")]
        self._workspace = cupy.empty(WORKSPACE_BYTES, dtype="uint8")
        self._stream: int | None = None
        try:
            self._handle = self._binding.create()
        except Exception as error:
            raise BackendError(
                f"cuBLAS cannot be used through nvmath-python ({str(error).strip()}); "
                "`mnistgpu doctor` says what is installed"
            ) from error
        # not at the end of the process, when the device may be gone before
        weakref.finalize(self, self._binding.destroy, self._handle).atexit = False

    def product(self, precision: str) -> Callable[..., Array]:
        """The function matmul(A, B, out=) for products in this precision.

        out (n, m) = A (n, k) B (k, m) on the current stream; a new array if `out` is not given.
        Rows or columns of each must be contiguous, those of `out` its rows; ShapeError otherwise.
        """
        compute = int(getattr(self._binding.ComputeType, COMPUTE[precision]))
        factors = self._factors[precision == "float64"]
        return functools.partial(self._matmul, compute, factors, factors.ctypes.data)

    def _matmul(
        self,
        compute: int,
        factors: np.ndarray,
        one: int,
        A: Array,
        B: Array,
        *,
        out: Array | None = None,
    ) -> Array:
        """See `product`; `one` is the address of the factors 1 and 0 of cuBLAS."""
        self._follow_stream()
        (n, k), m = A.shape, B.shape[1]
        if out is None:
            out = self._cupy.empty((n, m), dtype=factors.dtype)
        if B.shape[0] != k or out.shape != (n, m):
            raise ShapeError(f"no product of {A.shape} and {B.shape} has the shape {out.shape}")
        (A_turned, A_lead), (B_turned, B_lead) = layout(A), layout(B)
        out_turned, out_lead = layout(out)
        if out_turned:
            raise ShapeError("the rows of a product must be contiguous")
        # cuBLAS counts along columns, where our rows are the columns of the transpose: it computes
        # out^T (m, n) = B^T A^T, and a factor is "transposed" for it if ours is stored by columns
        sizes = (int(B_turned), int(A_turned), m, n, k)
        kind = R_64F if factors.itemsize == 8 else R_32F
        left, right = (B.data.ptr, kind, B_lead), (A.data.ptr, kind, A_lead)
        result = (out.data.ptr, kind, out_lead, compute, GEMM_DEFAULT)
        zero = one + factors.itemsize
        self._binding.gemm_ex(self._handle, *sizes, one, *left, *right, zero, *result)
        return out

    def _follow_stream(self) -> None:
        """Compute on CuPy's current stream; a change of stream takes the workspace away."""
        stream = self._cupy.cuda.get_current_stream().ptr
        if stream != self._stream:
            self._binding.set_stream(self._handle, stream)
            self._binding.set_workspace(self._handle, self._workspace.data.ptr, WORKSPACE_BYTES)
            self._stream = stream


def layout(array: Array) -> tuple[bool, int]:
    """Whether a matrix is stored by columns, and how many numbers lie between its lines."""
    rows, columns = array.shape
    down, right = (stride // array.itemsize for stride in array.strides)
    if right == 1 or columns == 1:
        return False, down if rows > 1 else columns
    if down == 1 or rows == 1:
        return True, right
    raise ShapeError(f"neither rows nor columns of this {array.shape} matrix are contiguous")


def binding() -> Any:
    """nvmath.bindings.cublas; BackendError that says how to install it."""
    try:
        return importlib.import_module("nvmath.bindings.cublas")
    except ImportError as error:
        raise BackendError(
            f"this needs nvmath-python ({error}); {INSTALL} nvmath-python"
        ) from error
