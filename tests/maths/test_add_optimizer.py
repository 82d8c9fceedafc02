"""The optimiser that CONTRIBUTING.md adds, as it stands there: one function and one row."""

import re

import numpy as np
import pytest
from helpers.mnist import ROOT

from mnistgpu.backend import NUMPY
from mnistgpu.data import Digits
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.maths import optimizers
from mnistgpu.settings import Settings

SECTION = (ROOT / "CONTRIBUTING.md").read_text().partition("## Add an optimiser")[2]
FUNCTION, ROW = re.findall("```python\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
def rmsprop(monkeypatch):
    """The table with the document's row in it; returns that row's optimiser."""
    names = dict(vars(optimizers))
    exec(FUNCTION, names)
    (row,) = eval(f"{{{ROW}}}", names).items()
    monkeypatch.setitem(optimizers.OPTIMIZERS, *row)
    return row[1]


def test_without_the_row_the_name_is_unknown():
    with pytest.raises(UsageError, match=r"--optimizer must be one of .*, not 'rmsprop'"):
        Settings(optimizer="rmsprop")


def test_a_network_learns_with_it_through_settings_alone(rmsprop, digits):
    settings = Settings(
        layers="784-32-10", init="he", optimizer="rmsprop", learning_rate=0.002,
        iterations=60, batch_size=200, validation=0,
    )  # fmt: skip
    trainer = Trainer(settings, Digits(*digits, "digits"), NUMPY)
    assert set(trainer.state) == {"mean_square"}
    with trainer.engine.running():
        losses = [float(trainer.step()[0]) / 200 for _ in range(60)]
    assert losses[0] > 2
    assert np.mean(losses[-10:]) < 0.7


def test_its_steps_are_those_of_the_formula(rmsprop):
    """Against the formula for each entry, in Python's own numbers."""
    theta, expected, mean_square = np.asarray([1.0, -2.0, 3.0]), [1.0, -2.0, 3.0], [0.0] * 3
    state = rmsprop.start(theta)
    for step in range(5):
        gradient = np.asarray([0.1, -3.0, 0.0]) * (step + 1)
        for i, slope in enumerate(gradient.tolist()):
            mean_square[i] = 0.9 * mean_square[i] + 0.1 * slope**2
            expected[i] -= 0.01 * slope / (mean_square[i] ** 0.5 + 1e-8)
        rmsprop.update(theta, gradient, state, 0.01, step)
    np.testing.assert_allclose(theta, expected, rtol=1e-12)


def test_it_runs_on_every_backend(rmsprop, space):
    theta, gradient = space.own(np.ones(5, np.float32)), space.own(np.full(5, 2.0, np.float32))
    rmsprop.update(theta, gradient, rmsprop.start(theta), 0.1, 0)
    np.testing.assert_allclose(space.get(theta), 1 - 0.1 / np.sqrt(0.1), rtol=1e-6)
