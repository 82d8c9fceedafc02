"""Functions whose bits do not depend on what computes them, compared with exact rationals."""

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from helpers.spaces import SPACES, Space

from mnistgpu import counter_rng
from mnistgpu.engine import exact_inputs
from mnistgpu.maths import exact

RNG = np.random.default_rng(3)


@pytest.fixture(params=SPACES)
def space(request):
    return Space(request.param)


def digest(*arrays):
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return content.hexdigest()[:16]


def numbers(count=2000):
    """Numbers of both signs and many sizes, halves of the grids below among them."""
    scaled = RNG.normal(size=count) * 2.0 ** RNG.integers(-20, 12, count)
    return np.concatenate([scaled, np.arange(-40, 40) * 2.0**-11])


@pytest.mark.parametrize("exponent", [-20, -10, 0, 3])
def test_rounding_is_to_the_nearest_multiple_ties_to_even(exponent, space):
    x, grid = numbers(), 2.0**exponent
    found = space.get(exact.to_grid(space.own(x), exact.magic(grid)))
    for before, after in zip(x.tolist(), found.tolist(), strict=True):
        assert Fraction(after) == round(Fraction(before) / Fraction(grid)) * Fraction(grid)


def test_a_rounded_zero_has_no_sign():
    x = exact.to_grid(np.array([-0.0, 0.0, -1e-9, 1e-9]), exact.magic(2.0**-14))
    assert not np.signbit(x).any()


def test_the_next_power_of_two(space):
    exponents = RNG.integers(-100, 100, 500)
    p = np.concatenate([[0.0], 2.0**exponents, RNG.uniform(1, 2, 500) * 2.0**exponents])
    found = space.get(exact.next_power_of_two(space.put(p))).tolist()
    assert found[0] == 0.0
    for value, power in zip(p.tolist()[1:], found[1:], strict=True):
        assert math.frexp(power)[0] == 0.5
        assert power / 2 < value <= power


def test_relative_grids_follow_the_largest_number(space):
    x = np.array([[0.3, -5.0], [2.0, 1e-9]])
    there = space.own(x)
    found = space.get(exact.to_grid(there, exact.relative_magic(there, 4)))
    assert found.tolist() == [[0.5, -5.0], [2.0, 0.0]]  # of 8, in steps of a half
    assert float(space.get(exact.largest(space.put(x)))) == 5.0


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1001])
def test_a_folded_sum_adds_every_term_once(n, space):
    x = RNG.integers(-1000, 1000, (3, n)) * 2.0**-8
    assert space.get(exact.fold(space.put(x))).tolist() == x.sum(axis=1).tolist()


def test_a_folded_sum_is_never_far_from_the_true_one():
    x = RNG.normal(size=5001)
    true = float(sum(map(Fraction, x.tolist())))
    assert abs(float(exact.fold(x)) - true) < 1e-13 * np.abs(x).sum()


def test_exp(space):
    z = -np.concatenate([[0.0], RNG.exponential(8, 4000), [48.0, 700.0, 1e300]])
    found = space.get(exact.exp(space.put(z)))
    assert found[0] == 1.0
    assert np.max(np.abs(found / np.exp(np.maximum(z, -48.0)) - 1)) < 2e-8


def test_log(space):
    s = np.concatenate([[1.0], 2.0 ** RNG.uniform(0, 20, 4000), [exact.MOST]])
    found = space.get(exact.log(space.put(s)))
    assert found[0] == 0.0
    assert np.max(np.abs(found - np.log(s))) < 1e-9


def test_tanh(space):
    z = np.concatenate([[0.0, 1e-9, -30.0, 300.0], RNG.normal(size=4000) * 3])
    found = space.get(exact.tanh(space.put(z)))
    assert found[0] == 0.0
    assert np.max(np.abs(found - np.tanh(z))) < 2e-8


def test_cosine_and_sine(space):
    angle = np.linspace(-np.pi, np.pi, 4001)
    cosine, sine = map(space.get, exact.cos_sin(space.put(angle)))
    assert np.max(np.abs(cosine - np.cos(angle))) < 1e-14
    assert np.max(np.abs(sine - np.sin(angle))) < 1e-14
    assert exact.cos_sin(math.pi / 3)[0] == pytest.approx(0.5, abs=1e-14)


@pytest.mark.parametrize("base", [0.9, 0.999, 0.1, 1.0])
def test_powers_of_whole_exponents(base):
    for exponent in (0, 1, 2, 3, 10, 731, 70_000):
        true = float(Fraction(base) ** exponent) if exponent < 1000 else base**exponent
        assert exact.power(base, exponent) == pytest.approx(true, rel=1e-11)
    assert exact.power(base, 0) == 1.0


def test_powers_of_any_exponent():
    assert exact.float_power("0.001", 0.0) == 1.0
    for share in (0.1, 0.5, 1 / 3, 0.999):
        assert exact.float_power("0.001", share) == pytest.approx(0.001**share, rel=1e-15)


def test_the_bits_are_the_same_everywhere(space):
    """What the functions give for fixed numbers; every platform must have these digests."""
    z = -np.arange(5000) / 97.0
    s, angle = 1.0 - 3.0 * z, np.arange(-300, 300) / 100.0
    assert digest(space.get(exact.exp(space.put(z)))) == "ba4200512fb2ce33"
    assert digest(space.get(exact.log(space.put(s)))) == "7bd6ca845bbd818b"
    assert digest(space.get(exact.tanh(space.put(z + 20.0)))) == "60f850b4c09ffc36"
    assert digest(*map(space.get, exact.cos_sin(space.put(angle)))) == "1f035857540038ac"
    powers = [exact.power(0.999, n) for n in range(300)]
    powers += [exact.float_power("0.001", n / 300) for n in range(300)]
    assert digest(powers) == "2b904f047f03aec3"


def table():
    return counter_rng.quantiles()


def test_no_quantile_is_near_a_rounding_boundary():
    """So that a logarithm of another C library cannot change a rounded quantile, nor a float32."""
    scaled = table() * 2.0**20
    to_boundary = np.abs(scaled - np.floor(scaled) - 0.5) * 2.0**-20
    assert to_boundary.min() > 3e-11
    halves = np.abs(table())
    spacing = np.spacing(halves.astype(np.float32)).astype(np.float64)
    place = halves / spacing
    assert (np.abs(place - np.floor(place) - 0.5) * spacing / halves).min() > 1e-14


def test_the_table_of_normal_quantiles():
    assert np.abs(table()).max() < exact_inputs.LARGEST_NORMAL < 1.1 * np.abs(table()).max()
    rounded = exact.to_grid(table().copy(), exact.magic(exact.QUANTILE_GRID))
    assert digest(rounded) == "f9db0fe0b6bfd5f7"
    assert digest(rounded.astype(np.float32)) == "f9db0fe0b6bfd5f7"  # which a float32 holds
    moved = table() * (1 + 4e-16)  # a few last bits
    assert digest(exact.to_grid(moved, exact.magic(exact.QUANTILE_GRID))) == "f9db0fe0b6bfd5f7"
    key = counter_rng.key(1, like=np.zeros(0))
    for draw, rough in ((exact.normals, counter_rng.normals), (exact.noise, counter_rng.noise)):
        found = draw(key, (40, 50))
        assert np.isin(found, rounded).all()
        assert np.abs(found - rough(key, (40, 50), "float64")).max() <= 2.0**-21
