"""The page that figures are drawn on: its measures, its colours, and what all sections share.

Places and sizes are in inches from the top left corner, as on paper: this is faster than letting
matplotlib arrange the page, and the same in every run. matplotlib is imported only where something
is drawn, since its import is slow.
"""

from __future__ import annotations

import base64
import functools
import io
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110  # 1100 pixels for the page; a README shows it in 900
PAGE, LEFT, RIGHT, COLUMN, FULL = 10.0, 0.6, 5.6, 4.1, 9.1  # where columns begin, widths
HEAD = 0.3  # from the top of a section to below its title

# from the palette of Okabe and Ito, which is safe for colour-blind readers
BLUE, ORANGE, VERMILLION = "#0072b2", "#e69f00", "#d55e00"
INK, GREY, PALE = "#222222", "#666666", "#e3edf4"
STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "text.color": INK,
    "text.parse_math": False,  # a $ in the name of a run is shown as $
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def styled() -> AbstractContextManager[None]:
    """A context in which matplotlib draws in this style, whatever the user's matplotlibrc says."""
    import matplotlib

    defaults = dict(matplotlib.rcParamsDefault)
    del defaults["backend"]  # setting it would choose a backend for the whole process
    return matplotlib.rc_context({**defaults, **STYLE})


def blank(height: float, width: float = PAGE) -> Figure:
    """An empty page, which a notebook shows as a picture."""
    return picture_class()(figsize=(width, height), dpi=DPI)


@functools.cache
def picture_class() -> type[Figure]:
    """matplotlib's Figure that notebooks show, also where matplotlib was not set up for them."""
    from matplotlib.figure import Figure

    class Picture(Figure):
        def _repr_png_(self) -> bytes:
            content = io.BytesIO()
            self.savefig(content, format="png")
            return content.getvalue()

    return Picture


def write(figure: Figure, left: float, top: float, text: str, **look: Any) -> None:
    """Text on the page whose upper left corner (with ha="right" the right one) is (left, top)."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 1.0 - top / height, text, **{"va": "top", **look})


def panel(
    figure: Figure, left: float, top: float, width: float, height: float, title: str, note: str = ""
) -> Axes:
    """Axes in a section that begins at `top`, below a title and a note to the right of it."""
    write(figure, left, top + HEAD - 0.08, title, size=10.5, weight="bold", va="baseline")
    write(figure, left + width, top + HEAD - 0.08, note, color=GREY, va="baseline", ha="right")
    across, down = figure.get_size_inches()
    bottom = down - top - HEAD - height
    ax = figure.add_axes((left / across, bottom / down, width / across, height / down))
    ax.set_anchor("NW")
    ax.tick_params(labelsize=8.5, colors=GREY)
    return ax


def mosaic(tiles: np.ndarray, columns: int, gap: int, band: int) -> np.ndarray:
    """Tiles (k, height, width) in one image, row by row, nan between and below them.

    One image is drawn several times as fast as an axes for each tile.
    """
    k, height, width = tiles.shape
    rows = math.ceil(k / columns)
    cells = np.full((rows * columns, height + band, width + gap), np.nan, dtype=np.float32)
    cells[:k, :height, :width] = tiles
    grid = cells.reshape(rows, columns, height + band, width + gap).swapaxes(1, 2)
    return grid.reshape(rows * (height + band), columns * (width + gap))[:, :-gap]


def alone(draw: Callable[..., None], height: float, width: float, *what: Any) -> Figure:
    """A figure with one section."""
    with styled():
        figure = blank(height, width)
        draw(figure, LEFT, 0.05, *what)
    return figure


def picture_of(figure: Any, what: str = "the figure") -> str:
    """A figure as HTML, for a notebook."""
    content = base64.b64encode(figure._repr_png_()).decode()
    return f'<img alt="{what}" src="data:image/png;base64,{content}">'
