"""A unit's sum as a figure: the image, the products, the ten largest terms, the sum in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mnistgpu.models.opened import Opened, Unit
from mnistgpu.reports import page
from mnistgpu.reports.page import BLUE, GREY, INK, LEFT, VERMILLION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 1.9  # inches, of a picture
BARS = 2.6  # of the terms
PLACES = (LEFT, 2.75, 6.85)  # where the parts begin
HEIGHT = 3.4
NARROW = 40  # units in a row of a layer that is no picture


def figure(opened: Opened, unit: Unit) -> Figure:
    """The figure of a unit's sum for the image that a network was opened for."""
    names = opened.model.classes or tuple(range(opened.model.sizes[-1]))
    last = len(opened.sums)
    with page.styled():
        drawn = page.blank(HEIGHT)
        ax = page.panel(drawn, PLACES[0], 0.1, SIDE, SIDE, f"The image: {names[opened.answer]}")
        ax.imshow(
            opened.activations[0].reshape(opened.model.image_shape), cmap="gray_r", vmin=0, vmax=1
        )
        ax.set(xticks=[], yticks=[])
        limit = float(np.abs(unit.products).max()) or 1.0
        ax = page.panel(drawn, PLACES[1], 0.1, SIDE, SIDE, "Weight x input")
        shown = unit.image_map if unit.image_map is not None else in_rows(unit.products)
        ax.imshow(shown, cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set(xticks=[], yticks=[])
        ax = page.panel(drawn, PLACES[2], 0.1, BARS, SIDE, "The ten largest terms")
        terms = unit.largest
        values = [term.product for term in terms]
        colours = [VERMILLION if value > 0 else BLUE for value in values]
        ax.barh(range(len(terms)), values, color=colours, height=0.72)
        ax.axvline(0.0, color=GREY, linewidth=0.5)
        labels = [
            f"{term.weight:+.3f} x {term.input:.3f} ({place(opened, unit, term.index)})"
            for term in terms
        ]
        ax.set_yticks(range(len(terms)), labels, size=6.5)
        ax.invert_yaxis()
        what = f"class {names[unit.unit]}" if unit.layer == last else f"unit {unit.unit}"
        for row, line in enumerate([f"Layer {unit.layer}, {what}:", *sentences(opened, unit)]):
            look = {"weight": "bold"} if row == 0 else {}
            page.write(drawn, LEFT, 2.65 + 0.19 * row, line, color=INK, size=9, **look)
    return drawn


def in_rows(numbers: np.ndarray) -> np.ndarray:
    """Numbers (n,) in rows of a picture, nan where there are none."""
    columns = min(NARROW, max(1, int(np.ceil(np.sqrt(len(numbers))))))
    rows = -(-len(numbers) // columns)
    filled = np.full(rows * columns, np.nan)
    filled[: len(numbers)] = numbers
    return filled.reshape(rows, columns)


def place(opened: Opened, unit: Unit, index: int) -> str:
    """What an input of a unit is called: a pixel by its row and column, or a unit below."""
    if unit.layer > 1:
        return f"unit {index}"
    row, column = divmod(index, opened.model.image_shape[1])
    return f"pixel {row}, {column}"


def sentences(opened: Opened, unit: Unit) -> list[str]:
    """The sum in words, with its numbers."""
    count = len(unit.products) - len(unit.largest)
    terms = sum(term.product for term in unit.largest)
    lines = [
        f"sum = the ten largest terms {terms:+.4f}, the other {count:,} {unit.rest:+.4f}, the bias "
        f"{unit.bias:+.4f}: {unit.sum:.4f}"
    ]
    if unit.probability is None:
        return [*lines, f"{opened.model.activation}({unit.sum:.4f}) = {unit.activation:.4f}"]
    assert unit.exponentials is not None
    assert unit.logits is not None
    own, total = float(unit.exponentials[unit.unit]), unit.total
    return [
        *lines,
        f"softmax: exp({unit.sum:.4f} - {float(unit.logits.max()):.4f}) = {own:.4g}, of "
        f"{total:.4g} of all classes: probability {unit.probability:.4f}",
    ]
