"""What a run asks of the machine before it begins, and which machines it refuses."""

import numpy as np
import pytest
from helpers import products

from mnistgpu.backend import NUMPY
from mnistgpu.engine import exact_probe, stepping
from mnistgpu.errors import BackendError, UsageError
from mnistgpu.maths import exact_grids
from mnistgpu.settings import Settings

EXACT = Settings(precision="exact")


def test_this_machine_is_good():
    stepping.check_backend(EXACT, NUMPY)


@pytest.mark.parametrize(
    "good", [products.einsum, products.shuffled_terms(3), products.in_blocks(5)]
)
def test_other_exact_products_are_good(monkeypatch, good):
    monkeypatch.setattr(exact_probe, "PRODUCTS", exact_probe.PRODUCTS[:2])
    monkeypatch.setattr(exact_probe, "matmul_in", lambda *arguments: good)
    exact_probe.check(NUMPY)


@pytest.mark.parametrize("bits", [20, 45, 50, 52])
def test_a_product_with_fewer_bits_is_refused_by_name(monkeypatch, bits):
    monkeypatch.setattr(exact_probe, "matmul_in", lambda *arguments: products.rounded_to(bits))
    with pytest.raises(BackendError, match="blas") as error:
        exact_probe.check(NUMPY)
    assert "53 bits" in str(error.value)
    assert "--precision" in str(error.value)


@pytest.mark.parametrize(("terms", "bits_a", "bits_b"), exact_probe.PRODUCTS)
def test_the_products_that_are_tried_need_every_bit(terms, bits_a, bits_b):
    """Their sums reach beyond 2^52, and none beyond 2^53, which a float64 holds."""
    assert 2**52 < terms * 2 ** (bits_a + bits_b) <= 2**53
    for product, good in ((np.matmul, True), (products.rounded_to(51), False)):
        found = exact_probe.product_is_exact(NUMPY, product, terms, bits_a, bits_b)
        assert found is good


@pytest.mark.parametrize("lacking", ["rounds_as_ieee", "keeps_the_smallest"])
def test_a_machine_that_rounds_in_its_own_way_is_refused(monkeypatch, lacking):
    monkeypatch.setattr(exact_probe, lacking, lambda backend: False)
    with pytest.raises(BackendError, match="float64 that is rounded as IEEE 754 says, and here"):
        exact_probe.check(NUMPY)


def test_a_product_in_float32_is_refused(monkeypatch):
    monkeypatch.setattr(exact_probe, "matmul_in", lambda *arguments: products.in_float32)
    with pytest.raises(BackendError, match="rounded one of"):
        exact_probe.check(NUMPY)


class Flushing:
    """NumPy's functions and arrays, in which the smallest numbers are 0."""

    name, xp, to_numpy = "numpy", np, staticmethod(np.asarray)

    def asarray(self, array):
        return np.where(np.abs(array) < np.finfo(array.dtype).tiny, 0.0, array)


def test_flushed_numbers_are_noticed():
    assert exact_probe.keeps_the_smallest(NUMPY)
    assert not exact_probe.keeps_the_smallest(Flushing())
    assert exact_probe.rounds_as_ieee(Flushing())


def test_the_sums_of_the_probe_need_every_bit_of_the_budget():
    needs = [
        exact_grids.Product("", terms, ("", ""), (a, b)) for terms, a, b in exact_probe.PRODUCTS
    ]
    assert all(each.is_exact for each in needs)
    assert max(each.needs for each in needs) == 53


def test_environment_variables_that_round_products_are_refused(monkeypatch):
    """The same that float32 refuses: see test_tf32_switch.py."""
    with pytest.raises(UsageError, match="--graph"):
        stepping.check_backend(EXACT.changed(graph=True), NUMPY)
