"""Files that are damaged, mistaken or meant to harm: one sentence each, in little time and memory.

MNISTGPU_EXAMPLES=10000 runs the mutations longer.
"""

import contextlib
import gzip
import io
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from helpers.digit_files import FOLDER_NAMES, csv_bytes, idx_bytes, npz_bytes

from mnistgpu import data
from mnistgpu.data import streams, table
from mnistgpu.errors import DataError

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies
HealthCheck = hypothesis.HealthCheck

EXAMPLES = int(os.environ.get("MNISTGPU_EXAMPLES", "300"))
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
LABELS = np.array([5, 0, 4, 1, 9, 2], dtype=np.uint8)
ROWS = IMAGES.reshape(6, 784)
TABLE = csv_bytes(ROWS, LABELS)


def sentence(path, load=data.load, **options) -> str:
    """What the refusal of a path says, after a check of its form."""
    with pytest.raises(DataError) as caught:
        load(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert not re.search(r"[.!?] [A-Z]|\.$", text), text
    return text


# A table of what can be wrong: how to make it, and what the message must say (file, place, mend)


def folder(images=None, labels=None, test_images=None, test_labels=None):
    """A folder of IDX files, some of them replaced by other bytes, and left out where b''."""
    contents = dict(
        zip(FOLDER_NAMES.values(), (images, labels, test_images, test_labels), strict=True)
    )
    whole = (idx_bytes(IMAGES), idx_bytes(LABELS), b"", b"")

    def make(tmp_path):
        for (name, content), usual in zip(contents.items(), whole, strict=True):
            content = usual if content is None else content
            if content:
                (tmp_path / name).write_bytes(content)
        return tmp_path

    return make


def file(name, content):
    def make(tmp_path):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return make


def edited(line, column, cell) -> bytes:
    """The table with a cell replaced; lines and columns count from 1."""
    rows = [row.split(b",") for row in TABLE.splitlines()]
    rows[line - 1][column - 1] = cell
    return b"".join(b",".join(row) + b"\n" for row in rows)


def zip_bytes(*members, compression=zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a name that is there twice
        for name, member in members:
            archive.writestr(name, member)
    return content.getvalue()


def npy_bytes(array, header=None, version=(1, 0)) -> bytes:
    content = io.BytesIO()
    if header is None:
        np.lib.format.write_array(content, array, version=version)
        return content.getvalue()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + array.tobytes()


def npy_header(descr="|u1", fortran=False, shape=(6, 28, 28)) -> bytes:
    fields = {"descr": descr, "fortran_order": fortran, "shape": shape}
    return ("{" + "".join(f"'{k}': {v!r}, " for k, v in fields.items()) + "}\n").encode()


def zip_of_raw(name: bytes, packed: bytes, size: int, offset=0, extra=b"", claimed=None) -> bytes:
    """A zip archive whose one member is already packed and claims to unpack to `size` bytes."""
    length = len(packed) if claimed is None else claimed
    start = struct.pack("<HHHHHIIIH", 20, 0, 8, 0, 0, 0, length, size, len(name))
    local = b"PK\3\4" + start + b"\0\0" + name + packed
    attributes = struct.pack("<HHHHII", len(extra), 0, 0, 0, 0, offset)
    central = b"PK\1\2\x14\0" + start + attributes + name + extra
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + b"PK\5\6" + end


def patched(content: bytes, signature: bytes, at: int, change: bytes) -> bytes:
    """A zip archive with some bytes of its first record of a kind changed."""
    start = content.index(signature) + at
    return content[:start] + change + content[start + len(change) :]


PAIR = {"x_train": IMAGES, "y_train": LABELS}
X, Y = ("x_train.npy", npy_bytes(IMAGES)), ("y_train.npy", npy_bytes(LABELS))
ZIPPED = gzip.compress(idx_bytes(IMAGES))
IMAGES_FILE, LABELS_FILE = FOLDER_NAMES["train", "images"], FOLDER_NAMES["train", "labels"]
AGAIN = "copy or download it again"

BAD = {
    # IDX
    "magic": (
        folder(b"PK\3\4" + bytes(40)),
        rf"{IMAGES_FILE}, byte 0: begins with 50 4b 03 04.*give",
    ),
    "short magic": (folder(b"\0\0"), rf"{IMAGES_FILE}, byte 0: begins with 00 00, .*give"),
    "int32 type": (
        folder(b"\0\0\x0c\3" + idx_bytes(IMAGES)[4:]),
        "byte 0: begins with 00 00 0c 03.*give",
    ),
    "header cut": (folder(idx_bytes(IMAGES)[:11]), rf"{IMAGES_FILE}, byte 11: .*header.*{AGAIN}"),
    "cut": (
        folder(idx_bytes(IMAGES)[:-1]),
        rf"{IMAGES_FILE}, byte 4,719 .* declares 6x28x28, 4,720 bytes .* has 4,719; {AGAIN}",
    ),
    "too long": (
        folder(None, idx_bytes(LABELS) + b"\0"),
        rf"{LABELS_FILE}, byte 14 .* declares 6, 14 bytes .* has 15; {AGAIN}",
    ),
    "swapped": (
        folder(idx_bytes(LABELS), idx_bytes(IMAGES)),
        rf"{IMAGES_FILE}, byte 3: .* labels, where images are expected; .* exchange",
    ),
    "labels are images": (
        folder(None, idx_bytes(IMAGES)),
        rf"{LABELS_FILE}, byte 3: .* images, where labels are expected; .* exchange",
    ),
    "labels alone": (file("x-labels-idx1", idx_bytes(LABELS)), "x-labels-idx1, byte 3: .*give"),
    "other counts": (
        folder(None, idx_bytes(LABELS[:5])),
        "train: 6 images, but 5 labels; take both files from one set|train: 6 .* 5 labels; take",
    ),
    "label too large": (
        folder(None, idx_bytes(np.array([5, 0, 10, 1, 9, 77], np.uint8))),
        rf"{LABELS_FILE}, byte 10 \(unpacked\): the label 10 is not one of 0 to 9; correct it",
    ),
    "no images": (
        folder(idx_bytes(IMAGES[:0]), idx_bytes(LABELS[:0])),
        rf"{IMAGES_FILE}, byte 4: declares 0x28x28 images.*give",
    ),
    "no columns": (folder(idx_bytes(IMAGES[:, :, :0])), "byte 12: declares 6x28x0 images.*give"),
    "no labels": (
        folder(None, idx_bytes(LABELS[:0])),
        rf"{LABELS_FILE}, byte 4: declares 0 .*give",
    ),
    "empty": (folder(None, None, b""), None),
    "claims 2^32 images": (
        folder(idx_bytes(IMAGES, (2**32 - 1, 28, 28))),
        rf"{IMAGES_FILE}, byte 4,720 .* 3,367,254,359,296 bytes in all, but .* 4,720; {AGAIN}",
    ),
    "claims 2^96 pixels": (folder(idx_bytes(IMAGES, (2**32 - 1,) * 3)), rf"byte 4,720 .*{AGAIN}"),
    "test images differ": (
        folder(None, None, idx_bytes(IMAGES[:, :14, :]), idx_bytes(LABELS)),
        r"test: images of \(14, 28\), but .* \(28, 28\); take both from one set",
    ),
    "labels missing": (
        folder(None, b""),
        "train: looks like test.csv.*; use it with predict.* add",
    ),
    "test labels missing": (folder(None, None, idx_bytes(IMAGES)), "test: looks like .* add"),
    "test images missing": (
        folder(None, None, b"", idx_bytes(LABELS)),
        "t10k-labels-idx1-ubyte: has no images; add t10k-images-idx3-ubyte",
    ),
    "test pair alone": (
        folder(b"", b"", idx_bytes(IMAGES), idx_bytes(LABELS)),
        "holds no training images; add train-images-idx3-ubyte",
    ),
    "foreign file": (file("notes.txt", b"Dear diary"), r"notes\.txt, byte 0: .*give .*\.csv or a"),
    # gzip
    "gzip cut": (folder(ZIPPED[:-9]), rf"{IMAGES_FILE}: the gzip data break off at byte .*{AGAIN}"),
    "gzip without its end": (
        folder(ZIPPED[:-1]),
        rf"{IMAGES_FILE}: .* break off at byte .*{AGAIN}",
    ),
    "gzip header alone": (folder(b"\x1f\x8b\x08"), rf"break off at byte 3, .*{AGAIN}"),
    "gzip of nothing": (
        folder(gzip.compress(b"")),
        rf"{IMAGES_FILE}, byte 0: begins with , .*give",
    ),
    "gzip checksum": (
        folder(ZIPPED[:-8] + bytes([ZIPPED[-8] ^ 1]) + ZIPPED[-7:]),
        "gzip data are damaged before byte .*copy or download the file again",
    ),
    "gzip and more": (
        folder(ZIPPED + b"\0"),
        f"foreign bytes follow the gzip data at byte {len(ZIPPED):,}; copy",
    ),
    "gzip twice": (folder(ZIPPED * 2), f"follow the gzip data at byte {len(ZIPPED):,}; copy"),
    "gzip in gzip": (folder(gzip.compress(ZIPPED)), "byte 0: begins with 1f 8b 08 00.*give"),
    "gzip of too little": (
        folder(gzip.compress(idx_bytes(IMAGES)[:-5])),
        rf"{IMAGES_FILE}, byte 4,715 \(unpacked\): .* 4,720 bytes .* they end there; {AGAIN}",
    ),
    "gzip of too much": (
        folder(gzip.compress(idx_bytes(IMAGES) + b"\0")),
        rf"{IMAGES_FILE}, byte 4,720 \(unpacked\): .* but more follow; {AGAIN}",
    ),
    "gzip claims 2^32 images": (
        folder(gzip.compress(idx_bytes(IMAGES, (2**32 - 1, 28, 28)))),
        rf"{IMAGES_FILE}: .* compressed bytes claim to hold 3,367,254,359,296, .* check where",
    ),
    # CSV
    "csv empty": (file("d.csv", b""), r"d\.csv: is empty; copy or download it again"),
    "csv blank": (file("d.csv", b"\n\r\n\n"), r"d\.csv, line 1: 1 cells, .*; give"),
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
        r"d\.csv, line 1: 3 cells, .*; give a table",
    ),
    "csv with semicolons": (file("d.csv", TABLE.replace(b",", b";")), "line 1: 1 cells.*commas"),
    "csv with row numbers": (
        file("d.csv", b"".join(b"%d," % i + line for i, line in enumerate(TABLE.splitlines(True)))),
        r"line 1: 786 cells, .* leave out the row numbers \(to_csv\(index=False\)\)",
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
    "csv 65536": (file("d.csv", edited(2, 1, b"65536")), "line 2, column 1: '65536' is not"),
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
    "csv in UTF-16": (file("d.csv", TABLE.decode().encode("utf-16")), r"d\.csv, line "),
    "csv bytes": (
        file("d.csv", edited(4, 5, b"\xff\xfe")),
        "line 4, column 5: '\ufffd\ufffd' is not",
    ),
    "csv escapes": (
        file("d.csv", edited(4, 5, b"\x1b[2J")),
        r"line 4, column 5: '\\x1b\[2J' is not",
    ),
    "csv label too large": (
        file("d.csv", edited(5, 1, b"10")),
        "line 5, column 1: the label 10 is not one of 0 to 9; correct",
    ),
    "csv last label too large": (
        file("d.csv", csv_bytes(ROWS, [0, 1, 2, 200, 4, 5], "last")),
        "line 5, column 785: the label 200 is not one of 0 to 9; correct",
    ),
    "csv damaged first line": (
        file("d.csv", csv_bytes(ROWS, LABELS, header=False).replace(b",", b",x", 1)),
        "line 1, column 2: 'x",
    ),
    "csv first line without numbers": (
        file("d.csv", b"nan," * 784 + b"nan\n" + TABLE),
        "line 1, column 1: 'nan' is not",
    ),
    "csv first line without values": (
        file("d.csv", b"NA," * 783 + b"NA\n" + csv_bytes(ROWS, header=False)),
        "line 1, column 1: 'NA' is not",
    ),
    "csv names nothing label": (
        file("d.csv", TABLE.replace(b"label", b"pixel784", 1)),
        "line 1: 785 columns, but not one, first or last, that is called label; name",
    ),
    "csv label within": (
        file("d.csv", TABLE.replace(b"label,pixel0", b"pixel0,label", 1)),
        "line 1: 785 columns, but not one, first or last",
    ),
    "csv two labels": (
        file("d.csv", TABLE.replace(b"pixel783", b"class", 1)),
        "line 1: 785 columns, but not one",
    ),
    "csv label and 783 pixels": (
        file("d.csv", csv_bytes(ROWS[:, :783], LABELS)),
        "line 1, column 1: a label and 783 pixels, .*; add the missing column",
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
    # npz
    "npz of nothing": (file("d.npz", b"\0"), r"d\.npz: a damaged npz file .*; copy it again"),
    "npz is IDX": (file("d.npz", idx_bytes(IMAGES)), r"d\.npz: a damaged npz file .*savez"),
    "npz cut": (file("d.npz", npz_bytes(**PAIR)[:-30]), r"d\.npz: a damaged npz file"),
    "npz without members": (file("d.npz", zip_bytes()), "holds no training images; .*x_train"),
    "npz renamed": (
        file("d.npz", npz_bytes(images=IMAGES, y_train=LABELS)),
        r"d\.npz: holds 'images\.npy', .*; rename it or leave it out",
    ),
    "npz and more": (file("d.npz", npz_bytes(**PAIR, z=LABELS)), r"holds 'z\.npy', .*leave it out"),
    "npz of one array": (file("d.npz", npy_bytes(IMAGES)), r"d\.npz: a damaged npz file"),
    "npz climbing": (
        file("d.npz", zip_bytes(X, ("../y_train.npy", Y[1]))),
        r"holds '\.\./y_train\.npy'",
    ),
    "npz absolute": (file("d.npz", zip_bytes(X, ("/y_train.npy", Y[1]))), "holds '/y_train.npy'"),
    "npz folder": (file("d.npz", zip_bytes(X, ("x_train/", b""))), "holds 'x_train/'"),
    "npz without suffix": (file("d.npz", zip_bytes(X, ("y_train", Y[1]))), "holds 'y_train', but"),
    "npz twice": (file("d.npz", zip_bytes(X, Y, X)), "holds x_train twice; write"),
    "npz without labels": (
        file("d.npz", npz_bytes(x_train=IMAGES)),
        "train: looks like .*add the labels",
    ),
    "npz without images": (
        file("d.npz", npz_bytes(y_train=LABELS)),
        "holds y_train without x_train; add",
    ),
    "npz test labels alone": (
        file("d.npz", npz_bytes(**PAIR, y_test=LABELS)),
        "holds y_test without x_test; add the images",
    ),
    "npz other counts": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=LABELS[:4])),
        r"d\.npz, train: 6 images, but 4 labels; take",
    ),
    "npz floats": (
        file("d.npz", npz_bytes(x_train=IMAGES / 255, y_train=LABELS)),
        r"x_train: float64 of shape \(6, 28, 28\), but images are uint8 .*; convert",
    ),
    "npz flat": (
        file("d.npz", npz_bytes(x_train=ROWS, y_train=LABELS)),
        r"x_train: uint8 of shape \(6, 784\), but images are .*; convert",
    ),
    "npz float labels": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=LABELS / 1)),
        r"y_train: float64 of shape \(6,\), but labels are whole numbers .*; convert",
    ),
    "npz one-hot labels": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=np.eye(10, dtype=np.uint8)[LABELS])),
        r"y_train: uint8 of shape \(6, 10\), but labels are .*; convert",
    ),
    "npz negative label": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=LABELS - np.int8(1))),
        r"y_train\[1\]: the label -1 is not one of 0 to 9; correct",
    ),
    "npz label 257": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=LABELS.astype(int) + 257)),
        r"y_train\[0\]: the label 262 is not one of 0 to 9; correct",
    ),
    "npz objects": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=np.array([{}] * 6, dtype=object))),
        r"y_train\.npy, byte 10: the header does not describe an array of plain numbers; save",
    ),
    "npz records": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=np.zeros(6, "u1,u1"))),
        r"y_train\.npy, byte 10: the header does not describe",
    ),
    "npz scalar": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=np.uint8(3))),
        r"y_train\.npy, byte 10: the header does not describe",
    ),
    "npz of no images": (
        file("d.npz", npz_bytes(x_train=IMAGES[:0], y_train=LABELS[:0])),
        r"x_train\.npy, byte 10: declares the shape \(0, 28, 28\), which is nothing; save",
    ),
    "npz version": (
        file("d.npz", zip_bytes(("x_train.npy", npy_bytes(IMAGES, version=(2, 0))), Y)),
        r"x_train\.npy, byte 0: not an array in numpy's format 1\.0; write",
    ),
    "npz empty member": (
        file("d.npz", zip_bytes(("x_train.npy", b""), Y)),
        r"x_train\.npy, byte 0",
    ),
    "npz evaluated header": (
        file("d.npz", zip_bytes(("x_train.npy", npy_bytes(IMAGES, b"(" * 60_000)), Y)),
        r"x_train\.npy, byte 10: the header does not describe",
    ),
    "npz claims more": (
        file(
            "d.npz",
            zip_bytes(("x_train.npy", npy_bytes(IMAGES, npy_header(shape=(10**11,) * 3))), Y),
        ),
        r"x_train\.npy, byte 10: declares uint8 .* bytes in all, where 4,\d\d\d are stored; write",
    ),
    "npz claims less": (
        file(
            "d.npz", zip_bytes(("x_train.npy", npy_bytes(IMAGES, npy_header(shape=(5, 28, 28)))), Y)
        ),
        r"x_train\.npy, byte 10: declares uint8 of shape \(5, 28, 28\)",
    ),
    "npz lzma": (
        file("d.npz", zip_bytes(X, Y, compression=zipfile.ZIP_LZMA)),
        "compressed in a way",
    ),
    "npz bzip2": (
        file("d.npz", zip_bytes(X, Y, compression=zipfile.ZIP_BZIP2)),
        "compressed in a way",
    ),
    "npz damaged inside": (
        file("d.npz", npz_bytes(**PAIR).replace(IMAGES.tobytes(), IMAGES[::-1].tobytes())),
        r"d\.npz: a damaged npz file .*CRC-32.*; copy it again",
    ),
    "npz encrypted": (
        file("d.npz", patched(npz_bytes(**PAIR), b"PK\1\2", 8, b"\1")),
        r"d\.npz: a damaged npz file .* is encrypted.*; copy it again",
    ),
    "npz name in no encoding": (
        file(
            "d.npz",
            patched(patched(npz_bytes(**PAIR), b"PK\1\2", 9, b"\x08"), b"PK\1\2", 46, b"\xff"),
        ),
        r"d\.npz: a damaged npz file",
    ),
    "npz directory before the start": (
        file("d.npz", patched(npz_bytes(**PAIR), b"PK\5\6", 12, b"\xff\xff\xff\x7f")),
        r"d\.npz: a damaged npz file",
    ),
    "npz member beyond the end": (
        file(
            "d.npz", zip_of_raw(X[0].encode(), b"", 9, 2**32 - 1, struct.pack("<HHQ", 1, 8, 2**63))
        ),
        r"d\.npz: a damaged npz file",
    ),
    "npz member far beyond the end": (
        file(
            "d.npz", zip_of_raw(X[0].encode(), b"", 9, 2**32 - 1, struct.pack("<HHQ", 1, 8, 2**62))
        ),
        r"d\.npz: a damaged npz file",
    ),
    "npz member without end": (
        file(
            "d.npz",
            zip_of_raw(
                X[0].encode(),
                b"\1\xff\xff\0\0" + npy_bytes(IMAGES, npy_header(shape=(60, 28, 28))),
                10 + len(npy_header(shape=(60, 28, 28))) + 60 * 784,
                claimed=2**31 - 1,
            ),
        ),
        r"d\.npz: a damaged npz file",
    ),
    # Where things lie
    "nothing there": (
        lambda tmp: tmp / "nowhere",
        "nowhere: cannot be read .No such file.*; check",
    ),
    "empty folder": (
        lambda tmp: tmp,
        "holds neither train-images-idx3-ubyte .* nor train.csv; give",
    ),
    "zero byte in the name": (lambda tmp: tmp / "a\0b", "cannot be read .*; check the path"),
    "name too long": (lambda tmp: tmp / ("a" * 300), "cannot be read .File name too long.; check"),
}
del BAD["empty"]


@pytest.mark.parametrize("case", BAD)
def test_bad_data(tmp_path, case):
    make, message = BAD[case]
    path = make(tmp_path)
    text = sentence(path)
    assert str(path).replace("\0", "\\x00") in text  # a terminal gets nothing but what it can show
    assert re.search(message, text), text


def test_a_folder_where_a_file_is_meant(tmp_path):
    (tmp_path / "train.csv").mkdir()
    assert re.search(r"train\.csv: is a folder, where a file is needed; give", sentence(tmp_path))
    assert re.search(r"train\.csv: holds neither .*; give", sentence(tmp_path / "train.csv"))
    (tmp_path / IMAGES_FILE).mkdir()
    assert re.search(rf"{IMAGES_FILE}: is a folder, .*; give", sentence(tmp_path))


def test_a_file_where_a_folder_is_meant(tmp_path):
    (tmp_path / "file").write_bytes(idx_bytes(IMAGES))
    assert "Not a directory" in sentence(tmp_path / "file" / IMAGES_FILE)


def test_links_that_lead_nowhere(tmp_path):
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "gone.npz").symlink_to("nothing")
    (tmp_path / IMAGES_FILE).symlink_to("nothing")
    assert re.search(r"loop\.csv: cannot be read .*; check", sentence(tmp_path / "loop.csv"))
    assert re.search(r"gone\.npz: cannot be read .*; check", sentence(tmp_path / "gone.npz"))
    assert re.search(rf"{IMAGES_FILE}: cannot be read .*; check", sentence(tmp_path))


@contextmanager
def somebody_else():
    """Root may read everything, so the tests of rights are run as nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["d.csv", "d.npz", IMAGES_FILE])
def test_a_file_without_the_right_to_read(name):
    with tempfile.TemporaryDirectory() as root:  # pytest's own folders are closed to others
        os.chmod(root, 0o755)
        path = Path(root, name)
        path.write_bytes(TABLE)
        path.chmod(0)
        with somebody_else():
            assert "cannot be read (Permission denied); check its rights" in sentence(path)
        os.chmod(root, 0o311)
        with somebody_else():
            assert "cannot be listed (Permission denied); check" in sentence(Path(root))
        os.chmod(root, 0o700)
        if os.geteuid() == 0:
            with somebody_else():
                assert "cannot be read (Permission denied); check the path" in sentence(path)


def test_a_disk_that_fails(tmp_path, monkeypatch):
    """Reading may fail after opening has not."""

    def fail(*_):
        raise OSError(5, "Input/output error")

    for name, content in (("d.csv", TABLE), ("d.idx", idx_bytes(IMAGES))):
        (tmp_path / name).write_bytes(content)
        with monkeypatch.context() as patch:
            patch.setattr("mnistgpu.data.streams.BlockReader.read", fail)
            assert f"{name}: cannot be read (Input/output error); check" in sentence(
                tmp_path / name
            )


def test_memory_that_does_not_suffice(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    for name, content in (
        ("d.csv", TABLE),
        ("d.idx", idx_bytes(IMAGES)),
        ("d.npz", npz_bytes(**PAIR)),
    ):
        (tmp_path / name).write_bytes(content)
        with monkeypatch.context() as patch:
            patch.setattr(np, "empty", fail)
            assert f"{name}: does not fit in memory; split it" in sentence(tmp_path / name)


# Mutations: whatever the bytes, the outcome is whole data or a DataError

VALID = {
    "images.idx": idx_bytes(IMAGES[:, :5, :5]),
    "images.idx.gz": gzip.compress(idx_bytes(IMAGES[:, :5, :5])),
    "labels.idx": idx_bytes(LABELS),
    "labels.idx.gz": gzip.compress(idx_bytes(LABELS)),
    "d.csv": csv_bytes(ROWS[:3], LABELS[:3]),
    "plain.csv": csv_bytes(ROWS[:3], LABELS[:3], "last", header=False, end="\r\n"),
    "d.npz": npz_bytes(x_train=IMAGES[:, :5, :5], y_train=LABELS),
    "packed.npz": npz_bytes(True, x_train=IMAGES[:, :5, :5], y_train=LABELS),
}


def mutated(content: bytes, seed: int) -> bytes:
    """One to four random edits: a flipped bit, another byte, bytes cut out, put in or cut off."""
    rng, edited = random.Random(seed), bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(edited) + 1)
        # Headers are short and bodies long: half of all edits go to the first or last 64 bytes.
        at = rng.choice([at, at, min(at, at % 64), max(0, len(edited) - at % 64)])
        some = rng.choice([1, 1, 2, 4, 8, 100])
        kind = rng.randrange(7)
        if kind == 0 and at < len(edited):
            edited[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(edited):
            edited[at] = rng.choice([0, 1, 255, 44, 10, 13, 45, 46, 32, 34, rng.randrange(256)])
        elif kind == 2:
            del edited[at : at + some]
        elif kind == 3:
            edited[at:at] = rng.randbytes(some)
        elif kind == 4:
            edited[at:at] = edited[: some * 10]
        elif kind == 5:
            edited[at:at] = rng.choice([b"0", b",", b"\n", b"\r\n", b"1,2", b"\0" * 4, b"\xff" * 4])
        elif kind == 6 and rng.random() < 0.3:
            del edited[at:]
    return bytes(edited)


def outcome(path):
    """The digits at a path if they are whole, None if they are refused."""
    try:
        digits = data.load(path).train
    except DataError as error:
        text = str(error)
        if str(path.parent) not in text or "\n" in text:
            pytest.fail(text)
        return None
    count, pixels = digits.images.shape
    assert digits.images.dtype == digits.labels.dtype == np.uint8
    assert digits.labels.shape == (count,)
    assert digits.image_shape[0] * digits.image_shape[1] == pixels > 0
    assert count > 0
    assert digits.labels.max() <= 9
    return digits


def table_as_told(content: bytes, header: bool):
    """The strict meaning of a table of 785 columns, cell by cell, or None."""
    lines = [line.removesuffix(b"\r") for line in content.split(b"\n")]
    if lines[-1] != b"" and content.endswith(b"\r"):
        return None  # a lone return, for no line feed ends the line
    while lines and lines[-1] == b"":
        lines.pop()
    rows = [line.split(b",") for line in lines[header:]]
    for row in rows:
        if len(row) != 785 or not all(re.fullmatch(rb"[0-9]{1,3}", cell) for cell in row):
            return None
    numbers = np.array([[int(cell) for cell in row] for row in rows])
    return numbers if len(numbers) and numbers.max() <= 255 else None


@pytest.mark.parametrize("name", VALID)
def test_mutated_files(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("mutated")
    pair = {"images.idx": "labels.idx", "labels.idx": "images.idx"}
    stem = name.removesuffix(".gz")
    if stem in pair:
        (folder / pair[stem]).write_bytes(VALID[pair[stem]])
    path = folder / name
    to_load = folder / "images.idx" if stem == "labels.idx" else path
    path.write_bytes(VALID[name])
    assert outcome(to_load) is not None
    accepted = 0

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**64 - 1))
    def mutations(seed):
        nonlocal accepted
        content = mutated(VALID[name], seed)
        path.write_bytes(content)
        digits = outcome(to_load)
        accepted += digits is not None
        if name == "d.csv" and content.startswith(VALID[name].partition(b"\n")[0] + b"\n"):
            told = table_as_told(content, header=True)
            if told is None and digits is not None:  # whole numbers written as 1.0 or 1e2
                rows = content.rstrip(b"\r\n").split(b"\n")[1:]
                told = np.array([[float(cell) for cell in row.split(b",")] for row in rows])
            valid = told is not None and told[:, 0].max() <= 9
            assert (digits is not None) == valid
            if valid:
                np.testing.assert_array_equal(digits.images, told[:, 1:])
                np.testing.assert_array_equal(digits.labels, told[:, 0])
        if name == "images.idx" and digits is not None:
            np.testing.assert_array_equal(
                digits.images.reshape(-1), np.frombuffer(content[16:], "u1")
            )
        if name.endswith(".npz") and digits is not None and content != VALID[name]:
            # zip has a checksum for each member, so what is accepted is what was written
            np.testing.assert_array_equal(digits.labels, LABELS)

    mutations()
    assert accepted < EXAMPLES


GOOD_CELLS = st.integers(0, 255).map(str) | st.sampled_from(["00", "007", "055", "200", "249"])
ODD_CELLS = [
    "256", "260", "300", "999", "1000", "0255", "99999", "-1", "1.0", "254.0000", ".0",
    "4.99999999999999999", "0000000001", "9999999999.",
]  # fmt: skip
BAD_CELLS = st.sampled_from(ODD_CELLS) | st.text('0123456789 .-+\r\0x:/"', max_size=4)


@st.composite
def lines_of_cells(draw):
    """Lines of so many columns, with up to two cells of any kind and perhaps an uneven line."""
    columns = draw(st.integers(2, 5))
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
    """Whole numbers are what they say, and of all else the first is named."""
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
    """One that pandas reads in parts at once."""
    rows = np.tile(ROWS, (500, 1)) | 128
    content = csv_bytes(rows, np.tile(LABELS, 500), end="\r\n")
    assert len(content) > 8 * 2**20
    path = tmp_path / "large.csv"
    path.write_bytes(content)
    images, labels = table.read(path, 10)
    np.testing.assert_array_equal(images.reshape(-1, 784), rows)
    np.testing.assert_array_equal(labels, np.tile(LABELS, 500))
    lines = content.split(b"\r\n")
    for change, expected in (
        (lambda line: line + b"0", "line 2500, column 785"),
        (lambda line: line + b",0", "line 2500: 786 cells"),
        (lambda line: b"\r" + line, "line 2500, column 1"),
        (lambda line: b"\r\n" + line, "line 2500: 0 cells"),
    ):
        path.write_bytes(b"\r\n".join([*lines[:2499], change(lines[2499]), *lines[2500:]]))
        with pytest.raises(DataError, match=expected):
            table.read(path, 10)


def parsed(block, columns):
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("d.csv").write_bytes(block)
        with streams.opened(Path("d.csv")) as file:
            return table.parse(Path("d.csv"), file, columns, header=False)


def is_pixel(cell):
    """Whether a cell is a whole number from 0 to 255, in digits, with a point or without."""
    whole, _, fraction = cell.strip(" ").partition(".")
    return whole.isdecimal() and not fraction.strip("0") and int(whole) <= 255


# Bombs: in a process of their own, so that its memory can be seen


def bomb(size: int, header: bytes = b"", wbits: int = 31) -> bytes:
    """Compressed zeros after a header, most of them one packed megabyte over and over."""
    packer = zlib.compressobj(9, wbits=wbits)
    start = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = zlib.compressobj(9, wbits=-15)
    megabyte = zeros.compress(bytes(2**20)) + zeros.flush(zlib.Z_FULL_FLUSH)
    return start + megabyte * (size >> 20) + packer.flush()


def idx_header(*shape):
    return idx_bytes(np.zeros(0, np.uint8), shape)


def sparse(path, start: bytes, size: int):
    with open(path, "wb") as file:
        file.write(start)
        file.truncate(size)


def make_bombs(folder: Path) -> None:
    head = TABLE.splitlines(keepends=True)[0]
    zeros = npy_bytes(np.zeros(0), npy_header(shape=(2**10, 2**10, 2**10)))
    files = {
        "gzip-longer-than-declared": bomb(2**30, idx_header(10, 28, 28)),
        "gzip-as-long-as-declared": bomb(2**30, idx_header(2**20 + 1, 32, 32)),
        "gzip-declares-terabytes": bomb(2**22, idx_header(2**32 - 1, 2**10, 1)),
        "gzip-just-under-the-limit": bomb(2**24, idx_header(2**14 - 1, 32, 32)),
        "gzip-over-the-limit": bomb(2**26, idx_header(2**16 - 1, 32, 32)),
        "labels.npz": npz_bytes(True, x_train=IMAGES, y_train=np.full(2**24 - 128, 255, np.uint8)),
        "wide-labels.npz": npz_bytes(True, x_train=IMAGES, y_train=np.full(2**21 - 16, 99)),
        "gzip-endless-name": b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 2**25,
        "gzip-empty-blocks": b"\x1f\x8b\x08\0" + bytes(6) + b"\0\0\0\xff\xff" * 2**20,
        "idx-declares-terabytes": idx_bytes(IMAGES, (2**32 - 1, 2**16, 2**16)),
        "bomb.npz": zip_of_raw(b"x_train.npy", bomb(2**30, zeros, -15), len(zeros) + 2**30),
        "bomb-that-claims-little.npz": zip_of_raw(
            b"x_train.npy", bomb(2**30, X[1], -15), len(X[1])
        ),
        "long-header.npz": zip_of_raw(
            b"x_train.npy", bomb(2**26, b"\x93NUMPY\2\0\xff\xff\xff\x03", -15), 2**26 - 1
        ),
        "many-members.npz": zip_of_many(2**19),
        "many-columns.csv": b"0," * 10**6 + b"0\n" + TABLE,
        "many-names.csv": b",".join(b"pixel%d" % i for i in range(10**6)) + b"\n",
        "short-lines.csv": head + b"0\n" * 10**6,
        "blank-lines.csv": TABLE + b"\n" * 2**24 + TABLE,
        "blank-returns.csv": TABLE + b"\r\n" * 2**23 + TABLE,
        "wide-lines.csv": TABLE + (b"," * 60_000 + b"\n") * 100,
        "wide-line-that-makes-up.csv": TABLE + b"\n" * 70 + b"," * 70 * 784 + b"\n",
        "longest-number.csv": TABLE + b"1" * 60_000 + b",0" * 784 + b"\n",
        "one-cell-lines.csv": b"0," * 783 + b"0\n" + b"0\n" * 2**23,
        "spaces.csv": b"0," * 783 + b"0\n" + b" \n" * 2**23,
        "half-lines.csv": (b"0," * 783 + b"0\n" + b"\n" * 60_000) * 200,
        "returns.csv": b"0," * 783 + b"0\n" + b"0\r0\n" * 2**22,
        "quotes.csv": b'"' + b"0," * 2**20 + b"\n" * 2**20,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    largest = np.asfortranarray(np.zeros((2**14 - 1, 32, 32), np.uint8))
    whole = {"x_train": largest, "y_train": np.zeros(2**21 - 16, np.int64)}
    np.savez_compressed(
        folder / "four-members.npz", **whole, x_test=largest, y_test=whole["y_train"]
    )
    (folder / "four-files").mkdir()
    for (_, kind), name in FOLDER_NAMES.items():
        shape = (2**14 - 1, 32, 32) if kind == "images" else (2**24 - 8,)
        content = gzip.compress(idx_header(*shape) + bytes(np.prod(shape)))
        (folder / "four-files" / f"{name}.gz").write_bytes(content)
    sparse(folder / "one-line.csv", b"", 2**30)
    sparse(folder / "long-line.csv", TABLE, 2**30)
    sparse(folder / "sparse-idx", idx_header(2**32 - 1, 2**10, 2**10), 2**40)
    sparse(folder / "sparse-idx-as-declared", idx_header(5 * 2**20, 2**5, 2**5), 5 * 2**30 + 16)
    sparse(folder / "sparse.npz", npz_bytes(**PAIR), 2**36)
    os.mkfifo(folder / "pipe.csv")
    os.mkfifo(folder / "pipe.npz")
    os.mkfifo(folder / "pipe-images-idx3-ubyte")
    for kind in ("images", "labels"):  # a pipe as the second of a pair
        (folder / f"half-{kind}-idx").symlink_to(
            folder / ("good" if kind == "images" else "pipe.csv")
        )
    (folder / "good").write_bytes(idx_bytes(IMAGES))
    (folder / "endless.csv").symlink_to("/dev/zero")
    (folder / "endless.npz").symlink_to("/dev/zero")
    (folder / "endless-idx").symlink_to("/dev/urandom")
    (folder / "terminal.csv").symlink_to("/dev/tty")


def zip_of_many(count: int) -> bytes:
    """A zip archive whose directory lists a member `count` times, in 24 MB for 2^19."""
    content = zip_bytes(X)
    end = content.rindex(b"PK\5\6")
    start = content.index(b"PK\1\2")
    directory = content[start:end] * count
    counts = struct.pack("<HHHHIIH", 0, 0, 0, 0, len(directory), start, 0)
    return content[:start] + directory + b"PK\5\6" + counts


READ_ALL = """
import json, sys, time
from pathlib import Path
import pandas  # whose import is not the file's fault
from mnistgpu import data
from mnistgpu.errors import DataError

def peak():  # of this process alone, where ru_maxrss begins with that of the parent
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

before = peak()
for path in sorted(Path(sys.argv[1]).iterdir()):
    start = time.perf_counter()
    try:
        (data.load if path.stem.startswith("four") else data.load_digits)(path)
        text = "accepted"
    except DataError as error:
        text = str(error)
    seconds = time.perf_counter() - start
    print(json.dumps([path.name, text, seconds, peak() - before]), flush=True)
"""


@pytest.fixture
def folder_of_bombs():
    """Hundreds of megabytes, which pytest's own folders would keep for three runs."""
    with tempfile.TemporaryDirectory() as name:
        make_bombs(Path(name))
        yield Path(name)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_bombs_need_little_time_and_memory(folder_of_bombs):
    process = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(folder_of_bombs)],
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert process.returncode == 0, process.stderr
    found = {name: rest for name, *rest in map(json.loads, process.stdout.splitlines())}
    assert found.keys() == {path.name for path in folder_of_bombs.iterdir()}
    for name, (text, seconds, megabytes) in found.items():
        assert seconds < 2, (name, seconds)
        assert megabytes < 300, (name, megabytes)
        assert (text == "accepted") == (name == "good"), (name, text)
        assert "\n" not in text
    expected = {
        "endless": "is a device or a pipe, where a file is needed; give",
        "pipe": "is a device or a pipe, where a file is needed; give",
        "terminal": "is a device or a pipe, where a file is needed; give",
        "bomb.npz": "compressed bytes claim to hold 1,073,741,",
        "sparse-idx-as": "5,368,709,136 bytes, but the limit is 4,294,967,296; split it",
        "many-members": "a part that should be small claims 29,884,416 bytes; write",
        "one-line": "line 1: more than 65,536 bytes",
        "long-line": "line 8: more than 65,536 bytes",
    }
    for beginning, message in expected.items():
        for name in found:
            assert not name.startswith(beginning) or message in found[name][0], found[name]
