"""Runs with a loss that asks for no labels, and all that begins with them."""

import numpy as np
import pytest

import mnistgpu
from mnistgpu.backend import NUMPY
from mnistgpu.data import Dataset, Digits
from mnistgpu.errors import UsageError
from mnistgpu.recipes import RECIPES
from mnistgpu.runs import halving, training, twists
from mnistgpu.web.experiments.reading import settings_in

HOW = {"layers": "784-16-10", "batch_size": 100, "epochs": 1, "progress": False}
DECODER = {"denoising": 50.0, "batch_norm": True, "input_noise": 0.3, "information": 0.3}


@pytest.fixture(scope="module")
def run():
    train = mnistgpu.load_data().train
    return mnistgpu.fit(train.images[:600], train.labels[:600], validation=0, **HOW, **DECODER)


def test_another_run_begins_with_its_network_alone(run, digits):
    begun = mnistgpu.fit(*digits, from_run=run, epochs=1, progress=False)
    assert begun.settings.denoising == begun.settings.information == 0.0
    with pytest.raises(UsageError, match="a network of --from has in its weights already"):
        mnistgpu.fit(*digits, from_run=run, denoising=1.0, progress=False)


def test_its_student_has_no_decoder(run, digits):
    student = mnistgpu.distill(run, *digits, progress=False)
    assert student.settings.denoising == student.settings.information == 0.0
    assert student.settings.input_noise == 0.3


def test_a_search_keeps_the_noise_that_a_decoder_takes_away(run):
    base = run.settings.changed(epochs=1)
    made = halving.candidates(base, 40, 0, ["denoising"], True)
    assert {each.input_noise for each in made[1:]} == {0.15, 0.3}


def test_a_search_keeps_the_deformation_that_consistency_needs():
    made = halving.candidates(RECIPES["few"].settings, 27, 0, [], True)
    assert {each.consistency for each in made} == {1.0}
    assert all(each.deformation.is_deforming for each in made)


def test_a_run_that_begins_with_a_network_of_few_learns_from_labels_alone(digits):
    begun = mnistgpu.fit(*digits, recipe="few", layers="784-12-10", epochs=1, progress=False)
    assert begun.settings.consistency == 1.0
    again = mnistgpu.fit(*digits, from_run=begun, epochs=1, adversarial=1.0, progress=False)
    assert again.settings.consistency == again.settings.information == 0.0


def test_an_experiment_may_have_one():
    class File:
        def at(self, key, table):
            return key

    given = {"denoising": 10.0, "batch_norm": True, "input_noise": 0.3}
    assert settings_in(File(), given, "settings") == given


def test_a_wrong_gradient_of_the_network_leaves_the_decoder_alone(run, digits):
    settings = run.settings.changed(epochs=1, validation=0)
    dataset = Dataset(Digits(*digits, "x"), None, "x")
    chosen = {"bias-gradient-over-everything": True}
    twisted, callbacks = twists.applied(chosen, dataset, 0)
    trained = training.train(settings, twisted, NUMPY, callbacks)
    plain = training.train(settings, dataset, NUMPY)
    assert not np.array_equal(trained.model.theta, plain.model.theta)
