"""What the readers share: opening files safely, and unpacking no more than is asked for."""

from __future__ import annotations

import io
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from mnistgpu.errors import DataError

LARGEST = 4 * 2**30  # bytes of pixels in one file; all of EMNIST has 0.6 GiB
SMALL = 16 * 2**20  # bytes to which a compressed file or member may unpack (a set has four)
LARGEST_RATIO = 50  # a larger file may unpack to this many times its size (digits: 2 to 20 times)
BLOCK = 2**18  # bytes read at once


def mode_of(path: Path) -> int:
    """The mode of the file or folder at path, as in os.stat; DataError if the system refuses."""
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path}: cannot be read ({reason}); check the path and its permissions"
        ) from None


class BlockReader(io.BufferedReader):
    """A file that gives at most BLOCK bytes at once.

    zipfile reads the whole directory of an archive at once and turns it into objects that need many
    times its size: a directory larger than BLOCK is refused.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = self.size - self.tell()
        if size > BLOCK:
            raise DataError(
                f"{self.name}, byte {self.tell():,}: a part that should be small claims {size:,} "
                "bytes; write the file again with numpy.savez"
            )
        return super().read(size)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self.fileno()).st_size


@contextmanager
def opened(path: Path) -> Iterator[BlockReader]:
    """The regular file at path, open for reading; an error of the system becomes a DataError."""
    mode = mode_of(path)
    if not stat.S_ISREG(mode):  # opening a named pipe would wait for a writer
        kind = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise DataError(f"{path}: is {kind}, where a file is needed; give the path of a file")
    try:
        with BlockReader(io.FileIO(path)) as file:
            if not file.peek(1):
                raise DataError(f"{path}: is empty; copy or download it again")
            yield file
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}); check its permissions and the "
            "disk"
        ) from None
    except MemoryError:
        raise DataError(f"{path}: does not fit in memory; split it") from None


class Stream(Protocol):
    """What a file, a gzip file and a member of a zip file have in common: they can be read."""

    def read(self, size: int, /) -> bytes: ...


class Unzipped:
    """The content of a gzip file with one member, as a stream that unpacks only what is read.

    gzip.GzipFile reads the file name in the header byte by byte, which an endless name would abuse.
    """

    def __init__(self, path: Path, file: BinaryIO):
        self.path, self.file = path, file
        self.unpacker = zlib.decompressobj(wbits=31)  # 31: with gzip's header and checksum

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; b"" only at the end of undamaged gzip data."""
        while not self.unpacker.eof:
            packed = self.unpacker.unconsumed_tail or self.file.read(2**16)
            try:
                piece = self.unpacker.decompress(packed, size)
            except zlib.error as error:
                raise DataError(
                    f"{self.path}: the gzip data are damaged before byte {self.file.tell():,} "
                    f"({error}); copy or download the file again"
                ) from None
            if piece:
                return piece
            if not packed:
                raise DataError(
                    f"{self.path}: the gzip data break off at byte {self.file.tell():,}, the end "
                    "of the file; copy or download it again"
                )
        end = self.file.tell() - len(self.unpacker.unused_data)
        if self.unpacker.unused_data or self.file.read(1):
            raise DataError(
                f"{self.path}: foreign bytes follow the gzip data at byte {end:,}; copy or "
                "download the file again"
            )
        return b""


def fill(stream: Stream, target: memoryview) -> int:
    """Read bytes into target until it is full or the stream ends; returns their number."""
    filled = 0
    while filled < len(target) and (piece := stream.read(min(BLOCK, len(target) - filled))):
        target[filled : filled + len(piece)] = piece
        filled += len(piece)
    return filled


def check_growth(where: str, unpacked: int, packed: int) -> None:
    """DataError if compressed data claim to hold far more than digits would."""
    limit = min(LARGEST, max(SMALL, LARGEST_RATIO * packed))
    if unpacked > limit:
        raise DataError(
            f"{where}: {packed:,} compressed bytes claim to hold {unpacked:,}, more than the limit "
            f"of {limit:,}; check where the file comes from"
        )


def check_labels(labels: np.ndarray, classes: int, place: Callable[[int], str]) -> None:
    """DataError for a label outside 0 ... classes - 1; `place(i)` names the place of label i."""
    for start in range(0, len(labels), BLOCK):  # in blocks, which bounds the memory for masks
        some = labels[start : start + BLOCK]
        wrong = (some < 0) | (some >= classes)
        if wrong.any():
            first = start + int(np.argmax(wrong))
            raise DataError(
                f"{place(first)}: the label {labels[first]} is not one of 0 to {classes - 1}; "
                "correct it, or use a network with more outputs"
            )
