"""Each setting reaches the step by itself, and the shards of a batch differ where they should."""

import numpy as np
import pytest

from mnistgpu import counter_rng, data, network
from mnistgpu.backend import NUMPY
from mnistgpu.engine import gradient
from mnistgpu.engine.gradient import Engine
from mnistgpu.engine.inputs import Chance, Inputs
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.maths import augment
from mnistgpu.runs.checks import check_fit
from mnistgpu.settings import Settings

SMALL = Settings(layers="784-12-10", init="he", validation=0, iterations=8)
STILL = SMALL.changed(learning_rate=1e-30)  # the parameters stay as they are
KEY = counter_rng.key(5, like=np.zeros(1))


@pytest.fixture
def train(digits):
    images, labels = digits
    return data.Digits(images[:60], labels[:60], "the first digits")


def losses(settings, train, steps=2):
    """The losses of the first steps, full batches."""
    trainer = Trainer(settings, train, NUMPY)
    with trainer.engine.running():
        return [float(trainer.step()[0]) for _ in range(steps)]


@pytest.mark.parametrize("name", ["input_noise", "hidden_noise", "input_dropout", "hidden_dropout"])
def test_noise_and_dropout_alone_disturb_every_step_in_another_way(train, name):
    plain = losses(STILL, train)
    assert plain[0] == plain[1]
    first, second = losses(STILL.changed(**{name: 0.3}), train)
    assert abs(first - plain[0]) > 1e-3 * plain[0]
    assert abs(second - plain[0]) > 1e-3 * plain[0]
    assert abs(first - second) > 1e-3 * plain[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("rotation", 20.0), ("scaling", 0.3), ("shear", 0.5), ("shift", 3.0), ("mirror", 0.3)),
        ("elastic", 3.0),
    ],
)
def test_each_deformation_alone_changes_every_step_in_another_way(train, name, value):
    plain = losses(STILL, train)[0]
    first, second = losses(STILL.changed(**{name: value}, images_per_map=4), train)
    assert abs(first - plain) > 1e-3 * plain
    assert abs(first - second) > 1e-5 * plain


@pytest.mark.parametrize(
    ("changes", "factor"),
    [({"weight_decay": 0.5}, 1.0 - 0.2 * 0.5), ({"l2": 0.5}, 1.0 - 0.2 * 0.5)],
)
def test_decay_and_penalty_alone_shrink_the_weights_by_their_share(train, changes, factor):
    """Compared with a step without them: both subtract the same share of each weight."""
    plain, shrunk = (
        Trainer(SMALL.changed(learning_rate=0.2, **each), train, NUMPY) for each in ({}, changes)
    )
    before = [(W.copy(), b.copy()) for W, b in plain.params]
    for trainer in (plain, shrunk):
        trainer.step()
    for (W0, _), (W, b), (W1, b1) in zip(before, plain.params, shrunk.params, strict=True):
        np.testing.assert_allclose(W1, W - (1.0 - factor) * W0, atol=1e-6)
        np.testing.assert_array_equal(b1, b)


def test_clipping_and_the_largest_norm_alone_bound_the_step(train):
    clipped = Trainer(SMALL.changed(learning_rate=1.0, clip_norm=1e-3), train, NUMPY)
    before = clipped.theta.copy()
    clipped.step()
    assert np.linalg.norm(clipped.theta - before) == pytest.approx(1e-3, rel=1e-3)
    bounded = Trainer(SMALL.changed(max_norm=0.5), train, NUMPY)
    bounded.step()
    for W, _ in bounded.params:
        assert np.linalg.norm(W, axis=1).max() == pytest.approx(0.5, rel=1e-5)


def test_smoothed_targets_alone_raise_the_loss_by_their_formula(train):
    """The share that is spread: a tenth of it to each class, in place of the label's."""
    trainer = Trainer(STILL, train, NUMPY)
    _, Z = network.forward(trainer.params, (train.images / 255.0).T)
    log_P = np.log(network.softmax(Z[-1]))
    of_labels = log_P[train.labels, np.arange(60)]
    expected = -(0.7 * of_labels + 0.3 * log_P.mean(axis=0)).sum()
    found = losses(STILL.changed(label_smoothing=0.3), train)[0]
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("clean_ending", "deforming"),
    [(0.0, [True] * 8), (0.25, [True] * 6 + [False] * 2), (0.99, [True] + [False] * 7)],
)
def test_the_last_steps_alone_are_clean(train, clean_ending, deforming):
    trainer = Trainer(SMALL.changed(rotation=9.0, clean_ending=clean_ending), train, NUMPY)
    assert [trainer.deforms(taken) for taken in range(8)] == deforming


def test_a_clean_step_is_the_plain_one(train):
    settings = STILL.changed(rotation=30.0, clean_ending=0.75)
    plain, found = losses(STILL, train)[0], losses(settings, train, 4)
    assert abs(found[0] - plain) > 1e-3 * plain
    assert abs(found[1] - plain) > 1e-3 * plain
    assert found[2:] == pytest.approx([plain, plain], rel=1e-5)


# Shards


def make_engine(changes, images, labels, shard_rows):
    settings = SMALL.changed(precision="float64", **changes)
    inputs = Inputs(images, settings, (28, 28), np.zeros(1))
    theta = network.init(3, settings.sizes, "he", "float64")
    return Engine(theta, settings, images, labels, inputs, len(images), 1, shard_rows)


@pytest.mark.parametrize(
    "changes",
    [
        {"input_noise": 0.5},
        {"hidden_noise": 0.5},
        {"input_dropout": 0.5},
        {"hidden_dropout": 0.5},
        {"rotation": 30.0, "images_per_map": 4},
        {"elastic": 4.0, "images_per_map": 4},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_each_image_has_noise_of_its_own(digits, changes):
    """A batch that holds the same 20 images twice, one after the other, a shard each."""
    images, labels = (np.concatenate((each[:20], each[:20])) for each in digits)
    engine = make_engine(changes, images, labels, shard_rows=20)
    keys = engine.keys(KEY)
    once, twice = (float(engine.gradient(slice(0, m), keys)[1]) for m in (20, 40))
    assert abs(twice - 2 * once) > 1e-3 * once
    plain = make_engine({}, images, labels, shard_rows=20)
    once, twice = (float(plain.gradient(slice(0, m))[1]) for m in (20, 40))
    assert twice == pytest.approx(2 * once)


def sums_of_the_first_layer(engine, images):
    W, _ = network.layers(engine.theta, engine.sizes)[0]
    return W @ (images / 255.0).T


def test_statistics_are_mean_and_variance(digits, monkeypatch):
    """The variance, and not its root, is what a saved network is divided by the root of."""
    monkeypatch.setattr(gradient, "normalized_together", lambda batch_rows: batch_rows)
    images, labels = digits[0][:80], digits[1][:80]
    engine = make_engine({"batch_norm": True}, images, labels, shard_rows=80)
    engine.gradient(slice(0, 80))
    ((mean, variance),) = engine.batch_statistics
    Z = sums_of_the_first_layer(engine, images)
    np.testing.assert_allclose(mean[:, 0], Z.mean(axis=1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(variance[:, 0], Z.var(axis=1) + 1e-5, rtol=1e-9)


@pytest.mark.parametrize("shard_rows", [1, 100])
def test_a_short_group_counts_by_its_images(digits, monkeypatch, shard_rows):
    """In a shard of its own, and in one with the others."""
    monkeypatch.setattr(gradient, "NORMALIZED_TOGETHER", 35)
    images, labels = digits[0][:100], digits[1][:100]
    engine = make_engine({"batch_norm": True}, images, labels, shard_rows)
    engine.gradient(slice(0, 100))
    ((mean, variance),) = engine.batch_statistics
    Z = sums_of_the_first_layer(engine, images)
    np.testing.assert_allclose(mean[:, 0], Z.mean(axis=1), rtol=1e-9, atol=1e-12)
    groups = Z[:, :35], Z[:, 35:70], Z[:, 70:]
    within = sum(group.shape[1] / 100 * group.var(axis=1) for group in groups) + 1e-5
    np.testing.assert_allclose(variance[:, 0], within, rtol=1e-9)


# Images


def test_the_limit_for_ones_and_sevens_is_for_these_labels(digits):
    images, labels = digits[0][:60], digits[1][:60]
    settings = SMALL.changed(rotation=90.0, rotation_1_7=0.0, images_per_map=1)
    inputs = Inputs(images, settings, (28, 28), np.zeros(1))
    keys = {(counter_rng.DEFORM, i): key for i, key in enumerate(augment.keys_of(KEY))}
    X = inputs.columns(images, labels, Chance(keys), "float64")
    still = np.isclose(X.T, images / 255.0, atol=1e-6).all(axis=1)
    assert set(labels[still].tolist()) == {1, 7}
    assert set(labels[~still].tolist()) == {0, 2, 3, 4, 5, 6, 8, 9}


def test_pixels_are_left_out_by_the_share_of_images_with_ink():
    """Pixel i has ink in i of 10 images; those in no more than 3 of 10 are left out."""
    images = (np.arange(10)[:, None] < np.arange(6)[None, :]).astype(np.uint8) * 200
    settings = Settings(layers="6-3-2", min_ink=0.3, center=True)
    inputs = Inputs(images, settings, (2, 3), np.zeros(1))
    assert inputs.selected.tolist() == [4, 5]
    np.testing.assert_allclose(inputs.mean[:, 0], [0.4 * 200 / 255, 0.5 * 200 / 255], rtol=1e-6)
    X = inputs.columns(inputs.crop(images), np.zeros(10, np.uint8), Chance({}, 0, False), "float64")
    np.testing.assert_allclose(X, images[:, 4:].T / 255.0 - inputs.mean, rtol=1e-6)


def test_a_batch_has_at_most_the_images_that_are_left(digits):
    """1,400 of 1,500, with 100 held out."""
    images, labels = digits
    dataset = data.Dataset(data.Digits(images[:1500], labels[:1500], "train"), None, "some")
    settings = SMALL.changed(validation=100, batch_size=1400)
    check_fit(settings, dataset)
    with pytest.raises(UsageError, match="--batch-size 1401 is more than the 1400 training images"):
        check_fit(settings.changed(batch_size=1401), dataset)
    check_fit(settings.changed(validation=1499, batch_size=1), dataset)
    with pytest.raises(UsageError, match="--validation 1500 leaves nothing to train on"):
        check_fit(settings.changed(validation=1500, batch_size=1), dataset)


def test_a_clean_ending_takes_the_selected_pixels(digits):
    """Where images are deformed the set is not cropped once for all: each shard is."""
    images, labels = digits[0][:60], digits[1][:60]
    plain = SMALL.changed(min_ink=0.05)
    settings = plain.changed(rotation=20.0, clean_ending=0.5)
    expected = Inputs(images, plain, (28, 28), np.zeros(1))
    found = Inputs(images, settings, (28, 28), np.zeros(1))
    assert 0 < found.pixels < 784
    X = found.columns(found.crop(images), labels, Chance({}, 0, False), "float64")
    Y = expected.columns(expected.crop(images), labels, Chance({}, 0, False), "float64")
    assert X.shape == (found.pixels, 60)
    np.testing.assert_allclose(X * found.factor, Y * expected.factor, rtol=1e-6)


# Layers


def test_each_hidden_layer_has_noise_of_its_own(digits):
    """Of two layers whose sums are 0, the activations are those of the noise alone."""
    images, labels = digits[0][:32], digits[1][:32]
    settings = Settings(layers="784-16-16-10", precision="float64", hidden_noise=0.5)
    inputs = Inputs(images, settings, (28, 28), np.zeros(1))
    theta = np.zeros(network.parameter_count(settings.sizes))
    engine = Engine(theta, settings, images, labels, inputs, 32, 1)
    engine.gradient(slice(0, 32), engine.keys(KEY))
    (first, second) = (engine.shards[0].buffers_for(16).A[layer] for layer in (1, 2))
    assert (first > 0).mean() == pytest.approx(0.5, abs=0.15)
    assert not np.allclose(first, second)
    assert abs(np.corrcoef(first.reshape(-1), second.reshape(-1))[0, 1]) < 0.3


def test_dropped_units_of_every_layer_learn_nothing_in_that_step(digits):
    """Of one image, a unit that was dropped has no gradient, neither into it nor out of it."""
    images, labels = digits[0][:1], digits[1][:1]
    settings = Settings(layers="784-40-40-10", precision="float64", hidden_dropout=0.5)
    inputs = Inputs(images, settings, (28, 28), np.zeros(1))
    theta = network.init(3, settings.sizes, "he", "float64")
    params = network.layers(theta, settings.sizes)
    for _, b in params[:-1]:
        b += 10.0  # so that each unit is active unless it is dropped
    engine = Engine(theta, settings, images, labels, inputs, 1, 1)
    found = engine.gradient(slice(0, 1), engine.keys(KEY))[0]
    slopes = network.layers(found, settings.sizes)
    silent = []
    for layer in (0, 1):
        out_of = (slopes[layer + 1][0] == 0.0).all(axis=0)
        into = (slopes[layer][1] == 0.0)[:, 0]
        np.testing.assert_array_equal(into, out_of)
        assert 0.2 < into.mean() < 0.8
        silent.append(into)
    assert not np.array_equal(*silent)


def test_decay_follows_the_schedule(train):
    """At the end of a linear schedule the rate is nearly 0, and so is the share that is lost."""
    settings = SMALL.changed(
        iterations=1000, schedule="linear", learning_rate=0.2, weight_decay=0.5
    )
    trainer = Trainer(settings, train, NUMPY)
    first, last = trainer.numbers(0, 0.2), trainer.numbers(999, trainer.scheduled_rate(999))
    assert first[0] == pytest.approx(1.0 - 0.2 * 0.5)
    assert last[0] == pytest.approx(1.0 - 0.2 / 1000 * 0.5)
    W = trainer.params[0][0]
    before = W.copy()
    trainer.taken = 999
    trainer.step()
    assert np.abs(W - before).max() < 1e-3


@pytest.mark.parametrize(
    ("activation", "gain"), [("relu", 2.0), ("tanh", 2.1533), ("gelu", 2.1939)]
)
@pytest.mark.parametrize("init", ["he", "glorot"])
def test_first_weights_have_the_gain_of_the_activation(train, activation, gain, init):
    """Of 784 inputs and 200 units, by the gain of the hidden layers' activation."""
    settings = SMALL.changed(layers="784-200-10", init=init, activation=activation)
    W = Trainer(settings, train, NUMPY).params[0][0]
    fan = 784 if init == "he" else 492
    assert W.var() == pytest.approx(gain / fan, rel=0.01)
