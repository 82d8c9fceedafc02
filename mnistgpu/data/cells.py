"""The lines of a table as pandas is to parse them: pixels alone, separated by commas.

pandas would make room for missing cells, and it accepts words such as True. So every line is
checked before pandas sees it: it has as many cells as the first one, and its pixels are digits.
What is no pixel, the label and the number of the image, is kept apart as text.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator

from mnistgpu.data.columns import Columns
from mnistgpu.data.streams import Content
from mnistgpu.errors import DataError

CELL = re.compile(rb" *0*([0-9]{1,9})(?:\.0*)? *")  # a whole number, as 12, 012 or 12.0
USUAL_CELL = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[0-9]{1,2})"  # 0 to 255, as usual
CELL_LETTERS = b"0123456789 ."  # pandas would also accept True or 1e-400
# a point without a digit before it, a fraction other than zeros, or ten digits and more
ODD_POINT = re.compile(rb"(?<![0-9])\.|\.(?!0*[ ,\n])|[1-9][0-9]{9}")
FRACTION = re.compile(rb"\.0*")
BLANKS = re.compile(rb" +")
PIECE = 2**16  # bytes read at once: for larger ones the system clears fresh memory each time
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # of UTF-8
LONGEST_LINE = 2**16  # bytes; 64x64 pixels as 255.0 need 25,000
LONGEST_TEXT = 100  # bytes of a label


class Lines:
    """The lines of a table in blocks, read once from the first to the last.

    Blank lines at the end of a block are put before the next block; at the end of the file they are
    left out. `number` is the number of the first line of the block read last.
    """

    def __init__(self, content: Content):
        self.content, self.number, self.count = content, 1, 0
        self.blocks = self.whole_lines()

    def whole_lines(self) -> Iterator[bytes]:
        """Blocks of lines that all end in LF, without the byte order mark."""
        rest, first = b"", True
        while more := self.content.read(PIECE):
            text = rest + more
            if first:
                text = text.removeprefix(BYTE_ORDER_MARK)
            filled = len(text[: text.rfind(b"\n") + 1].rstrip(b"\r\n"))
            block = text[: text.find(b"\n", filled) + 1] if filled else b""
            rest = text[len(block) :]
            if block:
                first = False
                yield self.counted(block)
            if len(rest) > LONGEST_LINE:
                raise DataError(
                    f"{self.content.where}, line {self.number + self.count}: more than "
                    f"{LONGEST_LINE:,} bytes, but an image of 784 pixels needs 4,000; give a table "
                    "with one image per line"
                )
        if rest.strip(b"\r\n"):
            yield self.counted(rest + b"\n")

    def counted(self, block: bytes) -> bytes:
        """The block, whose lines are counted."""
        self.number += self.count
        self.count = block.count(b"\n")
        return block


class Pixels(io.RawIOBase):
    """The pixels of all lines as a stream for pandas: commas between cells, LF after lines.

    `labels`, `lasts` and `numbers` are filled as it is read: the cells at either end that may be
    labels, and those that number the images.
    """

    def __init__(self, where: str, lines: Lines, columns: Columns, first: bytes):
        self.where, self.lines, self.columns = where, lines, columns
        self.labels: list[bytes] = []
        self.lasts: list[bytes] = []
        self.numbers: list[bytes] = []
        self.count = 0  # lines of images read
        self.fault: Exception | None = None  # pandas may hide it behind an error of its own
        self.waiting = memoryview(b"")
        self.first = first  # the block that begins with the first line, or what follows the header

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        while not self.waiting:
            block = self.first or next(self.lines.blocks, b"")
            self.first = b""
            if not block:
                return 0
            try:
                self.waiting = memoryview(self.pixels_of(block))
            except Exception as error:
                self.fault = error
                raise
        size = min(len(target), len(self.waiting))
        target[:size] = self.waiting[:size]
        self.waiting = self.waiting[size:]
        return size

    def pixels_of(self, block: bytes) -> bytes:
        """The pixels of a block of lines; other cells are kept. DataError for a fault."""
        columns = self.columns
        text = block
        if b"\r" in block:  # twice as fast as replace(), which searches two bytes
            text = b"\n".join([line.removesuffix(b"\r") for line in block.split(b"\n")])
        regular = b"\r" not in text
        if columns.separator != b",":
            regular &= b"," not in text
            if columns.separator == b" ":
                text = b"\n".join(line.strip(b" ") for line in text.split(b"\n"))
                text = BLANKS.sub(b",", text)
            else:
                text = text.replace(columns.separator, b",")
        kept = len(self.labels), len(self.lasts), len(self.numbers)
        pixels = self.without_other_cells(text) if regular else None
        if pixels is not None and b"." in pixels:
            pixels = None if ODD_POINT.search(pixels) else FRACTION.sub(b"", pixels)
        found = self.lines.count
        width = columns.pixels
        if pixels is None or not are_lines_of(width, found, pixels.translate(None, CELL_LETTERS)):
            for cells, size in zip((self.labels, self.lasts, self.numbers), kept, strict=True):
                del cells[size:]
            for fault in faults(self.where, self.lines.number, block, columns):
                raise fault
            raise DataError(
                f"{self.where}, line {self.lines.number}: not a line of {columns.count} cells; "
                "write the table again with DataFrame.to_csv(index=False)"
            )
        self.count += found
        return pixels

    def without_other_cells(self, text: bytes) -> bytes | None:
        """The text of lines without label and number, which are kept; None if a line is short."""
        columns = self.columns
        lead, label = columns.lead, columns.label
        if not lead and not label:
            return text
        pixels = []
        for line in text.removesuffix(b"\n").split(b"\n"):
            *before, rest = line.split(b",", lead)
            if len(before) < lead:
                return None
            if columns.numbered:
                self.numbers.append(before[0])
            if label in ("first", "either"):
                self.labels.append(before[-1])
            if label in ("last", "either"):
                start, _, last = rest.rpartition(b",")
                if label == "last":
                    rest = start
                    self.labels.append(last)
                else:
                    self.lasts.append(last)
            pixels.append(rest)
        pixels.append(b"")
        return b"\n".join(pixels)


def are_lines_of(columns: int, lines: int, bare: bytes) -> bool:
    """Whether `bare`, the commas and ends of so many lines, has so many columns in each line."""
    return len(bare) == lines * columns and bare == (b"," * (columns - 1) + b"\n") * lines


def faults(where: str, number: int, block: bytes, columns: Columns) -> Iterator[DataError]:
    """The faults in a block of lines, from top to bottom; `number` is that of its first line."""
    separator, count = columns.separator, columns.count
    usual = re.compile(rb"%b(?:,%b){%d}" % (USUAL_CELL, USUAL_CELL, count - 1))
    for line, text in enumerate(block.removesuffix(b"\n").split(b"\n"), number):
        text = text.removesuffix(b"\r")
        if separator == b"," and usual.fullmatch(text):  # several times as fast as cell by cell
            continue
        cells = text.split() if separator == b" " else text.split(separator) if text else []
        if len(cells) != count:
            yield DataError(
                f"{where}, line {line}: {len(cells):,} cells, where line 1 has {count}; complete "
                "the line or delete it"
            )
            continue
        pixels = range(columns.lead, columns.lead + columns.pixels)
        for column, cell in enumerate(cells, 1):
            found = CELL.fullmatch(cell) if column - 1 in pixels else None
            if column - 1 not in pixels and b"\r" in cell:
                yield DataError(
                    f"{where}, line {line}, column {column}: {shown(cell)} has a carriage return "
                    "within; end every line with a line feed"
                )
            elif column - 1 in pixels and (found is None or int(found[1]) > 255):
                yield DataError(
                    f"{where}, line {line}, column {column}: {shown(cell)} is not a whole number "
                    f"from 0 to 255; {mend_of(cell)}"
                )


def shown(cell: bytes) -> str:
    """A cell for a message."""
    return repr(cell[:20].decode("utf-8", "replace")) if cell else "an empty cell"


def mend_of(cell: bytes) -> str:
    """How to save grey levels right that are written like this cell."""
    if b"," in cell:
        return "save the table with to_csv(sep=',', decimal='.', index=False)"
    try:
        value = float(cell)
    except ValueError:
        return "correct the cell"
    if (
        math.isfinite(value)
        and b"e" in cell.lower()
        and value == round(value)
        and 0 <= value <= 255
    ):
        return "save it with numpy.savetxt(..., fmt='%d', delimiter=',')"
    if -1 <= value < 0:
        return (
            "if the levels are from -1 to 1, save (127.5 * (1 + pixels)).round().astype(int) with "
            "to_csv(index=False)"
        )
    if 0 < value < 1:
        return (
            "if the levels are from 0 to 1, save (255 * pixels).round().astype(int) with "
            "to_csv(index=False)"
        )
    return "correct the cell"
