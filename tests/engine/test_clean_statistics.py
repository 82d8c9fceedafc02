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


def test_where_nothing_is_disturbed_no_image_is_looked_at_again(digits, monkeypatch):
    trainer = Trainer(BASE, Digits(*digits, "digits"), NUMPY)
    trainer.step()
    monkeypatch.setattr(clean_statistics, "quiet_shard", pytest.fail)
    trainer.plain()


@pytest.mark.parametrize("most", [100, 513, 1999])
def test_a_part_of_the_images_is_spread_over_all_of_them(digits, most, monkeypatch):
    """The set may be sorted by class; no group is smaller than the others."""
    seen = []
    settings = BASE.changed(input_noise=0.3, batch_size=100)
    trainer = Trainer(settings, Digits(*digits, "digits"), NUMPY)
    monkeypatch.setattr(clean_statistics, "MOST", most)
    monkeypatch.setattr(
        type(trainer.engine.shards[0]), "statistics_of", lambda self, X: seen.append(X) or []
    )
    clean_statistics.clean_statistics(trainer.engine)
    sizes = {X.shape[1] for X in seen}
    assert len(sizes) == 1
    columns = np.concatenate([X.T for X in seen])
    assert most / 2 < len(columns) <= max(most, 512)
    known = {image.tobytes(): place for place, image in enumerate(digits[0])}
    found = np.rint(255.0 * columns).astype(np.uint8)
    assert {image.tobytes() for image in found} <= set(known)
    places = [known[image.tobytes()] for image in found]
    assert max(np.diff(places)) <= 2 * 2000 / len(columns) + 1
