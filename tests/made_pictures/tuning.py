"""The half that may be looked at while the package is changed."""

from functools import cache

import cv2
import numpy as np
from helpers.mnist import read_idx
from helpers.pictures import HAND

from made_pictures import camera, glyphs
from made_pictures.half import Half, pick

VARIANTS = {  # beside those of HAND: a 1 with a base, a 7 with a bar, a closed 4
    1: [[(0.33, 0.25), (0.52, 0.06), (0.52, 0.94)], [(0.3, 0.94), (0.74, 0.94)]],
    7: [[(0.19, 0.1), (0.8, 0.08), (0.6, 0.45), (0.42, 0.95)], [(0.35, 0.5), (0.75, 0.48)]],
    4: [[(0.66, 0.95), (0.64, 0.06), (0.17, 0.66), (0.85, 0.64)]],
}


class Spline:
    """A hand that draws smooth lines through points, with a round pen of one width."""

    def __init__(self, rng: np.random.Generator):
        self.width = np.exp(rng.uniform(np.log(0.02), np.log(0.14)))
        self.slant, self.aspect = rng.uniform(-0.2, 0.2), rng.uniform(0.75, 1.15)
        self.variant = rng.random() < 0.4

    def __call__(self, rng: np.random.Generator, char: str, height: int) -> np.ndarray:
        lines = HAND[int(char)]
        if self.variant and int(char) in VARIANTS:
            lines = VARIANTS[int(char)]
        return self.drawn(rng, lines, height)

    def drawn(self, rng: np.random.Generator, lines, height: int) -> np.ndarray:
        """Lines of points (x, y) in 0 to 1 as ink."""
        side = max(160, 2 * height)
        canvas = np.zeros((2 * side, 2 * side), np.uint8)
        for line in lines:
            points = np.array(line) + rng.normal(0.0, 0.018, (len(line), 2))
            points[:, 0] = (points[:, 0] - 0.5) * self.aspect + self.slant * (0.5 - points[:, 1])
            points[:, 0] += 0.5
            smooth = catmull_rom(points) * side + side / 2
            cv2.polylines(
                canvas,
                [np.round(smooth * 16).astype(np.int32)],
                False,
                255,
                max(2, round(self.width * side)),
                cv2.LINE_AA,
                4,
            )
        return glyphs.of_height(canvas.astype(np.float32) / 255.0, height)


def catmull_rom(points: np.ndarray, steps: int = 12) -> np.ndarray:
    """A smooth curve through points (n, 2)."""
    ends = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[:, None]
    curve = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        curve.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2)
            + 0.5 * (3 * b - a - 3 * c + d) * t**3
        )
    return np.vstack([*curve, points[-1:]])


def scribble(rng: np.random.Generator, height: int) -> np.ndarray:
    """A smooth line through random points."""
    points = rng.uniform(0.05, 0.95, (int(rng.integers(5, 14)), 2))
    return Spline(rng).drawn(rng, [points], height)


@cache
def fonts() -> list[glyphs.Font]:
    """DejaVu, which comes with Matplotlib, and handwriting and print of Debian's packages
    fonts-dkg-handwriting, fonts-humor-sans and fonts-liberation."""
    return [
        *glyphs.fonts_of_matplotlib("DejaVuSans", "DejaVuSerif"),
        *glyphs.fonts_of_debian("dkg", "Humor", "Liberation"),
    ]


@cache
def train_images() -> tuple[np.ndarray, np.ndarray]:
    """MNIST's last 10,000 training images."""
    images = read_idx("train-images-idx3-ubyte", 60_000)[-10_000:]
    return images.reshape(-1, 28, 28), read_idx("train-labels-idx1-ubyte", 60_000)[-10_000:]


@cache
def half() -> Half:
    images, labels = train_images()
    writer = glyphs.Enlarged(images / np.float32(255.0), labels, 0.45)
    return Half(
        name="tuning",
        pens=Spline,
        fonts=lambda rng: pick(rng, fonts()),
        images=lambda rng: writer,
        mnist=images,
        mnist_labels=labels,
        scribble=scribble,
        papers=((226, 219, 205), (248, 248, 245), (236, 236, 240), (243, 232, 170)),
        inks=((35, 33, 38), (20, 25, 90), (40, 55, 150), (100, 98, 104), (165, 35, 40)),
        rules=((170, 195, 225), (185, 185, 190), (150, 170, 200), (205, 160, 160)),
        tables=(
            lambda rng, h, w: camera.wood(rng, h, w, (70, 45, 30), 0.12),
            lambda rng, h, w: camera.wood(rng, h, w, (150, 105, 65), 0.10),
            lambda rng, h, w: camera.plain(rng, h, w, (40, 42, 46), 0.0),
        ),
        lights=(
            lambda rng, h, w: camera.slope(rng, h, w, 0.3),
            lambda rng, h, w: camera.corners_darker(h, w, 0.45),
            lambda rng, h, w: (
                0.95 * camera.slope(rng, h, w, 0.3) * camera.corners_darker(h, w, 0.3)
            ),
        ),
        shadows=(
            lambda rng, h, w: (
                camera.shadow_edge(rng, h, w, 0.3, 0.02) * camera.slope(rng, h, w, 0.2)
            ),
            lambda rng, h, w: camera.shadow_edge(rng, h, w, 0.4, 0.04),
        ),
    )
