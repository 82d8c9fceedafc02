"""A wrong gradient is wrong in the way that it says, on every backend."""

import numpy as np

from mnistgpu import network
from mnistgpu.maths import mistakes


def gradients():
    """The gradients of a small network on random images, and what dZ_L and dZ_1 are there."""
    rng = np.random.default_rng(4)
    sizes = (6, 5, 4)
    theta = rng.normal(size=network.parameter_count(sizes))
    params = network.layers(theta, sizes)
    labels = rng.integers(0, 4, 7)
    A, Z = network.forward(params, rng.random((6, 7)))
    Y = network.one_hot(labels, 4, "float64")
    dZ2 = (A[-1] - Y) / 7
    dZ1 = (params[1][0].T @ dZ2) * (Z[0] > 0)
    return network.backward(params, A, Z, Y), [dZ1, dZ2]


def test_every_bias_gets_the_sum_over_images_and_units(space):
    right, deltas = gradients()
    there = [(space.put(dW), space.put(db)) for dW, db in right]
    found = mistakes.bias_gradients_over_everything(there)
    for (dW, db), (same, right_db), dZ in zip(found, right, deltas, strict=True):
        np.testing.assert_array_equal(space.get(dW), same)
        wanted = np.full_like(right_db, np.sum(dZ))
        np.testing.assert_allclose(space.get(db), wanted, rtol=1e-12, atol=1e-15)


def test_in_the_last_layer_it_is_always_0():
    right, _ = gradients()
    (_, first), (_, last) = mistakes.bias_gradients_over_everything(right)
    assert np.abs(last).max() < 1e-15
    assert np.abs(first).max() > 1e-3
    assert np.abs(right[1][1]).max() > 1e-3
