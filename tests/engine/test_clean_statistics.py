"""Batch normalisation answers images as they are, whatever disturbed those that it learnt from."""

import numpy as np
import pytest

from mnistgpu import network
from mnistgpu.backend import NUMPY
from mnistgpu.data import Digits
from mnistgpu.engine import clean_statistics
from mnistgpu.engine.trainer import Trainer
from mnistgpu.settings import Settings

BASE = Settings(layers="784-40-30-20-10", init="he", validation=0).changed(
    batch_norm=True, batch_size=200, iterations=60, learning_rate=0.3, precision="float64"
)
DISTURBED = {
    "input noise": {"input_noise": 0.5},
    "hidden noise": {"hidden_noise": 0.5},
    "input dropout": {"input_dropout": 0.3},
    "hidden dropout": {"hidden_dropout": 0.3},
    "deformed": {"rotation": 40.0, "shift": 4.0, "images_per_map": 1},
    "cropped": {"input_noise": 0.5, "center": True, "min_ink": 0.05},
    "averaged": {"input_noise": 0.5, "ema": 0.9},
    "denoising": {"input_noise": 0.5, "denoising": 5.0},
    "exact": {"input_noise": 0.5, "hidden_noise": 0.3, "precision": "exact"},
}


def deviations(theta, settings, images):
    """Of the sums of each hidden unit, which are 1 if they are normalised for these images."""
    params = network.layers(np.asarray(theta), settings.sizes)
    _, sums = network.forward(params, images.T / 255.0)
    return np.concatenate([Z.std(axis=1) for Z in sums[:-1]])


@pytest.mark.parametrize("name", DISTURBED)
def test_every_layer_is_normalised_for_clean_images(digits, name):
    settings = BASE.changed(**DISTURBED[name])
    trainer = Trainer(settings, Digits(*digits, "digits"), NUMPY)
    for _ in range(trainer.steps):
        trainer.step()
    before = {name: array.copy() for name, array in trainer.arrays().items()}
    clean = deviations(trainer.plain(), settings, digits[0])
    # not quite, as groups of images are normalised one by one
    np.testing.assert_allclose(clean, 1.0, rtol=0.06)
    by_running_ones = deviations(trainer.engine.plain(trainer.theta), settings, digits[0])
    assert np.abs(clean - 1.0).mean() < 0.5 * np.abs(by_running_ones - 1.0).mean()
    for name, array in trainer.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_set_may_be_sorted_by_class(digits):
    """A folder is read class by class; groups of one class each have other means and variances."""
    images, labels = digits
    order = np.argsort(labels, kind="stable")
    settings = BASE.changed(input_noise=0.3)
    trainer = Trainer(settings, Digits(images[order], labels[order], "digits"), NUMPY)
    for _ in range(trainer.steps):
        trainer.step()
    clean = deviations(trainer.plain(), settings, images)
    np.testing.assert_allclose(clean, 1.0, rtol=0.06)


def test_where_nothing_is_disturbed_no_image_is_looked_at_again(digits, monkeypatch):
    trainer = Trainer(BASE, Digits(*digits, "digits"), NUMPY)
    trainer.step()
    monkeypatch.setattr(clean_statistics, "quiet_shard", pytest.fail)
    trainer.plain()


@pytest.mark.parametrize(("most", "groups"), [(100, 1), (513, 1), (1100, 2), (5000, 3)])
def test_so_many_images_are_looked_at_in_groups_that_are_all_large(
    digits, most, groups, monkeypatch
):
    seen = []
    settings = BASE.changed(input_noise=0.3, batch_size=100)
    trainer = Trainer(settings, Digits(*digits, "digits"), NUMPY)
    trainer.step()
    monkeypatch.setattr(clean_statistics, "MOST", most)
    monkeypatch.setattr(
        type(trainer.engine.shards[0]), "statistics_of", lambda self, X: seen.append(X) or []
    )
    trainer.plain()
    columns = np.concatenate([X.T for X in seen])
    assert len(columns) == min(most, 2000)
    assert len(seen) == groups
    assert min(X.shape[1] for X in seen) >= min(most, 512)
    known = [image.tobytes() for image in digits[0]]
    found = {image.tobytes() for image in np.rint(255.0 * columns).astype(np.uint8)}
    assert found <= set(known)
    assert len(found) > 0.99 * len(columns)  # some images are there twice
