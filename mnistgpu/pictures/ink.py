"""From a picture to its ink: how much each pixel differs from paper, and on which side.

Most of a picture is paper. In a drawing or a scan it has one level, that of the frame. In a
photograph the light changes from place to place; there the paper is what a morphological opening
leaves, which removes everything narrower than a quarter of the picture. It follows slopes of light
and edges of shadows.
"""

from __future__ import annotations

import numpy as np

COARSE = 200  # longest side of the copy on which light is measured, where noise averages out
EVEN = 4.0  # a frame within so many grey levels counts as one level
DIMMEST = 40.0  # darker paper is not brightened: its noise is as strong as ink
FAINT = 24.0  # grey levels: if all ink is fainter, the page is blank
SMALL_PICTURE = 56  # pixels; in larger pictures the palest ink is an artefact of compression


def ink_of(levels: np.ndarray) -> np.ndarray:
    """Ink (H, W) float32 from levels (H, W) or (H, W, 3): 0 is paper, and more is more ink.

    A blank page gives zeros. Dark ink on light paper and light ink on dark paper give the same.
    """
    grey = one_channel(np.asarray(levels, dtype=np.float32))
    frame = np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1]))
    level = np.median(frame)
    if np.mean(np.abs(frame - level) <= EVEN) >= 0.75:
        difference = grey - level
        side = side_of_ink(difference)
        difference *= side
        above = noise_level(side * (frame - level))  # a bold digit may fill the rest
    else:
        difference = without_light(grey)
        above = noise_level(difference)
    ink: np.ndarray = np.maximum(difference - above, 0.0)
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
    coarse = [coarse_copy(levels[..., channel]) for channel in range(3)]
    local = np.stack([(copy - local_mean(copy)).ravel() for copy in coarse])
    _, directions = np.linalg.eigh(local @ local.T)
    direction = directions[:, -1] * (1.0 if directions[:, -1].sum() >= 0 else -1.0)
    mixed: np.ndarray = levels @ (direction / np.sum(np.abs(direction))).astype(levels.dtype)
    return mixed


def side_of_ink(difference: np.ndarray) -> float:
    """The side of the ink: 1 if the largest differences are above zero, -1 if they are below."""
    return 1.0 if np.sum(difference.astype(np.float64) ** 3) >= 0 else -1.0


def without_light(grey: np.ndarray) -> np.ndarray:
    """Difference from paper at each place of an unevenly lit picture (H, W), positive for ink.

    Dark ink absorbs a constant share of the light: differences are scaled to paper of level 255.
    """
    from PIL import Image

    coarse = coarse_copy(grey)
    side = side_of_ink(coarse - local_mean(coarse))
    paper = opening(side * coarse, max(3, max(coarse.shape) // 4))
    height, width = grey.shape
    paper = np.asarray(Image.fromarray(paper).resize((width, height), Image.Resampling.BILINEAR))
    difference: np.ndarray = side * grey - paper
    if side < 0:
        difference *= 255.0 / np.maximum(-paper, DIMMEST)
    return difference


def noise_level(difference: np.ndarray) -> float:
    """The difference from paper, in grey levels, below which it is noise; 0 without noise."""
    middle = np.median(difference)
    spread = 1.4826 * np.median(np.abs(difference - middle))  # a deviation that ignores ink
    return max(0.0, float(middle + 4.0 * spread))


def area(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """picture (H, W) resampled to (height, width): each pixel is the mean of the area it covers."""
    rows, columns = overlaps(height, picture.shape[0]), overlaps(width, picture.shape[1])
    means: np.ndarray = rows @ picture @ columns.T
    return means


def overlaps(n: int, n_old: int) -> np.ndarray:
    """Shares (n, n_old) of old pixels in new ones, on a line; the identity where n is n_old."""
    edges = np.arange(n + 1) * (n_old / n)
    old = np.arange(n_old)
    first = np.maximum(edges[:-1, None], old[None, :])
    last = np.minimum(edges[1:, None], old[None, :] + 1.0)
    shares: np.ndarray = np.maximum(last - first, 0.0) * (n / n_old)
    return shares.astype(np.float32)


def coarse_copy(grey: np.ndarray) -> np.ndarray:
    """The picture with its longest side at most COARSE."""
    scale = max(1.0, max(grey.shape) / COARSE)
    height, width = (max(1, round(side / scale)) for side in grey.shape)
    return area(grey, height, width)


def local_mean(grey: np.ndarray) -> np.ndarray:
    """The mean around each pixel, over a square a third as wide as the picture."""
    window = max(3, max(grey.shape) // 3 | 1)
    for axis in (0, 1):
        padded = pad_line(grey, window, axis)
        sums = np.cumsum(np.insert(padded, 0, 0.0, axis=axis), axis=axis, dtype=np.float64)
        n = grey.shape[axis]
        after, before = sums.take(np.arange(n) + window, axis), sums.take(np.arange(n), axis)
        grey = ((after - before) / window).astype(np.float32)
    return grey


def opening(grey: np.ndarray, window: int) -> np.ndarray:
    """A morphological opening: bright structures narrower than `window` pixels are removed."""
    window |= 1
    return highest(-highest(-grey, window), window)


def highest(grey: np.ndarray, window: int) -> np.ndarray:
    """The highest value in the square of `window` pixels (odd) around each pixel."""
    for axis in (0, 1):
        best, span = np.moveaxis(pad_line(grey, window, axis), axis, 0), 1
        while 2 * span <= window:  # the maximum over `span` pixels gives that over twice as many
            best = np.maximum(best[:-span], best[span:])
            span *= 2
        n = grey.shape[axis]
        best = np.maximum(best[:n], best[window - span : window - span + n])
        grey = np.moveaxis(best, 0, axis)
    return grey


def pad_line(grey: np.ndarray, window: int, axis: int) -> np.ndarray:
    """The picture continued by its own edge, half a window on both sides of an axis."""
    margins = [(0, 0), (0, 0)]
    margins[axis] = (window // 2, window // 2)
    return np.pad(grey, margins, mode="edge")
