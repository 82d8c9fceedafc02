"""Weights of images in the engine: the weighted mean of `network`, in every form of a step."""

import numpy as np
import pytest

from mnistgpu import counter_rng, data, network
from mnistgpu.backend import NUMPY
from mnistgpu.data import weighting
from mnistgpu.engine import gradient
from mnistgpu.engine.cpu.bound_calls import BoundShard, bind_calls
from mnistgpu.engine.gradient import Engine
from mnistgpu.engine.inputs import Inputs
from mnistgpu.engine.trainer import Trainer
from mnistgpu.settings import Settings

SIZES = (784, 12, 10)
SETTINGS = Settings(layers="784-12-10", precision="float64")


def weights_of(count):
    """Weights from 0.1 to 5 in no order."""
    key = counter_rng.key(8, like=np.zeros(1))
    return 0.1 + 4.9 * counter_rng.uniforms(key, (count,), "float64")


def engine_of(digits, batch, workers=None, shard_rows=None, weights=None, bound=False):
    images, labels = digits
    theta = network.init(0, SIZES, "he", "float64")
    pixels = Inputs(images, SETTINGS, (28, 28), theta)
    how = batch, workers, shard_rows, weights
    engine = Engine(theta, SETTINGS, images, labels, pixels, *how)
    if bound:
        bind_calls(engine)
        assert all(type(each) is BoundShard for each in engine.shards)
    return engine


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize(("count", "workers"), [(1, 1), (65, 1), (400, 2), (1000, 5)])
def test_shards_and_workers_give_the_weighted_gradient(digits, count, workers, bound):
    images, labels = digits
    weights = weights_of(len(images))
    engine = engine_of(digits, count, workers, 64, weights, bound)
    params = network.layers(engine.theta, SIZES)
    with engine.running():
        for rows in (slice(0, count), np.arange(1999, 1999 - count, -1)):
            own = weights[rows]
            A, Z = network.forward(params, (images[rows].astype("float64") / 255).T)
            Y = network.one_hot(labels[rows], 10, "float64")
            expected = network.flatten(network.backward(params, A, Z, Y, weights=own))
            found, loss, right = engine.gradient(rows)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
            mean = float(network.cross_entropy(Z[-1], Y, own))
            assert loss / count == pytest.approx(mean, rel=1e-10)
            assert right == (A[-1].argmax(axis=0) == labels[rows]).sum()


@pytest.mark.parametrize("bound", [False, True])
def test_weights_of_one_change_no_bit_of_the_gradient(digits, bound):
    found = []
    for weights in (None, np.ones(2000), np.full(2000, 2.0)):
        engine = engine_of(digits, 300, 1, 128, weights, bound)
        found.append(np.array(engine.gradient(slice(100, 400))[0]))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_weights_of_two_are_images_that_are_there_twice_in_a_run(digits):
    images, labels = (each[:90] for each in digits)
    counts = np.arange(90) % 3 + 1
    settings = SETTINGS.changed(iterations=12, optimizer="adam", learning_rate=0.01, init="he")
    once = data.Digits(images, labels, "once", weights=counts.astype(float))
    again = data.Digits(np.repeat(images, counts, 0), np.repeat(labels, counts), "again")
    thetas = []
    for train in (once, again):
        trainer = Trainer(settings, train, NUMPY)
        for _ in range(12):
            trainer.step()
        thetas.append(trainer.theta)
    assert np.abs(thetas[0] - trainer.first_parameters(SIZES)).max() > 0.05
    np.testing.assert_allclose(thetas[0], thetas[1], rtol=1e-9, atol=1e-12)


def test_sorted_digits_keep_their_weights(digits):
    """The 1s and 7s of a full batch are its last rows, and so are their weights."""
    images, labels = (each[:200] for each in digits)
    weights = 1.0 + labels  # which tell whose they are
    settings = SETTINGS.changed(rotation=5.0, rotation_1_7=2.0, iterations=2)
    trainer = Trainer(settings, data.Digits(images, labels, "x", weights=weights), NUMPY)
    engine = trainer.engine
    assert not np.array_equal(engine.labels, labels)
    assert np.array_equal(16.0 * engine.weights, 1.0 + engine.labels)  # scaled: the largest is 10


def test_on_every_backend_the_weights_are_relative_to_their_batch(space):
    images, labels = np.zeros((20, 784), np.uint8), np.arange(20) % 10
    theta, weights = network.init(0, SIZES, "he", "float32"), np.arange(1.0, 21)
    there = [space.put(each) for each in (theta, images, labels)]
    pixels = Inputs(images, Settings(layers="784-12-10"), (28, 28), there[0])
    how = 20, 1, None, space.put(weights)
    engine = Engine(there[0], Settings(layers="784-12-10"), *there[1:], pixels, *how)
    for rows, own in ((slice(2, 6), weights[2:6]), (space.put(np.array([4, 0])), weights[[4, 0]])):
        found = space.get(engine.relative_weights(rows))
        np.testing.assert_allclose(found, own / own.mean(), rtol=1e-6)
        loss = space.get(engine.gradient(rows)[1])
        assert np.isfinite(loss)
    assert gradient.images_in(slice(2, 6)) == 4


def test_balanced_classes_count_alike():
    digits = data.Digits(np.zeros((6, 4), np.uint8), np.array([0, 0, 0, 2, 2, 1]), "six", (2, 2))
    found = weighting.of_classes("balanced", digits, 4)
    np.testing.assert_allclose(found, [6 / 9, 6 / 3, 6 / 6, 1.0])  # as scikit-learn; none of 3
    weighted = weighting.weighted(digits, digits, "balanced", 4)
    sums = np.bincount(digits.labels, weighted.weights)
    np.testing.assert_allclose(sums, 2.0)
