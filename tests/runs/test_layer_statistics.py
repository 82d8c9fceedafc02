"""The statistics of layers are those of the parameters that each row judges."""

from dataclasses import replace

import numpy as np
import pytest

import mnistgpu
from mnistgpu import network

SETTINGS = {"layers": "784-16-12-10", "init": "he", "validation": 0}
KINDS = {
    "full batches": {"iterations": 6},
    "epochs": {"epochs": 3, "batch_size": 100, "optimizer": "adam", "alpha": 0.01},
    "few pixels": {"epochs": 2, "batch_size": 100, "min_ink": 0.1, "center": True},
    "deformed": {"epochs": 2, "batch_size": 100, "min_ink": 0.1, "rotation": 10.0},
    "normal, averaged": {"epochs": 2, "batch_size": 100, "batch_norm": True, "ema": 0.9},
    "tanh": {"epochs": 2, "batch_size": 100, "activation": "tanh"},
}


class Keep(mnistgpu.Callback):
    def __init__(self):
        self.found = []

    def row(self, row, theta):
        self.found.append((row.iteration, np.array(theta)))


@pytest.fixture(scope="module")
def some(digits):
    return digits[0][:600], digits[1][:600]


@pytest.mark.parametrize("kind", KINDS)
def test_norms_and_ratios_are_those_of_the_parameters(some, kind):
    statistics, kept = mnistgpu.LayerStatistics(), Keep()
    mnistgpu.fit(*some, **SETTINGS | KINDS[kind], callbacks=[statistics, kept])
    assert len(statistics.rows) == 3 * len(kept.found)
    rows, before = iter(statistics.rows), None
    for iteration, theta in kept.found:
        for number, (W, b) in enumerate(network.layers(theta, (784, 16, 12, 10)), 1):
            row = next(rows)
            assert (row.iteration, row.layer, row.units) == (iteration, number, len(b))
            assert row.weight_norm == pytest.approx(np.linalg.norm(W), rel=1e-5)
            assert row.bias_norm == pytest.approx(np.linalg.norm(b), rel=1e-4, abs=1e-6)
            if before is None:
                assert np.isnan(row.update_ratio)
                continue
            old = network.layers(before[1], (784, 16, 12, 10))[number - 1][0]
            moved = np.linalg.norm(W.astype(np.float64) - old) / (iteration - before[0])
            assert row.update_ratio == pytest.approx(moved / np.linalg.norm(W), rel=1e-5)
        before = iteration, theta


def silent(theta, images):
    """How many units of each layer say 0 to all images, by the plain network."""
    A, _ = network.forward(network.layers(theta, (784, 16, 12, 10)), images.T / 255)
    return [*(int(np.sum(hidden.max(axis=1) == 0)) for hidden in A[1:-1]), 0]


@pytest.mark.parametrize("kind", ["epochs", "few pixels", "deformed"])
def test_dead_units_are_counted(some, kind):
    """Units whose bias is far below 0 say nothing; the training does not bring them back."""
    begun = mnistgpu.fit(*some, **SETTINGS, iterations=1).model.trained
    model = replace(begun, theta=begun.theta.copy())
    model.layers[0][1][:5] = -20.0  # far for pixels of 0 to 1
    model.layers[1][1][3] = -1000.0
    statistics, kept = mnistgpu.LayerStatistics(), Keep()
    settings = {name: value for name, value in KINDS[kind].items() if name != "min_ink"}
    mnistgpu.fit(*some, from_run=model, validation=0, **settings, callbacks=[statistics, kept])
    for i, (_, theta) in enumerate(kept.found):
        found = [row.dead_units for row in statistics.rows[3 * i : 3 * i + 3]]
        assert found == silent(theta, some[0])
        assert found[0] >= 5
        assert found[1] >= 1


def test_dead_units_of_a_run_on_few_pixels(some):
    """The images of the run lack pixels that the plain network has."""
    statistics, kept = mnistgpu.LayerStatistics(), Keep()
    mnistgpu.fit(*some, **SETTINGS | KINDS["few pixels"], callbacks=[statistics, kept])
    found = [row.dead_units for row in statistics.rows[-3:]]
    assert found == silent(kept.found[-1][1], some[0])


def test_the_run_keeps_its_bits(some):
    settings = SETTINGS | KINDS["epochs"]
    alone = mnistgpu.fit(*some, **settings)
    seen = mnistgpu.fit(*some, **settings, callbacks=[mnistgpu.LayerStatistics()])
    assert np.array_equal(alone.model.trained.theta, seen.model.trained.theta)


@pytest.mark.gpu
def test_on_a_gpu_they_are_the_same(some):
    cupy = pytest.importorskip("cupy", reason="CuPy is missing")
    if not cupy.is_available():
        pytest.skip("no GPU")
    found = []
    for backend in ("numpy", "cupy"):
        found.append(mnistgpu.LayerStatistics())
        mnistgpu.fit(*some, **SETTINGS | KINDS["few pixels"], backend=backend, callbacks=found[-1:])
    for ours, theirs in zip(found[0].rows, found[1].rows, strict=True):
        assert ours.weight_norm == pytest.approx(theirs.weight_norm, rel=1e-3)
        assert ours.dead_units == theirs.dead_units
