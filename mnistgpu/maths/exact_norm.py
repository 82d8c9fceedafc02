"""Batch normalisation in exact arithmetic: `regularize.normalize` with its sums on grids.

Statistics belong to the m images that are normalised together, which the settings decide and not
the machine. So grids may follow the largest number here: all sums over the m images are exact.
"""

from __future__ import annotations

import math

from mnistgpu.backend import Array, array_namespace
from mnistgpu.maths import exact
from mnistgpu.maths.exact_grids import HELD
from mnistgpu.maths.regularize import VARIANCE_FLOOR, row_products, row_sums

SUMS = 40  # bits of W A: the sum of 8,192 is exact, and fewer are normalised together


def normalize(Z: Array) -> tuple[Array, Array]:
    """As `regularize.normalize`, in place: mean 0 and variance 1 for each row of Z (..., m), and
    the means and deviations (..., 1). The result is not rounded: see `normalized_magic`.
    """
    xp, m = array_namespace(Z), Z.shape[-1]
    images = (m - 1).bit_length()  # bits that a sum over the images adds
    exact.to_grid(Z, exact.relative_magic(Z, SUMS))
    mean = row_sums(Z) / m
    Z -= mean
    exact.to_grid(Z, exact.relative_magic(Z, (HELD - images) // 2))
    deviation = xp.sqrt(row_products(Z, Z) / m + VARIANCE_FLOOR)
    Z /= deviation
    return mean, deviation


def normalized_magic(m: int, error_bits: int) -> float:
    """The magic number for normalised rows of m numbers, whose products with errors are summed.

    No number in such a row is larger than sqrt(m), since their squares have the mean 1.
    """
    images = (m - 1).bit_length()
    below = (images + 1) // 2  # 2^below >= sqrt(m)
    return exact.magic(math.ldexp(1.0, below - (HELD - images - error_bits)))
