"""Products of few rows, cut to a size that OpenBLAS multiplies without copying the factors.

Here for speed alone. OpenBLAS copies both factors into an order of its own before it multiplies,
which for 10 units takes more time than the products. On processors with AVX-512 it has kernels for
small matrices that copy nothing; so that they are chosen, a product is cut into pieces, which
`numpy.matmul` takes as one stack. Measured for 512 images and 784-10-10, one thread: W_1 X in 48
instead of 109 microseconds, dZ_1 X^T in 46 instead of 90. Results differ by rounding, but for
--precision exact.
"""

from __future__ import annotations

import functools

import numpy as np

from mnistgpu.backend import Array
from mnistgpu.engine.threads import blas_architecture

# OpenBLAS, kernel/x86_64/sgemm_small_kernel_permit_skylakex.c: what its small kernels take
ARCHITECTURES = ("SkylakeX", "Cooperlake", "SapphireRapids")
MULTIPLY_ADDS = 10**6
ENTRIES = 1200  # of the result, where B is a transpose and A is not
# Where pieces are faster than the whole (measured for 32 to 960 images): in results of at most so
# many rows, or in products of at most SMALL multiply-adds.
ROWS_BESIDE, ROWS_SUMMED = 64, 16
SMALL = 2**22
ROWS_OF_A_PIECE = 32


def matmul(A: Array, B: Array, *, out: Array) -> Array:
    """out[...] = A @ B for A (m, k), B (k, n), out (m, n), in pieces where that pays in float32."""
    (m, k), n = A.shape, B.shape[1]
    if m * n <= ENTRIES and m * k * n <= MULTIPLY_ADDS:  # most are: returning saves 2% of a step
        return np.matmul(A, B, out=out)
    transposed = B.strides[0] == B.itemsize and A.strides[1] == A.itemsize
    how, rows, columns = plan(m, k, n, transposed)
    if how == "blocks":
        tall = A.reshape(m // rows, 1, rows, k)
        wide = B.reshape(k, n // columns, columns).transpose(1, 0, 2)
        blocks = out.reshape(m // rows, rows, n // columns, columns).transpose(0, 2, 1, 3)
        np.matmul(tall, wide, out=blocks)
        return out
    if how == "sum" and A.strides[1] == A.itemsize:  # if A is stored by columns, pieces are slower
        parts = A.reshape(m, k // rows, rows).transpose(1, 0, 2)
        return np.add.reduce(np.matmul(parts, B.reshape(k // rows, rows, n)), axis=0, out=out)
    return np.matmul(A, B, out=out)


@functools.cache
def plan(m: int, k: int, n: int, transposed: bool) -> tuple[str, int, int]:
    """How to cut (m, k) @ (k, n): "blocks" of the result by rows and columns; a "sum" over k; "".

    `transposed` says that B is a transpose in memory and A is not.
    """
    if m * k * n <= MULTIPLY_ADDS and not (transposed and m * n > ENTRIES):
        return "", 0, 0  # small already
    if m * k * n <= SMALL or (transposed and m <= ROWS_BESIDE):
        rows = piece(m, ROWS_OF_A_PIECE) or m
        most = MULTIPLY_ADDS // (rows * k)
        columns = piece(n, min(most, ENTRIES // rows) if transposed else most)
        if columns and (rows, columns) != (m, n):
            return "blocks", rows, columns
    elif m <= ROWS_SUMMED:
        rows = piece(k, MULTIPLY_ADDS // (m * n))
        if 0 < rows < k:
            return "sum", rows, 0
    return "", 0, 0


def piece(rows: int, most: int) -> int:
    """The largest divisor of `rows` up to `most`; 0 if it is under half of that."""
    size = next((size for size in range(min(rows, most), 0, -1) if rows % size == 0), 0)
    return size if 2 * size > min(rows, most) else 0


@functools.cache
def pays() -> bool:
    """Whether NumPy's BLAS here is one with such kernels."""
    return blas_architecture() in ARCHITECTURES
