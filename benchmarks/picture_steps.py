"""Draw each step from a picture to its digits, for docs/pictures.md.

    python benchmarks/picture_steps.py docs/images

The pictures are of the tuning half of `tests/made_pictures/`; a file is written for each step.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]


def picture(scene: str, seed: int):
    """A made picture."""
    from made_pictures import tuning
    from made_pictures.scenes import made

    return made(scene, seed, tuning.half())


def believing():
    """What the shipped model believes of images: for `numbers`."""
    from mnistgpu import models
    from mnistgpu.backend import NUMPY
    from mnistgpu.models import model
    from mnistgpu.pictures import answers

    return answers.belief(model.load(models.SHIPPED), NUMPY)


def decoded(axes) -> None:
    """A photograph as the camera stored it, and turned as its EXIF says."""
    levels = picture("lined paper on a table", 1).levels
    show(axes[0], np.rot90(levels), "as the camera stored it")
    show(axes[1], levels, "turned as its EXIF says")
    show(axes[2], levels[300:420, 400:560], "its pixels")


def sheets(axes) -> None:
    """A note: with its outline, and put straight; the small copy in which it is found."""
    import cv2
    from matplotlib.patches import Polygon

    from mnistgpu.pictures import sheet

    levels = picture("note on a table", 25).levels
    small = cv2.resize(levels, (256, 192), interpolation=cv2.INTER_AREA)
    paper = sheet.find(levels)
    show(axes[0], levels, "found: its four sides")
    axes[0].add_patch(Polygon(paper.outline, fill=False, edgecolor="tab:blue", linewidth=1.5))
    show(axes[1], cv2.medianBlur(small, sheet.LOOKS[0][0]), "a small copy without thin strokes")
    show(axes[2], paper.levels, "put straight")


def inks(axes) -> None:
    """A digit in a shadow, the light on its paper, and its ink."""
    from mnistgpu.pictures import ink

    levels = picture("the same in a shadow", 2).levels
    grey = ink.one_channel(levels.astype(np.float32))
    found = ink.ink_of(levels)
    missing = ink.without_light(grey) / 255.0  # the share of the paper's light
    show(axes[0], levels, "the sheet")
    show(axes[1], grey / np.maximum(1.0 - missing, 0.05), "the light on its paper")
    show(axes[2], 255 - found, "the ink")


def ruled(axes) -> None:
    """Squares and boxes that are taken away."""
    from mnistgpu.pictures import ruling, sheet
    from mnistgpu.pictures.ink import ink_of

    levels = picture("squared paper in a shadow", 1).levels
    ink = ink_of(sheet.find(levels).levels)
    left, removed = ruling.without_ruling(ink)
    red = np.repeat(255.0 - ink[:, :, None], 3, axis=2)
    red[removed] = (225, 120, 110)
    show(axes[0], levels, "squared paper")
    show(axes[1], red, "ink; red: what is ruled")
    show(axes[2], 255 - left, "what is left")


def parts(axes) -> None:
    """The parts of a failing pen, joined to one digit; a row of digits, one box each."""
    import cv2

    from mnistgpu.pictures import components, images

    levels = picture("gaps in the stroke", 100).levels
    found = images.find(levels, believe=believing())
    from mnistgpu.pictures.ink import ink_of

    names, _ = components.label(ink_of(levels) > 0)
    colours = np.array([(255, 255, 255), (31, 119, 180), (255, 127, 14), (44, 160, 44)], float)
    show(axes[0], levels, "a pen that fails")
    show(axes[1], colours[np.where(names > 0, 1 + (names - 1) % 3, 0)], "connected parts")
    framed = levels.copy()
    for top, left, below, right in found.boxes:
        cv2.rectangle(framed, (int(left), int(top)), (int(right), int(below)), (255, 127, 14), 4)
    show(axes[2], framed, "one digit")


def cuts(axes) -> None:
    """Digits that touch: where they may be cut, and where they are."""
    import cv2

    from mnistgpu.pictures import components, images, numbers
    from mnistgpu.pictures.ink import ink_of

    made = picture("row, some touch", 11)
    ink = ink_of(made.levels)
    names, boxes = components.label(ink > 0)
    shown = np.repeat(255.0 - ink[:, :, None], 3, axis=2)
    high = float(np.max(boxes[:, 2] - boxes[:, 0]))
    for name, box in enumerate(boxes):
        part = images.piece_of(np.array([name]), ink, names, boxes)
        for i, piece in enumerate(numbers.cut(part, high) if box[2] - box[0] > high / 2 else []):
            place = shown[piece.box[0] : piece.box[2], piece.box[1] : piece.box[3]]
            place[piece.ink > 0] = [(31, 119, 180), (255, 127, 14), (44, 160, 44)][i % 3]
    found = images.find(made.levels, many=True, believe=believing())
    framed = made.levels.copy()
    for top, left, below, right in found.boxes:
        cv2.rectangle(framed, (int(left), int(top)), (int(right), int(below)), (255, 127, 14), 3)
    top, left = (max(0, found.boxes[:, i].min() - 30) for i in (0, 1))
    place = slice(top, found.boxes[:, 2].max() + 30), slice(left, found.boxes[:, 3].max() + 30)
    show(axes[0], made.levels[place], "digits that touch")
    show(axes[1], shown[place], "pieces")
    show(axes[2], framed[place], "the most probable digits")


def thickened(axes) -> None:
    """A ballpoint's line as it would be after scaling, and as it is."""
    from helpers.pictures import drawing

    from mnistgpu.pictures import preparing

    ink = drawing(5, 400, 0.01).astype(np.float32)
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    plain = preparing.fitted(ink, 20)
    show(axes[0], 255 - ink, "a ballpoint's line")
    show(axes[1], np.pad(plain, 4), "20 pixels high without this step")
    show(axes[2], preparing.prepare(ink).reshape(28, 28), "and with it")


def scaled(axes) -> None:
    """A digit's ink cropped, scaled, and in the middle of 28x28 pixels."""
    from mnistgpu.pictures import preparing
    from mnistgpu.pictures.ink import ink_of

    ink = ink_of(picture("paper that fills the picture", 3).levels)
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    image = preparing.prepare(ink).reshape(28, 28)
    show(axes[0], 255 - ink, "the ink, cropped")
    show(axes[1], preparing.fitted(ink, 20), "its longer side is 20 pixels")
    show(axes[2], image, "its centre of mass in the middle")
    axes[2].axhline(14, color="tab:orange", linewidth=0.8)
    axes[2].axvline(14, color="tab:orange", linewidth=0.8)


STEPS: dict[str, Callable] = {
    "1-decode": decoded,
    "2-sheet": sheets,
    "3-ink": inks,
    "4-ruling": ruled,
    "5-digits": parts,
    "6-cuts": cuts,
    "7-thicken": thickened,
    "8-scale": scaled,
}


def show(ax, levels: np.ndarray, title: str) -> None:
    """Levels (h, w) or (h, w, 3) with a title."""
    ax.imshow(np.clip(levels, 0, 255).astype(np.uint8), cmap="gray", vmin=0, vmax=255)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(color="0.7", linewidth=0.5)
    ax.set_title(title, fontsize=9)


def main() -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    for name, draw in STEPS.items():
        figure, axes = pyplot.subplots(1, 3, figsize=(8, 2.4), layout="constrained")
        draw(axes)
        figure.savefig(
            Path(sys.argv[1]) / f"pictures-{name}.png", dpi=80, metadata={"Software": None}
        )
        pyplot.close(figure)


if __name__ == "__main__":
    main()
