"""What the layers see: points in the plane, histograms, dead units, steady from one to the next."""

import json

import numpy as np
import pytest

from mnistgpu import network
from mnistgpu.errors import DataError, UsageError
from mnistgpu.models.model import Model
from mnistgpu.runs.layer_views import LayerViews

SIZES = (784, 9, 6, 10)


def model_of(seed=0, dead=()):
    theta = np.random.default_rng(seed).normal(0, 0.2, network.parameter_count(SIZES))
    made = Model(theta.astype(np.float32), SIZES)
    for unit in dead:
        made.layers[0][0][unit], made.layers[0][1][unit] = 0.0, -1.0
    return made


@pytest.fixture(scope="module")
def views(digits):
    return lambda **how: LayerViews(*digits, **how)


def test_points_are_the_outputs_along_their_principal_axes(views, digits):
    found, model = views().view(model_of()), model_of()
    json.dumps(found, allow_nan=False)
    A, Z = network.forward(model.layers, digits[0][:1000].T.astype(np.float32) / 255.0)
    centred = A[2] - A[2].mean(axis=1, keepdims=True)
    _, s, Vt = np.linalg.svd(centred, full_matrices=False)
    points = np.array(found["points"])
    assert points.shape == (1000, 2)
    np.testing.assert_allclose(np.abs(points.T), np.abs(s[:2, None] * Vt[:2]), atol=5e-3)
    np.testing.assert_allclose(found["explained"], s[:2] ** 2 / (s**2).sum(), atol=1e-3)
    assert found["labels"] == digits[1][:1000].tolist()
    assert (found["layer"], found["units"]) == (2, [9, 6, 10])
    assert len(views(layer=1).view(model)["points"]) == 1000
    logits = np.array(views(layer=3).view(model)["points"])
    spread = np.linalg.svd(Z[2] - Z[2].mean(axis=1, keepdims=True))[1]
    assert np.linalg.norm(logits[:, 0]) == pytest.approx(spread[0], rel=1e-3)


def test_points_do_not_jump_while_a_network_learns(views):
    pictures, theta = views(), model_of().theta.copy()
    before = None
    for _ in range(6):
        points = np.array(pictures.view(Model(theta.copy(), SIZES))["points"])
        if before is not None:
            moved = np.linalg.norm(points - before) / np.linalg.norm(before)
            assert moved < 0.2
        before = points
        theta += 0.002 * np.random.default_rng(1).normal(size=theta.shape).astype(np.float32)


def test_histograms_count_every_number(views, digits):
    found, model = views().view(model_of()), model_of()
    X = digits[0][:1000].T.astype(np.float32) / 255.0
    A, Z = network.forward(model.layers, X)
    Y = network.one_hot(digits[1][:1000].astype(np.int64), 10)
    gradients = network.backward(model.layers, A, Z, Y)
    said = [A[1], A[2], Z[2]]
    for i, each in enumerate(found["histograms"]):
        assert each["layer"] == i + 1
        for name, numbers in (
            ("weights", model.layers[i][0]),
            ("gradients", gradients[i][0]),
            ("activations", said[i]),
        ):
            histogram = each[name]
            assert sum(histogram["counts"]) == numbers.size
            assert len(histogram["edges"]) == len(histogram["counts"]) + 1
            assert histogram["edges"][0] == pytest.approx(float(numbers.min()), rel=1e-3, abs=1e-9)
            assert histogram["edges"][-1] == pytest.approx(float(numbers.max()), rel=1e-3)


def test_dead_units_are_counted(views):
    assert views().view(model_of())["dead"] == [0, 0]
    assert views().view(model_of(dead=(2, 5, 8)))["dead"] == [3, 0]
    silent = views(layer=1).view(model_of(dead=range(9)))
    assert (silent["dead"], silent["explained"]) == ([9, 6], [0.0, 0.0])


def test_a_network_without_hidden_layers_and_a_layer_of_one_unit(views):
    sizes = (784, 10)
    theta = np.random.default_rng(0).normal(size=network.parameter_count(sizes)).astype(np.float32)
    found = views().view(Model(theta, sizes))
    assert (found["layer"], found["dead"], len(found["points"])) == (1, [], 1000)
    sizes = (784, 1, 10)
    theta = np.random.default_rng(0).normal(size=network.parameter_count(sizes)).astype(np.float32)
    found = views().view(Model(theta, sizes))
    assert np.array(found["points"]).shape == (1000, 2)
    assert found["explained"][1] == 0.0


def test_what_cannot_be_shown(views):
    with pytest.raises(UsageError, match="layer must be a whole number from 1 to 3, not 4"):
        views(layer=4).view(model_of())
    with pytest.raises(DataError, match="there are no images"):
        LayerViews(np.zeros((0, 784), np.uint8), np.zeros(0))
