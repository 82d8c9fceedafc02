"""Numbers: the digits of a line, of which some touch and some are in pieces.

Each part of a line is cut wherever a neighbour may begin: along a path from its top to its bottom
that crosses few strokes and little ink. Which pieces form a digit is then what the network believes
most: of all ways to join pieces to digits, the one with the largest product of probabilities
(over-segmentation and a search for the best path, LeCun et al. 1998, "Gradient-based learning
applied to document recognition", section V). Cuts and gaps within a digit cost a little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from mnistgpu.pictures.components import WIDEST

Box = tuple[int, int, int, int]  # first row and column, row and column after the last
# images (N, pixels) uint8 to the most probable digit's probability (N,), 0 for what is no digit
Believe = Callable[[np.ndarray], np.ndarray]
Prepare = Callable[[np.ndarray], np.ndarray]

ROWS = 48  # of a line when it is searched for cuts
WIDE = 0.6  # of the line's height: wider parts may be several digits
NARROWEST = 0.1  # of the line's height: no cut is closer to another cut
LEAST_INK = 0.02  # of the height squared: no cut has less ink between it and an edge or another cut
SLANTS = (0.0, 0.25)  # columns to the left a row, of the lines that cuts keep near
CORRIDOR = 7  # columns on both sides of such a line, of a line of ROWS
SIDEWAYS = 0.05  # the cost of a column sideways, in pixels of ink
STROKE = 20.0  # the cost of entering a stroke, in pixels of ink
CROSSED = 2.0  # of the line's height: a cut that crosses more is none
MOST_PIECES = 16  # of one digit: as many as there may be in its width
CUT = 0.7  # the cost of a cut, in units of log probability
CUT_INK = 2.0  # the same for a line's height of ink that it crosses, with the cost of its strokes
GAP = 8.0  # the cost of a line's height of blank between two pieces of a digit
FRAGMENT = 2.0  # the cost of a shape that a cut parts from the rest of its digit
SLIVER = 0.05  # of a piece's ink: a smaller shape was left by a cut beside its best place
LOWEST = 0.45  # of the line's height: no digit is lower, but the bar of a 5 or a 7 is
LOW = 4.0  # the cost of a digit that is
USUAL = 0.9  # of the line's height: most digits are at most so wide
WIDER = 4.0  # the cost of a line's height more
LEAST = 1e-4  # a probability below this counts as this


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece of ink: what may be a digit, or a part of one."""

    box: Box
    ink: np.ndarray  # (h, w) float32, of the box; 0 where the ink is not the piece's own
    cut: float = 0.0  # the cost of the cut between this piece and the one before it, 0 for a gap
    share: float = 1.0  # of a digit found: how probable it is that this is one digit, and all of it


def union(pieces: list[Piece]) -> Piece:
    """Several pieces as one."""
    if len(pieces) == 1:
        return pieces[0]
    boxes = np.array([piece.box for piece in pieces])
    top, left = (int(edge) for edge in boxes[:, :2].min(axis=0))
    below, right = (int(edge) for edge in boxes[:, 2:].max(axis=0))
    ink = np.zeros((below - top, right - left), np.float32)
    for piece in pieces:
        place = ink[piece.box[0] - top : piece.box[2] - top, piece.box[1] - left :]
        place = place[:, : piece.ink.shape[1]]
        np.maximum(place, piece.ink, out=place)
    return Piece((top, left, below, right), ink, pieces[0].cut)


def digits_of_line(
    parts: list[Piece], high: float, believe: Believe, prepare: Prepare, price: float = 1.0
) -> tuple[list[Piece], float]:
    """The digits (from left to right) that the parts of one line most probably are, and the score.

    The score is the logarithm of the product of their probabilities, less the cost of cuts.

    high: the height of the line's digits in pixels. price: how many times the usual a cut costs.
    """
    own = [cut(part, high) for part in parts]
    pieces = [piece for group in own for piece in group]
    part_of = [i for i, group in enumerate(own) for _ in group]
    spans = [
        (first, after)
        for first in range(len(pieces))
        for after in range(first + 1, min(first + MOST_PIECES, len(pieces)) + 1)
        if after == first + 1 or may_be_one(pieces[first:after], high)
    ]
    broken = [fragments(pieces, part_of, first, after) for first, after in spans]
    joined = [
        without_slivers(union(pieces[first:after]))
        if is_parted(part_of, first, after)
        else union(pieces[first:after])
        for first, after in spans
    ]
    believed = believe(np.stack([prepare(piece.ink) for piece in joined]))
    scores = np.log(np.maximum(believed, LEAST))
    for i, (first, after) in enumerate(spans):
        scores[i] -= price * pieces[first].cut
        scores[i] -= FRAGMENT * broken[i]
        scores[i] -= LOW * (joined[i].ink.shape[0] < LOWEST * high)
        scores[i] -= WIDER * max(0.0, joined[i].ink.shape[1] / high - USUAL)
        scores[i] -= sum(GAP * gap(a, b) / high for a, b in pairwise(pieces[first:after]))
    # the best way to read the first n pieces, for each n
    best, last = [0.0] + [-np.inf] * len(pieces), [-1] * (len(pieces) + 1)
    for i in sorted(range(len(spans)), key=lambda i: spans[i][1]):
        first, after = spans[i]
        if best[first] + scores[i] > best[after]:
            best[after], last[after] = best[first] + float(scores[i]), i
    found = []
    at = len(pieces)
    shares = shares_of(spans, scores, len(pieces))
    while at > 0:
        found.append(replace(joined[last[at]], share=float(shares[last[at]])))
        at = spans[last[at]][0]
    return found[::-1], best[-1]


def shares_of(spans: list[tuple[int, int]], scores: np.ndarray, count: int) -> np.ndarray:
    """The share of each span (n,) in all ways to read `count` pieces, by their probabilities.

    spans: first piece, and piece after the last; scores (n,): logarithms of probabilities. A way is
    as probable as the product over its spans (forward and backward sums, Rabiner 1989, "A tutorial
    on hidden Markov models", section III).
    """
    before, after = np.full(count + 1, -np.inf), np.full(count + 1, -np.inf)
    before[0] = after[count] = 0.0
    in_order = sorted(range(len(spans)), key=lambda i: spans[i])
    for i in in_order:
        first, end = spans[i]
        before[end] = np.logaddexp(before[end], before[first] + scores[i])
    for i in reversed(in_order):
        first, end = spans[i]
        after[first] = np.logaddexp(after[first], after[end] + scores[i])
    firsts, ends = np.array(spans).T
    shares: np.ndarray = np.exp(before[firsts] + scores + after[ends] - before[count])
    return shares


def fragments(pieces: list[Piece], part_of: list[int], first: int, after: int) -> int:
    """How many more connected shapes than one each cut part has, within pieces first to after.

    A neighbour that is cut away leaves a digit whole; a cut through a digit leaves an arc and a bar
    that do not touch. part_of (pieces,): the part that each piece was cut from. Slivers do not
    count.
    """
    import cv2

    found = 0
    for part in (part_of[first], part_of[after - 1]):
        own = [i for i, other in enumerate(part_of) if other == part]
        within = [i for i in own if first <= i < after]
        if len(within) == len(own):
            continue
        ink = union([pieces[i] for i in within]).ink
        _, _, stats, _ = cv2.connectedComponentsWithStats((ink > 0).astype(np.uint8))
        areas = stats[1:, cv2.CC_STAT_AREA]
        found += int(np.count_nonzero(areas > SLIVER * areas.sum())) - 1
        if part_of[first] == part_of[after - 1]:
            break
    return found


def is_parted(part_of: list[int], first: int, after: int) -> bool:
    """Whether the pieces first to after begin or end within a part, at a cut."""
    begins = first > 0 and part_of[first - 1] == part_of[first]
    return begins or (after < len(part_of) and part_of[after] == part_of[after - 1])


def without_slivers(piece: Piece) -> Piece:
    """A piece without the small shapes of a neighbour that a cut left on its side."""
    import cv2

    mask = (piece.ink > 0).astype(np.uint8)
    _, names, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    areas[0] = 0.0
    large = areas > SLIVER * areas.sum()
    if large[1:].all():
        return piece
    ink = np.where(large[names], piece.ink, np.float32(0.0))
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    top, left = piece.box[0] + int(rows[0]), piece.box[1] + int(columns[0])
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return replace(piece, box=(top, left, top + ink.shape[0], left + ink.shape[1]), ink=ink)


def may_be_one(pieces: list[Piece], high: float) -> bool:
    """Whether pieces may be parts of one digit: not too wide, and without a wide gap."""
    left, right = min(piece.box[1] for piece in pieces), max(piece.box[3] for piece in pieces)
    return right - left <= WIDEST * high and all(
        gap(a, b) <= 0.35 * high for a, b in pairwise(pieces)
    )


def gap(left: Piece, right: Piece) -> float:
    """The columns of blank between two pieces; 0 where they overlap or were cut apart."""
    return 0.0 if right.cut else max(0, right.box[1] - left.box[3])


def cut(part: Piece, high: float) -> list[Piece]:
    """A part in pieces, from left to right, at each place where a neighbour may begin."""
    import cv2

    height, width = part.ink.shape
    if width <= WIDE * high:
        return [part]
    scale = ROWS / high
    size = (max(3, round(width * scale)), max(3, round(height * scale)))
    small = cv2.resize(part.ink, size, interpolation=cv2.INTER_AREA)
    paths, crossed = seams(small > 0.25 * small.max())
    if not len(paths):
        return [part]
    # the cuts at full size: for each row, the first column of the next piece
    rows = (np.arange(height) + 0.5) * size[1] / height - 0.5
    at = [np.interp(rows, np.arange(size[1]), path) * width / size[0] for path in paths]
    number = np.zeros((height, width), np.int32)
    for columns in at:
        number += np.arange(width)[None, :] >= columns[:, None]
    top, left = part.box[:2]
    costs = [0.0, *(CUT + CUT_INK * each / ROWS for each in crossed)]
    pieces: list[Piece] = []
    for i, cost in enumerate(costs):
        own = np.where(number == i, part.ink, np.float32(0.0))
        rows, columns = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
        if len(rows) == 0:
            continue
        inner = own[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        first, beside = int(rows[0]), int(columns[0])
        box = (top + first, left + beside, top + int(rows[-1]) + 1, left + int(columns[-1]) + 1)
        pieces.append(Piece(box, inner, cost if pieces else 0.0))
    return pieces


def seams(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Paths (n, h) from the top to the bottom of a mask (h, w) bool, and what each crosses (n,).

    Each keeps near a straight line, upright or slanting as italics do, and moves by one column a
    row at most. What it crosses is its ink, and STROKE for each time that it enters ink. Of paths
    that are near each other, or have hardly any ink between them, the one that crosses least is
    kept.
    """
    height, width = mask.shape
    found = [within_corridors(mask, slant) for slant in SLANTS]
    paths, crossed = (np.concatenate(parts) for parts in zip(*found, strict=True))
    sums = np.pad(np.cumsum(mask, axis=1), ((0, 0), (1, 0)))
    ends = np.clip(np.round(paths).astype(int), 0, width)
    left = sums[np.arange(height), ends]  # (n, h): the ink of each row before the path
    whole = left.sum(axis=1)
    apart, least = NARROWEST * ROWS, LEAST_INK * ROWS**2
    usable = (crossed <= CROSSED * ROWS) & (whole >= least) & (whole <= mask.sum() - least)
    kept: list[int] = []
    for i in np.argsort(crossed, kind="stable"):
        far = np.abs(paths[i] - paths[kept]).mean(axis=1) >= apart
        far &= np.abs(left[i] - left[kept]).sum(axis=1) >= least
        if usable[i] and far.all():
            kept.append(int(i))
    kept.sort(key=lambda i: int(whole[i]))
    return paths[kept], crossed[kept]


def within_corridors(mask: np.ndarray, slant: float) -> tuple[np.ndarray, np.ndarray]:
    """For each column of a mask (h, w) bool the path (w, h) near the line through its middle that
    crosses least, and how much that is (w,): its ink, and STROKE for each time that it enters ink.

    The place where two digits touch is entered once, the ring of a 0 or a 9 twice: so the path goes
    through the place and not through the ring, even if it is longer than the ring's stroke is wide.

    slant: columns to the left a row, downwards.
    """
    height, width = mask.shape
    around = np.arange(-CORRIDOR, CORRIDOR + 1)
    lines = np.round(slant * ((height - 1) / 2 - np.arange(height))).astype(int)  # (h,)
    columns = np.arange(width)[:, None] + around  # (w, d), of the middle row
    inside = np.clip(lines[:, None, None] + columns, 0, width - 1)  # (h, w, d)
    ink = mask[np.arange(height)[:, None, None], inside].astype(np.float32)
    total, ways = ink[0] * (1.0 + STROKE), np.zeros(ink.shape, np.int8)
    for row in range(1, height):
        step = int(lines[row - 1] - lines[row])  # the corridor's own, which is free
        above = np.pad(total, ((0, 0), (1, 1)), constant_values=np.inf)
        before = np.pad(ink[row - 1], ((0, 0), (1, 1)))
        moves = [(move, slice(1 + move, 1 + move + len(around))) for move in (-1, 0, 1)]
        costs = np.stack(
            [
                above[:, own] + SIDEWAYS * abs(move + step) + STROKE * (ink[row] > before[:, own])
                for move, own in moves
            ]
        )
        which = np.argmin(costs, axis=0)
        ways[row] = which - 1
        total = np.take_along_axis(costs, which[None], axis=0)[0] + ink[row]
    place = np.argmin(total, axis=1)
    paths = np.empty((width, height), np.float64)
    crossed, below = np.zeros((2, width), np.float32)
    every = np.arange(width)
    for row in range(height - 1, -1, -1):
        paths[:, row] = inside[row, every, place]
        own = ink[row, every, place]
        crossed += own + STROKE * (own > below)
        below = own
        place = np.clip(place + ways[row, every, place], 0, len(around) - 1)
    return paths, crossed
