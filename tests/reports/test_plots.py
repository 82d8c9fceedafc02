"""Pictures of a run: really drawn, saved and read back."""

import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from helpers.plots import RED, box, history, red_pixels, sample, saved, texts
from matplotlib.colors import to_rgb
from PIL import Image

from mnistgpu.errors import RunError, ShapeError, UsageError
from mnistgpu.reports import metrics, page, plots

pytestmark = pytest.mark.usefixtures("no_warnings")


def test_the_report_has_all_its_parts(digits, tmp_path):
    confusion, *rest = sample(digits)
    figure = plots.report(history(), confusion, *rest, "784-10-10", "the embedded MNIST")
    written = texts(figure)
    for title in ("784-10-10", "the embedded MNIST", "Loss", "Accuracy", "Confusion"):
        assert title in written
    assert {"First-layer weights", "Predictions", "10 of 10 units"} <= set(written)
    assert "22 of 24 right; in a frame: answer ≠ truth" in written
    assert {"train 0.2598", "validation 0.3598", "train 95.97%", "validation 93.97%"} <= set(
        written
    )
    assert [str(count) in written for count in np.diagonal(confusion)] == [True] * 10
    assert sum("%" in text and ("  " in text) for text in written) == 24  # a label for each digit
    pixels = saved(figure, tmp_path)
    assert pixels.shape[1] == 1100
    assert 900 < pixels.shape[0] < 1400
    assert pixels[:5].min() == 255  # a white margin
    assert 0.02 < np.mean(pixels.min(axis=2) < 128) < 0.4


def test_a_long_title_stays_on_the_page_and_is_no_formula(digits, tmp_path):
    title = r"run $\frac{ x_1$ " + "word " * 60
    figure = plots.report(history(), *sample(digits), title, "x" * 400)
    pixels = saved(figure, tmp_path)
    for edge in (pixels[:, :4], pixels[:, -4:], pixels[:4], pixels[-4:]):
        assert edge.min() == 255
    assert any(text.startswith(r"run $\frac{ x_1$ word") for text in texts(figure))


def test_a_wrong_answer_is_marked_by_colour_and_by_sign(digits, tmp_path):
    _, images, labels, probabilities, _ = sample(digits, k=12, wrong=(3,))
    figure = plots.predictions(images, labels, probabilities)
    (axes,) = figure.axes
    label = f"{(labels[3] + 1) % 10} ≠ {labels[3]}  80%"
    marked = [text for text in axes.texts if text.get_color() == page.VERMILLION]
    assert [text.get_text() for text in marked] == [label]
    assert sum("≠" in text.get_text() for text in axes.texts) == 1
    pixels = saved(figure, tmp_path)
    left, bottom, right, _ = box(figure, label)
    columns = np.flatnonzero(np.max(np.abs(pixels - RED), axis=2).min(axis=0) < 8)
    assert left - 4 <= columns.min() < columns.max() <= right + 4  # the frame is above its label
    assert red_pixels(pixels[: int(len(pixels) - bottom - 15)]) > 400  # and it is there


def test_right_answers_are_not_marked(digits, tmp_path):
    _, images, labels, probabilities, _ = sample(digits, wrong=())
    figure = plots.predictions(images, labels, probabilities)
    assert red_pixels(saved(figure, tmp_path)) == 0
    assert f"{labels[0]}  80%" in texts(figure)


@pytest.mark.parametrize("k", [1, 3, 12, 13, 40])
def test_as_many_tiles_as_predictions_in_their_order(digits, k):
    _, images, labels, probabilities, _ = sample(digits, k=k)
    figure = plots.predictions(images, labels, probabilities)
    (axes,) = figure.axes
    assert len(axes.texts) == k
    grid = axes.images[0].get_array()
    for i, text in enumerate(axes.texts):
        x, y = text.get_position()
        tile = grid[int(y) - 31 : int(y) - 3, int(x) - 13 : int(x) + 15]
        np.testing.assert_array_equal(tile, images[i].reshape(28, 28))


@pytest.mark.parametrize("image_shape", [(28, 28), (8, 8), (20, 32), (32, 20)])
def test_predictions_are_as_wide_as_the_page(image_shape, digits, tmp_path):
    _, images, labels, probabilities, _ = sample(digits, k=14, image_shape=image_shape)
    figure = plots.predictions(images, labels, probabilities, image_shape)
    saved(figure, tmp_path)
    (axes,) = figure.axes  # which the shape of the picture would have made narrower
    np.testing.assert_allclose(axes.get_position().bounds, axes.get_position(True).bounds)
    assert axes.get_position().width * page.PAGE == pytest.approx(page.FULL)


def test_ink_is_dark_on_light_paper(digits, tmp_path):
    _, images, labels, probabilities, _ = sample(digits, k=12, wrong=())
    pixels = saved(plots.predictions(images, labels, probabilities), tmp_path)
    tiles = pixels[35:105, 70:]
    assert np.mean(tiles < 60) < 0.3
    assert np.median(tiles) > 230


def test_the_confusion_shows_the_worst_mistake(tmp_path):
    counts = np.array([[90, 10, 0], [0, 500, 20], [0, 0, 0]])
    figure = plots.confusion(counts)
    (axes,) = figure.axes
    colours = axes.images[0].get_array()
    np.testing.assert_allclose(colours[0, 1] * 255, RED)  # 10 of 100 weigh more than 20 of 520
    np.testing.assert_allclose(colours[1, 2], 1 - (1 - RED / 255) * (20 / 520) / 0.1)
    np.testing.assert_allclose(colours[1, 0], 1.0)
    np.testing.assert_allclose(colours[1, 1], to_rgb(page.PALE))
    assert {"30 wrong, most often 1 read as 2 (20)", "90.0%", "96.2%"} <= set(texts(figure))
    assert sum("%" in text for text in texts(figure)) == 2  # there was no 2 that could be found
    assert sorted(t.get_text() for t in axes.texts if t.get_text().isdigit()) == sorted(
        ["90", "10", "500", "20"]  # and no zeros
    )
    where = {t.get_text(): t.get_position() for t in axes.texts}
    assert where["10"] == (1, 0)  # the answer counts along x, the truth along y
    assert red_pixels(saved(figure, tmp_path)) > 5000


def test_a_confusion_without_mistakes_has_no_colour(tmp_path):
    figure = plots.confusion(np.diag([5, 3]))
    assert "none wrong" in texts(figure)
    assert red_pixels(saved(figure, tmp_path)) == 0


def test_weights_share_one_scale_that_is_white_at_zero(tmp_path):
    first_layer = np.zeros((3, 64))
    first_layer[0, :32], first_layer[1, :32] = 2.0, -1.0
    figure = plots.weights(first_layer, (8, 8))
    image = figure.axes[0].images[0]
    assert image.get_clim() == (-2.0, 2.0)
    red, blue, white = (image.cmap(image.norm(w))[:3] for w in (2.0, -1.0, 0.0))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert min(white) > 0.96
    assert "3 of 3 units" in texts(figure)
    assert saved(figure, tmp_path).shape[1] == 550


@pytest.mark.parametrize(("units", "shown"), [(1, 1), (20, 20), (128, 20)])
def test_so_many_units_are_shown(units, shown):
    first_layer = np.arange(1.0, units + 1)[:, None] * np.ones(784)
    figure = plots.weights(first_layer)
    grid = figure.axes[0].images[0].get_array()
    assert set(np.unique(grid.compressed())) == set(range(1, shown + 1))
    assert np.sum(~np.ma.getmaskarray(grid)) == shown * 784
    assert f"{shown} of {units} units" in texts(figure)


def test_untrained_weights_of_zero_can_be_drawn(tmp_path):
    saved(plots.weights(np.zeros((4, 784))), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "sizes"),
    [
        (1, {"k": 3, "classes": 2, "units": 5, "image_shape": (8, 8)}),
        (0, {"k": 1, "units": 1, "wrong": ()}),
        (3, {"k": 13, "classes": 26, "units": 128}),
        (25, {"k": 25, "classes": 15, "units": 7, "image_shape": (20, 32)}),
    ],
)
def test_extremes_can_be_drawn(rows, sizes, digits, tmp_path):
    parts = sample(digits, **sizes)
    shape = sizes.get("image_shape", (28, 28))
    figure = plots.report(history(rows), *parts, "extreme", "", shape)
    pixels = saved(figure, tmp_path)
    assert pixels.shape[1] == 1100
    assert np.mean(pixels.min(axis=2) < 128) > 0.005
    counts = [text for text in texts(figure) if text.isdigit()]
    expected = np.count_nonzero(parts[0]) if sizes.get("classes", 10) <= 20 else 0
    assert len(counts) == expected


def test_a_persons_matplotlibrc_is_neither_used_nor_changed(tmp_path):
    plain = saved(plots.confusion(np.diag([5, 3])), tmp_path)
    mine = {"image.origin": "lower", "font.size": 30, "savefig.bbox": "tight", "savefig.dpi": 20}
    with matplotlib.rc_context({**mine, "axes.facecolor": "black", "figure.autolayout": True}):
        before = dict(matplotlib.rcParams)
        np.testing.assert_array_equal(saved(plots.confusion(np.diag([5, 3])), tmp_path), plain)
        assert dict(matplotlib.rcParams) == before


def test_the_same_run_gives_the_same_bytes(tmp_path):
    for name in ("one.png", "two.png"):
        plots.save(plots.curves(history()), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: plots.curves({"iteration": [1, 2], "train_loss": [1.0]}),
            "1 values of train_loss",
        ),
        (lambda: plots.confusion(np.zeros((2, 3), int)), "(classes, classes)"),
        (lambda: plots.weights(np.zeros((2, 100))), "784 pixels for 28x28 images"),
        (lambda: plots.weights(np.zeros((0, 784))), "first_layer"),
        (lambda: plots.predictions(np.zeros((2, 9), "u1"), [0, 1], np.eye(2)), "images"),
        (lambda: plots.predictions(np.zeros((2, 784), "u1"), [0], np.eye(2)), "labels (2,)"),
        (lambda: plots.predictions(np.zeros((2, 784), "u1"), [0, 1], np.eye(3)), "(classes, 2)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call, said):
    with pytest.raises(ShapeError) as refusal:
        call()
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_picture_is_replaced_whole(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"the picture before")
    plots.save(plots.curves(history()), path)
    with Image.open(path) as picture:
        picture.verify()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_failed_write_keeps_the_picture_before(moment, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "picture.png"
    path.write_bytes(b"the picture before")
    figure = plots.curves(history())
    monkeypatch.setattr(os, moment, full)
    with pytest.raises(RunError, match=r"picture\.png: cannot be written \(No space left"):
        plots.save(figure, path)
    assert path.read_bytes() == b"the picture before"
    assert list(tmp_path.iterdir()) == [path]


def test_places_where_no_picture_can_be(tmp_path):
    figure = plots.curves({})
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "directory.png").mkdir()
    for path in ("gone/a.png", "file/a.png", "directory.png"):
        with pytest.raises(RunError, match="cannot be written") as refusal:
            plots.save(figure, tmp_path / path)
        assert "\n" not in str(refusal.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["directory.png", "file"]
    with pytest.raises(UsageError, match=r"name that ends in \.png"):
        plots.save(figure, tmp_path / "picture.pdf")


HEADLESS = """
import sys
from pathlib import Path
from mnistgpu.reports import plots
assert not [name for name in sys.modules if name.startswith("matplotlib")]
import numpy as np
figure = plots.report({}, np.eye(2, dtype=int), np.zeros((1, 784), "u1"), [0], np.eye(2)[:, :1],
                      np.ones((2, 784)), "title", "subtitle")
plots.save(figure, Path(sys.argv[1]))
import matplotlib
assert matplotlib.get_backend(auto_select=False) is None, "a backend was chosen"
assert "matplotlib.pyplot" not in sys.modules
"""


def test_without_a_screen_and_without_pyplot(tmp_path):
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HEADLESS, tmp_path / "picture.png"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width == 1100


def test_real_digits_and_real_mistakes(digits, tmp_path):
    images, labels = digits[0][:300], digits[1][:300]
    centres = np.stack([images[labels == d].mean(axis=0) for d in range(10)])
    distances = ((images[:, None, :] / 255.0 - centres / 255.0) ** 2).mean(axis=2).T
    probabilities = np.exp(-50 * distances) / np.exp(-50 * distances).sum(axis=0)
    confusion = metrics.confusion_matrix(probabilities.argmax(axis=0), labels, 10)
    figure = plots.report(
        history(), confusion, images[:24], labels[:24], probabilities[:, :24], centres, "t", "s"
    )
    wrong = np.sum(probabilities.argmax(axis=0)[:24] != labels[:24])
    assert sum(" ≠ " in text and "answer" not in text for text in texts(figure)) == wrong > 0
    assert red_pixels(saved(figure, tmp_path)) > 400
