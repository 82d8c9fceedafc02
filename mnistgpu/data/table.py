"""CSV as Kaggle has it: one image per line, 784 pixels, and a label first, last or not at all.

The lines are checked first, which bounds the memory for any file; then pandas parses the cells. If
pandas refuses, the lines are read again to find and name the faulty cell.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mnistgpu.data.streams import check_labels, opened
from mnistgpu.errors import DataError

Block = tuple[int, bytes]  # its place in the file, and lines that all end in LF

PIXELS = 784
LABEL_NAMES = {"label", "labels", "class", "digit", "target", "y"}
CELL = re.compile(rb" *0*([0-9]{1,9})(?:\.0*)? *")  # a whole number, as 12, 012 or 12.0
USUAL_CELL = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[0-9]{1,2})"  # 0 to 255, as usual
CELL_LETTERS = b"0123456789 ."  # pandas would also accept True or 1e-400
# a point without a digit before it, a fraction other than zeros, or ten digits and more
ODD_POINT = re.compile(rb"(?<![0-9])\.|\.(?!0*[ ,\r\n])|[1-9][0-9]{9}")
LONE_RETURN = re.compile(rb"\r(?!\n)")  # which pandas would read as the end of a line
PIECE = 2**16  # bytes read at once: for larger ones the system clears fresh memory each time
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # of UTF-8
LONGEST_LINE = 2**16  # bytes; a label and 784 pixels need at most 3,140, and a header about 8,000


def read(path: Path, classes: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Images (N, 28, 28) of a table, and its labels (N,) or None.

    In a table with a header the first or the last column may be called label. Without a header the
    first column holds the labels, or the last one if only that can (see `label_without_header`).
    """
    with opened(path) as file:
        _, block = next(whole_lines(path, file), (1, b"\n"))
        first = block.removeprefix(BYTE_ORDER_MARK).partition(b"\n")[0].removesuffix(b"\r")
        if b"\r" in first:
            raise DataError(
                f"{path}, line 1: a carriage return in the middle; end every line with a line feed"
            )
        columns = first.count(b",") + 1
        check_columns(path, columns)
        names = [name.strip(' \t"') for name in first.decode("ascii", "replace").split(",")]
        header = is_header(names)
        label = label_of_header(path, names) if header else None
        table = parse(path, file, columns, header)
        if columns == PIXELS:
            return table.reshape(-1, 28, 28), None
        at = label_without_header(path, table, classes) if label is None else label
        labels = table[:, at].copy()
        check_labels(labels, classes, lambda i: f"{path}, line {i + 1 + header}, column {at + 1}")
        return without_column(table, at).reshape(-1, 28, 28), labels


def parse(path: Path, file: BinaryIO, columns: int, header: bool) -> np.ndarray:
    """The lines of images to a table (lines, columns) uint8.

    Before pandas reads the path, every line must have the same number of commas and no letters:
    pandas would allocate memory for missing cells, and it accepts words such as True.
    """
    import pandas as pd

    lines = 0
    for start, block in lines_of_images(path, file, header):
        bare = block.translate(None, CELL_LETTERS)
        found = bare.count(b"\n")
        rounded = b"." in block and ODD_POINT.search(block)
        odd = rounded or LONE_RETURN.search(block)
        if odd or not are_lines_of(columns, found, bare):
            raise next(faults(path, line_at(file, start), block, columns))
        lines += found
    if lines == 0:
        raise DataError(f"{path}, line 2: no image follows the header; add a line for each")
    try:
        table = pd.read_csv(
            path.absolute(),  # pandas would expand a ~
            header=None,
            skiprows=int(header),
            dtype=np.uint8,
            engine="c",
            compression=None,
            quoting=csv.QUOTE_NONE,
            na_filter=False,  # an empty cell is a fault, not a nan
        )
        if table.shape == (lines, columns):
            return np.ascontiguousarray(table.to_numpy())
        reason = f"{table.shape} cells, where {lines} lines of {columns} were counted"
    except (ValueError, OverflowError) as error:  # also pandas' ParserError
        reason = str(error).splitlines()[0][:100]
    number = 1 + header
    for _, block in lines_of_images(path, file, header):
        for fault in faults(path, number, block, columns):
            raise fault
        number += block.count(b"\n")
    raise DataError(f"{path}: {reason}; correct the cells")


def are_lines_of(columns: int, lines: int, bare: bytes) -> bool:
    """Whether `bare`, the commas and ends of so many lines, has so many columns in each line."""
    if not lines * columns <= len(bare) <= lines * (columns + 1):
        return False
    commas = b"," * (columns - 1)
    if bare == (commas + b"\r\n") * lines:
        return True
    return bare.replace(b"\r\n", b"\n") == (commas + b"\n") * lines


def lines_of_images(path: Path, file: BinaryIO, header: bool) -> Iterator[Block]:
    """`whole_lines` from the start of the file, without byte order mark and header."""
    for start, block in whole_lines(path, file):
        if start == 0:
            cut = len(BYTE_ORDER_MARK) if block.startswith(BYTE_ORDER_MARK) else 0
            start = block.find(b"\n") + 1 if header else cut
            block = block[start:]
        if block:
            yield start, block


def without_column(table: np.ndarray, at: int) -> np.ndarray:
    """The table (lines, columns) without its first or last column, in the same memory.

    Each line moves towards the start, over the old places of lines that have already moved.
    """
    lines, columns = table.shape
    rest = table.reshape(-1)[: lines * (columns - 1)].reshape(lines, columns - 1)
    for start in range(0, lines, 256):
        some = table[start : start + 256]
        rest[start : start + 256] = some[:, 1:] if at == 0 else some[:, :-1]
    return rest


def whole_lines(path: Path, file: BinaryIO) -> Iterator[Block]:
    """Blocks of lines that all end in LF, from the start of the file.

    Blank lines at the end of a block are put before the next block; at the end of the file they are
    left out.
    """
    file.seek(0)
    start, rest = 0, b""
    while more := file.read(PIECE):
        text = rest + more
        filled = len(text[: text.rfind(b"\n") + 1].rstrip(b"\r\n"))
        block = text[: text.find(b"\n", filled) + 1] if filled else b""
        rest = text[len(block) :]
        if block:
            yield start, block
            start += len(block)
        if len(rest) > LONGEST_LINE:
            raise DataError(
                f"{path}, line {line_at(file, start)}: more than {LONGEST_LINE:,} bytes, but an "
                "image of 784 pixels needs 4,000; give a table with one image per line"
            )
    if rest.strip(b"\r\n"):
        yield start, rest + b"\n"


def line_at(file: BinaryIO, start: int) -> int:
    """The number of the line that begins at this byte."""
    file.seek(0)
    sizes = (min(PIECE, start - read) for read in range(0, start, PIECE))
    return 1 + sum(file.read(size).count(b"\n") for size in sizes)


def check_columns(path: Path, columns: int) -> None:
    """DataError unless a line has 784 pixels, or these and a label."""
    if columns not in (PIXELS, PIXELS + 1):
        hint = (
            "leave out the row numbers (to_csv(index=False))"
            if columns == PIXELS + 2
            else "give a table of such images, with commas between the cells"
        )
        raise DataError(
            f"{path}, line 1: {columns:,} cells, but an image has 784 pixels, and with its label "
            f"785 cells; {hint}"
        )


def is_header(names: list[str]) -> bool:
    """Whether the first line names the columns, and is not an image.

    The names of a header are distinct. They are words, or one at either end is a name for labels,
    or they are 0, 1, 2, ... as pandas names columns.
    """
    if not all(names) or len(set(names)) < len(names):
        return False
    labelled = not LABEL_NAMES.isdisjoint((names[0].lower(), names[-1].lower()))
    counted = names == [str(i) for i in range(len(names))]
    return labelled or counted or not any(map(is_number, names))


def is_number(text: str) -> bool:
    """Whether Python can read the text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def label_of_header(path: Path, names: list[str]) -> int | None:
    """The index of the column that a header calls label; None in a table of pixels only."""
    labels = [i for i, name in enumerate(names) if name.lower() in LABEL_NAMES]
    if len(names) == PIXELS + 1 and labels not in ([0], [PIXELS]):
        raise DataError(
            f"{path}, line 1: 785 columns, but not one, first or last, that is called label; name "
            "the column of the labels so"
        )
    if len(names) == PIXELS and labels:
        raise DataError(
            f"{path}, line 1, column {labels[0] + 1}: a label and 783 pixels, but an image has "
            "784; add the missing column"
        )
    pixels = [name for i, name in enumerate(names) if i not in labels]
    places = [[int(digits) for digits in re.findall("[0-9]{1,9}", name)] for name in pixels]
    if places != sorted(places):
        raise DataError(
            f"{path}, line 1: the pixels' names do not ascend row by row; sort the columns"
        )
    return labels[0] if labels else None


def label_without_header(path: Path, table: np.ndarray, classes: int) -> int:
    """The column, 0 or 784, of a table (N, 785) that can hold labels.

    Labels are below `classes` and not all 0. The other end is a corner pixel, which is always 0 or
    takes all grey levels. DataError if both columns could be labels.
    """
    can_be = [
        bool(end.any()) and int(end.max()) < classes for end in (table[:, 0], table[:, PIXELS])
    ]
    if all(can_be):
        raise DataError(
            f"{path}, line 1: the first and the last column could both be labels; add a header "
            "that calls one of them label"
        )
    return PIXELS if can_be[1] else 0


def faults(path: Path, number: int, block: bytes, columns: int) -> Iterator[DataError]:
    """The faults in a block of lines, from top to bottom; `number` is that of its first line."""
    usual = re.compile(rb"%b(?:,%b){%d}" % (USUAL_CELL, USUAL_CELL, columns - 1))
    for line, text in enumerate(block.removesuffix(b"\n").split(b"\n"), number):
        text = text.removesuffix(b"\r")
        if usual.fullmatch(text):  # several times as fast as cell by cell
            continue
        found = text.count(b",") + 1 if text else 0
        if found != columns:
            yield DataError(
                f"{path}, line {line}: {found:,} cells, where line 1 has {columns}; complete the "
                "line or delete it"
            )
            continue
        for column, cell in enumerate(text.split(b","), 1):
            number_found = CELL.fullmatch(cell)
            if number_found is None or int(number_found[1]) > 255:
                shown = repr(cell[:20].decode("utf-8", "replace")) if cell else "an empty cell"
                yield DataError(
                    f"{path}, line {line}, column {column}: {shown} is not a whole number from 0 "
                    "to 255; correct the cell"
                )
