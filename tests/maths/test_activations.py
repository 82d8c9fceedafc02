"""Activations: known values, and every derivative against central differences."""

import numpy as np
import pytest

from mnistgpu.maths.activations import ACTIVATIONS

Z = np.linspace(-4, 4, 162)  # an even count: no point is at the kink of ReLU


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_against_central_differences(name):
    activation, h = ACTIVATIONS[name], 1e-6
    numeric = (activation.value(Z + h) - activation.value(Z - h)) / (2 * h)
    analytic = activation.derivative(Z, activation.value(Z))
    np.testing.assert_allclose(analytic, numeric, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "at_1", "at_minus_1"),
    [
        ("relu", 1.0, 0.0),
        ("leaky-relu", 1.0, -0.01),
        ("tanh", 0.7615941559557649, -0.7615941559557649),
        ("scaled-tanh", 1.7159 * np.tanh(2 / 3), -1.7159 * np.tanh(2 / 3)),
        ("sigmoid", 0.7310585786300049, 0.2689414213699951),
        ("gelu", 0.841191990608276, -0.158808009391724),  # torch.nn.functional.gelu, "tanh"
    ],
)
def test_known_values(name, at_1, at_minus_1):
    values = ACTIVATIONS[name].value(np.asarray([1.0, -1.0]))
    np.testing.assert_allclose(values, [at_1, at_minus_1], rtol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_huge_sums_stay_finite(name):
    activation = ACTIVATIONS[name]
    extreme = np.asarray([-1e4, 1e4], dtype=np.float32)
    values = activation.value(extreme)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert np.isfinite(activation.derivative(extreme, values)).all()


def test_the_scaled_tanh_keeps_variance_one():
    from mnistgpu import counter_rng

    sums = counter_rng.normals(counter_rng.key(0, like=Z), (200_000,), "float64")
    assert ACTIVATIONS["scaled-tanh"].value(sums).var() == pytest.approx(0.7, abs=0.1)
    assert ACTIVATIONS["scaled-tanh"].value(np.asarray(1.0)) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_gain_is_the_integral_that_it_stands_for(name):
    """1 / E[activation'(Z)^2], by the trapezoidal rule over the normal density."""
    activation, z = ACTIVATIONS[name], np.linspace(-10, 10, 200_002)
    slope = activation.derivative(z, activation.value(z))
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    assert 1 / np.trapezoid(slope**2 * density, z) == pytest.approx(activation.gain, rel=1e-3)


@pytest.mark.parametrize("how", ["he", "glorot"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_ten_layers_neither_lose_nor_blow_up_the_gradient(name, how, digits):
    """The first of ten hidden layers learns, and images still differ behind the last.

    Without its gain the first layer's gradient of a sigmoid network is 2e-6 of the last one's.
    """
    from mnistgpu import counter_rng, network

    activation, sizes = ACTIVATIONS[name], (784, *[200] * 10, 10)
    key = counter_rng.key(1, like=Z)
    theta = network.init(key, sizes, how, "float64", activation.gain)
    params = network.layers(theta, sizes)
    X = digits[0][:200].T / 255.0
    A, sums = network.forward(params, X, activation.value)
    Y = network.one_hot(digits[1][:200], 10, "float64")
    gradients = network.backward(params, A, sums, Y, activation.derivative)
    first, last = (np.linalg.norm(gradients[layer][0]) for layer in (0, 9))
    assert 1 / 300 < first / last < 30
    assert A[10].std(axis=1).mean() > 1e-3
