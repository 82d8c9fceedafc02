"""The loop: batches, seeds, the weighting of short batches, divergence, what fits."""

import math

import numpy as np
import pytest
from helpers.callbacks import Recorder

from mnistgpu import counter_rng, data, network
from mnistgpu.backend import NUMPY
from mnistgpu.engine.batches import Shift
from mnistgpu.engine.trainer import Batches, Trainer
from mnistgpu.errors import DataError, RunError, UsageError
from mnistgpu.runs import training
from mnistgpu.runs.outcome import evaluate
from mnistgpu.settings import Settings

ZERO = np.zeros(1)


@pytest.fixture
def dataset(digits):
    images, labels = digits
    return data.Dataset(
        data.Digits(images[:1500], labels[:1500], "train"),
        data.Digits(images[1500:], labels[1500:], "test"),
        "the first digits",
    )


SMALL = Settings(layers="784-16-10", init="he", iterations=30, validation=100, learning_rate=0.3)


def test_a_small_run_learns_and_reports(dataset):
    seen = Recorder()
    outcome = training.train(SMALL, dataset, NUMPY, [seen])
    rows = seen.rows
    assert seen.steps == list(range(1, 31))
    assert rows == outcome.history
    assert seen.outcome is outcome
    assert rows[0].iteration == 1
    assert rows[-1].iteration == 30
    assert rows[-1].train_loss < 0.5 * rows[0].train_loss
    results = outcome.results
    assert results["test_accuracy"] > 0.6
    assert results["test_accuracy"] == np.mean(
        outcome.model.predict(dataset.test.images) == dataset.test.labels
    )
    assert results["validation_accuracy"] == rows[-1].validation_accuracy
    assert results["seconds"] > 0
    assert outcome.model.data_digest == dataset.digest


def test_full_batch_training_is_the_documents_algorithm(dataset):
    settings = Settings(iterations=5, validation=0, learning_rate=0.3, precision="float64")
    outcome = training.train(settings, dataset, NUMPY)
    X = (dataset.train.images.astype(np.float64) / 255).T
    Y = network.one_hot(dataset.train.labels, 10, "float64")
    key = counter_rng.fold_in(counter_rng.key(0, like=ZERO), counter_rng.INIT)
    theta = network.init(key, (784, 10, 10), "uniform", "float64")
    losses = []
    for _ in range(5):
        params = network.layers(theta, (784, 10, 10))
        A, Z = network.forward(params, X)
        losses.append(float(network.cross_entropy(Z[-1], Y)))
        gradient = network.flatten(network.backward(params, A, Z, Y))
        theta = network.gradient_descent(theta, gradient, 0.3)
    np.testing.assert_allclose([row.train_loss for row in outcome.history], losses, rtol=1e-9)
    np.testing.assert_allclose(outcome.model.theta, theta, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("iterations", [1, 99, 250, 777])
def test_full_batches_have_a_row_of_history_every_few_steps(dataset, iterations):
    """Every step of a short run, and at least fifty of a long one."""
    settings = SMALL.changed(iterations=iterations)
    every = Trainer(settings, dataset.train, NUMPY, 1).row_every
    rows = sum(step % every == 0 for step in range(1, iterations + 1))
    assert min(iterations, 50) <= rows < 100


def test_another_batch_size_in_a_run_of_epochs_leaves_the_share_that_is_done(dataset):
    """A quarter: 15 of 60 steps of 100 images, and then 105 of 50."""
    settings = SMALL.changed(iterations=None, epochs=4, batch_size=100, validation=0)
    before = Trainer(settings, dataset.train, NUMPY, 1)
    after = Trainer(settings.changed(batch_size=50), dataset.train, NUMPY, 1, shift=Shift(15, 15))
    assert (before.place_in_run(15), after.place_in_run(15)) == ((15, 60), (30, 120))
    assert (before.place_in_run(60), after.place_in_run(15 + 90)) == ((60, 60), (120, 120))


def test_weights_decay_before_the_step_and_biases_never(dataset):
    """AdamW, as its paper and PyTorch have it."""
    settings = SMALL.changed(optimizer="adam", weight_decay=0.5, learning_rate=0.1, validation=0)
    with_decay, without = (
        Trainer(each, dataset.train, NUMPY)
        for each in (settings, settings.changed(weight_decay=0.0))
    )
    start = network.layers(without.theta.copy(), settings.sizes)
    for trainer in (with_decay, without):
        trainer.step()
    parts = zip(start, with_decay.params, without.params, strict=True)
    for (W0, _), (W, b), (W_without, b_without) in parts:
        np.testing.assert_allclose(W, W_without - 0.05 * W0, atol=1e-7)
        np.testing.assert_array_equal(b, b_without)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1, -1]), "label -1 of image 2 is negative"),
        (np.array([0, 1]), r"shape \(3,\), one for each image, not int64 of shape \(2,\)"),
        (np.array([0.0, 1.0, 2.0]), "must be integers"),
        (None, "must be integers"),
    ],
)
def test_labels_made_by_hand_are_looked_at(labels, message):
    train = data.Digits(np.zeros((3, 784), dtype=np.uint8), labels, "mine")
    with pytest.raises(DataError, match=f"mine: .*{message}"):
        training.train(SMALL.changed(validation=0), data.Dataset(train, None, "mine"), NUMPY)


@pytest.mark.parametrize("batch_size", [None, 128])
def test_same_seed_same_bits_other_seed_other_bits(dataset, batch_size):
    settings = SMALL.changed(batch_size=batch_size)
    first, again, other = (
        training.train(settings.changed(seed=seed), dataset, NUMPY).model.theta
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_epoch_shows_every_image_once_in_another_order():
    batches = Batches(counter_rng.key(0, like=ZERO), 103, 25)
    assert batches.per_epoch == 5
    epochs = [[batches.rows(5 * e + b) for b in range(5)] for e in range(2)]
    assert [len(rows) for rows in epochs[0]] == [25, 25, 25, 25, 3]
    orders = [np.concatenate(epoch) for epoch in epochs]
    for order in orders:
        assert sorted(order.tolist()) == list(range(103))
    assert not np.array_equal(*orders)
    again = Batches(counter_rng.key(0, like=ZERO), 103, 25)
    assert np.array_equal(again.rows(7), epochs[1][2])  # any step, without the ones before it


def test_images_seen_are_those_of_every_epoch():
    batches = Batches(counter_rng.key(0, like=ZERO), 103, 25)
    assert [batches.seen(step) for step in (0, 1, 4, 5, 6, 12)] == [0, 25, 100, 103, 128, 256]
    assert Batches(counter_rng.key(0, like=ZERO), 103, None).seen(7) == 721


def test_the_last_short_batch_is_weighted_by_its_images(dataset):
    """Training figures of an epoch are means over images, not over batches."""
    settings = SMALL.changed(epochs=1, batch_size=1399, learning_rate=1e-9, validation=100)
    outcome = training.train(settings, dataset, NUMPY)  # 1400 images: batches of 1399 and of 1
    training_digits, _ = data.split(dataset.train, 100, 0)
    loss, accuracy = evaluate(outcome.model.theta, settings, training_digits, NUMPY)
    assert outcome.history[-1].train_loss == pytest.approx(loss, rel=1e-5)
    assert outcome.history[-1].train_accuracy == pytest.approx(accuracy)


def test_divergence_stops_the_run_and_names_alpha(dataset):
    with np.errstate(all="ignore"), pytest.raises(RunError, match=r"diverged.*--alpha"):
        training.train(SMALL.changed(learning_rate=1e30, precision="float32"), dataset, NUMPY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": "100-10"}, r"--layers begins with 100.*28x28 = 784"),
        ({"layers": "784-9"}, r"--layers ends with 9.*end it with 10"),
        ({"batch_size": 5000}, r"--batch-size 5000 is more than the 1400 training images"),
    ],
)
def test_settings_that_do_not_fit_the_data(dataset, change, message):
    with pytest.raises(UsageError, match=message):
        training.train(SMALL.changed(**change), dataset, NUMPY)


def test_without_validation_and_without_a_test_set(dataset):
    dataset = data.Dataset(dataset.train, None, "no test")
    outcome = training.train(SMALL.changed(validation=0), dataset, NUMPY)
    assert math.isnan(outcome.history[-1].validation_accuracy)
    assert outcome.results["validation_accuracy"] is None
    assert outcome.results["test_accuracy"] is None


def test_history_rows_of_epochs(dataset):
    settings = SMALL.changed(epochs=3, batch_size=100)
    rows = training.train(settings, dataset, NUMPY).history
    assert [row.iteration for row in rows] == [1, 14, 28, 42]
    assert [row.epoch for row in rows[1:]] == [1, 2, 3]
    seconds = [row.seconds for row in rows]
    assert seconds == sorted(seconds)
