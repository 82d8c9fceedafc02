"""Pictures of a run: one page with all of it, and each part of that page alone.

Every function returns a `matplotlib.figure.Figure`, for `save` or a notebook; none needs a screen.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistgpu.errors import ShapeError, UsageError, printable
from mnistgpu.reports import metrics
from mnistgpu.reports.page import (
    BLUE,
    COLUMN,
    FULL,
    GREY,
    HEAD,
    INK,
    LEFT,
    ORANGE,
    PAGE,
    PALE,
    RIGHT,
    VERMILLION,
    alone,
    blank,
    mosaic,
    panel,
    styled,
    write,
)
from mnistgpu.storage import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Mapping[str, Sequence[float]]
Shape = tuple[int, int]
Names = tuple[str | int, ...]

CURVES, SQUARES = 2.7, 4.5  # heights of sections
PER_ROW, UNITS = 12, 20  # predictions in a row, first-layer units shown
LONGEST, BRIEF = 12, 5  # characters of a class's name, and below a small image
FEW = 20  # counts are written for up to so many classes, points drawn for so many rows


def report(
    history: History,
    confusion: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    first_layer: np.ndarray,
    title: str,
    subtitle: str,
    image_shape: Shape = (28, 28),
    names: Names = (),
) -> Figure:
    """A run on one page: curves, confusion, first-layer weights, predictions.

    history: the columns of history.csv. confusion (classes, classes): counts, row the true digit.
    images (k, pixels) uint8, labels (k,) and probabilities (classes, k): the predictions to show.
    first_layer (n_1, pixels): W_1. names: of the classes; () for digits. Raises ShapeError where
    shapes do not fit.
    """
    big, small = textwrap.wrap(title, 64), textwrap.wrap(subtitle, 110)
    below = 0.27 + 0.25 * len(big)
    first = below + 0.17 * len(small) + 0.13
    second, third = first + CURVES, first + CURVES + SQUARES
    with styled():
        figure = blank(third + predictions_height(len(images), image_shape))
        write(figure, LEFT, 0.22, "\n".join(big), size=14, weight="bold")
        write(figure, LEFT, below, "\n".join(small), size=9.5, color=GREY)
        draw_curves(figure, LEFT, first, history)
        draw_confusion(figure, LEFT, second, confusion, names)
        draw_weights(figure, RIGHT, second, first_layer, image_shape)
        draw_predictions(figure, LEFT, third, images, labels, probabilities, image_shape, names)
    return figure


def curves(history: History) -> Figure:
    """Loss and accuracy over the iterations, from the columns of history.csv."""
    return alone(draw_curves, CURVES, PAGE, history)


def confusion(counts: np.ndarray, names: Names = ()) -> Figure:
    """A confusion matrix (classes, classes), row the true digit, with the mistakes in colour."""
    return alone(draw_confusion, SQUARES, PAGE / 2, counts, names)


def weights(first_layer: np.ndarray, image_shape: Shape = (28, 28)) -> Figure:
    """The first rows of W_1 (n_1, pixels) as images, in one scale of colours around 0."""
    return alone(draw_weights, SQUARES, PAGE / 2, first_layer, image_shape)


def predictions(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    image_shape: Shape = (28, 28),
    names: Names = (),
) -> Figure:
    """Images (k, pixels) uint8 with the answers of probabilities (classes, k), the wrong framed."""
    height = predictions_height(len(images), image_shape)
    return alone(draw_predictions, height, PAGE, images, labels, probabilities, image_shape, names)


def check_name(path: Path) -> None:
    """UsageError unless the name ends in .png."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: pictures are written as PNG; give a name that ends in .png")


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG, atomically; RunError if that fails."""
    check_name(path)
    png = io.BytesIO()
    with styled():
        figure.savefig(png, format="png", dpi="figure", metadata={"Software": "mnistgpu"})
    files.replace_bytes(path, png.getvalue())


def draw_curves(figure: Figure, left: float, top: float, history: History) -> None:
    """Loss, and accuracy to the right of it, of training and validation."""
    from matplotlib.ticker import MaxNLocator

    iterations = column(history, "iteration")
    epochs, seconds = column(history, "epoch"), column(history, "seconds")
    known = len(epochs) > 0 and len(seconds) > 0
    spent = f"  (to epoch {round(epochs[-1], 2):,.9g} in {seconds[-1]:,.1f} s)" if known else ""
    size = COLUMN, CURVES - HEAD - 0.6
    for quantity, start, scale in (
        ("loss", left, scale_loss),
        ("accuracy", left + RIGHT - LEFT, scale_accuracy),
    ):
        ax = panel(figure, start, top, *size, quantity.capitalize())
        scale(ax, draw_lines(ax, quantity, history))
        ax.set_xlim(0.0, 1.02 * max([1.0, *iterations[-1:]]))
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.set_xlabel("iteration" + spent)


def draw_lines(ax: Axes, quantity: str, history: History) -> np.ndarray:
    """The curves of training and validation; returns their values (2, rows), nan where unknown."""
    iterations = column(history, "iteration")
    both = np.full((2, len(iterations)), np.nan)
    looks = ("train", BLUE, "-"), ("validation", ORANGE, (0, (4, 1.5)))
    for values, (part, colour, dash) in zip(both, looks, strict=True):
        recorded = column(history, f"{part}_{quantity}")
        if len(recorded) not in (0, len(iterations)):
            raise ShapeError(
                f"history has {len(recorded)} values of {part}_{quantity} for {len(iterations)} "
                "iterations; give columns of one length"
            )
        known = np.flatnonzero(np.isfinite(recorded))
        values[known] = recorded[known]
        if len(known):
            last = values[known[-1]]
            label = f"{part} {last:.4f}" if quantity == "loss" else f"{part} {last:.2%}"
            (line,) = ax.plot(iterations[known], values[known], color=colour, label=label)
            line.set(linestyle=dash, linewidth=1.8, markersize=3.5)
            line.set_marker("o" if len(known) <= FEW else "")
    if ax.lines:
        look: dict[str, Any] = {"frameon": False, "handlelength": 2.4, "columnspacing": 1.5}
        above = (1.0, 1.01)  # above the axes, where the legend hides no curve
        ax.legend(loc="lower right", bbox_to_anchor=above, borderaxespad=0.0, ncols=2, **look)
    else:
        ax.text(0.5, 0.5, "nothing recorded", color=GREY, ha="center", transform=ax.transAxes)
    return both


def scale_loss(ax: Axes, values: np.ndarray) -> None:
    """A linear scale from 0, or a logarithmic one if the loss falls to less than a twentieth."""
    from matplotlib.ticker import LogLocator

    known = values[~np.isnan(values)]
    largest = np.max(known, initial=0.0)
    if largest > 20.0 * np.min(known, initial=math.inf) > 0.0:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
    else:
        ax.set_ylim(0.0, 1.05 * largest or 1.0)


def scale_accuracy(ax: Axes, values: np.ndarray) -> None:
    """A scale from 0 to 100%, or its upper part if all rows but the first lie there.

    The first row comes from before the network has learned much: it may lie below the panel.
    """
    later = values[:, 1:] if values.shape[1] > 1 else values
    worst = np.min(later[~np.isnan(later)], initial=0.95)
    bottom = math.floor(20 * worst) / 20 if worst > 0.5 and ax.lines else 0.0
    ax.set_ylim(bottom, 1.0 + 0.02 * (1.0 - bottom))
    ax.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.3g}%")


def draw_confusion(
    figure: Figure, left: float, top: float, counts: np.ndarray, names: Names = ()
) -> None:
    """Counts in the cells, and beside each row its recall."""
    counts = metrics.check_confusion(counts)
    classes, side = len(counts), SQUARES - HEAD - 0.65
    ax = panel(figure, left, top, side, side, "Confusion", most_frequent(counts, names))
    ax.imshow(mistakes_in_colour(counts))
    borders = np.arange(1, classes) - 0.5
    ax.hlines(borders, -0.5, classes - 0.5, color="white", linewidth=1.0)
    ax.vlines(borders, -0.5, classes - 0.5, color="white", linewidth=1.0)
    ax.set(xlabel="predicted", ylabel="true")
    ax.tick_params(length=0)
    if classes <= FEW:
        ticks = [shown(names, i) for i in range(classes)]
        ax.set_xticks(range(classes), ticks)
        ax.set_yticks(range(classes), ticks)
        size = min(8.5, 85.0 / classes)
        for (true, answer), count in np.ndenumerate(counts):
            if count:
                weight = "bold" if true == answer else "normal"
                ax.text(answer, true, count, size=size, weight=weight, ha="center", va="center")
        beside: dict[str, Any] = {
            "transform": ax.get_yaxis_transform(),
            "size": size,
            "color": GREY,
        }
        for row, share in enumerate(metrics.per_class(counts).recall):
            if not np.isnan(share):
                ax.text(1.01, row, f"{share:.1%}", va="center", **beside)
        ax.text(1.01, classes - 0.5 + 0.014 * classes, "recall", va="top", **beside)


def mistakes_in_colour(counts: np.ndarray) -> np.ndarray:
    """Colours (classes, classes, 3): the larger a mistake's share of its row, the deeper.

    The diagonal, which holds the right answers, is pale so that mistakes stand out.
    """
    from matplotlib.colors import to_rgb

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0.0)
    depth = (shares / (shares.max(initial=0.0) or 1.0))[:, :, None]
    colours: np.ndarray = depth * to_rgb(VERMILLION) + (1.0 - depth)
    colours[np.diag_indices(len(counts))] = to_rgb(PALE)
    return colours


def shown(names: Names, number: int, longest: int = LONGEST) -> str:
    """The name of a class in a picture, shortened; names are () for digits."""
    name = printable(str(names[number]) if names else str(number))
    return name[:longest].replace("$", r"\$")  # which would begin a formula


def most_frequent(counts: np.ndarray, names: Names = ()) -> str:
    """The number of mistakes in a confusion matrix, and the most frequent one."""
    mistakes = counts - np.diag(np.diagonal(counts))
    if not mistakes.any():
        return "none wrong"
    true, answer = np.unravel_index(np.argmax(mistakes), mistakes.shape)
    return (
        f"{mistakes.sum():,} wrong, most often {shown(names, int(true))} read as "
        f"{shown(names, int(answer))} ({mistakes.max():,})"
    )


def draw_weights(
    figure: Figure, left: float, top: float, first_layer: np.ndarray, image_shape: Shape
) -> None:
    """The first units as images, all in one scale of colours that is white at 0."""
    units = as_tiles("first_layer", first_layer, image_shape)[:UNITS]
    limit = float(np.max(np.abs(units))) or 1.0
    note = f"{len(units)} of {len(first_layer)} units"
    height = SQUARES - HEAD - 0.65
    ax = panel(figure, left, top, COLUMN, height - 0.25, "First-layer weights", note)
    ax.set_axis_off()
    gap = max(1, image_shape[1] // 12)
    grid = mosaic(units, math.ceil(math.sqrt(len(units))), gap, gap)
    picture = ax.imshow(grid, cmap="RdBu_r", vmin=-limit, vmax=limit)
    scale = panel(figure, left, top + height - 0.08, COLUMN, 0.08, "")
    bar = figure.colorbar(picture, cax=scale, orientation="horizontal", ticks=[-limit, 0.0, limit])
    bar.set_ticklabels([f"−{limit:.2g}", "0", f"+{limit:.2g}"])
    bar.outline.set_visible(False)


def draw_predictions(
    figure: Figure,
    left: float,
    top: float,
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    image_shape: Shape,
    names: Names = (),
) -> None:
    """Digits with the answer below, "3  98%", or where it is wrong, in a frame, "5 ≠ 3  61%"."""
    from matplotlib.patches import Rectangle

    tiles = as_tiles("images", images, image_shape)
    if np.shape(labels) != (len(tiles),) or np.shape(probabilities)[1:] != (len(tiles),):
        raise ShapeError(
            f"{len(tiles)} images need labels ({len(tiles)},) and probabilities (classes, "
            f"{len(tiles)}), not {np.shape(labels)} and {np.shape(probabilities)}"
        )
    answers, sure = np.argmax(probabilities, axis=0), np.max(probabilities, axis=0)
    note = f"{np.sum(answers == labels)} of {len(tiles)} right; in a frame: answer ≠ truth"
    height = predictions_height(len(tiles), image_shape) - HEAD - 0.15
    ax = panel(figure, left, top, FULL, height, "Predictions", note)
    ax.set_axis_off()
    widest = max(len(shown(names, i, BRIEF)) for i in range(len(probabilities)))
    size = (8.5, 7.0, 7.0, 5.5, 5.5)[widest - 1]  # "15 ≠ 13  61%" is wider than "5 ≠ 3  61%"
    gap, band = spacing(image_shape)
    # the paper is not quite white, so that the edges of the tiles are visible
    ax.imshow(mosaic(tiles, PER_ROW, gap, band), cmap="Greys", vmin=-20, vmax=255)
    for i, (answer, label, share) in enumerate(zip(answers, labels, sure, strict=True)):
        x = i % PER_ROW * (image_shape[1] + gap) - 0.5
        y = i // PER_ROW * (image_shape[0] + band) - 0.5
        name = shown(names, answer, BRIEF)
        text, colour, weight = f"{name}  {share:.0%}", INK, "normal"
        if answer != label:
            text, colour = f"{name} ≠ {shown(names, label, BRIEF)}  {share:.0%}", VERMILLION
            weight = "bold"
            frame = Rectangle((x, y), image_shape[1], image_shape[0], fill=False, clip_on=False)
            frame.set(edgecolor=colour, linewidth=2.0)
            ax.add_patch(frame)
        middle, below = x + image_shape[1] / 2, y + image_shape[0] + band * 0.4
        ax.text(
            middle, below, text, size=size, color=colour, weight=weight, ha="center", va="center"
        )


def predictions_height(k: int, image_shape: Shape) -> float:
    """The height of the section of k predictions: its title and its rows of tiles."""
    gap, band = spacing(image_shape)
    per_pixel = FULL / (PER_ROW * (image_shape[1] + gap) - gap)
    return HEAD + math.ceil(k / PER_ROW) * (image_shape[0] + band) * per_pixel + 0.15


def spacing(image_shape: Shape) -> Shape:
    """Pixels between predictions side by side, and below each for its answer."""
    return max(1, round(image_shape[1] / 7)), max(2, round(image_shape[1] / 2.8))


def as_tiles(name: str, rows: np.ndarray, image_shape: Shape) -> np.ndarray:
    """Rows of pixels (k, pixels) as images (k, height, width); ShapeError if they do not fit."""
    pixels = math.prod(image_shape)
    if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] != pixels:
        raise ShapeError(
            f"{name} must be rows of {pixels} pixels for {image_shape[0]}x{image_shape[1]} images, "
            f"not an array of shape {rows.shape}"
        )
    return rows.reshape(-1, *image_shape)


def column(history: History, name: str) -> np.ndarray:
    """A column of the history as floats, nan where a value is missing; empty without the column."""
    return np.asarray(history.get(name, ()), dtype=np.float64)
