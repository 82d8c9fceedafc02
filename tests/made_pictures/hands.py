"""Hands beside those of the tuning half: one that the shipped model is trained with, and others,
small images and displays that it is not trained with, by which it is calibrated."""

from __future__ import annotations

import cv2
import numpy as np
from helpers.pictures import HAND

from made_pictures import glyphs, tuning
from made_pictures.half import pick

STYLES = {  # forms of digits that are common beside those of the tuning half
    1: [[[(0.5, 0.05), (0.5, 0.35), (0.5, 0.65), (0.5, 0.95)]]],
    2: [
        [
            [(0.22, 0.25), (0.45, 0.05), (0.72, 0.2), (0.6, 0.5), (0.3, 0.85), (0.2, 0.88)],
            [(0.2, 0.88), (0.27, 0.76), (0.42, 0.82), (0.6, 0.93), (0.85, 0.85)],
        ],
        [
            [(0.24, 0.2), (0.5, 0.05), (0.74, 0.22), (0.6, 0.5), (0.22, 0.94)],
            [(0.22, 0.94), (0.5, 0.94), (0.8, 0.94)],
        ],
    ],
    3: [
        [
            [(0.22, 0.07), (0.5, 0.07), (0.76, 0.07)],
            [(0.76, 0.07), (0.6, 0.25), (0.45, 0.4)],
            [(0.45, 0.4), (0.7, 0.45), (0.78, 0.68), (0.55, 0.94), (0.2, 0.84)],
        ]
    ],
    4: [
        [
            [(0.25, 0.06), (0.23, 0.3), (0.22, 0.52)],
            [(0.22, 0.52), (0.5, 0.52), (0.74, 0.52)],
            [(0.72, 0.06), (0.72, 0.5), (0.72, 0.95)],
        ]
    ],
    6: [[[(0.7, 0.06), (0.5, 0.3), (0.3, 0.6), (0.35, 0.9), (0.62, 0.92), (0.72, 0.7),
          (0.5, 0.56), (0.3, 0.68)]]],
    7: [[[(0.2, 0.2), (0.2, 0.07), (0.5, 0.07), (0.8, 0.07)], [(0.8, 0.07), (0.58, 0.5),
          (0.42, 0.95)]]],
    9: [
        [
            [(0.7, 0.3), (0.5, 0.08), (0.28, 0.28), (0.45, 0.5), (0.7, 0.32)],
            [(0.7, 0.1), (0.69, 0.5), (0.68, 0.95)],
        ],
        [
            [(0.72, 0.28), (0.5, 0.06), (0.26, 0.28), (0.46, 0.52), (0.72, 0.3)],
            [(0.72, 0.3), (0.74, 0.6), (0.6, 0.9), (0.28, 0.9)],
        ],
    ],
}  # fmt: skip


class Hand(tuning.Spline):
    """The tuning half's first hand, which knows more forms of a digit."""

    def __call__(self, rng: np.random.Generator, char: str, height: int) -> np.ndarray:
        if int(char) in STYLES and rng.random() < 0.4:
            return self.drawn(rng, pick(rng, STYLES[int(char)]), height)
        return super().__call__(rng, char, height)


class Stranger:
    """A hand with a pen, a nib or straight strokes, which no shipped model is trained with.

    Its digits are more slanted, narrower and wider than those of the tuning half's hands.
    """

    def __init__(self, rng: np.random.Generator):
        self.width = np.exp(rng.uniform(np.log(0.02), np.log(0.15)))
        self.slant, self.aspect = rng.uniform(-0.3, 0.3), rng.uniform(0.6, 1.25)
        self.unsteady = rng.uniform(0.005, 0.03)
        self.smooth = pick(rng, (tuning.catmull_rom,) * 3 + (tuning.corners_cut, straight))
        self.nib = rng.uniform(0, np.pi) if rng.random() < 0.2 else None

    def __call__(self, rng: np.random.Generator, char: str, height: int) -> np.ndarray:
        forms = [HAND[int(char)], *STYLES.get(int(char), [])]
        if int(char) in tuning.VARIANTS:
            forms.append(tuning.VARIANTS[int(char)])
        return self.drawn(rng, pick(rng, forms), height)

    def drawn(self, rng: np.random.Generator, lines, height: int) -> np.ndarray:
        """Lines of points (x, y) in 0 to 1 as ink."""
        side = max(160, 2 * height)
        canvas = np.zeros((2 * side, 2 * side), np.uint8)
        thick = max(2, round(self.width * side))
        for line in lines:
            points = np.array(line) + rng.normal(0.0, self.unsteady, (len(line), 2))
            points[:, 0] = (points[:, 0] - 0.5) * self.aspect + self.slant * (0.5 - points[:, 1])
            points[:, 0] += 0.5
            path = np.round((self.smooth(points) * side + side / 2) * 16).astype(np.int32)
            own = thick if self.nib is None else max(2, thick // 3)
            cv2.polylines(canvas, [path], False, 255, own, cv2.LINE_AA, 4)
        if self.nib is not None:  # as wide as the nib across its edge, and thin along it
            edge = np.zeros((thick | 1, thick | 1), np.uint8)
            away = (thick // 2) * np.array((np.cos(self.nib), np.sin(self.nib)))
            ends = [np.round(thick // 2 + sign * away).astype(int).tolist() for sign in (-1, 1)]
            cv2.line(edge, *ends, 1)
            canvas = cv2.dilate(canvas, edge)
        return glyphs.of_height(canvas.astype(np.float32) / 255.0, height)


def straight(points: np.ndarray) -> np.ndarray:
    """A hand that draws straight strokes from point to point (n, 2)."""
    return points


def display(rng: np.random.Generator, char: str, height: int) -> np.ndarray:
    """A digit of a display or a ticket printer, upright or a little slanted."""
    if rng.random() < 0.65:
        ink = glyphs.seven_segments(char, 200, rng.uniform(0.06, 0.14), rng.uniform(0.0, 0.035))
    else:
        ink = glyphs.dot_matrix(char, 200, rng.uniform(0.55, 1.0), rng.random() < 0.5)
    slant = rng.uniform(0.0, 0.2) * (rng.random() < 0.5)
    over = round(slant * len(ink))
    shear = np.array([[1.0, -slant, over], [0.0, 1.0, 0.0]])
    size = (ink.shape[1] + over, ink.shape[0])
    return glyphs.of_height(np.clip(cv2.warpAffine(ink, shear, size), 0.0, 1.0), height)


def coarse(rng: np.random.Generator, image: np.ndarray, height: int) -> np.ndarray:
    """An image (28, 28) in 0 to 1 that was made far smaller, 8 to 14 pixels high, and enlarged."""
    own = glyphs.cropped(image)
    high = int(rng.integers(8, 15))
    wide = max(2, round(high * own.shape[1] / own.shape[0]))
    small = cv2.resize(own, (wide, high), interpolation=cv2.INTER_AREA)
    middle, soft = rng.uniform(0.3, 0.5), rng.uniform(0.12, 0.5)
    return glyphs.enlarged(small / small.max(), height, middle, soft)


def stranger(rng: np.random.Generator) -> glyphs.Writer:
    """Who writes a digit of a kind that the shipped model is not trained with.

    Of MNIST's images the last 2,000 of the training images are not.
    """
    kind = rng.random()
    if kind < 0.4:
        return Stranger(rng)
    if kind < 0.7:
        return tuning.unseen(rng)
    if kind < 0.85:
        return display
    images, labels = (each[-2_000:] for each in tuning.train_images())

    def writer(rng: np.random.Generator, char: str, height: int) -> np.ndarray:
        image = images[rng.choice(np.flatnonzero(labels == int(char)))]
        return coarse(rng, image / np.float32(255.0), height)

    return writer


def spoiled(rng: np.random.Generator, ink: np.ndarray) -> np.ndarray:
    """Ink as it is often found in a photograph: with a gap, pale in part, or with rough edges."""
    kind = rng.random()
    if kind < 0.1:
        ink = glyphs.with_gaps(rng, ink, int(rng.integers(1, 3)), rng.uniform(0.02, 0.06))
    elif kind < 0.2:
        grain = cv2.resize(rng.normal(0.0, 1.0, (12, 12)).astype(np.float32), ink.shape[::-1])
        ink = np.clip(cv2.GaussianBlur(ink, (0, 0), 2.0) * 1.6 - 0.3 + 0.15 * grain, 0.0, 1.0) * (
            ink > 0
        )
    elif kind < 0.3:
        ways = cv2.resize(rng.uniform(0.35, 1.0, (3, 3)).astype(np.float32), ink.shape[::-1])
        ink = ink * ways
    return ink if ink.max() > 0.3 else np.ones((20, 8), np.float32)
