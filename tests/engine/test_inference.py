"""The logits of many images equal the network's, whatever the shards."""

import numpy as np
import pytest

from mnistgpu import counter_rng, data, network
from mnistgpu.backend import NUMPY
from mnistgpu.engine import exact_inference, inference
from mnistgpu.maths import exact_grids
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.runs.outcome import evaluate
from mnistgpu.settings import Settings


@pytest.mark.parametrize("sizes", [(784, 10), (784, 10, 10), (784, 150, 20, 10)])
@pytest.mark.parametrize("count", [1, 7, 1023, 1024, 1025, 2000])
def test_logits_equal_the_networks(digits, sizes, count):
    images = digits[0][:count]
    theta = network.init(counter_rng.key(0, like=np.zeros(1)), sizes, "he", "float64")
    _, Z = network.forward(network.layers(theta, sizes), (images / 255).T)
    found = inference.logits(theta, sizes, "relu", images)
    np.testing.assert_allclose(found, Z[-1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(space, digits, activation):
    sizes, images = (784, 12, 10), digits[0][:50]
    theta = network.init(counter_rng.key(0, like=np.zeros(1)), sizes)
    value = ACTIVATIONS[activation].value
    _, Z = network.forward(network.layers(theta, sizes), (images / np.float32(255)).T, value)
    found = inference.logits(space.put(theta), sizes, activation, space.put(images))
    np.testing.assert_allclose(space.get(found), Z[-1], rtol=1e-3, atol=1e-5)


def test_a_gpu_answers_as_many_images_together_as_its_memory_holds_well():
    assert inference.rows_of_a_shard(804, on_cpu=True) == 1024
    assert inference.rows_of_a_shard(804, on_cpu=False) == 2**25 // 804
    assert inference.rows_of_a_shard(10**6, on_cpu=False) == 1024


def test_shards_are_answered_alike_on_every_backend(space, digits, monkeypatch):
    sizes, images = (784, 12, 10), digits[0]
    theta = network.init(counter_rng.key(0, like=np.zeros(1)), sizes)
    expected = inference.logits(theta, sizes, "relu", images)
    together, of_shard = [], inference.of_shard

    def counted(params, activation, images):
        together.append(images.shape[0])
        return of_shard(params, activation, images)

    monkeypatch.setattr(inference, "GPU_NUMBERS", 1200 * sum(sizes))
    monkeypatch.setattr(inference, "of_shard", counted)
    found = inference.logits(space.put(theta), sizes, "relu", space.put(images))
    np.testing.assert_allclose(space.get(found), expected, rtol=1e-4, atol=1e-5)
    on_cpu = space.xp is np
    assert sorted(together) == ([976, 1024] if on_cpu else [800, 1200])


@pytest.mark.parametrize("classes", [2, 10, 2**12, 2**13, 2**13 + 1, 2**14])
def test_exact_exponentials_are_as_fine_as_their_sum_allows(classes):
    """Of 40 bits, and of fewer where so many classes could add up to more than 53."""
    bits = max(bits for bits in range(41) if classes * 2**bits <= 2**53)
    shifted = -3.0 * np.random.default_rng(0).random((classes, 20))
    E, _ = exact_inference.exponentials(shifted)
    assert (np.ldexp(E, bits) % 1 == 0).all()
    assert (np.ldexp(E, bits - 1) % 1 != 0).any()


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("terms", [1, 10, 784, 1024, 1025, 4096])
def test_exact_factors_have_all_bits_that_their_sums_leave(terms, first):
    weights, activations = exact_inference.bits_of(terms, first)
    assert terms * 2 ** (weights + activations) <= 2**53 < 2 * terms * 2 ** (weights + activations)
    assert activations == 8 if first else abs(weights - activations) <= 1


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("units", [12, 700])
def test_exact_answers_are_the_same_in_any_order_of_terms(digits, activation, units):
    """Pixels and hidden units in another order, and other images beside: no sum rounds."""
    sizes, images = (784, units, 10), digits[0][:40]
    theta = network.init(counter_rng.key(0, like=np.zeros(1)), sizes, "he", "float64")
    expected = inference.logits(theta, sizes, activation, images, exact=True)
    (W1, b1), (W2, b2) = network.layers(theta, sizes)
    random = np.random.default_rng(0)
    pixels, hidden = random.permutation(784), random.permutation(units)
    params = [(W1[hidden][:, pixels], b1[hidden]), (W2[:, hidden], b2)]
    found = inference.of_layers(params, activation, images[:30, pixels], exact=True)
    np.testing.assert_array_equal(found, expected[:, :30])
    _, Z = network.forward(
        [*zip((W1, W2), (b1, b2), strict=True)], (images / 255).T, ACTIVATIONS[activation].value
    )
    np.testing.assert_allclose(expected, Z[-1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("count", [1, 5])
def test_grey_levels_are_shares_of_255_and_features_are_taken_as_they_are(space, digits, count):
    sizes, images = (784, 12, 10), digits[0][:count]
    theta = space.put(network.init(counter_rng.key(0, like=np.zeros(1)), sizes))
    expected = inference.logits(theta, sizes, "relu", space.put(images))
    features = space.put(images / np.float32(255))
    found = inference.logits(theta, sizes, "relu", features)
    np.testing.assert_allclose(space.get(found), space.get(expected), rtol=1e-4, atol=1e-5)


def test_exact_answers_to_whole_pixels_are_nearly_those_of_float64(digits):
    """Their first weights have all bits that the budget leaves: 35 of 53."""
    sizes, images = (784, 10), digits[0][:40]
    theta = network.init(counter_rng.key(0, like=np.zeros(1)), sizes, "he", "float64")
    found = inference.logits(theta, sizes, "relu", images, exact=True)
    _, Z = network.forward(network.layers(theta, sizes), (images / 255).T)
    np.testing.assert_allclose(found, Z[-1], rtol=0, atol=1e-8)


def test_exact_losses_are_of_30_bits(digits):
    """So that every machine shows the same ones."""
    Z = 20.0 * np.random.default_rng(0).normal(size=(10, 50))
    labels = digits[1][:50]
    losses = [exact_inference.total_loss(Z[:, [i]], labels[[i]]) for i in range(50)]
    assert exact_inference.total_loss(Z, labels) == sum(losses)
    in_grids = np.array(losses) / exact_grids.LOSSES_BELOW * 2.0**30
    assert (in_grids % 1 == 0).all()
    assert (in_grids % 2 == 1).any()
    true = network.cross_entropy(Z, network.one_hot(labels, 10, "float64"))
    assert sum(losses) / 50 == pytest.approx(float(true), rel=1e-6)


def test_an_evaluation_has_many_images_on_the_device_together(digits, monkeypatch):
    """Those of MNIST's test set at once; the figures are the same however many they are."""
    images, labels = digits
    settings, judged = Settings(layers="784-12-10"), data.Digits(images, labels, "the first digits")
    theta, asked = network.init(counter_rng.key(0, like=np.zeros(1)), (784, 12, 10)), []
    logits = inference.logits

    def counted(theta, sizes, activation, images, exact):
        asked.append(len(images))
        return logits(theta, sizes, activation, images, exact)

    monkeypatch.setattr(inference, "logits", counted)
    whole = evaluate(theta, settings, judged, NUMPY)
    assert asked == [2000]
    assert inference.AT_ONCE > 10_000
    monkeypatch.setattr(inference, "AT_ONCE", 900)
    assert evaluate(theta, settings, judged, NUMPY) == pytest.approx(whole, rel=1e-6)
    assert asked[1:] == [900, 900, 200]
