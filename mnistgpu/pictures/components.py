"""Connected parts of the ink, and which of them are strokes of one digit, in reading order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

NEAR = 0.12  # parts closer than this share of the tallest are strokes of one digit
NEAR_BELOW = 0.25  # the same for a part above another, such as the bar of a 5
SMALL = 0.35  # a part shorter than this share of the tallest is not a digit by itself
WIDEST = 1.5  # of its height: no digit is wider
DUST = 0.05  # of the tallest: smaller parts are no commas
STACKED = 0.6  # of the narrower one: parts that overlap so far stand above each other
BESIDE = 0.2  # digits on one line overlap by this share of the smaller height
STRAY = 0.35  # of a digit's height: a dot is at most so far below or above it
MOST_PARTS = 256  # considered; a picture with more shows a texture, not writing


class Digit(NamedTuple):
    """Where a digit stands in the picture, and the indices of the parts that form it."""

    top: int
    left: int
    below: int  # the row after its last
    right: int  # the column after its last
    parts: np.ndarray


def label(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names and boxes of the connected parts of mask (H, W) bool; parts touch at corners, too.

    Names (H, W) int32 are 1, 2, ... and 0 where mask is False; boxes (parts, 4) hold the first row
    and column of each part, and the row and column after its last.
    """
    import cv2

    _, names, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    left, top, width, height = stats[1:, :4].T
    return names, np.stack((top, left, top + height, left + width), axis=1)


def joined(links: np.ndarray) -> np.ndarray:
    """Names 0, 1, ... (n,) of things, one for those that links (n, n) bool join, if only by others.

    The links are symmetrical.
    """
    names = np.arange(len(links))
    while True:
        lowest = np.where(links, names[None, :], len(links)).min(axis=1, initial=len(links))
        lowest = np.minimum(lowest, names)
        if np.array_equal(lowest, names):
            return np.unique(names, return_inverse=True)[1]
        names = lowest


def digits_of(boxes: np.ndarray) -> list[np.ndarray]:
    """Which of the boxes (parts, 4) make up each digit, line by line, without stray dots."""
    return [group for line in lines_of(groups_of(boxes), boxes) for group in line]


def groups_of(boxes: np.ndarray, side_by_side: bool = True) -> list[np.ndarray]:
    """Which of the boxes (parts, 4) are strokes of one digit, in no order, without stray dots.

    side_by_side: whether parts that stand near each other on a line are joined, or only those above
    each other; then dots and short strokes beside them are groups of their own.
    """
    sizes = np.max(boxes[:, 2:] - boxes[:, :2], axis=1, initial=0)
    tall = np.argsort(-sizes, kind="stable")[:MOST_PARTS]
    size = sizes.max(initial=0)
    tall = tall[sizes[tall] >= SMALL * size]
    names = joined(near(boxes[tall], boxes[tall], size, side_by_side))
    # dots and short strokes belong to a digit close to them, if there is one
    small = np.setdiff1d(np.argsort(-sizes, kind="stable")[: 4 * MOST_PARTS], tall)
    close = near(boxes[small], boxes[tall], size, side_by_side)
    owner = np.where(close.any(axis=1), names[np.argmax(close, axis=1)], -1) if len(tall) else small
    groups = [
        np.concatenate((tall[names == name], small[owner == name])) for name in np.unique(names)
    ]
    if side_by_side or not len(tall):
        return groups
    return groups + [
        small[i : i + 1] for i in np.flatnonzero((owner < 0) & (sizes[small] >= DUST * size))
    ]


def is_dust(parts: np.ndarray, boxes: np.ndarray) -> bool:
    """Whether all of these parts are far smaller than the largest of the boxes (n, 4)."""
    sizes = np.max(boxes[:, 2:] - boxes[:, :2], axis=1)
    return bool(sizes[parts].max() < SMALL * sizes.max())


def is_one(boxes: np.ndarray) -> bool:
    """Whether all boxes (parts, 4) may be strokes of one digit as tall as all of them together.

    So dots of a printer and segments of a display, each far smaller than the digit, are one.
    """
    size, width = (int(boxes[:, 2 + axis].max() - boxes[:, axis].min()) for axis in (0, 1))
    if len(boxes) > MOST_PARTS or width > WIDEST * size:
        return False
    return len(set(joined(near(boxes, boxes, size)).tolist())) == 1


def near(a: np.ndarray, b: np.ndarray, size: int, side_by_side: bool = True) -> np.ndarray:
    """Whether each box of a and each of b may be strokes of one digit of that size: (a, b)."""
    down, right = (  # the gap, negative where they overlap
        np.maximum.outer(a[:, axis], b[:, axis]) - np.minimum.outer(a[:, 2 + axis], b[:, 2 + axis])
        for axis in (0, 1)
    )
    found: np.ndarray
    if side_by_side:
        found = (right <= NEAR * size) & (down <= NEAR * size)
        found |= (right < 0) & (down <= NEAR_BELOW * size)
    else:
        narrower = np.minimum.outer(a[:, 3] - a[:, 1], b[:, 3] - b[:, 1])
        found = (-right >= STACKED * narrower) & (down <= NEAR_BELOW * size)
    return found


def lines_of(groups: list[np.ndarray], boxes: np.ndarray) -> list[list[np.ndarray]]:
    """Groups of boxes line by line, each line from left to right.

    Handwritten lines slant and digits stray from them, so only neighbours are level: from left to
    right, each digit joins the line whose last digit it overlaps most in height. Then what is too
    small for a digit, such as a dot, joins the line whose digits it is beside, or near.
    """
    digits = [
        Digit(
            top=int(boxes[group, 0].min()),
            left=int(boxes[group, 1].min()),
            below=int(boxes[group, 2].max()),
            right=int(boxes[group, 3].max()),
            parts=group,
        )
        for group in groups
    ]
    digits.sort(key=lambda digit: digit.left)
    least = SMALL * max((high_of(digit) for digit in digits), default=0)
    lines: list[list[Digit]] = []
    for digit in (digit for digit in digits if high_of(digit) >= least):
        shares = [beside(line[-1], digit) for line in lines]
        if max(shares, default=0.0) >= BESIDE:
            lines[int(np.argmax(shares))].append(digit)
        else:
            lines.append([digit])
    alone = []
    for dot in (digit for digit in digits if high_of(digit) < least):
        away = [distance_of(dot, line) for line in lines]
        if min(away, default=np.inf) <= STRAY:
            lines[int(np.argmin(away))].append(dot)
        else:
            alone.append([dot])
    lines += alone
    lines.sort(key=lambda line: line[0].top + line[0].below)
    ordered = (sorted(line, key=lambda digit: digit.left) for line in lines)
    return [[digit.parts for digit in line] for line in ordered]


def high_of(digit: Digit) -> int:
    """The height of a digit's box."""
    return digit.below - digit.top


def distance_of(dot: Digit, line: list[Digit]) -> float:
    """How far a dot is above or below the nearest digit of a line, in heights of that digit."""
    near = min(line, key=lambda digit: max(digit.left - dot.right, dot.left - digit.right, 0))
    high = near.below - near.top
    return max(near.top - dot.below, dot.top - near.below, 0) / max(high, 1)


def beside(a: Digit, b: Digit) -> float:
    """The overlap of the heights of two digits, as a share of the smaller height, from 0 to 1."""
    overlap = min(a.below, b.below) - max(a.top, b.top)
    return max(0, overlap) / min(a.below - a.top, b.below - b.top)
