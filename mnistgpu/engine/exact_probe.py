"""Does this machine compute as `--precision exact` needs? Asked once, before a run begins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mnistgpu import counter_rng
from mnistgpu.backend import Array, Backend
from mnistgpu.engine.products.precision import matmul_in
from mnistgpu.engine.threads import blas_name
from mnistgpu.errors import BackendError
from mnistgpu.maths import exact

# terms, and bits of the factors: all that the budget allows, for sums that need every bit of it
PRODUCTS = ((4096, 20, 21), (784, 27, 16), (65536, 21, 16), (500, 22, 22))
ROWS, COLUMNS = 16, 8


def check(backend: Backend) -> None:
    """BackendError, which names the library, unless sums are exact and roundings IEEE's here."""
    matmul = matmul_in("exact", backend.xp)
    for terms, bits_a, bits_b in PRODUCTS:
        if not product_is_exact(backend, matmul, terms, bits_a, bits_b):
            raise BackendError(
                f"--precision exact needs products that keep all 53 bits of a float64, and "
                f"{library(backend)} rounded one of {terms:,} terms to fewer; "
                f"{mend(backend)}, or choose another --precision"
            )
    if not (rounds_as_ieee(backend) and keeps_the_smallest(backend)):
        raise BackendError(
            "--precision exact needs float64 that is rounded as IEEE 754 says, and here a sum, a "
            "root or a quotient is not, or the smallest numbers become 0, which another library in "
            "this process may have switched on; run mnistgpu alone, or choose another --precision"
        )


def product_is_exact(backend: Backend, matmul: Any, terms: int, bits_a: int, bits_b: int) -> bool:
    """Whether products of the largest whole numbers of so many bits come out to the last bit.

    Compared with products of int64, which hold them.
    """
    count = (ROWS + COLUMNS) * terms
    draws = backend.to_numpy(counter_rng.bits(counter_rng.key(0, like=np.zeros(0)), count))
    numbers = (draws >> np.uint64(33)).astype(np.int64)
    a, b = numbers[: ROWS * terms].reshape(ROWS, terms), numbers[ROWS * terms :].reshape(terms, -1)
    a, b = 2**bits_a - a % 2 ** (bits_a - 1), 2**bits_b - b % 2 ** (bits_b - 1)
    a[1:, 1::2] *= -1  # the first row is all of one sign: the largest sum
    there = [backend.asarray(each.astype(np.float64)) for each in (a, b)]
    out = backend.asarray(np.empty((ROWS, COLUMNS)))
    found = backend.to_numpy(matmul(*there, out=out))
    return bool(np.all(found == a @ b)) and bool(np.all(np.abs(found) <= 2.0**53))


def rounds_as_ieee(backend: Backend) -> bool:
    """Whether element-wise functions give what Python's floats do."""
    xp = backend.xp
    values = [1.0 + i / 7.0 for i in range(64)]
    x = backend.asarray(np.asarray(values))
    C = exact.magic(2.0**-10)
    found: list[tuple[Array, list[float]]] = [
        (xp.sqrt(x), [math.sqrt(value) for value in values]),
        (1.0 / x, [1.0 / value for value in values]),
        (x * x - x, [value * value - value for value in values]),
        (exact.to_grid(x * 1.0, C), [(value + C) - C for value in values]),
    ]
    return all(backend.to_numpy(there).tolist() == here for there, here in found)


def keeps_the_smallest(backend: Backend) -> bool:
    """Whether the numbers next to 0, of fewer bits than others, are not taken for 0."""
    smallest = [5e-324, 3e-310]
    found = backend.asarray(np.asarray(smallest)) * 1.0
    return bool(backend.to_numpy(found).tolist() == smallest)


def library(backend: Backend) -> str:
    """What multiplies matrices here, by name."""
    return "cuBLAS" if backend.name == "cupy" else blas_name()


def mend(backend: Backend) -> str:
    """What could make its products exact."""
    if backend.name == "cupy":
        return "unset CUBLAS_EMULATE_DOUBLE_PRECISION and CUBLAS_FIXEDPOINT_EMULATION_*"
    return "install a NumPy with another BLAS"
