"""The curves of loss and accuracy: drawn from any history, saved and read back."""

import math

import numpy as np
import pytest
from helpers.plots import curve, history, saved, texts
from matplotlib.colors import to_rgb

from mnistgpu.reports import page, plots

pytestmark = pytest.mark.usefixtures("no_warnings")


def test_curves_are_the_history(tmp_path):
    rows = history()
    figure = plots.curves(rows)
    loss, accuracy = figure.axes
    for axes, quantity in ((loss, "loss"), (accuracy, "accuracy")):
        for part in ("train", "validation"):
            expected = np.column_stack([rows["iteration"], rows[f"{part}_{quantity}"]])
            np.testing.assert_array_equal(curve(axes, part), expected)
    assert loss.get_xlabel() == "iteration  (to epoch 40 in 24.0 s)"
    assert saved(figure, tmp_path).shape[1] == 1100


def test_a_loss_that_falls_far_is_drawn_in_logarithms():
    rows = history()
    assert plots.curves(rows).axes[0].get_yscale() == "linear"
    rows["train_loss"] = 2.3 * np.exp(-rows["iteration"] / 300)
    rows["validation_loss"] = rows["train_loss"]
    axes = plots.curves(rows).axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] <= min(rows["train_loss"])


@pytest.mark.parametrize(
    ("values", "bottom"),
    [([0.1, 0.93, 0.98], 0.9), ([0.1, 0.2, 0.9], 0.0), ([0.97], 0.95), ([1.0, 1.0], 0.95)],
)
def test_accuracy_begins_where_it_can_be_read(values, bottom):
    rows = {"iteration": range(1, len(values) + 1), "train_accuracy": values}
    low, high = plots.curves(rows).axes[1].get_ylim()
    assert low == pytest.approx(bottom)
    assert 1.0 < high < 1.03  # a curve at 100% is not cut in half


@pytest.mark.parametrize("missing", [(), [math.nan] * 40, [None] * 40])
def test_without_validation_there_is_one_curve(missing, tmp_path):
    figure = plots.curves({**history(), "validation_loss": missing, "validation_accuracy": missing})
    for axes in figure.axes:
        assert [line.get_label().split()[0] for line in axes.lines] == ["train"]
        assert not any("validation" in text.get_text() for text in axes.get_legend().texts)
    saved(figure, tmp_path)


def test_gaps_in_the_validation_are_bridged():
    rows = history()
    rows["validation_loss"][1::2] = math.nan
    points = curve(plots.curves(rows).axes[0], "validation")
    np.testing.assert_array_equal(points[:, 0], rows["iteration"][::2])


def test_a_single_row_is_a_visible_point(tmp_path):
    figure = plots.curves(history(rows=1, first=2))
    pixels = saved(figure, tmp_path)
    blue = np.array(to_rgb(page.BLUE)) * 255
    below_the_legend = pixels[45:]
    assert np.sum(np.max(np.abs(below_the_legend - blue), axis=2) < 8) > 10
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert ticks[:3] == ["0", "1", "2"]
    assert figure.axes[0].get_xlim() == pytest.approx((0.0, 2.04))


@pytest.mark.parametrize("rows", [{}, {"iteration": [], "train_loss": []}])
def test_an_empty_history_says_so(rows, tmp_path):
    figure = plots.curves(rows)
    assert texts(figure).count("nothing recorded") == 2
    saved(figure, tmp_path)
