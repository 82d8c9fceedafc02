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


class Brush(Spline):
    """A hand with a brush, thinner at the ends of a stroke, that cuts corners.

    The shipped model is not trained with it.
    """

    def drawn(self, rng: np.random.Generator, lines, height: int) -> np.ndarray:
        side = max(160, 2 * height)
        canvas = np.zeros((2 * side, 2 * side), np.uint8)
        for line in lines:
            points = np.array(line) + rng.normal(0.0, 0.022, (len(line), 2))
            points[:, 0] = (points[:, 0] - 0.5) * self.aspect + self.slant * (0.5 - points[:, 1])
            points[:, 0] += 0.5
            smooth = corners_cut(corners_cut(corners_cut(points)))
            smooth = np.round((smooth * side + side / 2) * 16).astype(np.int32)
            along = np.linspace(0.0, 1.0, len(smooth) - 1)
            widths = self.width * side * (0.55 + 0.7 * np.sin(np.pi * along) ** 0.7)
            for start, end, width in zip(smooth, smooth[1:], widths, strict=False):
                pair = [np.array([start, end])]
                cv2.polylines(canvas, pair, False, 255, max(2, round(width)), cv2.LINE_AA, 4)
        return glyphs.of_height(canvas.astype(np.float32) / 255.0, height)


def corners_cut(points: np.ndarray) -> np.ndarray:
    """Points (n, 2) with each corner cut (Chaikin 1974), which keeps the ends."""
    between = [0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]]
    cut = np.stack(between, axis=1).reshape(-1, 2)
    return np.vstack([points[:1], cut[1:-1], points[-1:]])


def pen(rng: np.random.Generator) -> Spline:
    return Spline(rng) if rng.random() < 0.6 else Brush(rng)


@cache
def seen_fonts() -> list[glyphs.Font]:
    """DejaVu, which comes with Matplotlib, and handwriting and print of Debian's packages
    fonts-dkg-handwriting, fonts-humor-sans and fonts-liberation."""
    return [
        *glyphs.fonts_of_matplotlib("DejaVuSans", "DejaVuSerif"),
        *glyphs.fonts_of_debian("dkg", "Humor", "Liberation"),
    ]


@cache
def fonts() -> list[glyphs.Font]:
    """The fonts seen in training, and those of Debian's fonts-bwht, fonts-klee and
    fonts-tomsontalks that are not, if they are installed."""
    unseen = ("BecauseWeMentor", "BecauseWeOrganize", "Klee", "Tomson")
    return [*seen_fonts(), *glyphs.fonts_of_debian(*unseen)]


def unseen(rng: np.random.Generator) -> glyphs.Writer:
    """A hand, a font or an image of the tuning half that the shipped model is not trained with.

    Only MNIST's last 2,000 training images are not.
    """
    kind = rng.choice(3, p=[0.5, 0.25, 0.25])
    if kind == 0:
        return Brush(rng)
    new = fonts()[len(seen_fonts()) :]
    if kind == 1 and new:
        return pick(rng, new)
    images, labels = train_images()
    return glyphs.Enlarged(images[-2_000:] / np.float32(255.0), labels[-2_000:], 0.45)


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
        pens=pen,
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
            lambda rng, h, w: stone(rng, h, w, (135, 130, 122)),
            lambda rng, h, w: woven(rng, h, w, (60, 80, 110)),
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
            lambda rng, h, w: arm(rng, h, w, 0.38),
            lambda rng, h, w: head(rng, h, w, 0.4) * camera.slope(rng, h, w, 0.2),
        ),
    )


def stone(rng: np.random.Generator, height: int, width: int, colour: camera.Colour):
    """A table of speckled stone (H, W, 3): grains of three sizes."""
    grains = np.zeros((height, width), np.float32)
    for size, share in ((1.5, 0.5), (4.0, 0.5), (40.0, 0.6)):
        small = rng.normal(0.0, 1.0, (round(height / size), round(width / size)))
        grains += share * cv2.resize(small.astype(np.float32), (width, height))
    return np.array(colour, np.float32) * (1.0 + 0.09 * grains[:, :, None])


def woven(rng: np.random.Generator, height: int, width: int, colour: camera.Colour):
    """A mat (H, W, 3) of threads that cross."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    pitch = rng.uniform(5.0, 11.0)
    threads = np.sin(2 * np.pi * y / pitch) * np.sin(2 * np.pi * x / pitch)
    return np.array(colour, np.float32) * (1.0 + 0.13 * threads[:, :, None])


def arm(rng: np.random.Generator, height: int, width: int, strength: float) -> np.ndarray:
    """The shadow of an arm: a band, with one edge softer than the other."""
    y, x = camera.grid(height, width)
    turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.2)
    across = np.cos(turn) * x + np.sin(turn) * y - away
    half, soft = rng.uniform(0.1, 0.2), rng.uniform(0.008, 0.03)
    near = 1.0 / (1.0 + np.exp(-(across + half) / soft))
    far = 1.0 / (1.0 + np.exp((across - half) / (3 * soft)))
    return 1.0 - strength * near * far


def head(rng: np.random.Generator, height: int, width: int, strength: float) -> np.ndarray:
    """The shadow of a head and its shoulders, from below or from a side."""
    y, x = camera.grid(height, width)
    if rng.random() < 0.5:
        y, x = x, y
    soft = rng.uniform(0.02, 0.06)
    at, high = rng.uniform(-0.25, 0.25), rng.uniform(-0.1, 0.25)
    far = np.hypot(x - at, y - high) - 0.17
    wide = np.abs(x - at) - 0.33 + 0.25 * (0.4 - y)
    below = np.maximum(high + 0.2 - y, wide)
    away = np.minimum(far, below)
    return 1.0 - strength / (1.0 + np.exp(np.clip(away / soft, -50, 50)))
