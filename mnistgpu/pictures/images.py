"""From a picture to the digits in it: the steps in their order.

The sheet is found and put straight, its ink is separated from paper, what is ruled is taken away,
and the parts that are left are read as writing: one digit, or the lines of several.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mnistgpu import data
from mnistgpu.errors import DataError
from mnistgpu.pictures import components, decode, numbers, ruling, separators, sheet
from mnistgpu.pictures.ink import ink_of
from mnistgpu.pictures.numbers import Believe, Box, Piece, Prepare
from mnistgpu.pictures.preparing import prepare
from mnistgpu.pictures.sheet import Sheet

DARK = 0.4  # a pixel is dark from this share of the darkest on
MOSTLY = 0.3  # the least share of dark pixels in ink; a part with fewer is a shadow
WHOLE = 0.04  # of the longest side: beside a whole part so large, parts cut by the frame go
PALE_SHADOW = 90.0  # levels of 255: a shadow takes less of the light, ink more
# shares of the darkest: ink paler than these is dropped if it joins all parts to the frame
PALE = (0.35, 0.5)
ONE_DIGIT = 2.5  # a cut costs so many times as much where one digit is expected
ANOTHER = 2.0  # the cost of each further digit there, in units of log probability


@dataclass(frozen=True)
class Picture:
    """A picture and the digits found in it."""

    levels: np.ndarray  # (H, W) or (H, W, 3) uint8, the picture as it is
    images: np.ndarray  # (digits, pixels) uint8, the network's input
    boxes: np.ndarray  # (digits, 4), in `levels`: first row and column, row and column after last
    before: list[str] = field(default_factory=list)  # what stands before each digit: "", " ", "/"
    cut: np.ndarray | None = None  # (digits,) bool: which reach the edge of the picture or sheet
    sheet: Sheet | None = None  # what was taken for the paper
    removed: np.ndarray | None = None  # of the sheet (h, w) bool: what was ruled on it
    whole: np.ndarray | None = None  # (digits,): how probable it is that each is one whole digit


def read(path: Path, image_shape: tuple[int, int] = (28, 28), many: bool = False) -> np.ndarray:
    """The digits in a file as rows (N, pixels) uint8: a picture, or any file `data` reads."""
    path = Path(path)
    if decode.is_picture(path):
        return read_picture(path, image_shape, many).images
    images: np.ndarray = data.load_digits(path).images
    return images


def read_picture(
    path: Path,
    image_shape: tuple[int, int] = (28, 28),
    many: bool = False,
    believe: Believe | None = None,
) -> Picture:
    """The digit in a picture, or with `many` each of its digits in reading order.

    believe: what a network makes of images (N, pixels): see `numbers`. With it digits that touch
    are cut apart. Raises DataError for a file that is no picture, too large or blank, or, without
    `many`, a picture that shows more than one digit.
    """
    return find(decode.read(path), image_shape, many, str(path), believe)


def read_as_is(path: Path, image_shape: tuple[int, int] = (28, 28)) -> Picture:
    """A picture that is already an image of the network's kind: of its size, light on black."""
    levels = decode.read(path)
    grey = levels if levels.ndim == 2 else levels.mean(axis=2).round().astype(np.uint8)
    if grey.shape != image_shape:
        raise DataError(
            f"{path}: {grey.shape[1]}x{grey.shape[0]} pixels, but this network reads "
            f"{image_shape[1]}x{image_shape[0]}; leave out --as-is to have it scaled"
        )
    return Picture(levels, grey.reshape(1, -1), np.array([[0, 0, *image_shape]]), [""])


def find(
    levels: np.ndarray,
    image_shape: tuple[int, int] = (28, 28),
    many: bool = False,
    where: str = "the picture",
    believe: Believe | None = None,
) -> Picture:
    """The digits in levels (H, W) or (H, W, 3), from 0 to 255; DataError as `read_picture`."""
    if max(levels.shape[:2]) <= max(image_shape):  # too small for two digits: all ink is one
        ink = ink_of(levels)
        if not ink.any():
            raise blank(where)
        rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
        box = np.array([[rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]])
        return Picture(levels, prepare(ink, image_shape)[None], box, [""])
    paper = sheet.find(levels)
    ink, removed = ruling.without_ruling(ink_of(paper.levels))
    if not ink.any():
        raise blank(where)
    ink, names, boxes, kept = writing(ink)
    if len(kept) == 0:
        raise blank(where, ", but a shadow or a pattern")

    def prepared(own: np.ndarray) -> np.ndarray:
        return prepare(own, image_shape)

    if believe is None:
        groups = [kept[group] for group in components.digits_of(boxes[kept])]
        pieces = [piece_of(group, ink, names, boxes) for group in groups]
        before = [""] * len(pieces)
    else:
        pieces, before = written(ink, names, boxes, kept, many, believe, prepared)
    if not pieces:
        raise blank(where)
    if len(pieces) > 1 and not many:
        raise several(pieces, where)
    images = np.stack([prepared(piece.ink) for piece in pieces])
    own_boxes = np.array([paper.box_in_picture(piece.box) for piece in pieces])
    cut = np.array([is_cut(piece.box, ink.shape) for piece in pieces])
    whole = np.array([piece.share for piece in pieces])
    return Picture(levels, images, own_boxes, before, cut, paper, removed, whole)


def is_cut(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether a box reaches an edge of a picture of this shape (rows, columns)."""
    top, left, below, right = box
    return top == 0 or left == 0 or below == shape[0] or right == shape[1]


def written(
    ink: np.ndarray,
    names: np.ndarray,
    boxes: np.ndarray,
    kept: np.ndarray,
    many: bool,
    believe: Believe,
    prepared: Prepare,
) -> tuple[list[Piece], list[str]]:
    """The digits that the kept parts of ink most probably are, and what stands before each."""
    pieces: list[Piece] = []
    before: list[str] = []
    total = 0.0
    parts = components.groups_of(boxes[kept], side_by_side=False)
    for line in components.lines_of(parts, boxes[kept]):
        if components.is_dust(np.concatenate(line), boxes[kept]):
            continue
        own = [piece_of(kept[part], ink, names, boxes) for part in line]
        found, marks = separators.split(own, many)
        high = separators.height_of(found)
        price = 1.0 if many else ONE_DIGIT
        digits, score = numbers.digits_of_line(found, high, believe, prepared, price)
        total += score
        pieces += digits
        before += separators.between(digits, marks, high, first=not before)
    if not many and len(pieces) > 1 and components.is_one(boxes[kept]):
        whole = piece_of(kept, ink, names, boxes)
        total -= ANOTHER * (len(pieces) - 1)
        more = float(np.log(believe(prepared(whole.ink)[None])[0])) - total
        if more > 0.0:
            return [replace(whole, share=1.0 / (1.0 + np.exp(-more)))], [""]
    return pieces, before


def piece_of(group: np.ndarray, ink: np.ndarray, names: np.ndarray, boxes: np.ndarray) -> Piece:
    """The ink of a group of parts, alone."""
    top, left = (int(edge) for edge in boxes[group, :2].min(axis=0))
    below, right = (int(edge) for edge in boxes[group, 2:].max(axis=0))
    around = slice(top, below), slice(left, right)
    own = np.isin(names[around], group + 1)
    return Piece((top, left, below, right), np.where(own, ink[around], np.float32(0.0)))


def writing(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ink (H, W) without parts paler than writing; names and boxes of its parts, and the indices of
    those that are writing.

    Where a shadow or a rule that was not found joins the writing to the frame, the palest ink is
    dropped, in steps, until some part is whole; if none becomes whole, no ink is dropped.
    """
    peak = float(np.quantile(ink, 1.0 - 2e-4))
    found = []
    for pale in (0.0, *PALE):
        left = np.where(ink < pale * peak, np.float32(0.0), ink)
        names, boxes = components.label(left > 0)
        kept, whole = inked(names, boxes, left > DARK * peak, peak)
        found.append((left, names, boxes, kept))
        if whole:
            break
    return found[-1 if whole else 0]


def inked(
    names: np.ndarray, boxes: np.ndarray, dark: np.ndarray, peak: float
) -> tuple[np.ndarray, bool]:
    """The indices of the parts that are mostly dark, and whether a large one of them is whole.

    If one is whole, the parts cut by the frame are left out: a finger, or the edge of a shadow.
    They are left out, too, if the darkest ink of all, `peak`, is as pale as a shadow.
    """
    count = len(boxes) + 1
    sizes = np.bincount(names.ravel(), minlength=count)[1:]
    darker = np.bincount(names[dark], minlength=count)[1:]
    kept = np.flatnonzero(darker >= np.maximum(MOSTLY * sizes, 1))
    height, width = names.shape
    whole = (boxes[kept, :2] > 0).all(axis=1) & (boxes[kept, 2:] < (height, width)).all(axis=1)
    sides = np.max(boxes[kept, 2:] - boxes[kept, :2], axis=1, initial=0)
    if not np.any(whole & (sides >= WHOLE * max(height, width))):
        return (kept if peak >= PALE_SHADOW else kept[whole]), False
    return kept[whole], True


def blank(where: str, why: str = "") -> DataError:
    """The error for a picture without ink."""
    return DataError(
        f"{where}: no digit found{why}; write it larger or darker, on paper of one colour"
    )


def several(pieces: list[Piece], where: str) -> DataError:
    """The error for several digits where one is expected; it says how they stand."""
    heights = [piece.box[2] - piece.box[0] for piece in pieces]
    how = ", of about the same size" if max(heights) <= 1.5 * min(heights) else ""
    if any(piece.cut for piece in pieces):
        how = ", and they touch"
    return DataError(
        f"{where}: {len(pieces)} digits found, where one is expected{how}; crop the picture to "
        "one, or add --many to read them as a number"
    )
