"""Pictures: really drawn, saved and read back."""

import math
import os
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from mnistgpu.errors import RunError, ShapeError, UsageError
from mnistgpu.reports import metrics, page, plots

RED = np.array(to_rgb(page.VERMILLION)) * 255


@pytest.fixture(autouse=True)
def no_warnings():
    """A person would see them on the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def history(rows=40, first=1):
    """A run that learns from 10% to 96%."""
    iteration = np.linspace(first, 60 * rows, rows)
    rise = 0.96 - 0.86 * np.exp(-iteration / 300)
    return {
        "iteration": iteration,
        "epoch": iteration / 60,
        "seconds": iteration / 100,
        "train_loss": 2.3 * np.exp(-iteration / 900) + 0.1,
        "train_accuracy": rise,
        "validation_loss": 2.3 * np.exp(-iteration / 900) + 0.2,
        "validation_accuracy": rise - 0.02,
        "learning_rate": np.full(rows, 0.1),
    }


def sample(digits, k=24, classes=10, units=10, image_shape=(28, 28), wrong=(3, 11)):
    """What `report` draws after the history: answers that are right but for those in `wrong`."""
    random = np.random.default_rng(1)
    if image_shape == (28, 28):
        images, labels = digits[0][:k], digits[1][:k] % classes
    else:
        images = random.integers(0, 256, (k, math.prod(image_shape)), dtype=np.uint8)
        labels = random.integers(0, classes, k)
    answers = np.array([(label + (i in wrong)) % classes for i, label in enumerate(labels)])
    probabilities = np.full((classes, k), 0.2 / (classes - 1))
    probabilities[answers, np.arange(k)] = 0.8
    confusion = random.integers(0, 30, (classes, classes)) + 900 * np.eye(classes, dtype=np.int64)
    first_layer = random.standard_normal((units, math.prod(image_shape)))
    return confusion, images, labels, probabilities, first_layer


def saved(figure, tmp_path, name="picture.png"):
    """The pixels (height, width, 3) of the figure, through a file."""
    plots.save(figure, tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"), dtype=np.float64)


def texts(figure):
    """All that is written in a figure."""
    written = [text.get_text() for text in figure.texts]
    for ax in figure.axes:
        written += [text.get_text() for text in ax.texts]
        written += [text.get_text() for text in ax.get_legend().texts] if ax.get_legend() else []
    return written


def red_pixels(pixels):
    """How many are of the colour that marks mistakes."""
    return int(np.sum(np.max(np.abs(pixels - RED), axis=2) < 8))


def box(figure, text):
    """Where a text stands, in pixels: left, bottom, right, top."""
    found = [t for t in figure.findobj(matplotlib.text.Text) if t.get_text() == text]
    assert len(found) == 1, (text, len(found))
    return found[0].get_window_extent().extents


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


def curve(axes, part):
    """The points of a curve, by the first word of its label."""
    (line,) = [line for line in axes.lines if line.get_label().startswith(part)]
    return line.get_xydata()


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
from mnistgpu.reports import plots
assert not [name for name in sys.modules if name.startswith("matplotlib")]
import numpy as np
figure = plots.report({}, np.eye(2, dtype=int), np.zeros((1, 784), "u1"), [0], np.eye(2)[:, :1],
                      np.ones((2, 784)), "title", "subtitle")
plots.save(figure, sys.argv[1])
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
