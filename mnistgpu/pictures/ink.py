"""From a sheet to its ink: how much each pixel differs from paper, and on which side.

Most of a sheet is paper. In a drawing or a scan it has one level, which most of the frame or of the
picture has. In a photograph the light changes from place to place; there the paper is what a
morphological opening leaves, which removes everything narrower than a quarter of the picture. It
follows slopes of light and edges of shadows. A second one, without the ink that is certain, follows
narrow shadows, too.
"""

from __future__ import annotations

import numpy as np

COARSE = 200  # longest side of the copy on which light is measured, where noise averages out
EVEN = 4.0  # levels within so many grey levels count as one
DIMMEST = 40.0  # darker paper is not brightened: its noise is as strong as ink
FAINT = 24.0  # grey levels: if all ink is fainter, the page is blank
SMALL_PICTURE = 56  # pixels; in larger pictures the palest ink is an artefact of compression
ROUGHER = 1.15  # times as rough as the other side's paper: the wrong side's paper
MOST_INK = 0.2  # of a picture: with more it is cropped to its ink
DEEPEST = 0.5  # of the light at least is left in a shadow
CERTAIN = 0.5  # of the darkest: a shadow is paler
NARROW = 12  # the share of the picture's side that a stroke of pale ink is narrower than, inverted
BETWEEN = 60.0  # grey levels from paper: neither paper nor ink


def ink_of(levels: np.ndarray) -> np.ndarray:
    """Ink (H, W) float32 from levels (H, W) or (H, W, 3): 0 is paper, and more is more ink.

    A blank page gives zeros. Dark ink on light paper and light ink on dark paper give the same.
    """
    grey = one_channel(np.asarray(levels, dtype=np.float32))
    frame = np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1]))
    level = np.median(frame)
    if np.mean(np.abs(frame - level) <= EVEN) >= 0.75 and is_drawn(grey - level):
        difference = grey - level
        side = side_of_ink(difference)
        return above(side * difference, noise_level(side * (frame - level)))
    if max(grey.shape) <= SMALL_PICTURE:  # cropped so that its ink touches the edges
        difference = grey - most_frequent(grey)
        return above(side_of_ink(difference) * difference, 0.0)
    difference = without_light(grey)
    return above(difference, noise_level(difference))


def is_drawn(difference: np.ndarray) -> bool:
    """Whether differences (H, W) from the frame's level are none or clear, as without a camera.

    In a photograph whose paper is white in part, as bright as a camera can see, many are small.
    """
    if max(difference.shape) <= SMALL_PICTURE:
        return True
    away = np.abs(difference)
    return bool(np.mean((away > EVEN) & (away < BETWEEN)) <= 0.15)


def above(difference: np.ndarray, noise: float) -> np.ndarray:
    """Ink (H, W) from the difference from paper (H, W), without what is noise or too faint."""
    ink: np.ndarray = np.maximum(difference - noise, 0.0)
    peak = np.quantile(ink, 1.0 - 2e-4)
    if peak < FAINT:
        return np.zeros_like(ink)
    if max(ink.shape) > SMALL_PICTURE:
        ink[ink < 0.1 * peak] = 0.0
    return ink


def one_channel(levels: np.ndarray) -> np.ndarray:
    """Levels (H, W, 3) along the line of colours on which ink and paper differ most: (H, W).

    So red on green is as good as black on white, whose line is grey. The sign is not determined.
    """
    if levels.ndim == 2:
        return levels
    if np.array_equal(levels[..., 0], levels[..., 1]) and np.array_equal(
        levels[..., 1], levels[..., 2]
    ):
        return levels[..., 0]
    coarse = coarse_copy(levels)
    local = (coarse - local_mean(coarse)).reshape(-1, 3)
    _, directions = np.linalg.eigh(local.T @ local)
    direction = directions[:, -1] * (1.0 if directions[:, -1].sum() >= 0 else -1.0)
    mixed: np.ndarray = levels @ (direction / np.sum(np.abs(direction))).astype(levels.dtype)
    return mixed


def most_frequent(grey: np.ndarray) -> float:
    """The level that most pixels have."""
    counts = np.bincount(np.clip(np.round(grey), 0, 255).astype(np.int64).ravel(), minlength=256)
    return float(np.argmax(counts))


def side_of_ink(difference: np.ndarray) -> float:
    """The side of the ink: 1 if the largest differences are above zero, -1 if they are below."""
    return 1.0 if np.sum(difference.astype(np.float64) ** 3) >= 0 else -1.0


def without_light(grey: np.ndarray) -> np.ndarray:
    """Difference from paper at each place of an unevenly lit picture (H, W), positive for ink.

    Both sides are tried. On the right one the paper is smooth; on the other it has the writing on
    it. Dark ink absorbs a constant share of the light: differences are scaled to paper of level
    255.
    """
    import cv2

    coarse = coarse_copy(grey)
    window = max(3, max(coarse.shape) // 4) | 1
    square = np.ones((window, window), np.uint8)
    papers = [
        cv2.morphologyEx(coarse, way, square, borderType=cv2.BORDER_REPLICATE)
        for way in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN)
    ]
    dark, light = (roughness(paper) for paper in papers)
    side = -1.0 if dark <= light else 1.0
    if max(dark, light) < ROUGHER * min(dark, light):  # little ink: the largest differences decide
        side = side_of_ink(coarse - local_mean(coarse))
    paper = nearer(coarse, papers[0]) if side < 0 else papers[1]
    paper = cv2.resize(paper, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    difference: np.ndarray = side * (grey - paper)
    if side < 0:
        difference *= 255.0 / np.maximum(paper, DIMMEST)
    return difference


def nearer(coarse: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Levels of paper (h, w) that follow narrow shadows too, from those that follow wide ones.

    Where dark ink is certain the paper goes on as beside it. Then no wide stroke is left, and a
    closing can be narrow. In a picture that is cropped to its ink, or where more light is missing
    than in a shadow, the paper is left as it was.
    """
    import cv2

    ink = 1.0 - coarse / np.maximum(paper, DIMMEST)
    dark = (ink > CERTAIN * np.quantile(ink, 1.0 - 1e-3)).astype(np.uint8)
    dark = cv2.dilate(dark, np.ones((5, 5), np.uint8))
    if dark.mean() > MOST_INK:
        return paper
    levels = np.clip(np.round(coarse), 0, 255).astype(np.uint8)
    bare = cv2.inpaint(levels, dark, 3, cv2.INPAINT_TELEA).astype(np.float32)
    window = max(3, max(coarse.shape) // NARROW) | 1
    square = np.ones((window, window), np.uint8)
    found = cv2.morphologyEx(bare, cv2.MORPH_CLOSE, square, borderType=cv2.BORDER_REPLICATE)
    return np.where(found >= DEEPEST * paper, found, paper)


def roughness(paper: np.ndarray) -> float:
    """How much the levels (h, w) of paper change from pixel to pixel, in all."""
    return float(sum(np.abs(np.diff(paper, axis=axis)).sum() for axis in (0, 1)))


def noise_level(difference: np.ndarray) -> float:
    """The difference from paper, in grey levels, below which it is noise; 0 without noise."""
    middle = np.median(difference)
    spread = 1.4826 * np.median(np.abs(difference - middle))  # a deviation that ignores ink
    return max(0.0, float(middle + 4.0 * spread))


def coarse_copy(levels: np.ndarray) -> np.ndarray:
    """The picture (H, W) or (H, W, 3) with its longest side at most COARSE."""
    import cv2

    scale = max(1.0, max(levels.shape[:2]) / COARSE)
    height, width = (max(1, round(side / scale)) for side in levels.shape[:2])
    copy: np.ndarray = cv2.resize(levels, (width, height), interpolation=cv2.INTER_AREA)
    return copy


def local_mean(levels: np.ndarray) -> np.ndarray:
    """The mean around each pixel, over a square a third as wide as the picture."""
    import cv2

    window = max(3, max(levels.shape[:2]) // 3 | 1)
    mean: np.ndarray = cv2.blur(levels, (window, window), borderType=cv2.BORDER_REPLICATE)
    return mean
