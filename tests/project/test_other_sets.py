"""benchmarks/other_sets.py: both searches get the same rows and the same time."""

import time

import numpy as np
import pytest
from helpers.mnist import ROOT

pytest.importorskip("sklearn", reason="scikit-learn is not installed")


@pytest.fixture
def sets(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import other_sets

    return other_sets


def test_no_row_of_the_test_is_learnt_from(sets):
    for task in sets.TASKS:
        given = sets.parts(task, 0)
        X, X_held, y, y_held = sets.held_out(given, 0)
        assert (len(X), len(X_held)) == (len(y), len(y_held))
        rows = [{row.tobytes() for row in np.asarray(part)} for part in (X, X_held, given.X_test)]
        assert not (rows[0] | rows[1]) & rows[2]
        assert sum(map(len, (X, X_held, given.X_test))) == len(task.load(return_X_y=True)[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_searches_end_in_time_and_find_something(sets):
    rows = sets.standardised(sets.parts(sets.TASKS[1], 0))
    for kind, draw in ((sets.MnistGpuClassifier, sets.ours), (sets.MLPClassifier, sets.theirs)):
        begun = time.monotonic()
        accuracy, tried = sets.searched(kind, draw, rows, 0.05, 0)
        assert accuracy > 0.8
        assert tried > 1
        assert time.monotonic() - begun >= 3
    begun = time.monotonic()
    accuracy, tried = sets.tuned(sets.parts(sets.TASKS[0], 0), 0.2, 0)
    assert accuracy > 0.85
    assert tried > 3
    assert time.monotonic() - begun < 60  # 12 s, and what was chosen once more
