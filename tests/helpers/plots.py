"""Runs to draw, and what can be seen of a figure: its pixels, its texts, its curves."""

import math

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from mnistgpu.reports import page, plots

RED = np.array(to_rgb(page.VERMILLION)) * 255


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


def curve(axes, part):
    """The points of a curve, by the first word of its label."""
    (line,) = [line for line in axes.lines if line.get_label().startswith(part)]
    return line.get_xydata()
