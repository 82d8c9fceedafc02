"""The parts of a picture's file, counted before they are decoded.

Decoders keep every note in a file and pass over all pixels for every scan, so a small file may need
far more time and memory than its size suggests. Real photographs and drawings are far below these
bounds.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from mnistgpu.errors import DataError

MOST_PARTS = 4096  # of any kind: chunks, segments, blocks
MOST_TEXTS = 16  # in a PNG; each may unpack to a megabyte
MOST_SCANS = 24  # in a JPEG; each covers all pixels, and libjpeg writes up to 18
MOST_STRAY = 4096  # bytes between the parts of a JPEG or a GIF
MOST_NOTES = 2**16  # bytes of EXIF, as many as a JPEG's segment can have
MOST_RUNS = 2**19  # bytes of a run-length encoded BMP, whose runs are decoded one by one
TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # of a JPEG's segments, and its end
GIF_PART = re.compile(b"[!,;]")  # a note, an image, the end
MOST_TAGS = 256  # in a TIFF
MOST_TAG_BYTES = 2**20  # of them all: where its strips are, among others
TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
APP1, START_OF_SCAN, END = 0xE1, 0xDA, 0xD9


def check(content: bytes, where: str) -> None:
    """DataError if a PNG, JPEG, GIF, TIFF or BMP has more parts than a picture needs."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        check_png(content, where)
    elif content.startswith(b"\xff\xd8"):
        check_jpeg(content, where)
    elif content.startswith(b"GIF8"):
        check_gif(content, where)
    elif content.startswith((b"II*\0", b"MM\0*")):
        check_tiff(content, where)
    elif content.startswith(b"BM") and content[30:34] in (b"\1\0\0\0", b"\2\0\0\0"):
        within(len(content), MOST_RUNS, "bytes of runs", where)


def check_notes(info: Mapping[str | tuple[int, int], Any], where: str) -> None:
    """DataError if the metadata that Pillow found hold too much EXIF to parse.

    All entries may refer to the same bytes, and each entry makes a copy of them.
    """
    for name, most in (("exif", MOST_NOTES), ("Raw profile type exif", 3 * MOST_NOTES)):
        within(len(info.get(name) or b""), most, "bytes of EXIF", where)


def check_png(content: bytes, where: str) -> None:
    """DataError for a PNG with too many chunks or texts."""
    texts = 0
    for count, kind in enumerate(png_chunks(content), 1):
        texts += kind in TEXTS
        within(count, MOST_PARTS, "chunks", where)
        within(texts, MOST_TEXTS, "texts", where)


def png_chunks(content: bytes) -> Iterator[bytes]:
    """The kinds of a PNG's chunks: each is its length, its kind, so many bytes and a checksum."""
    at = 8
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        yield kind
        at += length + 12


def check_jpeg(content: bytes, where: str) -> None:
    """DataError for a JPEG with too many segments, scans or bytes between segments."""
    at, stray, scans, exif = 2, 0, 0, 0
    for count, (kind, begin, end) in enumerate(jpeg_segments(content), 1):
        if scans == 0:  # after a scan's segment its pixels follow
            stray += begin - at
        scans += kind == START_OF_SCAN
        exif += kind == APP1 and content.startswith(b"Exif\0\0", begin + 4)
        at = end
        within(count, MOST_PARTS, "segments", where)
        within(stray, MOST_STRAY, "stray bytes", where)
        within(scans, MOST_SCANS, "scans", where)
        within(exif, 1, "EXIF segment", where)


def jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """A JPEG's segments: kind, first byte, and the byte after the last."""
    at = 2
    while (marker := MARKER.search(content, at)) and content[marker.start() + 1] != END:
        begin = marker.start()
        at = begin + 2 + int.from_bytes(content[begin + 2 : begin + 4], "big")
        yield content[begin + 1], begin, at


def check_gif(content: bytes, where: str) -> None:
    """DataError for a GIF with too many notes before its first image."""
    flags = content[10] if len(content) > 10 else 0
    at = 13 + (3 << (flags & 7) + 1 if flags & 128 else 0)
    count = stray = 0
    while (begins := GIF_PART.search(content, at)) and begins[0] == b"!":
        stray += begins.start() - at
        within(stray, MOST_STRAY, "stray bytes", where)
        at, length = begins.end() + 1, 1
        while length and at < len(content):  # a note consists of blocks, and ends with an empty one
            length = content[at]
            at += 1 + length
            count += 1
            within(count, MOST_PARTS, "notes", where)
    within(begins.start() - at if begins else len(content) - at, MOST_STRAY, "stray bytes", where)


def check_tiff(content: bytes, where: str) -> None:
    """DataError for a TIFF with too many tags, or tags of too many bytes, on its first page.

    All tags may refer to the same bytes, and each makes a copy of them.
    """
    order = "<" if content.startswith(b"II") else ">"
    if len(content) < 8:
        return
    (at,) = struct.unpack_from(order + "I", content, 4)
    if at + 2 > len(content):
        return
    (count,) = struct.unpack_from(order + "H", content, at)
    within(count, MOST_TAGS, "tags", where)
    total = 0
    for begin in range(at + 2, min(at + 2 + 12 * count, len(content) - 11), 12):
        _, kind, number = struct.unpack_from(order + "HHI", content, begin)
        total += number * TIFF_SIZES.get(kind, 8)
    within(total, MOST_TAG_BYTES, "bytes of tags", where)


def within(count: int, most: int, what: str, where: str) -> None:
    """DataError if count is more than most; `what` names the counted parts."""
    if count > most:
        raise DataError(
            f"{where}: more than {most:,} {what}, which no picture of a digit needs; open it and "
            "save it anew"
        )
