"""Files of digits that are damaged, mistaken or made to do harm, and how they are refused."""

import io
import re
import struct
import warnings
import zipfile

import numpy as np
import pytest

from helpers.digit_files import FOLDER_NAMES, csv_bytes, idx_bytes
from mnistgpu import data
from mnistgpu.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
LABELS = np.array([5, 0, 4, 1, 9, 2], dtype=np.uint8)
ROWS = IMAGES.reshape(6, 784)
TABLE = csv_bytes(ROWS, LABELS)
IMAGES_FILE, LABELS_FILE = FOLDER_NAMES["train", "images"], FOLDER_NAMES["train", "labels"]


def sentence(path, load=data.load, **options) -> str:
    """The message with which a path is refused, after a check of its form."""
    with pytest.raises(DataError) as caught:
        load(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert not re.search(r"[.!?] [A-Z]|\.$", text), text
    return text


def check_refusal(tmp_path, make, message):
    """A path made by `make` is refused with a message that names it and matches `message`."""
    path = make(tmp_path)
    text = sentence(path)
    assert str(path).replace("\0", "\\x00") in text  # only characters that a terminal can show
    assert re.search(message, text), text


# Functions that make the files of a case; `make(tmp_path)` returns the path to load


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
