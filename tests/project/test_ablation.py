"""benchmarks/ablation.py: each row changes something, and the table is that of its file."""

import json

import numpy as np
import pytest
from helpers.mnist import ROOT

RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture
def ablation(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import ablation

    return ablation


def test_each_row_changes_what_is_measured(ablation):
    for name, rows in ablation.CHANGES.items():
        base = ablation.settings_of(name)
        assert base.epochs <= ablation.RECIPES[name].settings.epochs
        changed = [base.changed(**changes) for changes in rows.values()]
        assert changed[0] == base
        assert all(a != b for i, a in enumerate(changed) for b in changed[:i]), name


def test_few_is_measured_without_the_test_set(ablation):
    dataset = ablation.digits_for("few", 0)
    assert (len(dataset.train), len(dataset.validation), dataset.test) == (100, 1000, None)
    assert np.bincount(dataset.train.labels).tolist() == [10] * 10
    judged = {image.tobytes() for image in dataset.validation.images}
    assert len(dataset.train.unlabeled) == 58_900
    assert not judged & {image.tobytes() for image in dataset.train.unlabeled}


def test_the_table_is_that_of_the_figures(ablation):
    found = json.loads((RESULTS / "ablation.json").read_text())
    assert ablation.table(found) == (RESULTS / "ablation.md").read_text()
