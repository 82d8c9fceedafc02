"""CSV tables that are damaged or mistaken: each is refused in one sentence that names the place."""

import contextlib
import math
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from helpers.bad_digit_files import LABELS, ROWS, TABLE, check_refusal, edited, file
from helpers.digit_files import csv_bytes

from mnistgpu.data import streams, table
from mnistgpu.data.columns import Columns
from mnistgpu.errors import DataError

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies

EXAMPLES = int(os.environ.get("MNISTGPU_EXAMPLES", "100"))

BAD = {
    "csv empty": (file("d.csv", b""), r"d\.csv: is empty; copy or download it again"),
    "csv blank": (file("d.csv", b"\n\r\n\n"), r"d\.csv, line 1: 1 cells, .*; save such"),
    "csv header alone": (
        file("d.csv", TABLE.splitlines()[0]),
        r"d\.csv, line 2: no image follows the header; add",
    ),
    "csv of test": (
        file("test.csv", csv_bytes(ROWS)),
        r"test\.csv: looks like test\.csv, 784 pixels and no label; use it with predict or submit",
    ),
    "csv of other size": (
        file("d.csv", b"1,2,3\n" * 3),
        r"d\.csv, line 1: 3 cells, but .*; save such a table with DataFrame\.to_csv\(index=False",
    ),
    "csv with decimal commas": (
        file("d.csv", TABLE.replace(b",", b";").replace(b";0;", b";0,0;", 1)),
        r"line 2, column 84: '0,0' is not .*; save the table with to_csv\(sep=',', decimal='\.'",
    ),
    "csv of semicolons with a line of commas": (
        file("d.csv", TABLE.replace(b",", b";") + TABLE.splitlines()[1]),
        r"d\.csv, line 8: 1 cells, where line 1 has 785; complete",
    ),
    "csv with a first column of any numbers": (
        file(
            "d.csv",
            b"".join(
                line and b"%b,%b" % (cell, line)
                for cell, line in zip(
                    [b"age", b"31", b"7", b"31", b"5", b"6", b"60"],
                    TABLE.splitlines(True),
                    strict=True,
                )
            ),
        ),
        r"d\.csv: the first column neither counts up nor is called id; leave it out, or call it so",
    ),
    "csv with labels or numbers": (
        file("d.csv", csv_bytes(ROWS, range(6), header=False)),
        "line 1: the first column counts up, as labels or as numbers of the images; add a header",
    ),
    "csv of 787 columns": (
        file("d.csv", b"".join(b"1,2,%b" % line for line in TABLE.splitlines(True))),
        "line 1: 787 cells, but a line holds a square image .*; save such a table",
    ),
    "csv by numpy.savetxt": (
        file("d.csv", edited(4, 5, b"1.270000000000000000e+02")),
        r"line 4, column 5: .* is not .*; save it with numpy\.savetxt\(\.\.\., fmt='%d'",
    ),
    "csv of shares": (
        file("d.csv", edited(4, 5, b"0.25")),
        r"line 4, column 5: '0\.25' is not .*; if .* from 0 to 1, save \(255 \* pix",
    ),
    "csv with one name among the labels": (
        file("d.csv", edited(3, 1, b"cat")),
        "line 3, column 1: 'cat' is not a whole number, as most labels are; correct",
    ),
    "csv with a name that cannot be printed": (
        file("d.csv", csv_bytes(ROWS, ["a", "b", "c", "d\x07", "e", "f"])),
        r"line 5, column 1: 'd\\x07' is no name of a class: .* printed; correct",
    ),
    "csv with a long name": (
        file("d.csv", csv_bytes(ROWS, ["a", "b", "c", "d" * 101, "e", "f"])),
        "line 5, column 1: 'dddddddddddddddddddd' is no name of a class: .*; correct",
    ),
    "csv line too short": (
        file("d.csv", TABLE + TABLE.splitlines()[1].rpartition(b",")[0] + b"\n"),
        r"d\.csv, line 8: 784 cells, where line 1 has 785; complete",
    ),
    "csv line too long": (
        file("d.csv", TABLE[:-1] + b",0\n"),
        r"d\.csv, line 7: 786 cells, where line 1 has 785; complete",
    ),
    "csv lines that make up for each other": (
        file("d.csv", TABLE[:-1] + b",0\n" + TABLE.splitlines()[1].rpartition(b",")[0] + b"\n"),
        r"d\.csv, line 7: 786 cells",
    ),
    "csv blank line within": (
        file("d.csv", TABLE + b"\n" + TABLE.splitlines()[1]),
        r"d\.csv, line 8: 0 cells, .* delete it",
    ),
    "csv text": (
        file("d.csv", edited(3, 1, b"four")),
        r"d\.csv, line 3, column 1: 'four' is not .* correct",
    ),
    "csv nan": (
        file("d.csv", edited(7, 785, b"NaN")),
        r"d\.csv, line 7, column 785: 'NaN' is not .* correct",
    ),
    "csv empty cell": (
        file("d.csv", edited(2, 9, b"")),
        r"d\.csv, line 2, column 9: an empty cell is not .* correct",
    ),
    "csv last cell empty": (
        file("d.csv", edited(7, 785, b"")),
        "line 7, column 785: an empty cell",
    ),
    "csv first cell empty": (file("d.csv", edited(2, 1, b"")), "line 2, column 1: an empty cell"),
    "csv fraction": (
        file("d.csv", edited(4, 5, b"12.5")),
        r"line 4, column 5: '12\.5' is not .* correct",
    ),
    "csv true": (file("d.csv", edited(4, 5, b"True")), "line 4, column 5: 'True' is not"),
    "csv 1e-400": (file("d.csv", edited(4, 5, b"1e-400")), "line 4, column 5: '1e-400' is not"),
    "csv plus": (file("d.csv", edited(4, 5, b"+7")), r"line 4, column 5: '\+7' is not"),
    "csv the right cell": (
        file("d.csv", edited(4, 5, b"7.0").replace(b"\n", b",x\n", 5).replace(b",x\n", b"\n", 4)),
        "line 5: 786 cells",
    ),
    "csv 1e999": (file("d.csv", edited(4, 5, b"1e999")), "line 4, column 5: '1e999' is not"),
    "csv negative": (file("d.csv", edited(4, 5, b"-1")), "line 4, column 5: '-1' is not"),
    "csv 256": (file("d.csv", edited(4, 5, b"256")), "line 4, column 5: '256' is not .* 0 to 255"),
    "csv 300": (file("d.csv", edited(4, 5, b"300")), "line 4, column 5: '300' is not"),
    "csv 999": (file("d.csv", edited(7, 785, b"999")), "line 7, column 785: '999' is not"),
    "csv 1000": (file("d.csv", edited(4, 5, b"1000")), "line 4, column 5: '1000' is not"),
    "csv 65536": (file("d.csv", edited(2, 2, b"65536")), "line 2, column 2: '65536' is not"),
    "csv negative label": (
        file("d.csv", edited(2, 1, b"-1")),
        "line 2, column 1: '-1' is not a whole number, as most labels are",
    ),
    "csv 2^64": (
        file("d.csv", edited(4, 5, b"18446744073709551616")),
        "column 5: '18446744073709551616' is",
    ),
    "csv quotes": (file("d.csv", edited(4, 5, b'"7"')), "line 4, column 5: '\"7\"' is not"),
    "csv zero byte": (file("d.csv", edited(4, 5, b"7\x00")), r"line 4, column 5: '7\\x00' is not"),
    "csv lone return": (file("d.csv", edited(4, 5, b"7\r8")), r"line 4, column 5: '7\\r8' is not"),
    "csv with a return and a blank": (
        file("d.csv", edited(4, 785, b"7\r ")),
        r"line 4, column 785: '7\\r ' is not",
    ),
    "csv of old Macs": (file("d.csv", TABLE.replace(b"\n", b"\r")), "line 1: a carriage return"),
    "csv with a return in its header": (
        file("d.csv", TABLE.replace(b"pixel5,", b"pix\rel5,")),
        "line 1: a carriage return",
    ),
    "csv in UTF-16": (
        file("d.csv", TABLE.decode().encode("utf-16")),
        "text in UTF-16; save it in UTF-8",
    ),
    "csv bytes": (
        file("d.csv", edited(4, 5, b"\xff\xfe")),
        "line 4, column 5: '\ufffd\ufffd' is not",
    ),
    "csv escapes": (
        file("d.csv", edited(4, 5, b"\x1b[2J")),
        r"line 4, column 5: '\\x1b\[2J' is not",
    ),
    "csv empty label": (
        file("d.csv", csv_bytes(ROWS, [5, 0, 4, 1, "", 2], "last")),
        "line 6, column 785: an empty cell is not a whole number, as most labels are",
    ),
    "csv damaged first line": (
        file("d.csv", csv_bytes(ROWS, LABELS, header=False).replace(b",", b",x", 1)),
        "line 1, column 2: 'x",
    ),
    "csv first line without numbers": (
        file("d.csv", b"nan," * 784 + b"nan\n" + TABLE),
        "line 1, column 2: 'nan' is not",
    ),
    "csv first line without values": (
        file("d.csv", b"NA," * 783 + b"NA\n" + csv_bytes(ROWS, header=False)),
        "line 1, column 1: 'NA' is not",
    ),
    "csv names nothing label": (
        file("d.csv", TABLE.replace(b"label", b"pixel784", 1)),
        "line 1: 785 columns, but not one called label, first or last; name",
    ),
    "csv label within": (
        file("d.csv", TABLE.replace(b"label,pixel0", b"pixel0,label", 1)),
        "line 1: 785 columns, but not one called label, first or last",
    ),
    "csv two labels": (
        file("d.csv", TABLE.replace(b"pixel783", b"class", 1)),
        "line 1: 785 columns, but not one called",
    ),
    "csv label and 783 pixels": (
        file("d.csv", csv_bytes(ROWS[:, :783], LABELS)),
        "line 1, column 1: a label and 783 pixels, .*; add the missing column",
    ),
    "csv 783 pixels and label": (
        file("d.csv", csv_bytes(ROWS[:, :783], LABELS, "last")),
        "line 1, column 784: a label and 783 pixels, .*; add the missing column",
    ),
    "csv return within a label": (
        file("d.csv", csv_bytes(ROWS, [5, 0, "4\r4", 1, 9, 2])),
        r"line 4, column 1: '4\\r4' has a carriage return within; end every line with a line",
    ),
    "csv return within a last label": (
        file("d.csv", csv_bytes(ROWS, [5, 0, "4\r4", 1, 9, 2], "last")),
        r"line 4, column 785: '4\\r4' has a carriage return within",
    ),
    "csv pixels in another order": (
        file("d.csv", TABLE.replace(b"pixel5,pixel6", b"pixel6,pixel5", 1)),
        "line 1: the pixels' names do not ascend row by row; sort",
    ),
    "csv columns first": (
        file(
            "d.csv",
            ("label," + ",".join(f"{i % 28 + 1}x{i // 28 + 1}" for i in range(784))).encode()
            + TABLE[TABLE.index(b"\n") :],
        ),
        "line 1: the pixels' names do not ascend row by row; sort",
    ),
    "csv with two possible labels": (
        file("d.csv", csv_bytes(np.full_like(ROWS, 3), LABELS, header=False)),
        "line 1: the first and the last column could both be labels; add a header",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables(tmp_path, case):
    check_refusal(tmp_path, *BAD[case])


GOOD_CELLS = st.integers(0, 255).map(str) | st.sampled_from(["00", "007", "055", "200", "249"])
ODD_CELLS = [
    "256", "260", "300", "999", "1000", "0255", "99999", "-1", "1.0", "254.0000", ".0",
    "4.99999999999999999", "0000000001", "9999999999.",
]  # fmt: skip
BAD_CELLS = st.sampled_from(ODD_CELLS) | st.text('0123456789 .-+\r\0x:/"', max_size=4)


@st.composite
def lines_of_cells(draw):
    """Lines of equal length, of which up to two cells and one line may be faulty."""
    columns = draw(st.sampled_from([4, 9]))
    end = draw(st.sampled_from(["", "\n", "\r\n\n"]))
    rows = [
        draw(st.lists(GOOD_CELLS, min_size=columns, max_size=columns))
        for _ in range(draw(st.integers(1, 5)))
    ]
    for _ in range(draw(st.integers(0, 2))):
        row = draw(st.sampled_from(rows))
        row[draw(st.integers(0, columns - 1))] = draw(BAD_CELLS)
    if draw(st.integers(0, 3)) == 0:
        row = draw(st.sampled_from(rows))
        row[:] = draw(st.lists(GOOD_CELLS, max_size=9))
    return columns, rows, end


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(lines_of_cells())
def test_blocks_of_lines_mean_what_they_say(lines):
    """Whole numbers are read as they are; otherwise the first fault is named."""
    columns, rows, end = lines
    text = "".join(",".join(row) + "\n" for row in rows) + end
    hypothesis.assume(text.strip("\r\n"))
    block = text.encode()
    # a return at the end of a line belongs to it, and empty lines at the end of a file do not
    rows = [line.split(",") for line in text.replace("\r\n", "\n").rstrip("\n").split("\n")]
    rows = [[] if row == [""] else row for row in rows]
    places = [
        f"line {line}:" if len(row) != columns else f"line {line}, column {column}:"
        for line, row in enumerate(rows, 1)
        for column, cell in enumerate(row or [""], 1)
        if len(row) != columns or not is_pixel(cell)
    ]
    if not places:
        expected = [[float(cell) for cell in row] for row in rows]
        assert parsed(block, columns).tolist() == expected
        return
    with pytest.raises(DataError) as caught:
        parsed(block, columns)
    assert str(caught.value).startswith(f"d.csv, {places[0]}")


def test_a_large_table_says_where_it_is_wrong(tmp_path):
    """A table so large that pandas parses several parts of it in parallel."""
    rows = np.tile(ROWS, (500, 1)) | 128
    content = csv_bytes(rows, np.tile(LABELS, 500), end="\r\n")
    assert len(content) > 8 * 2**20
    path = tmp_path / "large.csv"
    path.write_bytes(content)
    found = table.read(streams.Source(path))
    np.testing.assert_array_equal(found.images.reshape(-1, 784), rows)
    np.testing.assert_array_equal(found.labels, np.tile(LABELS, 500))
    lines = content.split(b"\r\n")
    for change, expected in (
        (lambda line: line + b"0", "line 2500, column 785"),
        (lambda line: line + b",0", "line 2500: 786 cells"),
        (lambda line: b"\r" + line, "line 2500, column 1"),
        (lambda line: b"\r\n" + line, "line 2500: 0 cells"),
    ):
        path.write_bytes(b"\r\n".join([*lines[:2499], change(lines[2499]), *lines[2500:]]))
        with pytest.raises(DataError, match=expected):
            table.read(streams.Source(path))


def parsed(block, columns):
    """The cells of a table of pixels alone, so many in a line."""
    made = Columns(b",", columns, math.isqrt(columns), (), "", False)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(table, "start_of", lambda where, lines: (made, next(lines.blocks)))
        Path("d.csv").write_bytes(block)
        return table.read(streams.Source(Path("d.csv"))).images.reshape(-1, columns)


def is_pixel(cell):
    """Whether a cell is a whole number from 0 to 255, written with or without a point."""
    whole, _, fraction = cell.strip(" ").partition(".")
    return whole.isdecimal() and not fraction.strip("0") and int(whole) <= 255
