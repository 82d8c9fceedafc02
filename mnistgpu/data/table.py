"""Tables as text: one image per line, its label first, last or not at all, perhaps a number of it.

`columns.py` says what the columns are, `cells.py` checks the lines while pandas parses them. If
pandas refuses, the lines are read again to find and name the faulty cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from mnistgpu.data.cells import CELL, LONGEST_TEXT, PIECE, Lines, Pixels, faults, shown
from mnistgpu.data.columns import SEPARATORS, Columns, columns_of
from mnistgpu.data.raw import Ids, Raw
from mnistgpu.data.streams import Source
from mnistgpu.errors import DataError

MOST_CLASSES = 62  # of the largest set that is customary: digits, capital and small letters
DIGITS = 10
UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read(source: Source) -> Raw:
    """Images (N, rows, columns) of a table, its labels (N,) or None, and the ids of the images.

    In a table with a header the first or the last column may be called label, and the first id.
    Without a header they are told by their cells (see `label_by_cells`).
    """
    where = str(source)
    with source.opened() as content:
        lines = Lines(content)
        columns, block = start_of(where, lines)
        pixels = Pixels(where, lines, columns, block)
        images, reason = parse(pixels)
    if images is None:
        raise fault_in(source, reason)
    notes = list(notes_of(where, columns))
    labels, numbers, label = pixels.labels, pixels.numbers, columns.label
    if label == "either":
        label = label_by_cells(where, pixels)
        if label == "number":
            numbers, labels = labels, []
            notes.append(f"{where}: the first column counts up: it numbers the images")
        else:
            notes.append(f"{where}: the {label} column is taken as the labels")
    if label == "last" and columns.label == "either":
        firsts, labels = pixels.labels, pixels.lasts
        put_first(where, columns, images, firsts)
    first_line = 1 + columns.has_header
    column = columns.count if label == "last" else columns.lead
    found = labels_of(where, labels, first_line, column) if labels else None
    ids = None
    if numbers:
        ids = Ids(columns.id_name, ids_of(numbers))
        if not columns.id_is_known and not counts_up(ids.values):
            raise DataError(
                f"{where}: the first column neither counts up nor is called id; leave it out, or "
                "call it so"
            )
    side = columns.side
    return Raw(images.reshape(-1, side, side), found, where, tuple(notes), ids)


def has_labels(source: Source) -> bool:
    """Whether a table has a label, or may have one, from its first line."""
    with source.opened() as content:
        return start_of(str(source), Lines(content))[0].label != ""


def start_of(where: str, lines: Lines) -> tuple[Columns, bytes]:
    """What the columns are, and the first block of lines without the header."""
    block = next(lines.blocks, b"\n")
    first, _, rest = block.partition(b"\n")
    first = first.removesuffix(b"\r")
    if first.startswith(UTF16):
        raise DataError(f"{where}: text in UTF-16; save it in UTF-8")
    if b"\r" in first:
        raise DataError(
            f"{where}, line 1: a carriage return in the middle; end every line with a line feed"
        )
    columns = columns_of(where, first)
    if not columns.has_header:
        return columns, block
    lines.number, lines.count = 2, lines.count - 1
    if not rest.strip(b"\r\n"):
        rest = next(lines.blocks, b"")
    if not rest:
        raise DataError(f"{where}, line 2: no image follows the header; add a line for each")
    return columns, rest


def parse(pixels: Pixels) -> tuple[np.ndarray | None, str]:
    """The pixels of all lines (lines, pixels) uint8; None, and the reason, if pandas refuses."""
    import pandas as pd

    width = pixels.columns.pixels
    try:
        table = pd.read_csv(
            io.BufferedReader(pixels, PIECE),
            header=None,
            dtype=np.uint8,
            engine="c",
            quoting=csv.QUOTE_NONE,
            na_filter=False,  # an empty cell is a fault, not a nan
        )
        if table.shape == (pixels.count, width):
            return np.ascontiguousarray(table.to_numpy()), ""
        reason = f"{table.shape} cells, where {pixels.count} lines of {width} were counted"
    except (ValueError, OverflowError) as error:  # also pandas' ParserError
        reason = str(error).splitlines()[0][:100]
    if pixels.fault is not None:
        raise pixels.fault
    return None, reason


def fault_in(source: Source, reason: str) -> DataError:
    """The first fault in a table that pandas refused for that reason."""
    where = str(source)
    with source.opened() as content:
        lines = Lines(content)
        columns, block = start_of(where, lines)
        while block:
            for fault in faults(where, lines.number, block, columns):
                return fault
            block = next(lines.blocks, b"")
    return DataError(f"{where}: {reason}; correct the cells")


def notes_of(where: str, columns: Columns) -> list[str]:
    """What is to be said of the form of a table."""
    notes = []
    if columns.separator != b",":
        notes.append(f"{where}: the cells are separated by {SEPARATORS[columns.separator]}")
    if columns.mangled:
        notes.append(f"{where}: line 1 is an image that pandas took for names; it is left out")
    if columns.numbered:
        name = f", {columns.id_name}," if columns.id_name else ""
        notes.append(f"{where}: the first column{name} numbers the images and is no pixel")
    return notes


def label_by_cells(where: str, pixels: Pixels) -> str:
    """Which column holds the labels, "first" or "last", or "number" if the first one counts up.

    Labels are below 10, or in larger sets below 62, and not all 0. The other end is a corner pixel,
    which is always 0 or takes all grey levels. DataError if that does not tell.
    """
    first, last = whole_numbers(pixels.labels), whole_numbers(pixels.lasts)
    if first is not None and len(first) > 2 and not pixels.columns.numbered:
        if counts_up(first):
            if len(first) > MOST_CLASSES:
                return "number"
            raise DataError(
                f"{where}, line 1: the first column counts up, as labels or as numbers of the "
                "images; add a header that calls it label or id"
            )
    if all(end is not None and not end.any() for end in (first, last)):
        return "first"
    for limit in (DIGITS, MOST_CLASSES):
        can_be = [
            name
            for name, end in (("first", first), ("last", last))
            if end is not None and end.any() and end.max() < limit
        ]
        if len(can_be) == 1:
            return can_be[0]
        if can_be:
            raise DataError(
                f"{where}, line 1: the first and the last column could both be labels; add a "
                "header that calls one of them label"
            )
    raise DataError(
        f"{where}, line 1: neither the first nor the last column looks like labels; add a header "
        "that calls one of them label"
    )


def counts_up(values: np.ndarray) -> bool:
    """Whether these are 0, 1, 2, ... or 1, 2, 3, ..."""
    return values.dtype.kind == "i" and values[0] in (0, 1) and bool(np.all(np.diff(values) == 1))


def put_first(where: str, columns: Columns, images: np.ndarray, firsts: Sequence[bytes]) -> None:
    """Put these cells before the pixels of each image (N, pixels), whose last one is the label."""
    values = whole_numbers(firsts)
    if values is None or values.max() > 255:
        at = next(i for i, cell in enumerate(firsts) if not is_pixel(cell))
        raise DataError(
            f"{where}, line {at + 1 + columns.has_header}, column {columns.lead}: "
            f"{shown(firsts[at])} is not a whole number from 0 to 255; correct the cell"
        )
    for start in range(0, len(images), 256):  # in the same memory
        some = images[start : start + 256]
        some[:, 1:] = some[:, :-1].copy()
    images[:, 0] = values


def is_pixel(cell: bytes) -> bool:
    """Whether a cell is a whole number from 0 to 255."""
    found = CELL.fullmatch(cell)
    return found is not None and int(found[1]) <= 255


def whole_numbers(cells: Sequence[bytes]) -> np.ndarray | None:
    """Cells as whole numbers (N,) int64; None if one of them is something else."""
    found = [CELL.fullmatch(cell) for cell in cells]
    if not all(found):
        return None
    return np.array([int(match[1]) for match in found if match], dtype=np.int64)


def labels_of(where: str, cells: Sequence[bytes], first_line: int, column: int) -> np.ndarray:
    """Labels (N,) as whole numbers, or as text if they are names.

    Names and numbers are mixed only if there are as many different names as numbers: otherwise what
    is no number is a fault. `first_line` and `column` say where the cells stand in the table.
    """
    bare = [cell.strip(b' \t"') for cell in cells]
    numbers = whole_numbers(bare)
    if numbers is not None:
        return numbers
    distinct = set(bare)
    names = {cell for cell in distinct if CELL.fullmatch(cell) is None}
    few = len(names) < len(distinct - names)
    for line, cell in enumerate(bare, first_line):
        place = f"{where}, line {line}, column {column}"
        if few and cell in names:
            raise DataError(
                f"{place}: {shown(cell)} is not a whole number, as most labels are; correct the "
                "cell"
            )
        if not is_name(cell):
            raise DataError(
                f"{place}: {shown(cell)} is no name of a class: names have 1 to {LONGEST_TEXT} "
                "characters that can be printed; correct the cell"
            )
    return np.array([cell.decode() for cell in bare])


def is_name(cell: bytes) -> bool:
    """Whether a cell can name a class."""
    try:
        return 0 < len(cell) <= LONGEST_TEXT and cell.decode().isprintable()
    except UnicodeDecodeError:
        return False


def ids_of(cells: Sequence[bytes]) -> np.ndarray:
    """Cells (N,) as whole numbers, or as text if one of them would be written otherwise."""
    bare = [cell.strip(b' \t"') for cell in cells]
    numbers = whole_numbers(bare)
    if numbers is not None and [b"%d" % number for number in numbers] == bare:
        return numbers
    return np.array([cell[:LONGEST_TEXT].decode("utf-8", "replace") for cell in bare])
