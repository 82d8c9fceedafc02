"""Random numbers: known answers, equality across backends, and statistical sanity."""

import itertools
import math
import statistics

import numpy as np
import pytest

from mnistgpu import counter_rng as rng

ZERO = np.zeros(1)

# SplitMix64 from state 1234567, as published with the algorithm's reference C code on
# Rosetta Code ("Pseudo-random numbers/Splitmix64").
KNOWN_1234567 = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


def raw_key(state: int) -> rng.Key:
    return rng.Key(state, ZERO)


def test_known_answers_of_splitmix64():
    assert rng.bits(raw_key(1234567), 5)[:, 0].tolist() == KNOWN_1234567


def test_first_output_of_state_zero():
    # The first number of java.util.SplittableRandom(0), in every description of the algorithm.
    assert rng.bits(raw_key(0), 1)[:, 0].tolist() == [0xE220A8397B1DCDAF]


def test_counters_agree_with_the_sequential_generator():
    state, expected = 42, []
    for _ in range(100):  # SplitMix64 as its authors wrote it: a state that steps
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        expected.append(z ^ (z >> 31))
    assert rng.bits(raw_key(42), 100)[:, 0].tolist() == expected


def draws(key):
    """Every kind of number that must be the same bits everywhere."""
    return {
        "bits": rng.bits(key, 1001),
        "integers": rng.integers(key, 1001, 10),
        "uniforms32": rng.uniforms(key, (77, 13), "float32"),
        "uniforms64": rng.uniforms(key, (77, 13), "float64"),
        "normals32": rng.normals(key, (99, 7), "float32"),
        "normals64": rng.normals(key, (99, 7), "float64"),
        "noise32": rng.noise(key, (99, 7), "float32"),
        "noise64": rng.noise(key, (99, 7), "float64"),
        "coins": rng.coins(key, (99, 7), 0.3),
        "uniforms by columns": rng.uniforms(key, (9, 41), "float32", 1, 70),
        "normals by rows": rng.normals(key, (41, 9), "float64", 0, 70),
        "noise by columns": rng.noise(key, (9, 41), "float32", 1, 70),
        "noise by rows": rng.noise(key, (41, 35), "float64", 0, 70),
        "coins by columns": rng.coins(key, (9, 41), 0.3, "float64", 1, 70),
        "coins by rows": rng.coins(key, (41, 9), 0.3, "float32", 0, 70),
        "permutation": rng.permutation(key, 1001),
    }


def test_every_backend_draws_the_same_bits(other_space):
    here = draws(rng.key(5, like=ZERO))
    there = draws(rng.key(5, like=other_space.put(ZERO)))
    for name, expected in here.items():
        found = other_space.get(there[name])
        assert found.dtype == expected.dtype, name
        np.testing.assert_array_equal(found, expected, err_msg=name)


def test_a_key_on_the_device_draws_what_its_integer_does(other_space):
    """A captured step reads its keys from a table that lies where the step is computed."""
    key = rng.fold_in(rng.key(5, like=ZERO), 7)
    table = other_space.put(np.asarray([[1, int(key)]], dtype=np.uint64))
    there = draws(rng.Key(table[0, 1:2], table))
    for name, expected in draws(key).items():
        np.testing.assert_array_equal(other_space.get(there[name]), expected, err_msg=name)


def test_several_numbers_are_folded_one_after_the_other():
    key = rng.key(3, like=ZERO)
    assert int(rng.fold_in(key, 7, 2**40)) == int(rng.fold_in(rng.fold_in(key, 7), 2**40))
    assert int(rng.fold_in(key)) == int(key)
    found = {int(rng.fold_in(key, *each)) for each in [(0,), (1,), (0, 0), (0, 1), (1, 0)]}
    assert len(found) == 5


DRAWS = {
    "uniforms32": rng.uniforms,
    "uniforms64": lambda key, shape, *where: rng.uniforms(key, shape, "float64", *where[1:]),
    "normals": rng.normals,
    "noise": rng.noise,
    "coins": lambda key, shape, *where: rng.coins(key, shape, 0.4, *where),
}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("count", [1, 30, 48])
@pytest.mark.parametrize("name", DRAWS)
def test_the_numbers_of_an_image_depend_on_its_place_alone(name, count, axis):
    """Wherever a batch of 100 images is cut, also within a run of noise."""
    key = rng.key(9, like=ZERO)

    def drawn(start, stop):
        shape = [count, count]
        shape[axis] = stop - start
        return DRAWS[name](key, tuple(shape), "float32", axis, start)

    whole, cuts = drawn(0, 100), (0, 1, 16, 37, 64, 65, 100)
    parts = [drawn(*pair) for pair in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=axis), whole)
    lines = np.moveaxis(whole, axis, 0)
    if count > 1:  # and each image has its own
        assert len(np.unique(lines, axis=0)) == 100


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("draw", [rng.uniforms, rng.normals])
def test_numbers_by_place_are_independent(draw, axis):
    """Of neighbouring images, of neighbouring units, and of the parts of a word."""
    z = draw(rng.key(10, like=ZERO), (600, 700), "float64", axis)
    z = (z - z.mean()) / z.std()
    for down, aside in ((0, 1), (1, 0), (1, 1), (150, 0), (175, 0), (0, 150), (0, 175), (300, 0)):
        pairs = z[: 600 - down, : 700 - aside] * z[down:, aside:]
        assert abs(pairs.mean()) < 5 / math.sqrt(pairs.size), (down, aside)


def test_noise_by_columns_is_independent_within_an_image():
    z = rng.noise(rng.key(11, like=ZERO), (600, 700), "float64", 1, 5)
    for down in (1, 2, 16, 150):
        pairs = z[:-down] * z[down:]
        # a run is one draw: 16 neighbouring images share theirs
        assert abs(pairs.mean()) < 5 * 4 / math.sqrt(pairs.size), down
    assert abs(z.mean()) < 5 * 4 / math.sqrt(z.size)
    assert z.std() == pytest.approx(1.0, abs=0.01)


def test_ranges():
    key = rng.key(1, like=ZERO)
    for dtype in ("float32", "float64"):
        u = rng.uniforms(key, (200_000,), dtype)
        assert u.dtype == dtype
        assert 0 <= u.min() < 1e-4
        assert 1 - 1e-4 < u.max() < 1
    assert set(rng.integers(key, 10_000, 10).tolist()) == set(range(10))
    assert np.isfinite(rng.normals(key, (200_000,))).all()
    assert sorted(rng.permutation(key, 5000).tolist()) == list(range(5000))


@pytest.mark.parametrize("draw", [rng.normals, rng.noise])
def test_normals_of_an_odd_count(draw):
    found = draw(rng.key(1, like=ZERO), (3, 7))
    assert found.shape == (3, 7)
    assert len(np.unique(found)) > 15


def test_moments_of_uniforms():
    n = 1_000_000
    u = rng.uniforms(rng.key(11, like=ZERO), (n,), "float64")
    # five standard errors each
    assert abs(u.mean() - 0.5) < 5 * math.sqrt(1 / 12 / n)
    assert abs(u.var() - 1 / 12) < 5 * math.sqrt(1 / 180 / n)


@pytest.mark.parametrize("draw", [rng.normals, rng.noise])
def test_moments_of_normals(draw):
    n = 1_000_000
    z = draw(rng.key(12, like=ZERO), (n,), "float64")
    # five standard errors each
    assert abs(z.mean()) < 5 / math.sqrt(n)
    assert abs(z.var() - 1) < 5 * math.sqrt(2 / n)
    assert abs((z**3).mean()) < 5 * math.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 5 * math.sqrt(96 / n)


@pytest.mark.parametrize("draw", [rng.normals, rng.noise])
def test_normals_against_the_distribution_itself(draw):
    """Shares below many limits, with the standard library's normal distribution."""
    n = 2_000_000
    z = np.sort(draw(rng.key(13, like=ZERO), (n,), "float64"))
    for limit in np.linspace(-4, 4, 33):
        share = statistics.NormalDist().cdf(limit)
        found = np.searchsorted(z, limit) / n
        assert abs(found - share) < 5 * math.sqrt(share * (1 - share) / n) + 2**-17, limit
    assert len(np.unique(z)) > 65_000
    assert -z[0] == pytest.approx(z[-1], rel=1e-3)
    assert 4 < z[-1] < 4.33


def test_runs_of_noise_are_rows_of_a_table_that_holds_every_quantile_once():
    z = rng.noise(rng.key(14, like=ZERO), (2_000_000,), "float64")
    rows = np.unique(z.reshape(-1, rng.RUN), axis=0)
    assert rows.shape == (2**16 // rng.RUN, rng.RUN)
    np.testing.assert_array_equal(np.sort(rows, axis=None), rng.quantiles())
    np.testing.assert_allclose(rows.mean(axis=0), 0.0, atol=1e-12)  # no pixel has a bias
    np.testing.assert_allclose(rows.std(axis=0), 1.0, atol=0.05)


def test_noise_is_uncorrelated():
    """Within a run, where 4096 rows of a table leave a correlation of 1 / 64, and beyond it."""
    z = rng.noise(rng.key(15, like=ZERO), (2**20,), "float64")
    runs = z.reshape(-1, rng.RUN)
    within = np.corrcoef(runs, rowvar=False) - np.eye(rng.RUN)
    assert abs(within).max() < 5 / math.sqrt(2**16 / rng.RUN)
    for lag in (*range(1, 2 * rng.RUN + 1), 128, 512):
        assert abs((z[:-lag] * z[lag:]).mean()) < 5 / math.sqrt(2**16), lag


def test_neighbouring_runs_of_noise_are_independent():
    """Also their squares, which pairs of numbers that are only uncorrelated might betray."""
    runs = rng.noise(rng.key(16, like=ZERO), (2**20,), "float64").reshape(-1, rng.RUN)
    squares = runs**2 - 1
    for before, after in ((runs, runs), (squares, squares), (runs, squares)):
        together = before[:-1].T @ after[1:] / (len(runs) - 1)
        bound = 5 * math.sqrt((before**2).mean() * (after**2).mean() / len(runs))
        assert abs(together).max() < bound


def chi_square(values: np.ndarray, cells: int) -> float:
    """Chi-square statistic of integers in [0, cells), as standard deviations from its mean."""
    counts = np.bincount(values, minlength=cells)
    expected = len(values) / cells
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float((statistic - (cells - 1)) / math.sqrt(2 * (cells - 1)))


@pytest.mark.parametrize("shift", [0, 8, 24, 40, 56])
def test_chi_square_of_every_byte(shift):
    bits = rng.bits(rng.key(shift, like=ZERO), 500_000)[:, 0]
    assert abs(chi_square(((bits >> np.uint64(shift)) & np.uint64(255)).astype(int), 256)) < 5


def test_chi_square_of_pairs_of_neighbours():
    digits = rng.integers(rng.key(9, like=ZERO), 1_000_000, 16)
    assert abs(chi_square(digits[:-1] * 16 + digits[1:], 256)) < 5


def test_permutations_are_uniform():
    key = rng.key(4, like=ZERO)
    codes = [
        int("".join(map(str, rng.permutation(rng.fold_in(key, i), 4))), 4) for i in range(6000)
    ]
    seen, counts = np.unique(codes, return_counts=True)
    assert len(seen) == 24
    statistic = ((counts - 250) ** 2 / 250).sum()
    assert abs(statistic - 23) < 5 * math.sqrt(2 * 23)


KEY = rng.key(100, like=ZERO)
NEIGHBOURS = {  # pairs of keys that differ as little as they can
    "seeds": (KEY, rng.key(101, like=ZERO)),
    "streams": (rng.fold_in(KEY, rng.INIT), rng.fold_in(KEY, rng.SPLIT)),
    "steps": (rng.fold_in(rng.fold_in(KEY, 3), 7), rng.fold_in(rng.fold_in(KEY, 3), 8)),
    "levels": (rng.fold_in(KEY, 0), rng.fold_in(rng.fold_in(KEY, 0), 0)),
    "parent and child": (KEY, rng.fold_in(KEY, 0)),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_neighbouring_keys_are_uncorrelated(name):
    a, b = NEIGHBOURS[name]
    n = 200_000
    u, v = (rng.uniforms(k, (n,), "float64") - 0.5 for k in (a, b))
    for lag in (0, 1, 2):
        correlation = (u[: n - lag] * v[lag:]).mean() * 12
        assert abs(correlation) < 5 / math.sqrt(n), (name, lag)
    differing = np.bitwise_count(rng.bits(a, n) ^ rng.bits(b, n)).mean()
    assert abs(differing - 32) < 5 * 4 / math.sqrt(n)


def test_same_seed_same_bits_other_seed_other_bits():
    same = rng.bits(rng.key(8, like=ZERO), 10), rng.bits(rng.key(8, like=ZERO), 10)
    assert np.array_equal(*same)
    assert not np.intersect1d(same[0], rng.bits(rng.key(9, like=ZERO), 10)).size
