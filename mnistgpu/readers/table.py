"""CSV as Kaggle has it: one image per line, 784 pixels, and a label first, last or not at all.

pandas parses the cells, a few megabytes of whole lines at a time, which bounds the memory whatever
the file holds. Where it refuses, the lines are looked through for the cell to name.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import chain, takewhile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mnistgpu.errors import DataError
from mnistgpu.readers.streams import check_labels, opened

PIXELS = 784
LABEL_NAMES = {"label", "labels", "class", "digit", "target", "y"}
CELL = re.compile(rb" *([0-9]{1,9})(?:\.0*)? *")  # a whole number, as 12, 012 or 12.0
LETTERS = b"0123456789,\n ."  # of lines of cells; pandas would take True or 1e-400 as well
PIECE, PIECES = 2**18, 16  # bytes read at once, and how many times before they are parsed
AT_ONCE = 2  # blocks parsed at once
LONGEST_LINE = 2**16  # bytes; a label and 784 pixels need at most 3,140, and a header about 8,000


def read(path: Path, classes: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Images (N, 28, 28) and labels (N,) or None of a table.

    With a header its first or last name may be label. Without one the label stands first, or last
    if only the last column can be labels (see `label_without_header`).
    """
    with opened(path) as file:
        blocks = whole_lines(path, file)
        _, block = next(blocks, (1, b"\n"))
        first, _, others = block.removeprefix(b"\xef\xbb\xbf").partition(b"\n")  # the mark of UTF-8
        columns = first.count(b",") + 1
        check_columns(path, columns)
        names = [name.strip(' \t"') for name in first.decode("ascii", "replace").split(",")]
        header = is_header(names)
        label = label_of_header(path, names) if header else None
        start = (2, others) if header else (1, first + b"\n" + others)
        table = parse_all(path, chain([start], blocks), columns, file.size)
        if columns == PIXELS:
            return table.reshape(-1, 28, 28), None
        at = label_without_header(path, table, classes) if label is None else label
        labels = table[:, at].copy()
        check_labels(labels, classes, lambda i: f"{path}, line {i + 1 + header}, column {at + 1}")
        return without_column(table, at).reshape(-1, 28, 28), labels


def parse_all(
    path: Path, blocks: Iterable[tuple[int, bytes]], columns: int, size: int
) -> np.ndarray:
    """All blocks of a file that has `size` bytes to one table (lines, columns) uint8."""
    # Room for as many lines as there can be, with two bytes to a cell. Memory that is never written
    # costs nothing, and the lines need not be gathered from pieces in the end.
    table = np.empty((size // (2 * columns) + 1, columns), dtype=np.uint8)
    count = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:  # pandas lets go of Python's lock
        for numbers in in_turn(pool, ((path, n, block, columns) for n, block in blocks if block)):
            table[count : count + len(numbers)] = numbers
            count += len(numbers)
    if count == 0:
        raise DataError(f"{path}, line 2: no image follows the header; add a line for each")
    return table[:count]


def in_turn(pool: Executor, blocks: Iterable[tuple[Any, ...]]) -> Iterator[np.ndarray]:
    """What `parse` makes of each block, in order, with AT_ONCE of them under way at most."""
    under_way: deque[Future[np.ndarray]] = deque()
    for block in blocks:
        under_way.append(pool.submit(parse, *block))
        if len(under_way) > AT_ONCE:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def without_column(table: np.ndarray, at: int) -> np.ndarray:
    """The table (lines, columns) without its first or last column, in the same memory.

    A line moves towards the start, over lines that have moved before.
    """
    lines, columns = table.shape
    rest = table.reshape(-1)[: lines * (columns - 1)].reshape(lines, columns - 1)
    for start in range(0, lines, 256):
        some = table[start : start + 256]
        rest[start : start + 256] = some[:, 1:] if at == 0 else some[:, :-1]
    return rest


def whole_lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Blocks of lines that all end in LF, each with the number of its first line.

    Blank lines at the end of a block wait for what follows, and at the end of the file they go.
    """
    number, rest = 1, b""
    while more := b"".join(takewhile(bool, (file.read(PIECE) for _ in range(PIECES)))):
        text = rest + more
        end = text.rfind(b"\n") + 1
        lines = text[:end].replace(b"\r\n", b"\n")
        filled = lines.rstrip(b"\n")
        block = lines[: len(filled) + 1] if filled else b""
        rest = lines[len(block) :] + text[end:]
        if block:
            yield number, block
            number += block.count(b"\n")
        if len(rest) > LONGEST_LINE:
            raise DataError(
                f"{path}, line {number}: more than {LONGEST_LINE:,} bytes, but an image of 784 "
                "pixels needs 4,000; give a table with one image per line"
            )
    if rest.strip(b"\n"):
        yield number, rest + b"\n"


def check_columns(path: Path, columns: int) -> None:
    """Refuse a table that cannot be 784 pixels with or without a label."""
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
    """Whether the first line names the columns and is not itself an image.

    Names are distinct, and they are words, or include a label at one end, or are 0, 1, 2, ... as
    pandas names columns.
    """
    if not all(names) or len(set(names)) < len(names):
        return False
    labelled = not LABEL_NAMES.isdisjoint((names[0].lower(), names[-1].lower()))
    counted = names == [str(i) for i in range(len(names))]
    return labelled or counted or not any(map(is_number, names))


def is_number(text: str) -> bool:
    """Whether Python reads the text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def label_of_header(path: Path, names: list[str]) -> int | None:
    """The index of the column that a header calls the label; None in a table of pixels alone."""
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
    """0 or 784: the end of the lines, in a table (N, 785), that can be labels and not pixels.

    Labels are below `classes` and not all 0; a corner pixel is always 0, or has every grey level.
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


def parse(path: Path, number: int, block: bytes, columns: int) -> np.ndarray:
    """A block of lines to a table (lines, columns) uint8; `number` is that of its first line."""
    import pandas as pd

    if block.translate(None, LETTERS):
        raise next(faults(path, number, block, columns))
    try:
        table = pd.read_csv(
            io.BytesIO(block),
            header=None,
            dtype=np.uint8,
            engine="c",
            lineterminator="\n",
            quoting=csv.QUOTE_NONE,
            na_filter=False,  # an empty cell is a fault, not a nan
            skip_blank_lines=False,
            low_memory=False,  # the block is small enough
        ).to_numpy()
    except (ValueError, OverflowError) as error:  # also pandas' ParserError, and text in no code
        reason = str(error).splitlines()[0][:100]
        otherwise = DataError(f"{path}, from line {number} on: {reason}; correct the cells")
        raise next(faults(path, number, block, columns), otherwise) from None
    if table.shape[1] != columns:
        raise next(faults(path, number, block, columns))
    return table


def faults(path: Path, number: int, block: bytes, columns: int) -> Iterator[DataError]:
    """What is wrong with a block of lines, from top to bottom."""
    for line, text in enumerate(block.removesuffix(b"\n").split(b"\n"), number):
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
