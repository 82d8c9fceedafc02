"""Which settings a search tries, and for how long."""

from itertools import combinations, product

import mnistgpu
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
