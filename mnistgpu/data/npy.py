"""npy: one array, as numpy.save writes it, alone in a file or as a member of an npz archive.

numpy.load allocates as much as a header declares and evaluates the header as Python. This reader
takes arrays of numbers and of text, in the form in which numpy writes them, and nothing else.
"""

from __future__ import annotations

import math
import re

import numpy as np

from mnistgpu.data.streams import Content, Stream, fill
from mnistgpu.errors import DataError

HEADER = re.compile(
    rb"\{'descr': '([|<>](?:[iu][1248]|f[248]|b1|U[0-9]{1,2}|S[0-9]{1,2}))', "
    rb"'fortran_order': (False|True), "
    rb"'shape': \(([0-9]{1,12}(?:, [0-9]{1,12})*),?\), \} *\n"
)
MOST_TEXTS = 2**20  # labels; EMNIST has 0.8 million
PICKLED = re.compile(rb"\{'descr': '[|]O'.*")


def start_of(stream: Stream) -> tuple[bytes, bytes]:
    """The first ten bytes, and the header that they announce (b"" if they are no array's)."""
    start = bytearray(10)
    fill(stream, memoryview(start))
    if start[:8] != b"\x93NUMPY\x01\x00":
        return bytes(start), b""
    header = bytearray(int.from_bytes(start[8:], "little"))
    fill(stream, memoryview(header))
    return bytes(start), bytes(header)


def shape_of(stream: Stream) -> tuple[int, ...] | None:
    """The shape of an array of numbers or text that a header describes; None for anything else."""
    match = HEADER.fullmatch(start_of(stream)[1])
    return None if match is None else tuple(int(size) for size in match[3].split(b", "))


def read(content: Content, again: str) -> np.ndarray:
    """The array of numbers or text; `again` says how to write a damaged file anew."""
    where = content.where
    start, header = start_of(content)
    if start[:8] != b"\x93NUMPY\x01\x00":
        raise DataError(f"{where}, byte 0: not an array in numpy's format 1.0; {again}")
    match = HEADER.fullmatch(header)
    if match is None:
        mend = "save images and labels as uint8"
        if PICKLED.match(header):
            mend = "objects could run code: save numbers, or labels as text by .astype(str)"
        raise DataError(
            f"{where}, byte 10: the header does not describe an array of plain numbers; {mend}"
        )
    kind, fortran, sizes = (group.decode() for group in match.groups())
    dtype, shape = np.dtype(kind), tuple(int(size) for size in sizes.split(", "))
    count = math.prod(shape)
    declared = len(start) + len(header) + count * dtype.itemsize
    if content.check_size(declared):
        raise DataError(
            f"{where}, byte 10: declares {dtype} of shape {shape}, {declared:,} bytes in all, "
            f"where {content.size:,} are stored; {again}"
        )
    if count * dtype.itemsize == 0:
        raise DataError(
            f"{where}, byte 10: declares {dtype} of shape {shape}, which is empty; save at least "
            "one image"
        )
    array = np.empty(count, dtype=dtype)
    filled = fill(content, array.view(np.uint8).data)
    if filled < array.nbytes:
        raise DataError(f"{where}: ends {array.nbytes - filled:,} bytes too early; {again}")
    if content.read(1):
        raise DataError(f"{where}: more follows the array that it declares; {again}")
    if not array.dtype.isnative:
        array = array.byteswap(inplace=True).view(array.dtype.newbyteorder())
    array = checked(array, where)
    if fortran == "True":  # in memory the first index changes fastest
        return np.ascontiguousarray(array.reshape(shape[::-1]).T)
    return array.reshape(shape)


def checked(array: np.ndarray, where: str) -> np.ndarray:
    """The array, in which every item is a value of its type; bytes become text."""
    kind = array.dtype.kind
    if kind == "b":  # any byte may stand in a file
        return np.asarray(array.view(np.uint8) != 0)
    if kind not in "US":
        return array
    if len(array) > MOST_TEXTS:
        raise DataError(
            f"{where}: {len(array):,} labels as text, but the limit is {MOST_TEXTS:,}; save them "
            "as numbers"
        )
    if kind == "S":
        codes: np.ndarray = array.view(np.uint8).astype(np.uint32)
        known, array = codes < 128, codes.view(f"U{array.dtype.itemsize}")
    else:
        codes = array.view(np.uint32)
        known = (codes < 0xD800) | ((codes >= 0xE000) & (codes <= 0x10FFFF))  # no surrogates
    if not known.all():
        raise DataError(f"{where}: text that is not in Unicode; save the labels as numbers")
    return array
