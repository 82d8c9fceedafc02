"""Arithmetic whose bits do not depend on what computes it, for `--precision exact`.

Two kinds of operation are allowed, all on float64.

1. Operations that IEEE 754 rounds correctly (+ - * / and square root, comparisons, largest and
   smallest of two): one array function each, in the order of the program.
2. Sums and matrix products of numbers on a grid, which `exact_grids.py` plans: such a number is a
   whole multiple of a power of two, and the multiples are small enough that every partial sum is
   again a whole number of at most 53 bits, which a float64 holds. Nothing is rounded then, so the
   order of the terms, fused multiply-adds, threads, shards and the BLAS change no bit.

No exp, log, power, sine or cosine of a library is used, since their last bits differ between
libraries, versions and devices. `exp`, `log`, `tanh` and `cos_sin` need operations of the first
kind alone. docs/exact.md explains the whole.
"""

from __future__ import annotations

import math
from typing import Any

from mnistgpu import counter_rng
from mnistgpu.backend import Array, array_namespace
from mnistgpu.counter_rng import Key

VERSION = 1  # of the constants here, in `exact_grids` and in `exact_norm`: they define the bits

ONE = 1.5 * 2.0**52  # numbers between ONE/2 and ONE * 4/3 have no bits after the point


def magic(grid: float) -> float:
    """The C with which (x + C) - C rounds x to the nearest multiple of `grid`; ties to even.

    `grid` is a power of two. Numbers next to C are multiples of `grid`,
    so x + C is one, and C is subtracted without rounding. Right for |x| up to 2^51 grids.
    """
    return ONE * grid


def to_grid(x: Array, C: Any) -> Array:
    """Round x in place to the grid of `magic` number C; returns x.

    Every zero becomes +0, which `round` would not do: a BLAS that begins its sums with 0 gives +0
    where one that begins with its first product gives -0.
    """
    x += C
    x -= C
    return x


def next_power_of_two(p: Array) -> Array:
    """The smallest power of two that is at least p >= 0, and 0 for 0, element by element.

    Rump, Ogita and Oishi 2008, "Accurate floating-point summation part I", algorithm 3.6: without
    `frexp`, and without a wait for the device.
    """
    q = p * 2.0**53
    power = abs((q + p) - q)
    return array_namespace(p).where(power == 0, p, power)  # 0 where p is a power of two itself


def largest(x: Array) -> Array:
    """max |x| as an array (); nan if there is a nan in x."""
    xp = array_namespace(x)
    return xp.maximum(xp.max(x), -xp.min(x))


def magic_below(most: Array, bits: int) -> Array:
    """The magic numbers of grids on which numbers up to `most` >= 0 have `bits` bits: 2^-bits of
    the smallest power of two that is at least `most`.
    """
    return next_power_of_two(most) * math.ldexp(ONE, -bits)


def relative_magic(x: Array, bits: int) -> Array:
    """`magic_below` the largest |x|, as an array ()."""
    return magic_below(largest(x), bits)


def fold(x: Array) -> Array:
    """The sums over the last axis, by adding halves to halves in a fixed order: (..., n) to (...).

    Element-wise additions alone, so no backend chooses the order, and x may have all its bits. For
    sums that are rare: it takes longer than `sum`.
    """
    while (n := x.shape[-1]) > 1:
        half = n // 2
        paired = x[..., :half] + x[..., half : 2 * half]
        if n % 2:
            xp = array_namespace(x)
            paired = xp.concat([paired, x[..., 2 * half :]], axis=-1)
        x = paired
    return x[..., 0]


# Functions of arrays

SQUARINGS = 7
LOWEST = -48.0  # exp of less is that of LOWEST: 0 on every grid here
# exp(y) = 1 + y p(y) for y in [LOWEST / 2^SQUARINGS, 0], p through Chebyshev's points there
EXP_COEFFICIENTS = (
    1.0,
    0.9999999997656691,
    0.4999999549787172,
    0.1666652612149112,
    0.0416505624311298,
    0.008249386851785135,
    0.001184117180950731,
)
ROOTS = 5
MOST = 2.0**20  # what `log` is right for


def exp(z: Array) -> Array:
    """exp(z) for z <= 0, relative error below 2e-8; exp(0) = 1. A new array.

    exp(z) = exp(z / 2^7)^(2^7): a polynomial by Horner's rule, and seven squarings.
    """
    xp = array_namespace(z)
    y = xp.maximum(z, LOWEST)
    y *= 2.0**-SQUARINGS
    value = y * EXP_COEFFICIENTS[-1]
    for coefficient in EXP_COEFFICIENTS[-2:0:-1]:
        value += coefficient
        value *= y
    value += EXP_COEFFICIENTS[0]
    for _ in range(SQUARINGS):
        value *= value
    return value


def log(s: Array) -> Array:
    """log(s) for 1 <= s <= MOST, absolute error below 1e-9; log(1) = 0. A new array.

    log(s) = 32 log(t) of the 32nd root t of s, and log(t) = 2 artanh((t - 1) / (t + 1)), whose
    series is 2 (z + z^3 / 3 + z^5 / 5 + ...).
    """
    xp = array_namespace(s)
    t = s
    for _ in range(ROOTS):
        t = xp.sqrt(t)
    z = (t - 1.0) / (t + 1.0)
    square = z * z
    series = square * (1 / 15)
    for odd in (13, 11, 9, 7, 5, 3):
        series += 1 / odd
        series *= square
    series += 1.0
    series *= z
    series *= 2.0 ** (ROOTS + 1)
    return series


def tanh(z: Array) -> Array:
    """The hyperbolic tangent, (1 - e) / (1 + e) of |z| with e = exp(-2 |z|), error below 2e-8."""
    xp = array_namespace(z)
    e = exp(-2.0 * abs(z))
    return xp.where(z < 0.0, e - 1.0, 1.0 - e) / (1.0 + e)


def cos_sin(angle: Any) -> tuple[Any, Any]:
    """Cosine and sine of angles up to pi in size, error below 1e-14; of an array or a float.

    Taylor's polynomials of an eighth of the angle, which is doubled three times.
    """
    t = angle * 0.125
    square = t * t
    sine, cosine = square * 0.0, square * 0.0
    for n in (13, 11, 9, 7, 5, 3):
        sine = (sine + 1.0) * square * (-1.0 / (n * (n - 1)))
    for n in (14, 12, 10, 8, 6, 4, 2):
        cosine = (cosine + 1.0) * square * (-1.0 / (n * (n - 1)))
    sine, cosine = (sine + 1.0) * t, cosine + 1.0
    for _ in range(3):
        sine, cosine = 2.0 * sine * cosine, 1.0 - 2.0 * sine * sine
    return cosine, sine


# Functions of numbers of the host


def power(base: float, exponent: int) -> float:
    """base ** exponent for a whole exponent >= 0, by squaring."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


def float_power(base: str, exponent: float) -> float:
    """base^exponent, correctly rounded but for a chance of 1 in 10^11.

    In Python's decimals, whose 28 digits are the same everywhere; `base` is written in digits.
    """
    import decimal  # where it is needed alone: few schedules do

    with decimal.localcontext(decimal.Context(prec=28)):
        return float((decimal.Decimal(base).ln() * decimal.Decimal(exponent)).exp())


# Random numbers

QUANTILE_GRID = 2.0**-20


def normals(
    key: Key,
    shape: tuple[int, ...],
    dtype: Any = "float64",
    axis: int | None = None,
    first: int = 0,
) -> Array:
    """`counter_rng.normals` in float64, rounded to multiples of 2^-20.

    The quantiles are computed with the logarithm of the C library. None of them is nearer to a
    rounding boundary than 3.6e-11, so no logarithm whose last bits differ changes a bit here.
    """
    return to_grid(counter_rng.normals(key, shape, dtype, axis, first), magic(QUANTILE_GRID))


def noise(
    key: Key,
    shape: tuple[int, ...],
    dtype: Any = "float64",
    axis: int | None = None,
    first: int = 0,
) -> Array:
    """`counter_rng.noise` in float64, rounded as `normals`."""
    return to_grid(counter_rng.noise(key, shape, dtype, axis, first), magic(QUANTILE_GRID))
