"""Runs with something changed on purpose: what is changed, and that nothing else is."""

from dataclasses import replace

import numpy as np
import pytest

from mnistgpu import network
from mnistgpu.backend import NUMPY
from mnistgpu.engine.cpu import processes
from mnistgpu.errors import UsageError
from mnistgpu.runs import twists
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.training import train
from mnistgpu.settings import Settings

SETTINGS = Settings(
    layers="784-16-10", init="he", batch_size=100, epochs=2, alpha=0.1, validation=0
)


class Seen(Callback):
    """What a run begins with, and which rows its first batches have."""

    def begin(self, trainer, progress, stop):
        self.first, self.trainer = np.array(trainer.theta), trainer
        self.rows = np.array(trainer.batches.rows(0))

    def warning(self, sentence):
        self.warnings = [*getattr(self, "warnings", []), sentence]


def trained(settings, dataset, chosen):
    changed, callbacks = twists.applied(chosen, dataset, settings.seed)
    seen = Seen()
    outcome = train(settings, changed, NUMPY, [*callbacks, seen])
    return outcome, seen


def theta(settings, dataset, chosen):
    return trained(settings, dataset, chosen)[0].model.theta


def test_without_twists_a_run_is_as_it_is(dataset):
    changed, callbacks = twists.applied({}, dataset, 0)
    assert changed is dataset
    assert callbacks == []


@pytest.mark.parametrize(
    "more",
    [{}, {"center": True, "min_ink": 0.1}, {"batch_norm": True}, {"batch_size": None}],
    ids=str,
)
def test_zero_weights_stay_zero_but_for_the_last_biases(dataset, more):
    outcome, seen = trained(SETTINGS.changed(**more), dataset, {"zero-weights": True})
    assert not seen.first.any()
    assert not seen.trainer.first_arrays()["theta"].any()  # which fast steps are compared from
    (W, b), (V, c) = outcome.model.layers
    assert not W.any()
    assert not b.any()
    assert not V.any()
    assert c.any()
    assert not [each for each in getattr(seen, "warnings", []) if "plain form" in each]


@pytest.mark.parametrize("more", [{}, {"center": True, "min_ink": 0.1}], ids=str)
def test_other_first_weights_are_those_of_another_seed_and_the_images_stay(dataset, more):
    settings = SETTINGS.changed(**more)
    _, plain = trained(settings, dataset, {})
    _, other = trained(settings, dataset, {"other-first-weights": 2})
    _, of_seed = trained(settings.changed(seed=2), dataset, {})
    np.testing.assert_array_equal(other.first, of_seed.first)
    np.testing.assert_array_equal(other.trainer.first_arrays()["theta"], of_seed.first)
    assert int(other.trainer.key) == int(plain.trainer.key)
    np.testing.assert_array_equal(other.rows, plain.rows)
    assert (of_seed.rows != plain.rows).any()


def test_unscaled_pixels_are_so_for_every_image(dataset):
    validation = replace(dataset.test, source="validation")
    given = replace(dataset, validation=validation)
    changed, callbacks = twists.applied({"unscaled-pixels": True}, given, 0)
    for digits in (changed.train, changed.test, changed.validation):
        assert digits.images.dtype == np.float32
        assert digits.images.max() == 255
    assert callbacks == []
    # the first step multiplies the pixels themselves
    outcome = train(SETTINGS.changed(alpha=1e-12), changed, NUMPY)
    plain = train(SETTINGS.changed(alpha=1e-12), given, NUMPY)
    X = given.train.images[:5].T.astype(np.float64)
    Z = network.forward(network.layers(plain.model.theta, (784, 16, 10)), X)[1][-1]
    found = outcome.model.logits(changed.train.images[:5])
    np.testing.assert_allclose(found, Z, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["shuffled-labels", "copies-of-a-digit"])
def test_the_test_images_stay_as_they_are(dataset, name):
    value = {"shuffled-labels": 1.0, "copies-of-a-digit": "2 x 7"}[name]
    changed, _ = twists.applied({name: value}, dataset, 0)
    assert changed.test is dataset.test
    assert changed.train.digest != dataset.train.digest


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"batch_size": None, "epochs": 5},
        {"optimizer": "adam", "l2": 0.01},
        {"layers": "784-32-10"},
    ],
    ids=["batches", "several shards", "adam", "units for processes"],
)
def test_the_wrong_gradient_moves_all_biases_of_a_layer_alike(digits, dataset, monkeypatch, more):
    # several shards are several workers elsewhere, or processes, as are many units
    monkeypatch.setattr(processes, "MULTIPLY_ADDS", 1)
    monkeypatch.setattr(processes, "cores", lambda: 2)
    many = replace(dataset.train, images=np.tile(digits[0], (2, 1)), labels=np.tile(digits[1], 2))
    settings = SETTINGS.changed(**more)
    chosen = {"bias-gradient-over-everything": True}
    outcome, seen = trained(settings, replace(dataset, train=many), chosen)
    (_, b), (_, c) = outcome.model.layers
    assert np.ptp(b) < 1e-5
    assert abs(b[0, 0]) > 1e-3
    if not more.get("optimizer"):  # Adam makes steps of a length of their own
        assert np.abs(c).max() < 1e-5
    assert len(seen.trainer.engine.shards) == 1
    assert not [each for each in getattr(seen, "warnings", []) if "plain form" in each]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"zero-weight": True}, "did you mean zero-weights?"),
        ({"zero-weights": 1}, "the twist zero-weights must be true, not 1"),
        ({"zero-weights": False}, "the twist zero-weights must be true, not False"),
        ({"shuffled-labels": True}, "the twist shuffled-labels must be a share greater than 0, up"),
        ({"shuffled-labels": 1.5}, "the twist shuffled-labels must be a share greater than 0, up"),
        ({"shuffled-labels": "all"}, "the twist shuffled-labels must be a share greater than 0"),
        ({"other-first-weights": 1.5}, "must be a whole number below 1000, not 1.5"),
        ({"other-first-weights": 1000}, "must be a whole number below 1000, not 1000"),
        ({"copies-of-a-digit": 40}, 'the twist copies-of-a-digit must be such as "40 x 7", not 40'),
    ],
    ids=str,
)
def test_what_is_no_twist_is_said(dataset, chosen, said):
    with pytest.raises(UsageError) as raised:
        twists.applied(chosen, dataset, 0)
    assert said in str(raised.value)


def test_every_twist_says_what_it_does_in_one_sentence():
    for name, twist in twists.TWISTS.items():
        assert twist.help.endswith("."), name
        assert (twist.data is None) != (twist.callback is None), name
