"""Denoising: a decoder beside the network that takes the noise away again, a ladder network.

Rasmus, Valpola, Honkala, Berglund and Raiko 2015 (arXiv:1507.02672), with the cost of the lowest
layer alone. What the network has of a noisy image X + noise, Z_1, ..., Z_{L-1} before the
activations and p = softmax(Z_L), goes down through a decoder of the same layers, which at each
layer sees what comes from above and, beside it, Z_l:

    D_L = p     D_l = g_l(Z_l, U_l)     U_l = N(V_{l+1} D_{l+1})     Z_0 = X + noise
    loss = cost / (n_0 m) * sum (D_0 - X)^2          added to the cross-entropy

N makes each row mean 0 and variance 1, as batch normalisation does. g takes for each unit the best
estimate of a normal number from a noisy one, whose prior mean mu and share nu follow from above:

    mu = a_0 s(a_1 u + a_2) + a_3 u + a_4          s(x) = 1 / (1 + exp(-x))
    nu = a_5 s(a_6 u + a_7) + a_8 u + a_9
    g(z, u) = (z - mu) nu + mu

What Z_l tells the decoder need not come from above, so the upper layers are free for the class.
The decoder is there while the network learns, and its numbers follow those of the network in theta;
the trained network is a plain one. No label is needed for this loss.

Every function is pure, on columns: one image each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mnistgpu import counter_rng
from mnistgpu.backend import Array, array_namespace
from mnistgpu.counter_rng import Key
from mnistgpu.maths.activations import sigmoid
from mnistgpu.maths.regularize import row_products, row_sums

OF_A_UNIT = 10  # numbers a_0, ..., a_9
FIRST = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)  # so that D is 0 at first


@dataclass(frozen=True)
class Rung:
    """What the decoder has for a layer l = 0, ..., L-1: V (n_l, n_{l+1}), and a (10, n_l, 1)."""

    V: Array
    a: Array


def decoder_count(sizes: Sequence[int], cost: float = 1.0) -> int:
    """How many numbers the decoder of a network of these layer sizes has; none if it costs 0."""
    return sum(n * above + OF_A_UNIT * n for n, above in pairwise(sizes)) if cost > 0 else 0


def rungs(vector: Array, sizes: Sequence[int]) -> list[Rung]:
    """Views of the decoder's vector (decoder_count,), for the layers 0, ..., L-1."""
    xp, found, start = array_namespace(vector), [], 0
    for n, above in pairwise(sizes):
        V = xp.reshape(vector[start : start + n * above], (n, above))
        start += n * above
        a = xp.reshape(vector[start : start + OF_A_UNIT * n], (OF_A_UNIT, n, 1))
        start += OF_A_UNIT * n
        found.append(Rung(V, a))
    return found


def first_decoder(key: Key, sizes: Sequence[int], dtype: str) -> Array:
    """The decoder's first numbers: V normal of variance 1 / n_{l+1}, a as FIRST."""
    vector = counter_rng.normals(key, (decoder_count(sizes),), dtype)
    for rung, above in zip(rungs(vector, sizes), sizes[1:], strict=True):
        rung.V[...] = rung.V * above**-0.5
        for number, value in enumerate(FIRST):
            rung.a[number, ...] = value
    return vector


@dataclass(frozen=True)
class Combined:
    """What `combine` leaves for `combine_backward`: s, mu and nu of the docstring, each (n, m)."""

    s_mu: Array
    s_nu: Array
    mu: Array
    nu: Array


def combine(Z: Array, U: Array, a: Array) -> tuple[Array, Combined]:
    """g(z, u) element by element, of Z and U (n, m) with the numbers a (10, n, 1) of each unit.

    Here and below arrays are changed in place once nobody else has them: fresh memory costs as much
    as the arithmetic.
    """
    a = [a[i, ...] for i in range(OF_A_UNIT)]
    s_mu, s_nu = sigmoid(a[1] * U + a[2]), sigmoid(a[6] * U + a[7])
    mu, nu = a[0] * s_mu + a[4], a[5] * s_nu + a[9]
    mu += a[3] * U
    nu += a[8] * U
    D = Z - mu
    D *= nu
    D += mu
    return D, Combined(s_mu, s_nu, mu, nu)


def combine_backward(
    dD: Array, Z: Array, U: Array, a: Array, kept: Combined
) -> tuple[Array, Array, list[Array]]:
    """From dD (n, m) of g(z, u): dZ and dU (n, m), and da_0, ..., da_9, sums of rows (n, 1)."""
    a = [a[i, ...] for i in range(OF_A_UNIT)]
    dmu, dnu = 1.0 - kept.nu, Z - kept.mu
    dmu *= dD
    dnu *= dD
    da_mu, dU = _backward(dmu, U, a[:5], kept.s_mu)
    da_nu, dU_nu = _backward(dnu, U, a[5:], kept.s_nu)
    dU += dU_nu
    return dD * kept.nu, dU, [*da_mu, *da_nu]


def _backward(
    slope: Array, U: Array, a: Sequence[Array], s: Array
) -> tuple[tuple[Array, ...], Array]:
    """From the slope by a_0 s + a_3 u + a_4, where s = s(a_1 u + a_2): by each a_i, and by u."""
    within = s - s * s  # which becomes the slope by a_1 u + a_2
    within *= slope
    within *= a[0]
    of_s = row_products(slope, s), row_products(within, U), row_sums(within)
    dU = slope * a[3]
    dU += within * a[1]
    return (*of_s, row_products(slope, U), row_sums(slope)), dU
