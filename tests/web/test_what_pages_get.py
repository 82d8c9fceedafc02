"""What the pages are sent, and what is kept of them: every row, every unit, every drawing."""

import json
import math

import numpy as np
import pytest
from helpers.web import ask

from mnistgpu import data
from mnistgpu.runs import watching
from mnistgpu.runs.history import Row
from mnistgpu.web.keep import Kept

draw = pytest.importorskip("mnistgpu.web.draw", reason="starlette is missing")
watch = pytest.importorskip("mnistgpu.web.watch", reason="starlette is missing")


def test_each_kept_drawing_is_added_to_the_others(tmp_path):
    kept = Kept(tmp_path / "mine", (28, 28))
    drawings = np.random.default_rng(0).integers(0, 256, (3, 784), dtype=np.uint8)
    for count, (drawing, label) in enumerate(zip(drawings, (3, 1, 9), strict=True), 1):
        assert kept.add(drawing, label) == count
    found = data.load(tmp_path / "mine").train
    assert found.labels.tolist() == [3, 1, 9]
    np.testing.assert_array_equal(found.images, drawings)


def test_units_of_tanh_are_shown_by_how_far_they_are_from_zero():
    found = draw.activity(np.array([-1.0, 0.5, 0.0, 0.004]))
    assert found == {"units": 4, "active": 2, "strengths": [255, 128, 0, 1]}


def test_the_page_gets_each_row_once():
    """It asks for the rows after those that it has."""
    rows = [Row(i, float(i), 0.1, 2.0, 0.5, math.nan, math.nan, 0.1) for i in range(1, 6)]
    units, shares = [np.ones((2, 6), np.float32)] * 5, [np.full((1, 10), 0.1, np.float32)] * 5
    images, labels = np.zeros((1, 6), np.uint8), np.zeros(1, np.uint8)
    seen = watching.Snapshots((2, 3), images, labels, rows, units, shares, 9)
    page = watch.WatchPage("a test", seen, print)
    page.place.bound.close()
    for after in range(6):
        found = page.state(after)
        assert [row["iteration"] for row in found["rows"]] == list(range(after + 1, 6))
        assert all(row["validation_loss"] is None for row in found["rows"])
        assert (found["steps"], "units" in found) == (9, after < 5)


def test_a_page_that_is_told_of_the_end_has_all_rows():
    """A run may end while its rows are read: then the page must ask once more."""
    seen = watching.Snapshots((2, 3), np.zeros((1, 6), np.uint8), np.zeros(1), [], [], [], 9)
    page = watch.WatchPage("a test", seen, print)
    rows_of = page.state

    def ending(after):
        found = rows_of(after)
        page.finished = True  # and another row may have come before
        return found

    page.state = ending
    with page.background:
        answers = [
            json.loads(ask(page.place.bound.getsockname(), "GET", "/state?after=0")[1])["finished"]
            for _ in range(2)
        ]
    assert answers == [False, True]
