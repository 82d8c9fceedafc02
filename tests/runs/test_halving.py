"""Which settings a search tries, and for how long."""

from itertools import combinations, product

import pytest

import mnistgpu
from mnistgpu.maths.augment import preset
from mnistgpu.runs import halving

FAST = mnistgpu.RECIPES["fast"].settings


def test_each_value_of_a_setting_is_tried_with_each_of_another():
    """One says nothing of another, so that the best of them are found together."""
    made = halving.candidates(FAST, 200, 0, [], True)[1:]
    values = [
        [each.layers for each in made],
        [each.input_noise for each in made],
        [each.hidden_noise for each in made],
        [each.deformation.is_deforming for each in made],
        [each.learning_rate > FAST.learning_rate for each in made],
    ]
    assert [len(set(each)) for each in values] == [3, 3, 3, 2, 2]
    for first, second in combinations(values, 2):
        assert set(zip(first, second, strict=True)) == set(product(set(first), set(second)))


def test_rates_are_written_with_two_digits():
    rates = {each.learning_rate for each in halving.candidates(FAST, 40, 0, [], False)[1:]}
    assert all(rate == float(f"{rate:.1e}") for rate in rates)
    assert len(rates) > 20  # with one digit there are no more than nineteen


@pytest.mark.parametrize(("pixels", "share"), [(784, 1.0), (196, 0.5), (3136, 2.0)])
def test_images_of_another_size_are_deformed_by_as_large_a_part_of_them(pixels, share):
    base = FAST.changed(layers=f"{pixels}-100-10")
    made = halving.candidates(base, 20, 0, [], True)
    found = {each.deformation for each in made if each.deformation.is_deforming}
    assert {each.mirror for each in found} == {0.0, 0.5}
    assert len(found) == 2
    strong = preset("strong")
    for each in found:
        for name in ("shift", "elastic", "elastic_sigma"):
            assert getattr(each, name) == pytest.approx(share * strong[name], rel=0.02), name
        assert (each.rotation, each.shear) == (strong["rotation"], strong["shear"])


@pytest.mark.parametrize(
    ("factor", "layers"),
    [(2.0, "784-200-20-2048-10"), (0.5, "784-50-8-1000-10"), (1.0, "784-100-10-2000-10")],
)
def test_hidden_layers_become_wider_or_narrower_within_limits(factor, layers):
    assert halving.widened((784, 100, 10, 2000, 10), factor) == layers
