"""IDX, the format of MNIST: a magic number, the dimensions as big-endian uint32, then the data."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from mnistgpu.data.streams import (
    LARGEST,
    Stream,
    Unzipped,
    check_growth,
    check_labels,
    fill,
    opened,
)
from mnistgpu.errors import DataError

DIMENSIONS = {"images": 3, "labels": 1}
GZIP = b"\x1f\x8b"


def header_of(shape: tuple[int, ...]) -> bytes:
    """The first bytes of an IDX file of uint8 with this shape."""
    return struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)


def read_images(path: Path) -> np.ndarray:
    """Images (N, rows, columns) of an IDX file, plain or gzipped."""
    return read(path, "images")


def read_labels(path: Path, classes: int) -> np.ndarray:
    """Labels (N,) of an IDX file, plain or gzipped."""
    labels = read(path, "labels")
    check_labels(labels, classes, lambda i: f"{path}, byte {8 + i:,} (unpacked)")
    return labels


def read(path: Path, kind: str) -> np.ndarray:
    """The uint8 array of an IDX file of images or of labels."""
    with opened(path) as file:
        zipped = file.peek(2)[:2] == GZIP
        stream: Stream = Unzipped(path, file) if zipped else file
        shape = read_header(path, stream, kind)
        start, count = 4 + 4 * len(shape), math.prod(shape)
        declared = start + count
        if zipped:
            check_growth(str(path), declared, file.size)
        elif file.size != declared:
            fault = f"the file has {file.size:,}"
            raise wrong_length(path, min(file.size, declared), shape, declared, fault)
        elif declared > LARGEST:
            raise DataError(f"{path}: {declared:,} bytes, but the limit is {LARGEST:,}; split it")
        array = np.empty(count, dtype=np.uint8)
        end = start + fill(stream, array.data)
        if end < declared:
            raise wrong_length(path, end, shape, declared, "they end there")
        if stream.read(1):
            raise wrong_length(path, end, shape, declared, "more follow")
        return array.reshape(shape)


def read_header(path: Path, stream: Stream, kind: str) -> tuple[int, ...]:
    """The shape that an IDX file of `kind` declares."""
    dimensions = DIMENSIONS[kind]
    header = bytearray(4 + 4 * dimensions)
    length = fill(stream, memoryview(header))
    check_magic(path, bytes(header[: min(length, 4)]), kind)
    if length < len(header):
        raise DataError(
            f"{path}, byte {length}: ends within its header of {len(header)} bytes; copy or "
            "download it again"
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if 0 in shape:
        raise DataError(
            f"{path}, byte {4 + 4 * shape.index(0)}: declares {'x'.join(map(str, shape))} {kind}, "
            "which is empty; give a file that holds some"
        )
    return shape


def check_magic(path: Path, magic: bytes, kind: str) -> None:
    """DataError if a file does not begin as an IDX file of `kind` does."""
    expected = bytes([0, 0, 8, DIMENSIONS[kind]])
    if magic == expected:
        return
    for other, dimensions in DIMENSIONS.items():
        if magic == bytes([0, 0, 8, dimensions]):
            raise DataError(
                f"{path}, byte 3: an IDX file of {other}, where {kind} are expected; give the "
                f"file of {kind}, or exchange the names of the two"
            )
    raise DataError(
        f"{path}, byte 0: begins with {magic.hex(' ')}, but an IDX file of {kind} begins with "
        f"{expected.hex(' ')}; give IDX files, a .csv or a .npz"
    )


def wrong_length(
    path: Path, place: int, shape: tuple[int, ...], declared: int, fault: str
) -> DataError:
    """The error for an IDX file that is shorter or longer than its header declares."""
    return DataError(
        f"{path}, byte {place:,} (unpacked): the header declares {'x'.join(map(str, shape))}, "
        f"{declared:,} bytes in all, but {fault}; copy or download it again"
    )
