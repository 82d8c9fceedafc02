"""`network` beyond ReLU and good shapes: each activation's gradient, and biases that do not fit."""

import numpy as np
import pytest

from mnistgpu import counter_rng, network
from mnistgpu.errors import ShapeError
from mnistgpu.maths.activations import ACTIVATIONS

SIZES = (5, 6, 6, 7, 4)  # two layers of one size, where no shape would betray a wrong layer


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_gradient_with_each_activation_is_that_of_differences(name):
    activation = ACTIVATIONS[name]
    key = counter_rng.key(4, like=np.zeros(1))
    theta = network.init(key, SIZES, "uniform", "float64")
    X = counter_rng.uniforms(counter_rng.fold_in(key, 1), (5, 6), "float64")
    Y = network.one_hot(np.array([0, 1, 2, 3, 0, 1]), 4, "float64")

    def loss(theta):
        _, Z = network.forward(network.layers(theta, SIZES), X, activation.value)
        return float(network.cross_entropy(Z[-1], Y))

    params = network.layers(theta, SIZES)
    A, Z = network.forward(params, X, activation.value)
    found = network.flatten(network.backward(params, A, Z, Y, activation.derivative))
    h = 1e-6
    steps = h * np.eye(len(theta))
    expected = np.array([(loss(theta + step) - loss(theta - step)) / (2 * h) for step in steps])
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (3, 3), (2, 1)])
def test_a_bias_of_another_shape_is_not_broadcast(shape):
    """For three units and three images, where NumPy would add it along the images."""
    W, X = np.ones((3, 2)), np.ones((2, 3))
    with pytest.raises(ShapeError, match=r"b of shape \(3, 1\)"):
        network.forward([(W, np.zeros(shape))], X)
