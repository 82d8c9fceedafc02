"""IDX, the format of MNIST: a magic number, the dimensions as big-endian uint32, then the data."""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

import numpy as np

from mnistgpu.data.streams import Content, Source, fill
from mnistgpu.errors import DataError

TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}  # by the third byte
DIMENSIONS = {"images": (3,), "labels": (1, 2)}
QMNIST_COLUMNS = 8  # of its labels, the class first, then writer, hand and places in NIST's set


class Header(NamedTuple):
    """What the first bytes of an IDX file declare: the type, the sizes, their own length."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    length: int

    @property
    def declared(self) -> int:
        """Bytes of the whole file."""
        return self.length + math.prod(self.shape) * self.dtype.itemsize


def read_images(source: Source) -> np.ndarray:
    """Images (N, rows, columns) of an IDX file, plain or gzipped, of the type that it declares."""
    return read(source, "images")


def read_labels(source: Source) -> np.ndarray:
    """Labels (N,) of an IDX file, plain or gzipped; of QMNIST's (N, 8) the first column."""
    labels = read(source, "labels")
    if labels.ndim == 1:
        return labels
    if labels.shape[1] != QMNIST_COLUMNS:
        raise DataError(
            f"{source}, byte 8: declares {'x'.join(map(str, labels.shape))} labels, but labels are "
            f"one number for each image, or the {QMNIST_COLUMNS} of QMNIST; save the class alone"
        )
    return np.ascontiguousarray(labels[:, 0])


def read(source: Source, kind: str) -> np.ndarray:
    """The array of an IDX file of images or of labels, in the machine's byte order."""
    with source.opened() as content:
        header = read_header(source, content, kind)
        if fault := content.check_size(header.declared):
            place = min(content.size or 0, header.declared)
            raise wrong_length(source, place, header, fault)
        array = np.empty(math.prod(header.shape), dtype=header.dtype)
        end = header.length + fill(content, array.view(np.uint8).data)
        if end < header.declared:
            raise wrong_length(source, end, header, "they end there")
        if content.read(1):
            raise wrong_length(source, end, header, "more follow")
        if not array.dtype.isnative:
            array = array.byteswap(inplace=True).view(array.dtype.newbyteorder())
        return array.reshape(header.shape)


def read_header(source: Source, content: Content, kind: str) -> Header:
    """What an IDX file of `kind` declares."""
    magic = bytearray(4)
    length = fill(content, memoryview(magic))
    check_magic(source, bytes(magic[:length]), kind)
    dimensions = magic[3]
    sizes = bytearray(4 * dimensions)
    length += fill(content, memoryview(sizes))
    if length < 4 + len(sizes):
        raise DataError(
            f"{source}, byte {length}: ends within its header of {4 + len(sizes)} bytes; copy or "
            "download it again"
        )
    shape = struct.unpack(f">{dimensions}I", sizes)
    if 0 in shape:
        raise DataError(
            f"{source}, byte {4 + 4 * shape.index(0)}: declares {'x'.join(map(str, shape))} "
            f"{kind}, which is empty; give a file that holds some"
        )
    return Header(np.dtype(TYPES[magic[2]]), shape, length)


def check_magic(source: Source, magic: bytes, kind: str) -> None:
    """DataError if a file does not begin as an IDX file of `kind` does."""
    if len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in TYPES:
        if magic[3] in DIMENSIONS[kind]:
            return
        for other, dimensions in DIMENSIONS.items():
            if magic[3] in dimensions:
                raise DataError(
                    f"{source}, byte 3: an IDX file of {other}, where {kind} are expected; give "
                    f"the file of {kind}, or exchange the names of the two"
                )
    expected = bytes([0, 0, 8, DIMENSIONS[kind][0]])
    raise DataError(
        f"{source}, byte 0: begins with {magic.hex(' ')}, but an IDX file of {kind} begins with "
        f"{expected.hex(' ')}; give IDX files, a .csv or a .npz"
    )


def wrong_length(source: Source, place: int, header: Header, fault: str) -> DataError:
    """The error for an IDX file that is shorter or longer than its header declares."""
    return DataError(
        f"{source}, byte {place:,} (unpacked): the header declares "
        f"{'x'.join(map(str, header.shape))}, {header.declared:,} bytes in all, but {fault}; copy "
        "or download it again"
    )
