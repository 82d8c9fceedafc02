"""A unit opened: every number of its sum, against NumPy's own sums and the network's answers."""

import json
from pathlib import Path

import numpy as np
import pytest

from mnistgpu import models, network
from mnistgpu.errors import ShapeError, UsageError
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models import outputs
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.models.opened import opened, responds_most, source_lines

SIZES = (784, 7, 5, 10)


def model_of(seed=0, activation="tanh", sizes=SIZES):
    theta = np.random.default_rng(seed).normal(0, 0.2, network.parameter_count(sizes))
    return Model(theta.astype(np.float32), sizes, activation=activation)


@pytest.fixture(scope="module")
def image(digits):
    return digits[0][3]


def by_hand(model, image):
    """Activations and sums by plain loops over the layers, in float64."""
    A, Z = [image / 255.0], []
    theta, begin = model.theta.astype(np.float64), 0
    for n_in, n in zip(model.sizes, model.sizes[1:], strict=False):
        W = theta[begin : begin + n * n_in].reshape(n, n_in)
        b = theta[begin + n * n_in : begin + n * (n_in + 1)]
        begin += n * (n_in + 1)
        Z.append(np.array([sum(W[k] * A[-1]) + b[k] for k in range(n)]))
        A.append(np.tanh(Z[-1]))
    E = np.exp(Z[-1])
    A[-1] = E / E.sum()
    return A, Z


def test_activations_and_sums_are_those_of_numpy(image):
    model = model_of()
    found, (A, Z) = opened(model, image), by_hand(model, image)
    for ours, theirs in zip([*found.activations, *found.sums], [*A, *Z], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)
    assert found.answer == model.predict(image[None])[0]


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_the_terms_add_up_to_the_sum(image, layer):
    model = model_of()
    found, (A, Z) = opened(model, image), by_hand(model, image)
    for k in range(SIZES[layer]):
        unit = found.unit(layer, k)
        assert unit.sum == pytest.approx(Z[layer - 1][k], rel=1e-12)
        assert unit.bias + unit.products.sum() == pytest.approx(unit.sum, rel=1e-9, abs=1e-12)
        written = [each.product for each in unit.largest]
        assert sum(written) + unit.rest + unit.bias == pytest.approx(unit.sum, rel=1e-9, abs=1e-12)
        assert written == sorted(written, key=abs, reverse=True)
        assert min(map(abs, written)) == np.sort(np.abs(unit.products))[-len(written)]
        for each in unit.largest:
            W, _ = model.layers[layer - 1]
            assert each.weight == W[k, each.index]
            assert each.input == pytest.approx(A[layer - 1][each.index], rel=1e-12)
            assert each.product == each.weight * each.input
        assert unit.activation == pytest.approx(A[layer][k], rel=1e-12)


def test_a_unit_of_the_first_layer_has_a_map_of_its_pixels(image):
    unit = opened(model_of(), image).unit(1, 4)
    W, _ = model_of().layers[0]
    expected = (W[4].astype(np.float64) * (image / 255.0)).reshape(28, 28)
    np.testing.assert_allclose(unit.image_map, expected, rtol=1e-12, atol=1e-15)
    assert opened(model_of(), image).unit(2, 1).image_map is None


def test_an_output_unit_has_the_numbers_of_the_softmax(image):
    model = model_of()
    found = opened(model, image)
    shares = model.probabilities(image[None])[:, 0]
    for k in range(10):
        unit = found.unit(3, k)
        assert unit.probability == pytest.approx(float(shares[k]), rel=1e-4)
        assert unit.exponentials[k] / unit.total == unit.probability == unit.activation
        assert unit.exponentials.max() == 1.0
    assert found.unit(2, 0).probability is None


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_slope_is_that_of_the_activation(image, activation):
    found = opened(model_of(activation=activation), image)
    for k in range(7):
        unit, step = found.unit(1, k), 1e-6
        value = ACTIVATIONS[activation].value
        up, down = (value(np.array([unit.sum + d]))[0] for d in (step, -step))
        assert unit.slope == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-6)
    assert found.unit(3, 0).slope is None


def test_what_a_unit_responds_to_most(digits):
    model, images = model_of(), digits[0]
    A, _ = network.forward(model.layers, images.T.astype(np.float32) / 255.0, np.tanh)
    for layer, unit in ((1, 2), (2, 4), (3, 9)):
        most, says = responds_most(model, images, layer, unit, 12)
        np.testing.assert_allclose(outputs.of_unit(model, images, layer, unit), A[layer][unit],
                                   rtol=1e-4, atol=1e-6)  # fmt: skip
        np.testing.assert_allclose(says, np.sort(A[layer][unit])[::-1][:12], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(A[layer][unit][most], says, rtol=1e-4, atol=1e-6)


def test_it_becomes_json(image):
    for layer in (1, 3):
        found = json.loads(json.dumps(opened(model_of(), image).unit(layer, 0).as_dict()))
        assert found["terms"] == SIZES[layer - 1]
        assert len(found["largest"]) == min(10, SIZES[layer - 1])


def test_the_lines_of_the_source_are_there():
    lines = Path(network.__file__).read_text(encoding="utf-8").splitlines()
    assert set(source_lines()) == {"sum", "activation", "softmax"}
    for number, text in source_lines().values():
        assert lines[number - 1].strip() == text


@pytest.mark.parametrize(
    ("layer", "unit", "why"),
    [
        (0, 0, "layer must be a whole number from 1 to 3, not 0"),
        (4, 0, "layer must be a whole number from 1 to 3, not 4"),
        (1, 7, "unit must be a whole number from 0 to 6 in layer 1, not 7"),
        (1, -1, "unit must be a whole number from 0 to 6 in layer 1, not -1"),
        (1, 2.5, "unit must be a whole number"),
        (True, 0, "layer must be a whole number"),
    ],
)
def test_a_unit_that_is_not_there(image, layer, unit, why):
    with pytest.raises(UsageError, match=why):
        opened(model_of(), image).unit(layer, unit)


def test_what_cannot_be_opened(image):
    with pytest.raises(UsageError, match="a committee has no units of its own"):
        opened(Committee((model_of(), model_of(1))), image)
    with pytest.raises(ShapeError, match="one image of 784 pixels"):
        opened(model_of(), np.zeros((2, 784), np.uint8))
    assert opened(model_of(), image.reshape(28, 28)).answer == opened(model_of(), image).answer


def test_the_shipped_network_can_be_opened(digits):
    shipped = models.model.load(models.SHIPPED)
    found = opened(shipped, digits[0][0])
    assert found.answer == digits[1][0]
