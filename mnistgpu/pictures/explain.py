"""Why this digit: a figure of the network's input and of the pixels that decided its answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistgpu import network
from mnistgpu.errors import UsageError
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models.committee import Committee
from mnistgpu.pictures.answers import DOUBT, NO_DIGIT, UNSURE
from mnistgpu.reports import page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mnistgpu.models.model import Model
    from mnistgpu.pictures.answers import Answer

MOST = 12  # answers on one picture
ROW, SIDE = 2.2, 1.75  # inches: height of a row, side of a picture in it
REMOVED = (225, 120, 110)  # the colour of ruling that was taken away
COLUMNS = (0.6, 2.85, 5.1, 7.45)  # inches: where the four parts of a row begin


def contributions(
    trained: Model | Committee, image: np.ndarray, first: int, second: int
) -> np.ndarray:
    """How much the ink of each pixel raised the log-odds of `first` against `second`: (pixels,).

    The gradient of their log-odds by the pixels, times the pixels (Shrikumar et al. 2016, "Not just
    a black box"). For a committee, the mean over its members.
    """
    members = trained.members if isinstance(trained, Committee) else (trained,)
    x = image.astype(np.float64) / 255.0
    gradients = [input_gradient(one, x, first, second) for one in members]
    raised: np.ndarray = np.mean(gradients, axis=0) * x
    return raised


def input_gradient(trained: Model, x: np.ndarray, first: int, second: int) -> np.ndarray:
    """Derivatives (pixels,) of Z_L[first] - Z_L[second] by the pixels x (pixels,) in 0 to 1."""
    activation = ACTIVATIONS[trained.activation]
    params = network.layers(trained.theta.astype(np.float64), trained.sizes)
    A, Z = network.forward(params, x[:, None], activation.value)
    dZ = np.zeros_like(Z[-1])
    dZ[first], dZ[second] = 1.0, -1.0
    for layer in reversed(range(1, len(params))):
        dZ = (params[layer][0].T @ dZ) * activation.derivative(Z[layer - 1], A[layer])
    dX: np.ndarray = params[0][0].T @ dZ
    return dX[:, 0]


def figure(trained: Model | Committee, answers: Sequence[Answer]) -> Figure:
    """A row for each answer: the picture, the network's input, the contributions, probabilities.

    UsageError for more than 12 answers, which do not fit on a readable page.
    """
    if len(answers) > MOST:
        raise UsageError(
            f"--explain: {len(answers):,} images, but a picture has room for {MOST}; give fewer"
        )
    with page.styled():
        drawn = page.blank(0.25 + len(answers) * (ROW + 0.25))
        for i, answer in enumerate(answers):
            draw(drawn, 0.1 + i * (ROW + 0.25), trained, answer)
    return drawn


def draw(figure: Figure, top: float, trained: Model | Committee, answer: Answer) -> None:
    """One answer, its four parts side by side."""
    from matplotlib.patches import Polygon, Rectangle

    first, second = (int(digit) for digit in answer.ranked[:2])
    this, other = answer.name_of(first), answer.name_of(second)
    shape = trained.image_shape
    ax = page.panel(figure, COLUMNS[0], top, SIDE, SIDE, shortened(Path(answer.name).name))
    ax.imshow(what_was_removed(answer), cmap="gray", vmin=0, vmax=255)
    sheet = None if answer.picture is None else answer.picture.sheet
    if sheet is not None and sheet.outline is not None:
        ax.add_patch(Polygon(sheet.outline, fill=False, edgecolor=page.BLUE, linewidth=1.0))
    above, left, below, right = answer.box
    frame = Rectangle((left - 0.5, above - 0.5), right - left, below - above, fill=False)
    frame.set(edgecolor=page.ORANGE, linewidth=1.5)
    ax.add_patch(frame)
    outline(ax)

    ax = page.panel(figure, COLUMNS[1], top, SIDE, SIDE, "What it saw")
    ax.imshow(answer.image.reshape(shape), cmap="gray", vmin=0, vmax=255)
    outline(ax)

    spoke = contributions(trained, answer.image, first, second)
    limit = float(np.max(np.abs(spoke))) or 1.0
    ax = page.panel(figure, COLUMNS[2], top, SIDE, SIDE, f"Why {this} and not {other}")
    ax.imshow(spoke.reshape(shape), cmap="RdBu_r", vmin=-limit, vmax=limit)
    outline(ax)
    ax.set_xlabel(f"red ink is for {this}, blue for {other}")

    ax = page.panel(figure, COLUMNS[3], top, SIDE + 0.15, SIDE, verdict(answer))
    shown = np.sort(answer.ranked[:10])
    colours = [page.BLUE if digit == first else page.GREY for digit in shown]
    ax.barh(range(len(shown)), np.ones(len(shown)), color=page.PALE, height=0.72)
    ax.barh(range(len(shown)), answer.probabilities[shown], color=colours, height=0.72)
    for row, share in enumerate(answer.probabilities[shown]):
        if share >= 0.005 or shown[row] == second:  # written inside the bar if it is long
            inside = share > 0.5
            look: dict[str, Any] = {"ha": "right" if inside else "left", "va": "center"}
            place = share - 0.02 if inside else share + 0.02
            ax.text(place, row, f"{share:.1%}", color="white" if inside else page.INK, **look)
    ax.set(xlim=(0, 1), ylim=(len(shown) - 0.4, -0.6), xticks=[0, 0.5, 1])
    ax.set_xticklabels(["0", "50%", "100%"])
    ax.set_yticks(range(len(shown)), [str(answer.name_of(digit)) for digit in shown])
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


def shortened(name: str) -> str:
    """The name, with its middle left out if it is wider than its picture."""
    return name if len(name) <= 22 else name[:9] + "..." + name[-10:]


def outline(ax: Axes) -> None:
    """A thin line around a picture, whose edge would not show on white paper; no ticks."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color=page.GREY, linewidth=0.5)


def verdict(answer: Answer) -> str:
    """The title of the probabilities: 7, 98.7% sure; unsure: 4 or 9; not a digit."""
    if answer.status == NO_DIGIT:
        return NO_DIGIT
    if answer.status == UNSURE:
        first, second = (answer.name_of(k) for k in answer.ranked[:2])
        return f"unsure: {first} or {second}" if answer.whole >= DOUBT else f"{first}, if one digit"
    return f"{answer.digit}, {answer.probability:.1%} sure"


def what_was_removed(answer: Answer) -> np.ndarray:
    """The picture of an answer (H, W) or (H, W, 3), with the ruling that was taken away in red."""
    picture = answer.picture
    if picture is None or picture.sheet is None or picture.removed is None:
        return answer.levels
    import cv2

    height, width = picture.levels.shape[:2]
    removed = cv2.warpPerspective(
        picture.removed.astype(np.uint8), picture.sheet.to_picture, (width, height)
    )
    if not removed.any():
        return answer.levels
    shown = picture.levels.copy()
    if shown.ndim == 2:
        shown = np.repeat(shown[:, :, None], 3, axis=2)
    shown[removed > 0] = REMOVED
    return shown
