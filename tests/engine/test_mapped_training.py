"""Training on images that stay in their files: to the bit what the same images in memory give."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.made_sets import in_memory, make_plain, small_units

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.data import windows
from mnistgpu.data.mapped import MappedImages
from mnistgpu.data.windows import Windows
from mnistgpu.engine import trainer as trainers
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.runs import training
from mnistgpu.settings import Settings

COUNT = 3000
SMALL = Settings(layers="784-24-10", batch_size=100, epochs=2, validation=0, learning_rate=0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with small_units():
        return make_plain(tmp_path_factory.mktemp("set") / "set", COUNT, 1024)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    """Of four blocks of 128 images."""
    for name, value in (("BLOCK", 128), ("TOGETHER", 4), ("LENGTH", 512)):
        monkeypatch.setattr(windows, name, value)


def trained(settings, digits, processes=1, steps=None):
    """All that a run computes; MappedImages or not, by the order of windows."""
    trainer = Trainer(settings, digits, NUMPY)
    losses = []
    with trainer.engine.running(), stepping(trainer, processes=processes) as step:
        while trainer.taken < (steps or trainer.steps):
            losses.append(step()[0])
    return {**trainer.vectors(), "plain": trainer.plain(), "losses": np.array(losses)}


def both(settings, folder, monkeypatch, **how):
    mapped = data.load(folder).train
    assert isinstance(mapped.images, MappedImages)
    from_files = trained(settings, mapped, **how)
    plain = replace(mapped, images=in_memory(folder))
    monkeypatch.setattr(trainers, "windows_of", lambda given, there: Windows(len(given)))
    return from_files, trained(settings, plain, **how)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"layers": "784-10"},
        {"min_ink": 0.05, "center": True},
        {"min_ink": 0.05, "rotation": 10.0, "input_noise": 0.1},
        {"precision": "exact", "center": True, "min_ink": 0.05},
        {"batch_norm": True, "ema": 0.9, "hidden_dropout": 0.1},
        {"rotation": 10.0, "rotation_1_7": 5.0, "images_per_map": 8},
        {"batch_size": 1500},
        {"class_weight": "balanced"},
    ],
    ids=str,
)
def test_the_same_bits_as_from_memory(folder, changes, monkeypatch):
    changes = {"epochs": 1} | changes
    from_files, from_memory = both(SMALL.changed(**changes), folder, monkeypatch)
    assert from_files.keys() == from_memory.keys()
    for name, array in from_memory.items():
        assert np.array_equal(from_files[name], array), name


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": "784-64-64-10"},  # shared out by units
        {"layers": "784-64-64-10", "min_ink": 0.05},
        {"batch_size": 1200, "input_noise": 0.1},  # and by images
    ],
    ids=str,
)
def test_several_processes_read_them(folder, changes, monkeypatch):
    settings = SMALL.changed(epochs=1, **changes)
    from_files, from_memory = both(settings, folder, monkeypatch, processes=2)
    for name, array in from_memory.items():
        assert np.array_equal(from_files[name], array), name


def test_ones_and_sevens_are_the_last_of_each_batch(folder):
    digits = data.load(folder).train
    changes = {"rotation": 10.0, "rotation_1_7": 5.0, "images_per_map": 8}
    batches = Trainer(SMALL.changed(**changes), digits, NUMPY).batches
    for step in (0, 3, 29):
        limited = np.isin(digits.labels[batches.rows(step)], (1, 7))
        assert 0 < limited.sum() < 100
        assert (np.diff(limited.astype(int)) >= 0).all()


def test_a_whole_run_learns_and_repeats_its_bits(folder):
    dataset = data.load(folder)
    settings = SMALL.changed(epochs=4, optimizer="adam", learning_rate=0.005)
    first, again = (training.train(settings, dataset, NUMPY) for _ in range(2))
    assert first.results["test_accuracy"] > 0.85
    assert first.results["validation_accuracy"] > 0.85
    assert np.array_equal(first.model.theta, again.model.theta)
    other = training.train(settings.changed(seed=1), dataset, NUMPY)
    assert not np.array_equal(first.model.theta, other.model.theta)


def test_full_batches_are_refused_before_anything_is_read(folder):
    dataset = data.load(folder)
    for size in (None, COUNT):
        with pytest.raises(UsageError, match=r"not read all at once .* give a --batch-size"):
            training.train(SMALL.changed(batch_size=size), dataset, NUMPY)


def test_every_backend_trains_on_the_same_order(folder, other_space, monkeypatch):
    """Also a GPU, to whose memory the images are copied."""
    mapped = data.load(folder).train
    settings = SMALL.changed(iterations=12, epochs=None)
    here = Trainer(settings, mapped, NUMPY)
    there = Trainer(settings, mapped, other_space.backend())
    for trainer in (here, there):
        for _ in range(12):
            trainer.step()
    theta = other_space.get(there.theta)
    assert np.abs(here.theta - theta).max() < 1e-4 * np.abs(here.theta).max()
    rows = [other_space.get(there.batches.rows(i)) for i in range(12)]
    assert np.array_equal(rows, [here.batches.rows(i) for i in range(12)])
