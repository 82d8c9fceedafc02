"""Connected parts of a picture, and which of them belong to one digit.

A part is a set of marked pixels that touch, if only at a corner. Parts are found from the runs of
each row: runs of neighbouring rows that touch get one name, all pairs at once, until no name
changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

NEAR = 0.12  # parts closer than this share of the tallest are strokes of one digit
NEAR_BELOW = 0.25  # the same for a part above another, such as the bar of a 5
SMALL = 0.35  # a part shorter than this share of the tallest is not a digit by itself
BESIDE = 0.2  # digits on one line overlap by this share of the smaller height
AT_ONCE = 256  # so many parts are compared with all others at once, to bound the memory
MOST_PARTS = 256  # considered; a picture with more shows a texture, not writing


class Digit(NamedTuple):
    """Where a digit stands in the picture, and the indices of the parts that form it."""

    top: int
    left: int
    below: int  # the row after its last
    parts: np.ndarray


def label(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names and boxes of the connected parts of mask (H, W) bool.

    Names (H, W) int64 are 1, 2, ... and 0 where mask is False; boxes (parts, 4) hold the first row
    and column of each part, and the row and column after its last.
    """
    height, width = mask.shape
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    names = joined(*touching(rows, starts, ends, width), len(rows))
    count = int(names.max(initial=-1)) + 1
    boxes = np.tile(np.array([height, width, 0, 0]), (count, 1))
    np.minimum.at(boxes[:, 0], names, rows)
    np.minimum.at(boxes[:, 1], names, starts)
    np.maximum.at(boxes[:, 2], names, rows + 1)
    np.maximum.at(boxes[:, 3], names, ends)
    # each run adds its name where it starts and subtracts it where it ends
    steps = np.zeros((height, width + 1), dtype=np.int64)
    steps[rows, starts] += names + 1
    steps[rows, ends] -= names + 1
    return np.cumsum(steps, axis=1)[:, :width], boxes


def touching(
    rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of runs, in reading order, that touch and lie in neighbouring rows."""
    stride = width + 2  # positions in reading order: a binary search finds runs of the next row
    first = np.searchsorted(rows * stride + ends, (rows + 1) * stride + starts, side="left")
    after = np.searchsorted(rows * stride + starts, (rows + 1) * stride + ends, side="right")
    count = np.maximum(after - first, 0)
    upper = np.repeat(np.arange(len(rows)), count)
    nth = np.arange(len(upper)) - np.repeat(np.cumsum(count) - count, count)
    return upper, np.repeat(first, count) + nth


def joined(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    """Names 0, 1, ... of `count` things (count,), one name for those that pairs (a, b) link."""
    names = np.arange(count)
    while True:
        lowest = np.minimum(names[a], names[b])
        before = names.copy()
        np.minimum.at(names, before[a], lowest)
        np.minimum.at(names, before[b], lowest)
        names = names[names]  # names of names: long chains become half as long each time
        if np.array_equal(names, before):
            return np.unique(names, return_inverse=True)[1]


def digits_of(boxes: np.ndarray) -> list[np.ndarray]:
    """Which of the boxes (parts, 4) make up each digit, in reading order, without stray dots."""
    sizes = np.max(boxes[:, 2:] - boxes[:, :2], axis=1, initial=0)
    tall = np.argsort(-sizes, kind="stable")[:MOST_PARTS]
    tall = tall[sizes[tall] >= SMALL * sizes.max(initial=0)]
    size = sizes.max(initial=0)
    a, b = np.nonzero(near(boxes[tall], boxes[tall], size))
    names = joined(a, b, len(tall))
    # dots and short strokes belong to a digit close to them, if there is one
    small = np.setdiff1d(np.arange(len(boxes)), tall)
    close = near(boxes[small], boxes[tall], size)
    owner = np.where(close.any(axis=1), names[np.argmax(close, axis=1)], -1) if len(tall) else small
    groups = [
        np.concatenate((tall[names == name], small[owner == name])) for name in np.unique(names)
    ]
    return in_reading_order(groups, boxes)


def near(a: np.ndarray, b: np.ndarray, size: int) -> np.ndarray:
    """Whether each box of a and each of b may be strokes of one digit of that size: (a, b)."""
    found = np.empty((len(a), len(b)), dtype=bool)
    for start in range(0, len(a), AT_ONCE):
        some = a[start : start + AT_ONCE]
        down, right = (  # the gap, negative where they overlap
            np.maximum.outer(some[:, axis], b[:, axis])
            - np.minimum.outer(some[:, 2 + axis], b[:, 2 + axis])
            for axis in (0, 1)
        )
        beside = (right <= NEAR * size) & (down <= NEAR * size)
        above = (right < 0) & (down <= NEAR_BELOW * size)
        found[start : start + AT_ONCE] = beside | above
    return found


def in_reading_order(groups: list[np.ndarray], boxes: np.ndarray) -> list[np.ndarray]:
    """Groups line by line and from left to right.

    Handwritten lines slant and digits stray from them, so only neighbours are level: from left to
    right, each digit joins the line whose last digit it overlaps most in height.
    """
    digits = [
        Digit(
            top=int(boxes[group, 0].min()),
            left=int(boxes[group, 1].min()),
            below=int(boxes[group, 2].max()),
            parts=group,
        )
        for group in groups
    ]
    lines: list[list[Digit]] = []
    for digit in sorted(digits, key=lambda digit: digit.left):
        shares = [beside(line[-1], digit) for line in lines]
        if max(shares, default=0.0) >= BESIDE:
            lines[int(np.argmax(shares))].append(digit)
        else:
            lines.append([digit])
    lines.sort(key=lambda line: line[0].top + line[0].below)
    return [digit.parts for line in lines for digit in line]


def beside(a: Digit, b: Digit) -> float:
    """The overlap of the heights of two digits, as a share of the smaller height, from 0 to 1."""
    overlap = min(a.below, b.below) - max(a.top, b.top)
    return max(0, overlap) / min(a.below - a.top, b.below - b.top)
