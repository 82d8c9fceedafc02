"""The budget of bits: no sum of a step may need more than a float64 holds."""

import re

import numpy as np
import pytest
from helpers import products

from mnistgpu.engine.exact_inputs import grids_of
from mnistgpu.errors import UsageError
from mnistgpu.maths import exact_grids
from mnistgpu.recipes import RECIPES
from mnistgpu.settings import Settings

RECORD = (784, 2500, 2000, 1500, 1000, 500, 10)


@pytest.mark.parametrize(
    ("sizes", "rows"),
    [
        ((784, 10, 10), 60000),
        ((784, 128, 10), 128),
        ((784, 512, 512, 10), 60000),
        (RECORD, 1024),
        (RECORD, 60000),
        ((4096, 9000, 300, 1000), 2**20),
        ((784, 128, 2**14), 128),
    ],
)
@pytest.mark.parametrize("pixels", [8, 16])
def test_every_sum_of_a_step_fits(sizes, rows, pixels):
    grids = exact_grids.plan(sizes, rows, pixels, 256.0)
    found = exact_grids.products(grids, sizes, rows)
    assert all(each.is_exact and each.needs <= 53 for each in found)
    # once more, without `products`
    widest = max(sizes[1:-1], default=0)
    assert sizes[0] << (grids.first_weights + pixels) <= 2**53
    assert rows << (grids.errors + pixels) <= 2**53
    assert widest << (grids.weights + grids.activations) <= 2**53
    assert max(sizes[2:-1], default=0) << (grids.weights + grids.errors) <= 2**53
    if len(sizes) > 3:
        assert rows << (grids.errors + grids.activations) <= 2**53
    # two products forward and backward of every layer but the first, which has no error below it
    assert len(found) == 3 * (len(sizes) - 1) - 1 + 2


def test_the_grids_of_usual_networks_are_the_finest():
    grids = exact_grids.plan((784, 128, 64, 10), 128, 16, 256.0)
    full_batch = exact_grids.plan((784, 10, 10), 60000, 8, 256.0)
    for each in (grids, full_batch):
        assert {name: getattr(each, name) for name in exact_grids.MOST} == exact_grids.MOST
        assert (each.exponentials, each.losses) == (exact_grids.EXPONENTIALS, exact_grids.LOSSES)
    assert grids.pixel_grid == 2.0**-8
    assert grids.activation_grid == 2.0**-10
    assert grids.error_grid == 2.0**-16


def test_larger_batches_have_coarser_grids_and_never_fewer_bits_than_the_fewest():
    bits = []
    for rows in (128, 2**13, 2**16, 2**20):
        grids = exact_grids.plan(RECORD, rows, 16, 256.0)
        bits.append([getattr(grids, name) for name in exact_grids.FEWEST])
    assert bits == sorted(bits, reverse=True)
    assert (np.array(bits) >= list(exact_grids.FEWEST.values())).all()


@pytest.mark.parametrize(
    ("sizes", "rows", "words"),
    [
        ((784, 128, 10), 2**23, "--batch-size of at most"),
        ((784, 300_000, 10), 128, "--layers of at most"),
        ((784, 128, 300_000, 10), 128, "--layers of at most"),
        ((2**22, 128, 10), 128, "pixels"),
    ],
)
def test_what_is_beyond_the_budget_is_refused_with_what_would_fit(sizes, rows, words):
    with pytest.raises(UsageError, match="--precision exact cannot hold") as error:
        exact_grids.plan(sizes, rows, 16, 256.0)
    assert words in str(error.value)
    fits = int(re.search(r"at most ([0-9,]+)", str(error.value))[1].replace(",", ""))
    most = max(sizes)
    if "batch" in words:
        exact_grids.plan(sizes, fits, 16, 256.0)
    else:
        exact_grids.plan(tuple(fits if n == most else n for n in sizes), rows, 16, 256.0)


def test_sums_of_the_largest_numbers_in_any_order():
    """All factors at their bounds, of one sign or of two, next to Python's integers."""
    grids = exact_grids.plan(RECORD, 1024, 16, 256.0)
    shapes = {(each.terms, *each.bits) for each in exact_grids.products(grids, RECORD, 1024)}
    assert len(shapes) > 8
    generator = np.random.default_rng(5)
    for terms, bits_a, bits_b in shapes:
        a = np.full((2, terms), 2.0**bits_a)
        b = np.full((terms, 2), 2.0**bits_b)
        a[1] = np.floor(generator.uniform(2.0 ** (bits_a - 1), 2.0**bits_a, terms))
        b[:, 1] = np.floor(generator.uniform(0, 2.0**bits_b + 1, terms))
        b[::3, 1] *= -1
        m, n = (
            np.array([[int(v) for v in row] for row in each]) for each in (a.tolist(), b.tolist())
        )
        true = m.astype(object) @ n.astype(object)
        ways = (np.matmul, products.einsum, products.shuffled_terms(1), products.in_blocks(7))
        for way in ways:
            assert [[int(v) for v in row] for row in way(a, b).tolist()] == true.tolist()


EXACT = [name for name in RECIPES if not RECIPES[name].settings.adversarial]  # which may be


@pytest.mark.parametrize("name", EXACT)
def test_every_recipe_is_within_the_budget(name):
    settings = RECIPES[name].settings.changed(precision="exact")
    grids = grids_of(settings, 784, 60000)
    sizes, rows = settings.sizes, settings.batch_size or 60000
    assert all(each.is_exact for each in exact_grids.products(grids, sizes, rows))


def test_pixels_of_every_setting_are_below_their_bound():
    for changes, bits in (
        ({}, 8),
        ({"center": True}, 16),
        ({"input_noise": 0.6}, 16),
        ({"input_noise": 0.8}, 16),
        ({"input_noise": 2.0}, 16),
        ({"input_dropout": 0.9}, 16),
    ):
        settings = Settings(precision="exact", **changes)
        grids = grids_of(settings, 784, 60000)
        assert grids.pixels == bits
        largest = 255.0 * (1 + 4.33 * settings.input_noise) / (1 - settings.input_dropout)
        assert largest <= grids.pixels_below < 2 * largest
