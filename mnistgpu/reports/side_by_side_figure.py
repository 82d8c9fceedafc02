"""Two networks side by side: their curves in one figure, and where they answer differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnistgpu.data import Digits
from mnistgpu.reports import page
from mnistgpu.reports.page import BLUE, COLUMN, GREY, LEFT, RIGHT, VERMILLION
from mnistgpu.reports.side_by_side import SideBySide
from mnistgpu.runs.history import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = BLUE, VERMILLION
SHOWN, PER_ROW = 24, 12  # images that are answered differently
CURVES = 2.2  # inches, of their section


def figure(
    histories: Sequence[Sequence[Row]],
    names: Sequence[str],
    digits: Digits,
    both: SideBySide,
    classes: Sequence[str | int],
) -> Figure:
    """Curves of two runs in one figure, and the first images that they answer differently.

    both: the networks' answers to the digits, as numbers of classes. names: of the networks.
    """
    differ = both.different
    shown = differ[:SHOWN]
    rows = -(-len(shown) // PER_ROW)
    with page.styled():
        drawn = page.blank(CURVES + 1.2 + rows * 1.05)
        for left, name, title in (
            (LEFT, "train_loss", "Training loss"),
            (RIGHT, "validation_accuracy", "Accuracy on the images held out"),
        ):
            ax = page.panel(drawn, left, 0.1, COLUMN, CURVES - 0.5, title)
            curves(ax, histories, names, name)
        top = CURVES + 0.35
        count = f"{len(differ):,} of {len(both.labels):,}"
        page.write(drawn, LEFT, top, f"Answered differently: {count}", size=10.5, weight="bold")
        for i, index in enumerate(shown.tolist()):
            row, column = divmod(i, PER_ROW)
            left, below = LEFT + 0.765 * column, top + 0.05 + 1.05 * row
            ax = page.panel(drawn, left, below, 0.66, 0.66, "")
            ax.imshow(digits.images[index].reshape(digits.image_shape), cmap="gray_r")
            ax.set(xticks=[], yticks=[])
            said = [classes[each] for each in both.answers[:, index].tolist()]
            for place, (word, colour) in enumerate(zip(said, COLOURS, strict=True)):
                page.write(drawn, left + 0.3 * place, below + 1.0, str(word)[:5], color=colour)
            true, look = classes[int(both.labels[index])], {"color": GREY, "ha": "right"}
            page.write(drawn, left + 0.66, below + 1.0, f"({str(true)[:5]})", **look)
    return drawn


def curves(ax: Axes, histories: Sequence[Sequence[Row]], names: Sequence[str], column: str) -> None:
    """One column of history of each run, by epochs."""
    for rows, name, colour in zip(histories, names, COLOURS, strict=True):
        values = [getattr(row, column) for row in rows]
        ax.plot([row.epoch for row in rows], values, color=colour, label=name, linewidth=1.4)
    ax.set_xlabel("epoch")
    ax.legend(frameon=False, fontsize=8)
