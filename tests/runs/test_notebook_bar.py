"""The bar in a notebook's cell: what it shows of a run, and when it is drawn again."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from mnistgpu.runs.history import Row
from mnistgpu.runs.notebook import REFRESH_SECONDS, CellBar, clock
from mnistgpu.runs.stop import Stop


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (5.4, "0:05"), (59.6, "1:00"), (61, "1:01"), (3599.4, "59:59"),
     (3600, "1:00:00"), (3723, "1:02:03"), (36000, "10:00:00")],
)  # fmt: skip
def test_a_time_as_a_clock_shows_it(seconds, shown):
    assert clock(seconds) == shown


class Cell:
    """Where a notebook shows the bar; keeps the texts that were shown."""

    def __init__(self):
        self.texts, self.pages = [], []

    def update(self, content, raw):
        assert raw
        self.texts.append(content["text/plain"])
        self.pages.append(content["text/html"])


def test_steps_figures_and_the_time_left(monkeypatch):
    """Of a run that goes on after 20 of 100 steps, with 2 steps a second."""
    clock_of_test, cell = [1000.0], Cell()
    monkeypatch.setattr(time, "perf_counter", lambda: clock_of_test[0])

    def display(self, content, **how):
        cell.update(content, raw=True)
        return cell

    monkeypatch.setattr(CellBar, "_display", display)
    trainer = SimpleNamespace(steps=100, taken=20)

    def step(seconds, taken):
        clock_of_test[0], trainer.taken = 1000.0 + seconds, taken
        bar.step(trainer, None)

    with CellBar() as bar:
        bar.begin(trainer, None, Stop())
        step(0.9 * REFRESH_SECONDS, 21)  # too soon to be drawn again
        step(0.6, 21)  # soon enough to be seen moving
        step(10.0, 40)
        step(10.0 + 0.9 * REFRESH_SECONDS, 41)  # so is this
        nothing = np.nan
        row = Row(44, 1.0, 12.0, 0.5, 0.75, nothing, nothing, 0.1)
        bar.row(row, None)
        step(12.0, 44)
        step(40.0, 100)
    assert cell.texts == [
        "20 of 100",
        "21 of 100  0:47 left",
        "40 of 100  0:30 left",
        "44 of 100  0:28 left  loss 0.5000  train 0.7500",
        "100 of 100  loss 0.5000  train 0.7500",
        "100 of 100  loss 0.5000  train 0.7500",
    ]
    assert cell.pages[2] == (
        '<div><progress value="40" max="100" style="width: 16em"></progress> '
        "<code>40 of 100  0:30 left</code></div>"
    )
