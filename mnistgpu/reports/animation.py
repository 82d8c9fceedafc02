"""A run as an animation: its curves, weights and answers, from the first row to the last."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistgpu.errors import UsageError
from mnistgpu.reports import page
from mnistgpu.runs.watching import Snapshots
from mnistgpu.storage import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image as Picture

WIDTH, HEIGHT, DPI = 8.4, 3.35, 100  # inches
FRAMES = 40  # at most; in a longer run some rows are left out
FRAME, PAUSE = 140, 3500  # milliseconds: each frame, and the last one
APART = 3.2  # heights of a digit from one line of answers to the next
COLOURS = 96  # of the palette that all frames share
EXACT = ("#ffffff", page.BLUE, page.VERMILLION, page.ORANGE, page.INK, page.GREY, page.PALE)


def check_name(path: Path) -> None:
    """UsageError unless the name ends in .gif."""
    if path.suffix.lower() != ".gif":
        raise UsageError(f"{path}: animations are written as GIF; give a name that ends in .gif")


def save(snapshots: Snapshots, path: Path, title: str) -> None:
    """Write the run as an animated GIF; UsageError for another kind of file."""
    check_name(path)
    from PIL import Image

    pictures = frames(snapshots, title)
    palette = palette_of([pictures[i] for i in (0, len(pictures) // 4, -1)])
    drawn = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    content = io.BytesIO()
    drawn[0].save(
        content,
        "GIF",
        save_all=True,
        append_images=drawn[1:],
        duration=[FRAME] * (len(drawn) - 1) + [PAUSE],
        loop=0,
        optimize=True,
        comment="mnistgpu",
    )
    files.replace_bytes(path, content.getvalue())


def palette_of(pictures: list[Picture]) -> Picture:
    """A picture whose palette holds EXACT, and the most frequent colours of these pictures.

    Median cut alone drops rare colours, such as the red of a mistake, and averages similar ones. An
    average close to an exact colour is left out, since pixels would be given it instead.
    """
    from PIL import Image

    exact = np.array([[int(name[i : i + 2], 16) for i in (1, 3, 5)] for name in EXACT])
    some = Image.fromarray(np.vstack([np.asarray(picture) for picture in pictures]))
    mixed = np.reshape(some.quantize(COLOURS - len(EXACT)).getpalette() or [], (-1, 3))
    apart = np.abs(mixed[:, None] - exact).max(axis=2).min(axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.vstack((exact, mixed[apart > 6])).astype(int).ravel().tolist())
    return palette


def frames(snapshots: Snapshots, title: str) -> list[Picture]:
    """A picture for each row of history, for at most FRAMES of them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    count = len(snapshots.rows)
    shown = np.unique(np.round(np.linspace(0, count - 1, min(count, FRAMES))).astype(int))
    pictures = []
    for i in shown:
        with page.styled():
            canvas = FigureCanvasAgg(frame(snapshots, int(i), title))
            canvas.draw()
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3].copy()))
    return pictures


def frame(snapshots: Snapshots, i: int, title: str) -> Figure:
    """The run at row i of its history."""
    figure = page.blank(HEIGHT, WIDTH)
    figure.set_dpi(DPI)
    row = snapshots.rows[i]
    page.write(figure, 0.25, 0.1, title, size=11, weight="bold")
    at = f"iteration {row.iteration:,}"
    page.write(figure, WIDTH - 0.25, 0.12, at, size=9, ha="right", color=page.GREY)
    draw_curves(figure, snapshots, i)
    draw_units(figure, snapshots, i)
    draw_digits(figure, snapshots, i)
    return figure


def draw_curves(figure: Figure, snapshots: Snapshots, i: int) -> None:
    """Accuracy above loss, up to row i, on axes that hold the whole run."""
    columns = [asdict(row) for row in snapshots.rows]
    iterations = [row["iteration"] for row in columns]
    for quantity, top in (("accuracy", 0.36), ("loss", 1.82)):
        now = columns[i][f"train_{quantity}"]
        note = f"{now:.1%}" if quantity == "accuracy" else f"{now:.3f}"
        ax = page.panel(figure, 0.55, top, 2.25, 0.92, quantity.capitalize(), note)
        for part, colour in (("train", page.BLUE), ("validation", page.ORANGE)):
            values = np.array([row[f"{part}_{quantity}"] for row in columns], dtype=float)
            if np.isfinite(values).any():
                ax.plot(iterations[: i + 1], values[: i + 1], color=colour, linewidth=1.8)
                ax.plot(iterations[i], values[i], "o", color=colour, markersize=4)
                if quantity == "accuracy":
                    place = (0.98, 0.1 if part == "validation" else 0.26)
                    ax.text(*place, part, color=colour, ha="right", transform=ax.transAxes)
        highest = 1.0 if quantity == "accuracy" else max(row["train_loss"] for row in columns)
        ax.set(xlim=(0, iterations[-1] * 1.02), ylim=(0, highest * 1.03))
        ax.set_xticks([0, iterations[-1]], ["0", f"{iterations[-1]:,}"])
        ax.set_yticks([0, highest / 2, highest], axis_names(quantity, highest))
        ax.tick_params(labelsize=7.5)


def axis_names(quantity: str, highest: float) -> list[str]:
    """The labels at the bottom, the middle and the top of an axis."""
    if quantity == "accuracy":
        return ["0", "50%", "100%"]
    return ["0", f"{highest / 2:.2g}", f"{highest:.2g}"]


def draw_units(figure: Figure, snapshots: Snapshots, i: int) -> None:
    """First-layer weights as images, in one scale of colours for the whole run."""
    units = snapshots.units[i].reshape(-1, *snapshots.image_shape)[:16]
    limit = float(np.quantile(np.abs(snapshots.units[-1]), 0.998)) or 1.0
    ax = page.panel(figure, 3.1, 0.36, 2.5, 2.5, "First-layer weights")
    ax.set_axis_off()
    grid = page.mosaic(units, int(np.ceil(np.sqrt(len(units)))), 2, 2)
    ax.imshow(grid, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")


def draw_digits(figure: Figure, snapshots: Snapshots, i: int) -> None:
    """Some digits, the probability of each class as a bar, and the answer."""
    shares = snapshots.probabilities[i]
    answers, labels = shares.argmax(axis=1), snapshots.labels
    right = int(np.sum(answers == labels))
    note = f"{right} of {len(labels)} right"
    ax = page.panel(figure, 5.85, 0.36, 2.35, 2.5, "Answers", note)
    ax.set_axis_off()
    height, width = snapshots.image_shape
    ax.set(xlim=(0, 5 * 1.2 * width), ylim=(2 * APART * height, 0))
    for k, image in enumerate(snapshots.images):
        x, y = k % 5 * 1.2 * width, k // 5 * APART * height
        picture = image.reshape(height, width)
        ax.imshow(picture, cmap="Greys", vmin=-20, vmax=255, extent=(x, x + width, y + height, y))
        colour = page.BLUE if answers[k] == labels[k] else page.VERMILLION
        classes = shares.shape[1]
        bars = [colour if digit == answers[k] else page.GREY for digit in range(classes)]
        places, feet = x + (np.arange(classes) + 0.5) * width / classes, y + 2.1 * height
        ax.bar(places, -np.ones(classes) * 0.08 * height, width / classes, feet, color=page.PALE)
        ax.bar(places, -shares[k] * height, 0.8 * width / classes, feet, color=bars)
        middle, below = x + width / 2, y + 2.2 * height
        look: dict[str, Any] = {"ha": "center", "va": "top", "size": 12, "weight": "bold"}
        ax.text(middle, below, str(answers[k]), color=colour, **look)
    ax.set(xlim=(0, 5 * 1.2 * width), ylim=(2 * APART * height, 0))
