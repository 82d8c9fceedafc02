"""What the frames of an animation and the pictures of a search and of deformations show."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mnistgpu.reports import animation, page, study_plots
from mnistgpu.runs.history import Row
from mnistgpu.runs.watching import Snapshots
from mnistgpu.settings import Settings

ANSWERS = ([0, 2, 2], [0, 1, 2])  # of each row, to digits labelled 0, 1, 2


@pytest.fixture(scope="module")
def snapshots():
    """Two rows of a run on images of 2x3 pixels: the second digit is answered right at the end."""
    rows = [
        Row(1, 0.1, 0.5, 2.5, 0.30, math.nan, math.nan, 0.1),
        Row(40, 4.0, 9.0, 0.5, 0.90, math.nan, math.nan, 0.1),
    ]
    units = [np.full((2, 6), 0.1 * i, np.float32) for i in (1, 5)]
    shares = [np.eye(3, dtype=np.float32)[answers] for answers in ANSWERS]
    images = np.arange(18, dtype=np.uint8).reshape(3, 6)
    return Snapshots((2, 3), images, np.array([0, 1, 2]), rows, units, shares, 40)


def texts(figure):
    axes = [text.get_text() for ax in figure.axes for text in ax.texts]
    return [*axes, *(text.get_text() for text in figure.texts)]


@pytest.mark.parametrize(
    ("i", "iterations", "accuracies", "losses", "shown"),
    [
        (0, [1], [0.3], [2.5], {"iteration 1", "30.0%", "2.500", "2 of 3 right"}),
        (1, [1, 40], [0.3, 0.9], [2.5, 0.5], {"iteration 40", "90.0%", "0.500", "3 of 3 right"}),
    ],
)
def test_a_frame_shows_the_run_up_to_its_row(snapshots, i, iterations, accuracies, losses, shown):
    figure = animation.frame(snapshots, i, "a title")
    accuracy, loss, *_ = figure.axes
    for ax, values in ((accuracy, accuracies), (loss, losses)):
        curve, point = ax.lines  # there is no validation
        assert list(curve.get_xdata()) == iterations
        assert list(curve.get_ydata()) == values
        assert list(point.get_ydata()) == values[-1:]
        assert ax.get_xlim()[1] >= 40  # the axes of all frames hold the whole run
    assert shown | {"a title"} <= set(texts(figure))


@pytest.mark.parametrize("i", [0, 1])
def test_wrong_answers_have_the_colour_of_mistakes(snapshots, i):
    figure = animation.frame(snapshots, i, "a title")
    answers = figure.axes[-1].texts[-3:]
    assert [text.get_text() for text in answers] == [str(answer) for answer in ANSWERS[i]]
    expected = [
        page.BLUE if a == b else page.VERMILLION for a, b in zip(ANSWERS[i], range(3), strict=True)
    ]
    assert [to_rgb(text.get_color()) for text in answers] == [to_rgb(each) for each in expected]


def test_the_line_of_a_search_stands_at_the_rate_suggested():
    figure = study_plots.learning_rates([0.1, 1.0, 10.0], [2.0, 1.0, 3.0], 0.33)
    curve, line = figure.axes[0].lines
    assert list(curve.get_xdata()) == [0.1, 1.0, 10.0]
    assert list(curve.get_ydata()) == [2.0, 1.0, 3.0]
    assert set(line.get_xdata()) == {0.33}
    assert any(text.startswith("suggested 0.33") for text in texts(figure))


def test_each_deformed_copy_has_a_map_of_its_own(digits):
    """Even of the same image, though images of a training step may share maps."""
    image = digits[0][:1].repeat(2, axis=0)
    settings = Settings(rotation=20.0, shift=2.0, images_per_map=32)
    figure = study_plots.deformations(image, settings, (28, 28))
    grid = np.asarray(figure.axes[0].images[0].get_array())
    rows = [grid[at : at + 28] for at in (0, 29)]
    tiles = [row[:, at : at + 28] for row in rows for at in range(0, 29 * 13, 29)]
    assert len(tiles) == 26
    for original in (tiles[0], tiles[13]):
        np.testing.assert_array_equal(original, image[0].reshape(28, 28))
    copies = np.array([tile.round(2).reshape(-1) for tile in [*tiles[1:13], *tiles[14:]]])
    assert len(np.unique(copies, axis=0)) == 24
