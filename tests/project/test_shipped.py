"""The model that comes with the package, and how two networks become one."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from helpers.mnist import read_idx

from mnistgpu import models, network
from mnistgpu.models import model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shipped():
    spec = importlib.util.spec_from_file_location("shipped", ROOT / "benchmarks" / "shipped.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_small_and_known():
    assert models.SHIPPED.stat().st_size < 1_000_000
    own = model.load(models.SHIPPED)
    assert own.data_digest == models.SHIPPED_DATA  # else its test images count as unknown
    assert own.calibration is not None


def test_it_answers_as_its_readme_says():
    """The test images are read for this figure alone."""
    images = read_idx("t10k-images-idx3-ubyte", 10_000)
    labels = read_idx("t10k-labels-idx1-ubyte", 10_000)
    share = np.mean(model.load(models.SHIPPED).predict(images) == labels)
    assert f"It answers {share:.2%} of MNIST's 10,000 test images" in (
        ROOT / "mnistgpu" / "models" / "README.md"
    ).read_text(encoding="utf-8").replace("\n", " ")
    assert share >= 0.994


def small(seed, rng):
    sizes = (12, 6, 4, 3)
    theta = network.init(seed, sizes, "he") + rng.normal(0, 0.1, network.parameter_count(sizes))
    return model.Model(theta.astype(np.float32), sizes, (3, 4))


def test_two_networks_side_by_side_have_the_mean_of_their_logits(shipped):
    rng = np.random.default_rng(0)
    pair = [small(seed, rng) for seed in (1, 2)]
    layers = shipped.side_by_side(*(each.layers for each in pair))
    theta = np.concatenate([part.ravel() for layer in layers for part in layer])
    both = model.Model(theta.astype(np.float32), (12, 12, 8, 3), (3, 4))
    images = rng.integers(0, 256, (5, 12)).astype(np.uint8)
    mean = (pair[0].logits(images) + pair[1].logits(images)) / 2
    np.testing.assert_allclose(both.logits(images), mean, rtol=1e-4, atol=1e-5)


def test_units_that_are_removed_leave_their_mean(shipped, monkeypatch):
    """Of units that are always the same none is missed."""
    rng = np.random.default_rng(0)
    whole = small(1, rng)
    for W, b in whole.layers[:-1]:
        W[1], b[1] = 0.0, 0.5  # always 0.5
    images = rng.integers(0, 256, (5, 12)).astype(np.uint8)
    before = whole.logits(images)
    monkeypatch.setattr(shipped, "KEPT", (5, 3))
    layers = shipped.pruned(whole, images)
    assert [W.shape for W, _ in layers] == [(5, 12), (3, 5), (3, 3)]
    theta = np.concatenate([part.ravel() for layer in layers for part in layer])
    less = model.Model(theta.astype(np.float32), (12, 5, 3, 3), (3, 4))
    np.testing.assert_allclose(less.logits(images), before, rtol=1e-4, atol=1e-5)
