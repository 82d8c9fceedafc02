"""The gradient that `explain` draws is a derivative."""

import numpy as np
import pytest

from mnistgpu import network
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models import model
from mnistgpu.pictures import explain


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_the_input_gradient_is_a_derivative(activation):
    rng = np.random.default_rng(3)
    sizes = (784, 12, 9, 10)
    theta = rng.normal(0.0, 0.2, network.parameter_count(sizes))
    trained = model.Model(theta, sizes, activation=activation)
    x = rng.random(784)
    gradient = explain.input_gradient(trained, x, 3, 8)

    def margin(x):
        _, Z = network.forward(
            network.layers(theta, sizes), x[:, None], ACTIVATIONS[activation].value
        )
        return Z[-1][3, 0] - Z[-1][8, 0]

    for pixel in rng.integers(0, 784, 20):
        step = np.zeros(784)
        step[pixel] = 1e-6
        assert gradient[pixel] == pytest.approx(
            (margin(x + step) - margin(x - step)) / 2e-6, abs=1e-6
        )
