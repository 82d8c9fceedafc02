"""Temperature and energy: fitted on held-out images, saved with the model, optional when read."""

from dataclasses import replace

import numpy as np
import pytest

from mnistgpu import network
from mnistgpu.errors import DataError
from mnistgpu.models import calibration, committee, model
from mnistgpu.models.calibration import Calibration
from mnistgpu.settings import Settings


def drawn(temperature, count=4000, seed=0):
    """Probabilities (10, N) that are too sure by a temperature, and labels drawn as they should."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 2.0, (10, count))
    true = np.exp(logits) / np.exp(logits).sum(axis=0)
    labels = np.array([rng.choice(10, p=column) for column in true.T])
    shares = np.exp(logits * temperature)
    return shares / shares.sum(axis=0), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found(temperature):
    found = calibration.fitted(*drawn(temperature))
    assert found.temperature == pytest.approx(temperature, rel=0.1)


def test_calibrated_probabilities_are_right_as_often_as_they_say():
    probabilities, labels = drawn(2.5)
    sure = calibration.fitted(probabilities, labels).calibrated(probabilities)
    np.testing.assert_allclose(sure.sum(axis=0), 1.0)
    right = np.argmax(sure, axis=0) == labels
    assert sure.max(axis=0).mean() == pytest.approx(right.mean(), abs=0.02)
    assert probabilities.max(axis=0).mean() > right.mean() + 0.1


def test_three_in_a_thousand_right_answers_are_unlike_the_training():
    probabilities, labels = drawn(1.0)
    right = np.argmax(probabilities, axis=0) == labels
    unknown = calibration.fitted(probabilities, labels).unknown(probabilities)
    assert unknown[right].mean() == pytest.approx(0.003, abs=0.0005)


def test_energy_is_high_where_all_digits_are_alike():
    sure, even = np.full(10, 1e-6), np.full(10, 0.1)
    sure[3] = 1.0
    nothing = np.zeros(10)
    nothing[3] = 1.0  # float32 has no smaller probabilities
    energies = calibration.energy_of(np.stack([even, sure, nothing], axis=1))
    assert energies[0] == pytest.approx(np.log(0.1))
    assert energies[0] > energies[1] > energies[2]
    assert np.isfinite(energies).all()


def test_few_images_or_no_right_answers_calibrate_nothing():
    probabilities, labels = drawn(1.0, 200)
    assert calibration.fitted(probabilities, labels) is not None
    assert calibration.fitted(probabilities[:, 1:], labels[1:]) is None
    answers = np.argmax(probabilities, axis=0)
    labels = (answers + 1) % 10
    assert calibration.fitted(probabilities, labels) is None
    labels[7] = answers[7]
    assert calibration.fitted(probabilities, labels) is not None


def small_model(found=None):
    theta = np.linspace(-1, 1, network.parameter_count((784, 10))).astype(np.float32)
    return model.Model(theta, (784, 10), calibration=found)


def test_it_is_saved_with_the_model(tmp_path):
    trained = small_model(Calibration(1.25, -7.5))
    model.save(trained, tmp_path / "it.safetensors")
    assert model.load(tmp_path / "it.safetensors") == trained
    model.save(small_model(), tmp_path / "without.safetensors")
    assert model.load(tmp_path / "without.safetensors").calibration is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"temperature": 0, "energy": 1}',
        '{"temperature": 1, "energy": NaN}',
        '{"temperature": 1, "energy": 1, "copies": -1}',
        '{"temperature": 1, "energy": 1, "copies": 2.5}',
        '{"temperature": 1, "energy": 1, "copies": 1025}',
    ],
)
def test_a_damaged_calibration_is_refused(text):
    with pytest.raises(DataError, match=r"^it: its calibration is damaged; copy it or train it"):
        Calibration.from_text(text, "it")


@pytest.mark.parametrize("copies", [1, 16, committee.MOST_MAPS])
def test_copies_are_saved_where_there_are_any(tmp_path, copies):
    """As many as a committee may average over."""
    settings = Settings(layers="784-10", rotation=5.0).as_dict()
    given = replace(small_model(Calibration(1.25, -7.5, copies)), settings=settings)
    model.save(given, tmp_path / "it.safetensors")
    assert model.load(tmp_path / "it.safetensors").calibration == Calibration(1.25, -7.5, copies)
    assert Calibration(1.25, -7.5).text() == '{"energy": -7.5, "temperature": 1.25}'  # as in 0.1.0


def test_copies_need_a_network_that_knows_deformed_images(tmp_path):
    for settings in ({}, Settings(layers="784-10").as_dict()):
        given = replace(small_model(Calibration(1.25, -7.5, 16)), settings=settings)
        model.save(given, tmp_path / "it.safetensors")
        with pytest.raises(DataError, match="but it was trained without deformations; copy it"):
            model.load(tmp_path / "it.safetensors")


def test_a_committee_has_the_mean_of_its_members():
    members = small_model(Calibration(1.0, -6.0)), small_model(Calibration(2.0, -8.0))
    assert committee.Committee(members).calibration == Calibration(1.5, -7.0)
    assert committee.Committee((members[0], small_model())).calibration is None
    copied = small_model(Calibration(2.0, -8.0, 16))
    assert committee.Committee((copied, copied)).calibration == Calibration(2.0, -8.0, 16)
    assert committee.Committee((members[0], copied)).calibration is None  # of different energies
