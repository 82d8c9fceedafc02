"""The activation that CONTRIBUTING.md adds, as it stands there: two functions and a row."""

import re

import numpy as np
import pytest
from helpers.mnist import ROOT

from mnistgpu.backend import NUMPY
from mnistgpu.data import Digits
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.maths import activations
from mnistgpu.settings import Settings

SECTION = (ROOT / "CONTRIBUTING.md").read_text().partition("## Add an activation")[2]
FUNCTIONS, ROW = re.findall("```python\n(.*?)```", SECTION.partition("\n## ")[0], re.DOTALL)


@pytest.fixture
def softplus(monkeypatch):
    """The table with the document's row in it; returns that row's activation."""
    names = dict(vars(activations))
    exec(FUNCTIONS, names)
    (row,) = eval(f"{{{ROW}}}", names).items()
    monkeypatch.setitem(activations.ACTIVATIONS, *row)
    return row[1]


def test_without_the_row_the_name_is_unknown():
    with pytest.raises(UsageError, match=r"--activation must be one of .*, not 'softplus'"):
        Settings(activation="softplus")


def test_a_network_learns_with_it_through_settings_alone(softplus, digits):
    settings = Settings(
        layers="784-32-10", init="he", activation="softplus", learning_rate=0.3,
        iterations=60, batch_size=200, validation=0,
    )  # fmt: skip
    trainer = Trainer(settings, Digits(*digits, "digits"), NUMPY)
    with trainer.engine.running():
        losses = [float(trainer.step()[0]) / 200 for _ in range(60)]
    assert losses[0] > 2
    assert np.mean(losses[-10:]) < 0.7


def test_its_derivative_and_its_gain_are_right(softplus):
    z, h = np.linspace(-10, 10, 200_001), 1e-6
    slope = softplus.derivative(z, softplus.value(z))
    numeric = (softplus.value(z + h) - softplus.value(z - h)) / (2 * h)
    np.testing.assert_allclose(slope, numeric, rtol=0, atol=1e-8)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    assert 1 / np.trapezoid(slope**2 * density, z) == pytest.approx(softplus.gain, rel=1e-4)


def test_it_runs_on_every_backend(softplus, space):
    values = softplus.value(space.put(np.asarray([-1e4, 0.0, 1e4], np.float32)))
    np.testing.assert_allclose(space.get(values), [0.0, np.log(2.0), 1e4], rtol=1e-6)
