"""What stands between the digits of a number: commas, dots, slashes, dashes and blanks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mnistgpu.pictures.components import NEAR
from mnistgpu.pictures.numbers import Piece, union

FEWEST = 3  # parts on a line: with fewer, a slash may be a 1
SMALL = 0.4  # of the digits' height: a separator other than a slash is at most so high
SHORT = 0.35  # of the digits' height: shorter parts are strokes of a digit, or dust
LEAN = 0.3  # columns a row: a slash leans to the right by more, a 1 by less
STRAIGHT = 0.06  # of its height: how far a slash's ink is from a straight line, at most
TALL = 1.08  # of the digits' height: a slash is at least so high
BLANK = 0.9  # of the digits' height: a gap wider than this may be a blank
WIDER = 2.2  # times the usual gap: a blank is wider
STEP = 1.3  # times the usual distance of middles: in a form's boxes a thin digit leaves wide gaps

Mark = tuple[float, str]  # the column in which a separator stands, and what it is


def height_of(parts: list[Piece]) -> float:
    """The usual height, in pixels, of the digits on a line."""
    heights = np.array([piece.box[2] - piece.box[0] for piece in parts], dtype=float)
    return float(np.median(heights[heights >= 0.5 * heights.max(initial=0)]))


def split(parts: list[Piece], many: bool) -> tuple[list[Piece], list[Mark]]:
    """The parts of a line without its separators, and the separators.

    A short stroke that is none is a stroke of the part next to it, or dust.
    """
    high = height_of(parts)
    large = [max(part.ink.shape) >= SHORT * high for part in parts]
    tops = [part.box[0] for part, is_large in zip(parts, large, strict=True) if is_large]
    top = float(np.median(tops))
    may_mark = many and len(parts) >= FEWEST
    digits, marks, strokes = [], [], []
    for i, part in enumerate(parts):
        mark = kind_of(part, high, top) if may_mark and 0 < i < len(parts) - 1 else ""
        if mark:
            marks.append((centre(part), mark))
        elif large[i]:
            digits.append(part)
        else:
            strokes.append(part)
    for stroke in strokes:
        away = [distance(stroke, digit) for digit in digits]
        nearest = int(np.argmin(away))
        if away[nearest] <= NEAR * high:
            digits[nearest] = union([digits[nearest], stroke])
    return digits, marks


def distance(a: Piece, b: Piece) -> int:
    """The blank rows or columns, whichever are more, between the boxes of two pieces."""
    gaps = [max(a.box[i], b.box[i]) - min(a.box[i + 2], b.box[i + 2]) for i in (0, 1)]
    return max(0, *gaps)


def kind_of(part: Piece, high: float, top: float) -> str:
    """Which separator a part is, or "" for none; digits begin at row `top` and are `high` high."""
    first, left, below, right = part.box
    tall, wide = below - first, right - left
    middle = ((first + below) / 2 - top) / high
    if tall <= SMALL * high and wide <= 0.6 * high:
        if 0.3 <= middle <= 0.72 and wide >= 1.5 * tall:
            return "-"
        if middle > 0.75:
            return "." if tall <= 0.16 * high or tall < 1.2 * wide else ","
    return "/" if tall >= TALL * high and is_slash(part.ink) else ""


def is_slash(ink: np.ndarray) -> bool:
    """Whether ink (h, w) is a straight line that leans to the right."""
    rows, columns = np.nonzero(ink)
    if len(rows) < 3 or np.ptp(rows) == 0:
        return False
    each = np.unique(rows)
    first, last = (
        np.array([way(columns[rows == row]) for row in each]) for way in (np.min, np.max)
    )
    lean, start = np.polyfit(each, (first + last) / 2, 1)
    away = (first + last) / 2 - (lean * each + start)
    thick = float(np.quantile(last - first + 1, 0.9))  # of an italic 8 it is the width of its rings
    return bool(
        lean < -LEAN
        and np.abs(away).max() <= STRAIGHT * ink.shape[0] + thick / 2
        and thick <= 0.25 * ink.shape[0]
    )


def between(digits: list[Piece], marks: list[Mark], high: float, first: bool) -> list[str]:
    """What stands before each digit of a line; first: whether the line is the picture's first."""
    gaps = [max(0, b.box[1] - a.box[3]) for a, b in pairwise(digits)]
    steps = [centre(b) - centre(a) for a, b in pairwise(digits)]
    blank = max(BLANK * high, WIDER * float(np.quantile(gaps, 0.25))) if gaps else np.inf
    step = STEP * float(np.median(steps)) if len(steps) > 1 else 0.0
    found = ["" if first else "\n"]
    for (left, right), gap, away in zip(pairwise(digits), gaps, steps, strict=True):
        own = [mark for at, mark in marks if centre(left) < at <= centre(right)]
        found.append("".join(own) or (" " if gap > blank and away > step else ""))
    return found


def centre(piece: Piece) -> float:
    """The column of a piece's middle."""
    return (piece.box[1] + piece.box[3]) / 2
