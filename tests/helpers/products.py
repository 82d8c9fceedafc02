"""Other ways to compute A @ B, exact ones and planted errors, for tests of exact arithmetic."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np


def into(out, product):
    if out is None:
        return product
    out[...] = product
    return out


def einsum(a, b, out=None):
    """NumPy's own loops, no BLAS."""
    return into(out, np.einsum("ik,kj->ij", a, b, optimize=False))


def shuffled_terms(seed):
    """The terms one after the other, in an order drawn anew for every product."""
    generator = np.random.default_rng(seed)

    def matmul(a, b, out=None):
        total = np.zeros((a.shape[0], b.shape[1]), np.result_type(a, b))
        for k in generator.permutation(a.shape[1]):
            total += a[:, k : k + 1] * b[k : k + 1, :]
        return into(out, total)

    return matmul


def in_blocks(blocks):
    """BLAS on blocks of the terms, which are added last to first: split-K, as GPUs do."""

    def matmul(a, b, out=None):
        cuts = np.linspace(0, a.shape[1], blocks + 1).astype(int)
        total = np.zeros((a.shape[0], b.shape[1]), np.result_type(a, b))
        for start, stop in [*pairwise(cuts)][::-1]:
            total += a[:, start:stop] @ b[start:stop]
        return into(out, total)

    return matmul


def from_negative_zero(a, b, out=None):
    """A sum that begins with -0, so that a sum of -0 alone stays -0."""
    product = np.matmul(a, b)
    return into(out, np.where(product == 0, -0.0, product))


def rounded_to(bits):
    """Products of which only so many bits are right, as of an emulated float64."""

    def matmul(a, b, out=None):
        fraction, exponent = np.frexp(np.matmul(a, b))
        return into(out, np.ldexp(np.rint(fraction * 2.0**bits), exponent - bits))

    return matmul


def in_float32(a, b, out=None):
    """A product in float32."""
    product = np.matmul(a.astype(np.float32), b.astype(np.float32))
    return into(out, product.astype(np.float64))


class Checked:
    """A product that compares some of its sums with those of Python's integers, to the last bit."""

    def __init__(self, product=np.matmul):
        self.product, self.checked = product, 0

    def __call__(self, a, b, out=None):
        out = self.product(a, b, out=out) if out is not None else self.product(a, b)
        rows, columns = slice(None, None, 1 + a.shape[0] // 4), slice(None, None, 37)
        (m, e), (n, f) = whole(a[rows]), whole(b[:, columns])
        for true, found in zip((m @ n).ravel(), out[rows, columns].ravel(), strict=True):
            assert Fraction(float(found)) == Fraction(int(true)) * Fraction(2) ** (e + f)
            self.checked += 1
        return out


def whole(x):
    """Whole numbers n (Python's, without a limit) and e with x = n 2^e."""
    e = min((math.frexp(value)[1] - 53 for value in x.ravel().tolist() if value), default=0)
    rows = [[int(Fraction(value) / Fraction(2) ** e) for value in row] for row in x.tolist()]
    return np.array(rows, dtype=object).reshape(x.shape), e
