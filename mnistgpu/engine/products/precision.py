"""In which precision the products of training are computed.

float32 and float64 are the formats of the parameters and of every product. tf32 and bf16 keep
float32 parameters and sums, and round the factors of the network's products to 10 or 7 bits after
the point, for the sake of a GPU's tensor cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from mnistgpu.backend import Array
from mnistgpu.engine.products import small
from mnistgpu.engine.products.cublas import Cublas
from mnistgpu.errors import BackendError, UsageError

TENSOR_CORES_FROM = 80  # compute capability 8.0, Ampere


def matmul_in(precision: str, xp: Any) -> Callable[..., Array]:
    """The function matmul(A, B, out=) for products in this precision.

    Raises UsageError or BackendError where the backend `xp` has none.
    """
    if xp.__name__ == "cupy":
        refuse_hidden_tf32(xp, precision)
    if precision in ("float32", "float64"):
        in_pieces = precision == "float32" and xp.__name__ == "numpy" and small.pays()
        matmul: Callable[..., Array] = small.matmul if in_pieces else xp.matmul
        return matmul
    if xp.__name__ != "cupy":
        raise UsageError(
            f"--precision {precision} needs the tensor cores of an NVIDIA GPU: add --backend cupy, "
            "or leave it at float32"
        )
    if int(xp.cuda.Device().compute_capability) < TENSOR_CORES_FROM:
        raise BackendError(
            f"--precision {precision} needs a GPU of compute capability 8.0 or newer (Ampere), and "
            "this one is older; leave it at float32"
        )
    return in_tf32(xp) if precision == "tf32" else Cublas(xp).product(precision)


def in_tf32(cupy: Any) -> Callable[..., Array]:
    """CuPy's product, with TF32 switched on for the time of each call."""
    from cupy._core import _routines_linalg as switch

    def matmul(A: Array, B: Array, *, out: Array) -> Array:
        before = switch.get_compute_type(np.float32)
        switch.set_compute_type(np.float32, switch.COMPUTE_TYPE_TF32)
        try:
            return cupy.matmul(A, B, out=out)
        finally:
            switch.set_compute_type(np.float32, before)

    return matmul


def refuse_hidden_tf32(cupy: Any, precision: str) -> None:
    """Refuse environment variables that round products, so that the setting alone decides.

    They would also round the products of deformations, which are always float32.
    """
    override = os.environ.get("NVIDIA_TF32_OVERRIDE", "")
    if override not in ("", "0") or (override == "0" and precision == "tf32"):
        raise UsageError(
            f"NVIDIA_TF32_OVERRIDE={override} is set, which would round products otherwise than "
            f"--precision {precision}; unset it"
        )
    from cupy._core import _routines_linalg as switch

    if switch.get_compute_type(np.float32) == switch.COMPUTE_TYPE_TF32:
        raise UsageError(
            "CUPY_TF32 is set, which would round every float32 product; unset it, or say what you "
            "want with --precision tf32"
        )


def description(precision: str, backend_name: str) -> str:
    """For the first lines of a run: the precision, and on a GPU whether products are rounded."""
    if backend_name != "cupy" or precision == "float64":
        return precision
    rounded = {"tf32": "products in TF32", "bf16": "products in bfloat16", "float32": "TF32 off"}
    return f"float32, {rounded[precision]}"
