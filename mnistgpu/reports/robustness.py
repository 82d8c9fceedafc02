"""Worse copies of images, to measure robustness: noise, shift, rotation, stroke thickness.

Each change has a strength s and takes all images at once, on the host; s = 0 changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mnistgpu import counter_rng

Change = Callable[[np.ndarray, float], np.ndarray]  # images (N, H, W) float32 in 0 to 255


@dataclass(frozen=True)
class Trial:
    """A change, the strengths to try, and its name and unit in a report."""

    name: str
    unit: str
    strengths: tuple[float, ...]
    change: Change


def noisy(images: np.ndarray, strength: float) -> np.ndarray:
    """Normal noise of standard deviation `strength` (ink is 1), the same in every call."""
    key = counter_rng.fold_in(counter_rng.key(0, like=images), counter_rng.NOISE)
    noise = counter_rng.normals(key, images.shape)
    changed: np.ndarray = np.clip(images + 255.0 * strength * noise, 0.0, 255.0)
    return changed


def shifted(images: np.ndarray, pixels: float) -> np.ndarray:
    """Moved by `pixels`, each image in another direction."""
    # multiples of the golden angle: directions that are spread evenly
    turn = np.arange(len(images)) * (2 * math.pi * 0.618034)
    down, right = pixels * np.sin(turn), pixels * np.cos(turn)
    rows, columns = grid(images)
    return bilinear(images, rows - down[:, None, None], columns - right[:, None, None])


def rotated(images: np.ndarray, degrees: float) -> np.ndarray:
    """Turned about the middle, counterclockwise for positive degrees."""
    height, width = images.shape[1:]
    rows, columns = grid(images)
    y, x = rows - (height - 1) / 2, columns - (width - 1) / 2
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows, columns = cos * y + sin * x + (height - 1) / 2, cos * x - sin * y + (width - 1) / 2
    return bilinear(images, rows, columns)


def thickened(images: np.ndarray, pixels: float) -> np.ndarray:
    """Strokes thicker by `pixels` (half of it on each side), or thinner if that is negative.

    A whole step takes the maximum (minimum) of each pixel and its four neighbours; a fraction of a
    step interpolates between two whole ones.
    """
    steps, rest = divmod(abs(pixels) / 2.0, 1.0)
    extreme = np.maximum if pixels > 0 else np.minimum
    for _ in range(int(steps)):
        images = grown(images, extreme)
    return images + np.float32(rest) * (grown(images, extreme) - images) if rest else images


def grown(images: np.ndarray, extreme: np.ufunc) -> np.ndarray:
    """The extreme of each pixel and its four neighbours; beyond the border is paper."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    best = padded[:, 1:-1, 1:-1]
    vertical = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1])
    for other in (*vertical, padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]):
        best = extreme(best, other)
    return best


def grid(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every pixel: two (1, H, W)."""
    rows, columns = np.mgrid[: images.shape[1], : images.shape[2]].astype(np.float32)
    return rows[None], columns[None]


def bilinear(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Values of images (N, H, W) at rows and columns (1 or N, H, W); beyond the border is 0."""
    count, height, width = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    rows = np.clip(rows + 1.0, 0.0, height + 0.999)
    columns = np.clip(columns + 1.0, 0.0, width + 0.999)
    top, left = rows.astype(np.int64), columns.astype(np.int64)
    down, right = rows - top, columns - left
    each = np.arange(count)[:, None, None]
    above = (1 - right) * padded[each, top, left] + right * padded[each, top, left + 1]
    below = (1 - right) * padded[each, top + 1, left] + right * padded[each, top + 1, left + 1]
    between: np.ndarray = (1 - down) * above + down * below
    return between


TRIALS = (
    Trial("Noise", "standard deviation, ink is 1", (0, 0.1, 0.2, 0.3, 0.45, 0.6), noisy),
    Trial("Shift", "pixels", (0, 1, 2, 3, 4, 6), shifted),
    Trial("Rotation", "degrees", (-45, -30, -15, 0, 15, 30, 45), rotated),
    Trial("Stroke thickness", "pixels more", (-2, -1, 0, 1, 2, 4), thickened),
)
