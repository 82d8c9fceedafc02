"""The weighted loss of `network` and its gradient: what a weight means, and the chain rule."""

import numpy as np
import pytest

from mnistgpu import counter_rng, network
from mnistgpu.maths.activations import ACTIVATIONS

SIZES, LABELS = (5, 6, 7, 4), np.array([0, 1, 2, 3, 0, 1])
WEIGHTS = np.array([0.5, 2.0, 1.0, 3.0, 0.25, 1.0])


def start():
    """First parameters, and images (5, 6) in float64."""
    key = counter_rng.key(4, like=np.zeros(1))
    theta = network.init(key, SIZES, "uniform", "float64")
    return theta, counter_rng.uniforms(counter_rng.fold_in(key, 1), (5, 6), "float64")


def loss_and_gradient(theta, X, labels, weights=None, name="relu"):
    activation = ACTIVATIONS[name]
    params, Y = network.layers(theta, SIZES), network.one_hot(labels, 4, "float64")
    A, Z = network.forward(params, X, activation.value)
    gradient = network.backward(params, A, Z, Y, activation.derivative, weights)
    return float(network.cross_entropy(Z[-1], Y, weights)), network.flatten(gradient)


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_the_weighted_gradient_is_that_of_differences(name):
    theta, X = start()
    _, found = loss_and_gradient(theta, X, LABELS, WEIGHTS, name)
    h = 1e-6
    expected = np.array(
        [
            (
                loss_and_gradient(theta + step, X, LABELS, WEIGHTS, name)[0]
                - loss_and_gradient(theta - step, X, LABELS, WEIGHTS, name)[0]
            )
            / (2 * h)
            for step in h * np.eye(len(theta))
        ]
    )
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_a_weight_of_two_is_an_image_that_is_there_twice():
    theta, X = start()
    counts = np.array([2, 1, 3, 1, 1, 2])
    found = loss_and_gradient(theta, X, LABELS, counts.astype(float))
    repeated = loss_and_gradient(theta, np.repeat(X, counts, axis=1), np.repeat(LABELS, counts))
    for here, there in zip(found, repeated, strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-12, atol=1e-15)


def test_the_scale_of_the_weights_means_nothing_and_equal_ones_are_the_plain_mean():
    theta, X = start()
    loss, gradient = loss_and_gradient(theta, X, LABELS, WEIGHTS)
    scaled = loss_and_gradient(theta, X, LABELS, 1000 * WEIGHTS)
    np.testing.assert_allclose(scaled[1], gradient, rtol=1e-12)
    equal = loss_and_gradient(theta, X, LABELS, np.full(6, 0.1))
    plain = loss_and_gradient(theta, X, LABELS)
    assert equal[0] == pytest.approx(plain[0], rel=1e-12)
    np.testing.assert_allclose(equal[1], plain[1], rtol=1e-12)
    assert abs(plain[0] - loss) > 1e-3


def test_the_loss_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    theta, X = start()
    A, Z = network.forward(network.layers(theta, SIZES), X)
    Y = network.one_hot(LABELS, 4, "float64")
    expected = metrics.log_loss(LABELS, A[-1].T, sample_weight=WEIGHTS, labels=range(4))
    assert float(network.cross_entropy(Z[-1], Y, WEIGHTS)) == pytest.approx(expected, rel=1e-12)


def test_loss_and_gradient_are_those_of_pytorch_with_weights_of_classes():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theta, X = start()
    of_class = np.array([0.5, 2.0, 1.0, 3.0])
    params = network.layers(theta, SIZES)
    _, Z = network.forward(params, X)
    logits = torch.tensor(Z[-1].T.copy(), requires_grad=True)
    loss = torch.nn.CrossEntropyLoss(weight=torch.tensor(of_class))(logits, torch.tensor(LABELS))
    loss.backward()
    found, gradient = loss_and_gradient(theta, X, LABELS, of_class[LABELS])
    assert found == pytest.approx(float(loss.detach()), rel=1e-12)
    last = gradient[-SIZES[-1] :]  # the gradient by the last biases is a sum of that by the logits
    np.testing.assert_allclose(last, logits.grad.numpy().sum(axis=0), rtol=1e-10, atol=1e-14)


def test_weights_on_every_backend(space):
    theta, X = start()
    loss, gradient = loss_and_gradient(theta, X, LABELS, WEIGHTS)
    there = [space.put(each) for each in (theta, X, LABELS, WEIGHTS)]
    params, Y = network.layers(there[0], SIZES), network.one_hot(there[2], 4, "float64")
    A, Z = network.forward(params, there[1])
    found = network.flatten(network.backward(params, A, Z, Y, weights=there[3]))
    np.testing.assert_allclose(space.get(found), gradient, rtol=1e-9, atol=1e-12)
    found_loss = space.get(network.cross_entropy(Z[-1], Y, there[3]))
    assert float(found_loss) == pytest.approx(loss, rel=1e-10)
