"""A model answers as the equations do: one image or many, from any thread, with changed weights."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mnistgpu import counter_rng, network
from mnistgpu.errors import ShapeError
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models.model import Model


def a_model(sizes=(784, 30, 20, 10), activation="relu", dtype="float32"):
    """A network that has learnt nothing, with biases that are not zero."""
    theta = network.init(counter_rng.key(3, like=np.zeros(1)), sizes, "glorot", dtype)
    theta += np.asarray(0.01, dtype=dtype)
    return Model(theta, sizes, activation=activation)


def by_the_equations(model, images):
    """Probabilities and logits (classes, N), as `network.forward` computes them in float64."""
    params = network.layers(model.theta.astype(np.float64), model.sizes)
    A, Z = network.forward(params, images.T / 255.0, ACTIVATIONS[model.activation].value)
    return A[-1], Z[-1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(784, 10), (784, 128, 10), (784, 30, 20, 10)])
def test_one_image_is_answered_as_the_equations_say(digits, sizes, activation, dtype):
    model, tolerance = a_model(sizes, activation, dtype), 1e-4 if dtype == "float32" else 1e-11
    for image in digits[0][:20]:
        one = image[None]
        probabilities, logits = by_the_equations(model, one)
        assert model.logits(one).dtype == dtype
        np.testing.assert_allclose(model.logits(one), logits, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(model.probabilities(one), probabilities, atol=tolerance)
        assert model.predict(one).tolist() == logits.argmax(axis=0).tolist()


def test_an_image_is_answered_alike_alone_and_among_many(digits):
    model, images = a_model(), digits[0][:200]
    together, answers = model.logits(images), model.predict(images)
    assert answers.shape == (200,)
    assert answers.dtype == np.int64
    for i in range(len(images)):
        alone = model.logits(images[i : i + 1])
        np.testing.assert_allclose(alone[:, 0], together[:, i], rtol=1e-4, atol=1e-5)
        assert model.predict(images[i : i + 1]) == answers[i]


@pytest.mark.parametrize("count", [1, 5])
def test_every_backend_answers_alike(space, digits, count):
    model, images, backend = a_model(), digits[0][:count], space.backend()
    logits = space.get(model.logits(images, backend))
    np.testing.assert_allclose(logits, model.logits(images), rtol=1e-4, atol=1e-5)
    assert model.predict(images, backend).tolist() == model.predict(images).tolist()


def test_the_image_stays_as_it_is(digits):
    model, image = a_model(), digits[0][:1].copy()
    before = image.copy()
    model.predict(image)
    np.testing.assert_array_equal(image, before)


def test_changed_weights_give_other_answers(digits):
    model, image = a_model(), digits[0][:1]
    model.predict(image)
    model.theta[-10:] = 0.0
    model.theta[-3] = 1e6  # the bias of class 7
    assert model.predict(image).tolist() == [7]


def test_a_copy_answers_by_its_own_weights(digits):
    model, image = a_model(), digits[0][:1]
    before = model.logits(image)
    other = copy.deepcopy(model)
    other.theta[...] = 0.0
    other.theta[-3] = 1.0
    assert other.predict(image).tolist() == [7]
    np.testing.assert_array_equal(model.logits(image), before)


def test_threads_may_ask_one_model(digits):
    model, images = a_model(), digits[0][:400]
    expected = [model.logits(images[i : i + 1]) for i in range(len(images))]
    fresh = a_model()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: fresh.logits(images[i : i + 1]), range(len(images))))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(784,), (1, 783), (1, 28, 28), (0,), ()])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ShapeError, match="784 pixels as rows, not an array of shape"):
        a_model().predict(np.zeros(shape, dtype=np.uint8))


def test_no_images_have_no_answers():
    assert a_model().predict(np.zeros((0, 784), dtype=np.uint8)).shape == (0,)
