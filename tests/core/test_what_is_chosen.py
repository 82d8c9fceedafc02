"""Where two sources name a choice: which of them counts, and by which name it is refused."""

import re

import numpy as np
import pytest

from mnistgpu import backend, network, recipes
from mnistgpu.errors import UsageError
from mnistgpu.settings import Settings


def test_a_backend_that_is_named_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv(backend.ENVIRONMENT_VARIABLE, "nonsense")
    assert backend.select("numpy").name == "numpy"
    with pytest.raises(UsageError, match="unknown backend 'nonsense'"):
        backend.select()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": "fast"}, "--alpha must be float, not 'fast'"),
        ({"learning_rate": -1.0}, "--alpha must be a finite number greater than 0, not -1.0"),
        ({"clip_norm": "short"}, "--clip-norm must be float or None, not 'short'"),
        ({"batch_norm": 1}, "--batch-norm must be bool, not 1"),
        ({"seed": True}, "--seed must be int, not True"),
    ],
)
def test_a_wrong_value_is_named_by_the_flag_of_the_documents(changes, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Settings(**changes)


def test_record_deforms_as_documented():
    """Ciresan's deformations, but with maps that images share, a shear and a shift."""
    found = recipes.named("record").settings.deformation
    assert (found.rotation, found.rotation_1_7, found.scaling) == (15.0, 7.5, 0.175)
    assert (found.elastic, found.elastic_sigma) == (2.34, 5.5)
    assert (found.images_per_map, found.shear, found.shift) == (32, 0.15, 2.0)


@pytest.mark.parametrize(("how", "fan"), [("he", 400), ("glorot", 250)])
def test_first_weights_have_the_variance_of_their_paper(how, fan):
    """Gain / n_in, or gain / the mean of n_in and n_out, of 400 and 100."""
    (W, _), (last, _) = network.layers(network.init(0, (400, 100, 10), how), (400, 100, 10))
    assert W.var() == pytest.approx(2.0 / fan, rel=0.02)
    assert last.var() == pytest.approx(1.0 / {400: 100, 250: 55}[fan], rel=0.15)
    assert abs(W.mean()) < 3 * np.sqrt(2.0 / fan / W.size)


def test_no_step_may_take_all_of_a_weight():
    assert Settings(learning_rate=0.5, weight_decay=1.99).weight_decay == 1.99
    for decay in (2.0, 3.0):
        with pytest.raises(
            UsageError, match=r"--weight-decay . times --alpha 0.5 must be less than 1"
        ):
            Settings(learning_rate=0.5, weight_decay=decay)
