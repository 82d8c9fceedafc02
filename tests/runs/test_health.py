"""What makes a run useless stops it, and what makes it suspicious is said."""

import warnings

import numpy as np
import pytest
from helpers.callbacks import Recorder

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DivergedError
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.runs import health, training
from mnistgpu.runs.twists import FirstWeights
from mnistgpu.settings import Settings

SMALL = Settings().changed(layers="784-16-10", init="he", iterations=20, validation=0)


def dataset(images, labels):
    return data.Dataset(data.Digits(images, labels, "some digits"), None, "some digits")


@pytest.fixture
def few(digits):
    images, labels = digits
    return dataset(images[:600], labels[:600])


def seen_until_divergence(settings, few):
    """The steps that were taken before the run was stopped, and what was said."""
    seen = Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy says nothing before we do
        with pytest.raises(DivergedError) as refusal:
            training.train(settings, few, NUMPY, [seen])
    return len(seen.steps), str(refusal.value)


def test_a_full_batch_stops_at_the_step_that_left_the_numbers(few):
    """One step too long makes the parameters infinite: no second one is taken."""
    taken, said = seen_until_divergence(SMALL.changed(learning_rate=1e39), few)
    assert taken == 0
    assert "the parameters are no longer finite numbers at iteration 1," in said
    assert "try --alpha 0.1 instead of 1e+39, or --clip-norm 1" in said


def test_a_loss_that_is_no_number_is_named(few):
    taken, said = seen_until_divergence(SMALL.changed(learning_rate=1e25), few)
    assert taken <= 2
    assert f"the loss is nan at iteration {taken + 1}, probably because the steps are too" in said


def test_final_parameters_that_overflow_are_no_model(few, monkeypatch):
    """Those that are trained are finite, those to predict with need not be."""
    right = Trainer.plain
    monkeypatch.setattr(Trainer, "plain", lambda self: right(self) + np.float32(np.inf))
    with pytest.raises(DivergedError, match="final parameters are not finite numbers at iter"):
        training.train(SMALL.changed(iterations=2), few, NUMPY)


def test_mini_batches_stop_within_an_epoch(few):
    settings = SMALL.changed(learning_rate=1e30, batch_size=20, epochs=5)
    taken, said = seen_until_divergence(settings, few)
    assert taken < 30
    assert "at iteration 30" in said


def test_workers_say_nothing_before_we_do(few):
    """Threads have floating-point settings of their own; batches in shards are theirs."""
    settings = SMALL.changed(learning_rate=1e30, activation="leaky-relu", input_noise=0.1)
    assert seen_until_divergence(settings, few)[0] <= 3


def test_noise_beyond_measure_is_named_as_the_cause(few):
    taken, said = seen_until_divergence(SMALL.changed(input_noise=1e38), few)
    assert taken == 0
    assert "of the noise, for pixels are scaled to 0 to 1; try --input-noise 0.3" in said


@pytest.mark.parametrize("what", ["loss", "theta"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_number_is_enough(what, value):
    loss, theta = np.float32(30.0), np.zeros(1000, dtype=np.float32)
    assert health.check(loss, 10, theta, 7, SMALL) == 3.0
    if what == "loss":
        loss = np.float32(value)
    else:
        theta[617] = value
    with np.errstate(invalid="ignore"), pytest.raises(DivergedError, match="at iteration 7"):
        health.check(loss, 10, theta, 7, SMALL)


def warnings_of(settings, few):
    seen = Recorder()
    training.train(settings, few, NUMPY, [seen])
    return seen.warnings


def test_usual_digits_and_units_raise_no_warning(few):
    assert warnings_of(SMALL.changed(learning_rate=0.1), few) == []


def test_units_are_judged_after_an_epoch_and_not_after_the_first_step(few):
    """Units of a layer that seem dead at first may live as those before them learn."""

    class Epochs(Recorder):
        def warning(self, sentence):
            epochs.append(self.rows[-1].epoch)

    epochs, dead = [], FirstWeights(lambda trainer: trainer.theta * 0.0 - 1.0)
    settings = SMALL.changed(batch_size=100, epochs=2)
    training.train(settings, few, NUMPY, [dead, Epochs()])
    assert epochs == [1.0]


def test_dead_units_are_named(few):
    """One step far too long, and hardly a unit is left that answers to any image."""
    some = dataset(few.train.images[:100], few.train.labels[:100])
    settings = SMALL.changed(learning_rate=300.0, layers="784-40-10", batch_size=10)
    said = warnings_of(settings.changed(epochs=3), some)
    assert len(said) == 2  # each once, and not after every epoch
    assert "units of hidden layer 1 are dead (0 for all of 100 images)" in said[0]
    assert "probably because units are dead" in said[1]
    assert "try a smaller --alpha than 300, or --init he" in said[0]


@pytest.mark.parametrize(("alive", "warns"), [(0, 1), (1, 1), (2, 0), (20, 0)])
def test_more_than_nine_in_ten_is_too_many(few, alive, warns):
    settings = SMALL.changed(layers="784-20-10")
    theta = np.zeros(784 * 20 + 20 + 20 * 10 + 10, dtype=np.float32)
    theta[784 * 20 : 784 * 20 + alive] = 1.0  # biases of the first layer
    assert len(health.of_units(theta, settings, few.train, NUMPY)) == warns
    for other in ACTIVATIONS.keys() - {"relu"}:  # whose units are not dead at 0
        others = settings.changed(activation=other)
        assert health.of_units(theta, others, few.train, NUMPY) == []


@pytest.mark.parametrize(("brightest", "warns"), [(1, 1), (16, 1), (127, 1), (128, 0), (255, 0)])
def test_pixels_that_were_scaled_before(digits, brightest, warns):
    images, labels = digits
    dim = (images[:50] / 255 * brightest).round().astype(np.uint8)
    said = health.of_data(data.Digits(dim, labels[:50], "dim.npz"))
    assert len(said) == warns
    if warns:
        assert f"dim.npz: the brightest pixel is {brightest}, where ink should be 255" in said[0]


def test_blank_images_are_warned_of_and_not_refused(few):
    blank = dataset(np.zeros_like(few.train.images), few.train.labels)
    said = warnings_of(SMALL.changed(iterations=2), blank)
    assert said[0].startswith("some digits: the brightest pixel is 0, where ink should be 255")


def test_a_single_class(few):
    labels = np.full(600, 3, dtype=np.uint8)
    said = warnings_of(SMALL, dataset(few.train.images, labels))
    assert len(said) == 1
    assert said[0].startswith("some digits: all 600 labels are 3: a network learns to answer that")
