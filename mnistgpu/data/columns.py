"""What the columns of a table are: pixels, the label, a number of the image.

A line holds the pixels of one square image, 64 (8x8) to 4,096 (64x64) of them, and before or after
them at most a label and at most a column that numbers or names the images.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mnistgpu.errors import DataError, printable

SMALLEST, LARGEST = 8, 64  # sides of images
LONGEST_NAME = 60  # characters of a column's name that are kept
LABELS = {"label", "labels", "class", "digit", "target", "y", "character", "number", "letter"}
IDS = {"", "id", "ids", "index", "imageid", "image_id", "row", "row_id", "unnamed: 0"}
SEPARATORS = {b",": "commas", b";": "semicolons", b"\t": "tabs", b"|": "bars", b" ": "blanks"}
MANGLED = re.compile(r"([0-9]+)(?:\.([0-9]+))?")  # a cell that pandas took for a name: 0.17


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are.

    names: those of the header, () without one. label: "first" or "last" of the cells besides the
    number of the image, "" if there is none, "either" if only the cells of all lines tell.
    """

    separator: bytes
    count: int  # cells of a line
    side: int  # of the square images, in pixels
    names: tuple[str, ...]
    label: str
    numbered: bool  # whether the first cell of a line numbers the image
    mangled: bool = False  # whether the header is an image that pandas took for names

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        return self.side * self.side

    @property
    def id_name(self) -> str:
        """The name of the column that numbers the images; "" if it has none."""
        return printable(self.names[0][:LONGEST_NAME]) if self.numbered and self.names else ""

    @property
    def id_is_known(self) -> bool:
        """Whether the name of the first column says that it numbers or names the images."""
        return self.names[0].lower() in IDS if self.names else False

    @property
    def has_header(self) -> bool:
        """Whether line 1 is no image."""
        return bool(self.names)

    @property
    def lead(self) -> int:
        """How many cells stand before the pixels (if the label may be either, the first is one)."""
        return self.numbered + (self.label in ("first", "either"))


def columns_of(where: str, line: bytes) -> Columns:
    """What the columns of a table are that begins with this line.

    Raises DataError if a line is not an image with at most a label and a number.
    """
    separator = separator_of(line)
    cells = [cell.strip(' \t"') for cell in split(line, separator)]
    names = tuple(cells) if is_header(cells) else ()
    side, extra = size_of(where, len(cells))
    mangled = bool(names) and is_mangled(cells)
    if names and not mangled and not is_counted(cells):
        named = columns_named(where, names)
        label, numbered = named.label, named.numbered
    else:
        numbered = extra == 2 or (bool(names) and extra > 0 and not cells[0])
        rest = cells[numbered:]
        label = label_without_header(rest) if extra > numbered else ""
    return Columns(separator, len(cells), side, names, label, numbered, mangled)


def columns_named(where: str, names: Sequence[str]) -> Columns:
    """What the columns of a table are that has these names, as a data frame has them."""
    side, extra = size_of(where, len(names))
    label, numbered = roles_of(where, names, extra, side)
    check_order(where, [name for name in names if name.lower() not in LABELS | IDS])
    return Columns(b"", len(names), side, tuple(names), label, numbered)


def split(line: bytes, separator: bytes) -> list[str]:
    """The cells of a line, as text."""
    parts = line.split() if separator == b" " else line.split(separator)
    return [part.decode("utf-8", "replace") for part in parts]


def separator_of(line: bytes) -> bytes:
    """What stands between the cells: of the usual separators the one that makes an image's line."""
    for separator in SEPARATORS:
        if size(len(split(line, separator))) is not None:
            return separator
    return max(SEPARATORS, key=lambda each: len(split(line, each)))


def size(cells: int) -> tuple[int, int] | None:
    """The side of a square image, and how many further cells a line of so many has; or None."""
    side = math.isqrt(cells)
    extra = cells - side * side
    return (side, extra) if SMALLEST <= side <= LARGEST and extra <= 2 else None


def size_of(where: str, cells: int) -> tuple[int, int]:
    """As `size`; DataError if an image cannot have so many cells."""
    found = size(cells)
    if found is None:
        raise DataError(
            f"{where}, line 1: {cells:,} cells, but a line holds a square image (8x8 = 64, 28x28 = "
            "784, ... pixels), its label and perhaps its number; save such a table with "
            "DataFrame.to_csv(index=False)"
        )
    return found


def is_header(names: Sequence[str]) -> bool:
    """Whether the first line names the columns, and is not an image.

    The names of a header are distinct. They are words, or one at either end is a name for labels or
    numbers of images, or they are 0, 1, 2, ... as pandas names columns.
    """
    if not all(names[1:]) or len(set(names)) < len(names):
        return False
    ends = {name.lower() for name in (*names[:2], names[-1])}
    named = not LABELS.isdisjoint(ends) or not IDS.isdisjoint(ends)
    words = not any(map(is_number, names))
    return named or words or is_counted(names) or is_mangled(names)


def is_counted(names: Sequence[str]) -> bool:
    """Whether names are 0, 1, 2, ..., perhaps after an empty one, as pandas names columns."""
    counted = names if names[0] else names[1:]
    return list(counted) == [str(i) for i in range(len(counted))]


def is_mangled(names: Sequence[str]) -> bool:
    """Whether names are the cells of an image: pandas calls the second 0 of them 0.1, and so on."""
    seen: dict[str, str] = {}  # after the point of the next one
    for name in names:
        match = MANGLED.fullmatch(name)
        if match is None or (match[2] or "") != seen.get(match[1], ""):
            return False
        seen[match[1]] = str(int(match[2] or 0) + 1)
    return any("." in name for name in names)


def is_number(text: str) -> bool:
    """Whether Python can read the text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def label_without_header(cells: Sequence[str]) -> str:
    """Where the label of a line is: "first" or "last" if that cell is a word, else "either"."""
    for place, cell in (("first", cells[0]), ("last", cells[-1])):
        if not is_number(cell):
            return place
    return "either"


def roles_of(where: str, names: Sequence[str], extra: int, side: int) -> tuple[str, bool]:
    """Where a header says that the label is, and whether the first column numbers the images."""
    small = [name.lower() for name in names]
    labels = [i for i, name in enumerate(small) if name in LABELS]
    pixels = side * side
    if extra == 0:
        if labels:
            raise DataError(
                f"{where}, line 1, column {labels[0] + 1}: a label and {pixels - 1} pixels, but an "
                f"image has {pixels}; add the missing column"
            )
        return "", False
    numbered = small[0] in IDS
    if extra == 1 and numbered and not labels:
        return "", True
    last = len(names) - 1
    if extra == 1 and labels in ([0], [last]):
        return "first" if labels == [0] else "last", False
    if extra == 2 and (numbered or 0 not in labels) and labels in ([1], [last]):
        return "first" if labels == [1] else "last", True
    wanted = "called label, first or last" if extra == 1 else "called id and one called label"
    raise DataError(
        f"{where}, line 1: {len(names)} columns, but not one {wanted}; name the column of the "
        "labels so, or leave out what is no pixel"
    )


def check_order(where: str, pixels: Sequence[str]) -> None:
    """DataError if the numbers in the names of the pixels do not ascend."""
    places = [[int(digits) for digits in re.findall("[0-9]{1,9}", name)] for name in pixels]
    if places != sorted(places):
        raise DataError(
            f"{where}, line 1: the pixels' names do not ascend row by row; sort the columns"
        )
