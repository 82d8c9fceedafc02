"""What the readers share: opening files safely, and unpacking no more than is asked for.

A `Source` is a file, or a member of a zip archive. Where its bytes are gzip data, they are unpacked
as they are read, up to a limit that depends on the size of the file.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, cast

from mnistgpu.errors import DataError

LARGEST = 4 * 2**30  # bytes of pixels in one file; all of EMNIST has 0.6 GiB
SMALL = 16 * 2**20  # bytes to which a compressed file or member may unpack (a set has four)
LARGEST_RATIO = 50  # a larger file may unpack to this many times its size (digits: 2 to 20 times)
BLOCK = 2**18  # bytes read at once
GZIP = b"\x1f\x8b"
NO_DATA = {  # what is there by mistake where data were meant to be
    b"<!DOCTYPE": "a web page and no data; download the file itself",
    b"<!doctype": "a web page and no data; download the file itself",
    b"<html": "a web page and no data; download the file itself",
    b"version https://git-lfs": "a pointer of Git LFS and no data; fetch the file by git lfs pull",
}
FAULTS = (  # errors of zipfile for damaged archives
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,  # an offset beyond the end of any file
    RuntimeError,  # and NotImplementedError
    ValueError,  # and UnicodeDecodeError
)


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
                f"bytes; {again(self.name)}"
            )
        return super().read(size)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self.fileno()).st_size


def again(path: str | Path) -> str:
    """How to mend a damaged file of this name."""
    if str(path).lower().endswith(".npz"):
        return "copy it again, or write it again with numpy.savez"
    return "copy or download it again"


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


@dataclass
class Content:
    """The unpacked bytes of a source, from the first to the last.

    size: their number; None where only reading tells, in gzip data. packed: bytes of the file that
    they are unpacked from; None if nothing is compressed.
    """

    where: str
    stream: Stream
    size: int | None
    packed: int | None
    place: int = 0  # how many have been read

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; b"" at the end. DataError where more are unpacked than allowed."""
        piece = self.stream.read(min(size, BLOCK))
        self.place += len(piece)
        if self.packed is not None:
            check_growth(self.where, self.place, self.packed)
        return piece

    def check_size(self, declared: int) -> str:
        """Before memory is made for them: what contradicts so many bytes, or "" if nothing does.

        DataError if they are more than are allowed.
        """
        if self.size is not None and self.size != declared:
            return f"the file has {self.size:,}"
        if self.packed is not None:
            check_growth(self.where, declared, self.packed)
        elif declared > LARGEST:
            raise DataError(
                f"{self.where}: {declared:,} bytes, but the limit is {LARGEST:,}; split it"
            )
        return ""


@dataclass(frozen=True, order=True)
class Source:
    """A file, or the member of that name of the zip archive at path."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}, {self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """The name without its folder."""
        return PurePosixPath(self.member).name if self.member else self.path.name

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders above it, the archive among them."""
        if not self.member:
            return self.path.absolute().parts[:-1]
        return (*self.path.absolute().parts, *PurePosixPath(self.member).parts[:-1])

    @contextmanager
    def opened(self) -> Iterator[Content]:
        """Its bytes, unpacked; a fault of the file or the system becomes a DataError."""
        if not self.member:
            with opened(self.path) as file:
                yield unpacked(str(self), file, file.size, None)
            return
        with archive_at(self.path) as (archive, size):
            info = archive.getinfo(self.member)
            with open_member(str(self), archive, info, size) as stream:
                yield unpacked(str(self), stream, info.file_size, size)


def unpacked(where: str, file: BinaryIO, size: int, packed: int | None) -> Content:
    """The content of a file or a member, which may be gzip data."""
    start = cast(io.BufferedReader, file).peek(len(max(NO_DATA, key=len)))
    for beginning, what in NO_DATA.items():
        if start.startswith(beginning):
            raise DataError(f"{where}: is {what}")
    if not start.startswith(GZIP):
        return Content(where, file, size, packed)
    return Content(where, Unzipped(where, file), None, size if packed is None else packed)


@contextmanager
def archive_at(path: Path) -> Iterator[tuple[zipfile.ZipFile, int]]:
    """The zip archive at path, and its size; what is damaged in it becomes a DataError."""
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive, file.size
        except DataError:
            raise
        except FAULTS as error:
            kind = path.suffix.lower().removeprefix(".") or "zip"
            raise DataError(
                f"{path}: a damaged {kind} file ({str(error)[:200]!r}); {again(path)}"
            ) from None


def open_member(
    where: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, packed: int
) -> BinaryIO:
    """A member of an archive that has `packed` bytes, open for reading."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            f"{where}: compressed by a method that is not zip's usual one (deflate); zip it again"
        )
    check_growth(where, info.file_size, packed)
    return cast(BinaryIO, archive.open(info))


class Unzipped:
    """The content of gzip data with one member, as a stream that unpacks only what is read.

    gzip.GzipFile reads the file name in the header byte by byte, which an endless name would abuse.
    """

    def __init__(self, where: str, file: BinaryIO):
        self.where, self.file = where, file
        self.unpacker = zlib.decompressobj(wbits=31)  # 31: with gzip's header and checksum

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; b"" only at the end of undamaged gzip data."""
        while not self.unpacker.eof:
            packed = self.unpacker.unconsumed_tail or self.file.read(2**16)
            try:
                piece = self.unpacker.decompress(packed, size)
            except zlib.error as error:
                raise DataError(
                    f"{self.where}: the gzip data are damaged before byte {self.file.tell():,} "
                    f"({error}); copy or download the file again"
                ) from None
            if piece:
                return piece
            if not packed:
                raise DataError(
                    f"{self.where}: the gzip data break off at byte {self.file.tell():,}, the end "
                    "of the file; copy or download it again"
                )
        end = self.file.tell() - len(self.unpacker.unused_data)
        if self.unpacker.unused_data or self.file.read(1):
            raise DataError(
                f"{self.where}: foreign bytes follow the gzip data at byte {end:,}; copy or "
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
