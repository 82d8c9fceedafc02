"""Regularisation: gradients with everything switched on, expectations, bounds, folding."""

import numpy as np
import pytest

from mnistgpu import counter_rng, network
from mnistgpu.backend import NUMPY
from mnistgpu.data import Dataset, Digits
from mnistgpu.engine.gradient import Engine, statistics_shares
from mnistgpu.engine.inputs import Inputs
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.maths import regularize
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.runs import training
from mnistgpu.settings import Settings

ZERO = np.zeros(1)
SMALL = Settings(layers="784-9-8-10", precision="float64", init="he")


def make_engine(settings, images, labels, rows=None, seed=0, **kwargs):
    inputs = Inputs(images, settings, (28, 28), ZERO)
    sizes = (inputs.pixels, *settings.sizes[1:])
    theta = network.init(counter_rng.key(seed, like=ZERO), sizes, "he", "float64")
    return Engine(theta, settings, images, labels, inputs, rows or len(images), **kwargs)


REGULARISED = {
    "plain": {},
    "batch norm": {"batch_norm": True},
    "hidden noise": {"hidden_noise": 0.5},
    "input noise": {"input_noise": 0.5},
    "dropout": {"hidden_dropout": 0.3, "input_dropout": 0.1},
    "label smoothing": {"label_smoothing": 0.1},
    "l2": {"l2": 0.05},
    "centre and crop": {"center": True, "min_ink": 0.05},
    "deformed": {"rotation": 10.0, "elastic": 1.0, "images_per_map": 4},
    "everything": {
        "batch_norm": True,
        "hidden_noise": 0.2,
        "hidden_dropout": 0.2,
        "input_noise": 0.2,
        "label_smoothing": 0.1,
        "center": True,
        "min_ink": 0.02,
        "rotation": 10.0,
        "l2": 0.01,
    },
}
CASES = [(name, "relu") for name in REGULARISED]
CASES += [(name, a) for a in ACTIVATIONS for name in ("plain", "dropout", "everything")]


@pytest.mark.parametrize(("name", "activation"), sorted(set(CASES)))
def test_gradient_against_central_differences(digits, name, activation):
    """Noise is a function of the key, so the loss is too, and its differences can be taken."""
    images, labels = digits[0][:24], digits[1][:24]
    changes = REGULARISED[name] | {"activation": activation}
    settings = SMALL.changed(**changes)
    engine = make_engine(settings, images, labels, seed=1, workers=1, shard_rows=12)
    theta, keys = engine.theta, engine.keys(counter_rng.key(5, like=ZERO))

    def loss():
        _, total, _ = engine.gradient(slice(0, 24), keys)
        squares = sum((W**2).sum() for W, _ in network.layers(theta, engine.sizes))
        return float(total) / 24 + settings.l2 / 2 * float(squares)

    analytic = engine.gradient(slice(0, 24), keys)[0].copy()
    params = network.layers(theta, engine.sizes)
    hidden = analytic[params[0][0].size :]  # all but W_1, entry by entry
    h, numeric = 1e-6, np.empty_like(hidden)
    for i in range(len(hidden)):
        at = len(analytic) - len(hidden) + i
        before = theta[at]
        theta[at] = before + h
        above = loss()
        theta[at] = before - h
        numeric[i] = (above - loss()) / (2 * h)
        theta[at] = before
    # a hidden unit nearer than h to a kink would spoil an entry or two, so count them
    wrong = np.abs(hidden - numeric) > 1e-6 * np.abs(hidden).max() + 1e-8
    assert wrong.mean() < 0.01, np.abs(hidden - numeric).max()

    direction = counter_rng.normals(counter_rng.key(6, like=ZERO), theta.shape, "float64")
    direction /= np.linalg.norm(direction)
    start = theta.copy()
    theta += h * direction
    above = loss()
    theta[...] = start - h * direction
    slope = (above - loss()) / (2 * h)
    assert float(analytic @ direction) == pytest.approx(slope, rel=2e-5, abs=1e-8)


def test_noise_and_dropout_do_not_depend_on_the_workers(digits):
    images, labels = digits[0][:300], digits[1][:300]
    settings = SMALL.changed(hidden_dropout=0.5, hidden_noise=0.3, input_noise=0.3)
    key = counter_rng.key(1, like=ZERO)
    gradients = []
    for workers in (1, 2, 3):
        engine = make_engine(settings, images, labels, workers=workers, shard_rows=50)
        with engine.running():
            gradients.append(engine.gradient(slice(0, 300), engine.keys(key))[0].copy())
    for other in gradients[1:]:
        np.testing.assert_allclose(other, gradients[0], rtol=1e-9, atol=1e-12)
    again = make_engine(settings, images, labels, shard_rows=50)
    other_keys = again.keys(counter_rng.key(2, like=ZERO))
    another = again.gradient(slice(0, 300), other_keys)[0]
    assert not np.allclose(another, gradients[0])


CUT = {name: changes for name, changes in REGULARISED.items() if name != "plain"} | {
    "1 and 7 apart": {"rotation": 10.0, "rotation_1_7": 3.0, "images_per_map": 4},
    "maps and groups": {"shift": 2.0, "images_per_map": 15, "batch_norm": True},
    "tanh": {"activation": "tanh", "batch_norm": True, "hidden_noise": 0.2},
    "adversarial": {"adversarial": 1.0, "hidden_dropout": 0.2, "input_noise": 0.2},
    "adversarial groups": {"adversarial": 1.0, "batch_norm": True},
    "information": {"information": 0.5, "input_noise": 0.2},
}


@pytest.mark.parametrize("count", [100, 71, 1])
@pytest.mark.parametrize("changes", CUT.values(), ids=CUT)
def test_where_a_batch_is_cut_changes_rounding_alone(digits, changes, count):
    """A batch of 100 images, and the short last one of an epoch."""
    images, labels = digits[0][:100], digits[1][:100]
    settings, found = SMALL.changed(**{"images_per_map": 4} | changes), []
    for workers, rows in ((1, 100), (1, 10), (2, 30), (3, 1), (1, None)):
        engine = make_engine(settings, images, labels, workers=workers, shard_rows=rows)
        with engine.running():
            keys = engine.keys(counter_rng.key(1, like=ZERO))
            gradient, loss, right = engine.gradient(slice(0, count), keys)
            statistics = [each for layer in engine.batch_statistics for each in layer]
            found.append((gradient.copy(), loss, right, *statistics))
    for other in found[1:]:
        for here, there in zip(found[0], other, strict=True):
            # deformations are computed in float32
            np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-5)


def test_dropout_keeps_the_mean_and_drops_its_share():
    A = np.ones((200, 500), dtype=np.float32)
    kept = regularize.drop(A, counter_rng.key(0, like=ZERO), 0.3)
    assert A.dtype == np.float32
    assert np.array_equal(A, kept)
    assert (A == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert A.mean() == pytest.approx(1.0, abs=0.01)
    assert A.max() == pytest.approx(1 / 0.7)


def test_coins_at_the_ends_of_the_range():
    key = counter_rng.key(0, like=ZERO)
    assert counter_rng.coins(key, (1000,), 1.0).all()
    assert not counter_rng.coins(key, (1000,), 0.0).any()


def test_noise_has_its_deviation():
    Z = np.zeros((300, 300))
    regularize.add_noise(Z, counter_rng.key(0, like=ZERO), 0.3)
    assert Z.std() == pytest.approx(0.3, rel=0.02)
    assert abs(Z.mean()) < 0.005


def test_normalize_makes_mean_zero_and_variance_one():
    Z = counter_rng.normals(counter_rng.key(0, like=ZERO), (5, 1000), "float64") * 3 + 7
    raw = Z.copy()
    mean, deviation = regularize.normalize(Z)
    np.testing.assert_allclose(Z.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(Z.var(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(Z * deviation + mean, raw)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("group", [7, 10, 35, 69, 70, 100])
def test_groups_are_views_that_are_normalised_each_for_itself(order, group):
    Z = np.array(
        counter_rng.normals(counter_rng.key(0, like=ZERO), (5, 70), "float64"), order=order
    )
    raw = Z.copy()
    groups = regularize.normalize_groups(Z, group)
    parts = [raw[:, i : i + group] for i in range(0, 70, group)]
    for i, part in enumerate(parts):
        expected = (part - part.mean(axis=1, keepdims=True)) / np.sqrt(
            part.var(axis=1, keepdims=True) + regularize.VARIANCE_FLOOR
        )
        np.testing.assert_allclose(Z[:, i * group : (i + 1) * group], expected, atol=1e-12)
    mean, variance = regularize.statistics(groups)
    np.testing.assert_allclose(mean[:, 0], raw.mean(axis=1), rtol=1e-9, atol=1e-12)
    within = sum(part.shape[1] * part.var(axis=1) for part in parts) / 70
    np.testing.assert_allclose(variance[:, 0], within + regularize.VARIANCE_FLOOR, rtol=1e-9)


@pytest.mark.parametrize("order", ["C", "F"])
def test_normalize_and_its_backward_are_their_formulas(order):
    """Whether rows or columns lie together in memory, as in wide layers and in narrow ones."""
    N, dN = (counter_rng.normals(counter_rng.key(i, like=ZERO), (30, 70)) * 2 + 1 for i in (1, 2))
    normalized, dZ = np.array(N, order=order), np.array(dN, order=order)
    mean, deviation = regularize.normalize(normalized)
    N = N.astype(np.float64)
    np.testing.assert_allclose(mean, N.mean(axis=1, keepdims=True), rtol=1e-5)
    expected = np.sqrt(N.var(axis=1, keepdims=True) + regularize.VARIANCE_FLOOR)
    np.testing.assert_allclose(deviation, expected, rtol=1e-5)
    N = (N - N.mean(axis=1, keepdims=True)) / expected
    np.testing.assert_allclose(normalized, N, atol=1e-5)
    regularize.normalize_backward(dZ, normalized, deviation)
    along = (dN * N).mean(axis=1, keepdims=True)
    expected = (dN - dN.mean(axis=1, keepdims=True) - N * along) / expected
    np.testing.assert_allclose(dZ, expected, atol=1e-5)


def test_clipping_shortens_long_gradients_alone():
    for length in (0.5, 1.0, 20.0):
        gradient = np.asarray([0.6, 0.8]) * length
        regularize.clip(gradient, 1.0)
        assert np.linalg.norm(gradient) == pytest.approx(min(length, 1.0))
        assert gradient[0] / gradient[1] == pytest.approx(0.75)


def test_max_norm_bounds_the_weights_into_every_unit():
    theta = network.init(counter_rng.key(0, like=ZERO), (784, 20, 10), "uniform", "float64")
    params = network.layers(theta, (784, 20, 10))
    params[1][0][...] *= 0.01  # short ones stay as they are
    short = params[1][0].copy()
    bias = params[0][1].copy()
    regularize.limit_norms(params, 3.0)
    np.testing.assert_allclose(np.linalg.norm(params[0][0], axis=1), 3.0)
    np.testing.assert_array_equal(params[1][0], short)
    np.testing.assert_array_equal(params[0][1], bias)


def test_weight_decay_leaves_biases_alone():
    theta = np.ones(network.parameter_count((4, 3, 2)))
    params = network.layers(theta, (4, 3, 2))
    regularize.decay(params, 0.9)
    for W, b in params:
        np.testing.assert_allclose(W, 0.9)
        np.testing.assert_array_equal(b, 1.0)


def dataset(digits, count=1200):
    images, labels = digits
    train = Digits(images[:count], labels[:count], "train")
    return Dataset(train, Digits(images[count:], labels[count:], "test"), "the first digits")


def test_the_average_of_the_weights_has_its_closed_form(digits):
    settings = SMALL.changed(ema=0.8, iterations=6, batch_size=100, learning_rate=0.3)
    trainer = Trainer(settings, dataset(digits).train, NUMPY)
    np.testing.assert_array_equal(trainer.plain(), trainer.theta)  # of no steps
    thetas = []
    for _ in range(6):
        trainer.step()
        thetas.append(trainer.theta.copy())
    weights = np.asarray([0.2 * 0.8 ** (5 - i) for i in range(6)])
    expected = sum(w * t for w, t in zip(weights, thetas, strict=True)) / weights.sum()
    np.testing.assert_allclose(trainer.plain(), expected, rtol=1e-12)


def test_averaged_weights_have_statistics_of_their_own(digits):
    """Their sums are normalised to variance 1, and so are not those of the newest weights alone."""
    settings = SMALL.changed(
        ema=0.99, batch_norm=True, batch_size=400, learning_rate=3.0, iterations=40
    )
    train = dataset(digits).train
    trainer = Trainer(settings, train, NUMPY)
    for _ in range(trainer.steps):
        trainer.step()
    before = {name: array.copy() for name, array in trainer.arrays().items()}
    (W, _), *_ = network.layers(trainer.plain(), settings.sizes)
    deviations = (W @ (train.images / 255.0).T).std(axis=1)
    np.testing.assert_allclose(deviations, 1.0, rtol=0.05)
    average = trainer.state["average"] / (1 - 0.99**40)
    (W, _), *_ = network.layers(trainer.engine.plain(average), settings.sizes)
    by_running_ones = (W @ (train.images / 255.0).T).std(axis=1)
    assert np.abs(by_running_ones - 1.0).max() > 0.1
    for name, array in trainer.arrays().items():
        np.testing.assert_array_equal(array, before[name])
    trainer.step()  # and the run goes on as if nobody had asked
    other = Trainer(settings, train, NUMPY)
    for _ in range(trainer.taken):
        other.step()
    np.testing.assert_array_equal(other.theta, trainer.theta)


def test_running_statistics_begin_with_the_first_batch_and_follow_ever_more_slowly(digits):
    settings = SMALL.changed(batch_norm=True, batch_size=100, learning_rate=0.3)
    trainer = Trainer(settings, dataset(digits).train, NUMPY)
    untrained = trainer.plain().copy()
    np.testing.assert_array_equal(untrained, trainer.theta)  # nothing is normalised by nothing
    expected = None
    for kept in (0.0, 2 / 12, 3 / 13, 4 / 14):
        trainer.step()
        newest = [[each.copy() for each in layer] for layer in trainer.engine.batch_statistics]
        expected = newest if expected is None else [
            [kept * old + (1 - kept) * new for old, new in zip(*pair, strict=True)]
            for pair in zip(expected, newest, strict=True)
        ]  # fmt: skip
        for found, layer in zip(trainer.engine.running_statistics, expected, strict=True):
            np.testing.assert_allclose(found, layer, rtol=1e-12)
    assert statistics_shares(10**4) == (0.99, pytest.approx(0.01))


def test_folding_gives_the_plain_network_with_the_same_answers(digits):
    """Normalised, centred, on selected pixels: the saved 784-... network answers the same."""
    settings = SMALL.changed(
        batch_norm=True, center=True, min_ink=0.05, epochs=10, batch_size=100, optimizer="adam",
        learning_rate=0.01,
    )  # fmt: skip
    digits_ = dataset(digits).train
    trainer = Trainer(settings, digits_, NUMPY)
    for _ in range(trainer.steps):
        trainer.step()
    engine = trainer.engine
    assert engine.sizes[0] < 784
    X = digits_.images[:, np.asarray(engine.inputs.selected)] / 255.0
    A = (X - np.asarray(engine.inputs.mean).T).T
    for layer, (W, b) in enumerate(trainer.params):
        Z = W @ A
        if layer < 2:
            mean, variance = engine.running_statistics[layer]
            A = np.maximum((Z - mean) / np.sqrt(variance) + b, 0)
    by_hand = network.softmax(Z + b)
    plain = network.layers(trainer.plain(), settings.sizes)
    A, _ = network.forward(plain, (digits_.images / 255.0).T)
    np.testing.assert_allclose(A[-1], by_hand, atol=1e-9)
    assert (A[-1].argmax(axis=0) == digits_.labels).mean() > 0.8


def test_prediction_is_not_disturbed(digits):
    """Dropout and noise belong to training: a model answers as the plain network does."""
    settings = SMALL.changed(
        hidden_dropout=0.5, input_dropout=0.2, input_noise=1.0, iterations=20, validation=0
    )
    trained = training.train(settings, dataset(digits), NUMPY).model
    images = digits[0][:50]
    params = network.layers(trained.theta, trained.sizes)
    A, _ = network.forward(params, (images / 255.0).T)
    np.testing.assert_allclose(trained.probabilities(images), A[-1], rtol=1e-9)


def test_early_stopping_keeps_the_best_weights(digits):
    settings = SMALL.changed(
        layers="784-64-10", epochs=60, batch_size=50, learning_rate=1.0, validation=200,
        early_stopping=3, hidden_noise=0.3,
    )  # fmt: skip
    outcome = training.train(settings, dataset(digits), NUMPY)
    rows = outcome.history
    accuracies = [row.validation_accuracy for row in rows]
    assert outcome.results["iterations"] < 60 * 20
    assert outcome.results["validation_accuracy"] == max(accuracies)
    best = max(rows, key=lambda row: (row.validation_accuracy, -row.validation_loss))
    assert rows[-1].epoch - best.epoch == 3


def test_early_stopping_without_validation_is_refused(digits):
    with pytest.raises(UsageError, match="--early-stopping needs held-out images"):
        training.train(SMALL.changed(early_stopping=2, validation=0), dataset(digits), NUMPY)


def test_a_clean_ending_shows_images_as_they_are(digits):
    images, labels = digits[0][:50], digits[1][:50]
    settings = SMALL.changed(rotation=20.0, clean_ending=0.5, iterations=4)
    engine = make_engine(settings, images, labels)
    plain = make_engine(SMALL, images, labels)
    clean, loss, _ = engine.gradient(slice(0, 50), deform=False)
    expected, expected_loss, _ = plain.gradient(slice(0, 50))
    np.testing.assert_allclose(clean, expected, rtol=1e-9, atol=1e-12)
    assert loss == pytest.approx(expected_loss)
    keys = engine.keys(counter_rng.key(0, like=ZERO))
    assert engine.gradient(slice(0, 50), keys, deform=True)[1] != pytest.approx(expected_loss)
