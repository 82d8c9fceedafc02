"""The mutual information of images and answers, and its slopes, on every backend."""

import numpy as np
import pytest

from mnistgpu import network
from mnistgpu.maths.information import information_slopes

RANDOM = np.random.default_rng(8)
Z = RANDOM.normal(size=(4, 7)) * 2
WEIGHTS = RANDOM.uniform(0.5, 2.0, 7)


def information(Z, weights=1.0):
    """The sum over images of KL(p || mean p)."""
    P = network.softmax(Z)
    W = P * weights
    mean = W.sum(axis=1, keepdims=True) / W.sum()
    return float((W * np.log(P / mean)).sum())


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize("group", [7, 3, 20])
def test_slopes_are_central_differences(space, weights, group):
    put = None if weights is None else space.put(weights)
    found = space.get(information_slopes(space.put(Z), group, put))
    own = np.ones(7) if weights is None else weights

    def total(Z):
        starts = range(0, 7, group)
        return sum(information(Z[:, s : s + group], own[s : s + group]) for s in starts)

    for place in np.ndindex(Z.shape):
        step = np.zeros_like(Z)
        step[place] = 1e-5
        slope = (total(Z + step) - total(Z - step)) / 2e-5
        assert found[place] == pytest.approx(slope, abs=1e-8)


def test_it_is_largest_for_sure_answers_of_all_classes():
    sure = 30.0 * np.eye(4)
    assert information(sure) / 4 == pytest.approx(np.log(4))
    np.testing.assert_allclose(information_slopes(sure, 4), 0, atol=1e-9)
    one_class = np.tile(sure[:, :1], (1, 4)) + 0.01 * RANDOM.normal(size=(4, 4))
    assert information(one_class) < 1e-9


def test_answers_without_a_doubt_leave_numbers():
    certain = np.array([[200.0, 200.0], [0.0, 0.0]], dtype="float32")
    found = information_slopes(certain, 2)
    assert found.dtype == np.float32
    assert not found.any()
