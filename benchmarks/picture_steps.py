"""Draw the steps from a picture to its digits, for docs/pictures.md.

    python benchmarks/picture_steps.py docs/images/pictures.png

The pictures are of the tuning half of `tests/made_pictures/`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

ROWS = (  # scene and seed
    ("lined paper on a table", 1),
    ("squared paper", 1),
    ("form fields, postcode", 0),
    ("row, some touch", 11),
)
TITLES = ("The picture", "The sheet, put straight", "Its ink", "Without ruling, cut")


def main() -> None:
    import matplotlib

    matplotlib.use("agg")
    from made_pictures import tuning
    from made_pictures.scenes import made
    from matplotlib import pyplot
    from matplotlib.patches import Polygon, Rectangle

    from mnistgpu import models
    from mnistgpu.backend import NUMPY
    from mnistgpu.models import model
    from mnistgpu.pictures import answers, images, ruling, sheet
    from mnistgpu.pictures.ink import ink_of

    believe = answers.belief(model.load(models.SHIPPED), NUMPY)
    figure, axes = pyplot.subplots(len(ROWS), 4, figsize=(10, 7.4), layout="constrained")
    for i, (scene, seed) in enumerate(ROWS):
        picture = made(scene, seed, tuning.half())
        paper = sheet.find(picture.levels)
        ink = ink_of(paper.levels)
        left, _ = ruling.without_ruling(ink)
        found = images.find(picture.levels, many=picture.many, believe=believe)
        shown = (picture.levels, paper.levels, 255 - ink, 255 - left)
        for ax, levels, title in zip(axes[i], shown, TITLES, strict=True):
            ax.imshow(np.clip(levels, 0, 255).astype(np.uint8), cmap="gray", vmin=0, vmax=255)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set(color="0.7", linewidth=0.5)
            if i == 0:
                ax.set_title(title, fontsize=9)
        if paper.outline is not None:
            axes[i, 0].add_patch(Polygon(paper.outline, fill=False, edgecolor="tab:blue"))
        back = np.linalg.inv(paper.to_picture)
        for box in found.boxes:
            top, start, below, end = box
            corners = np.array([(start, top, 1), (end, top, 1), (end, below, 1), (start, below, 1)])
            x, y, scale = back @ corners.T
            x, y = x / scale, y / scale
            frame = Rectangle((x.min(), y.min()), np.ptp(x), np.ptp(y), fill=False)
            frame.set(edgecolor="tab:orange", linewidth=1)
            axes[i, 3].add_patch(frame)
    figure.savefig(sys.argv[1], dpi=90, metadata={"Software": None})


if __name__ == "__main__":
    main()
