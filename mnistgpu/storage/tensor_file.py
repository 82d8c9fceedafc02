"""Safetensors files, which are read only if everything in them agrees.

A file holds named arrays and named texts. From the texts the reader derives which arrays, of which
shapes and types, must be present. It compares these with the header, the header with the size of
the file, and the SHA-256 with the content; only then does it allocate memory for the numbers, which
must be finite.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu import __version__
from mnistgpu.errors import DataError
from mnistgpu.storage import files

LARGEST_HEADER = 2**20
BLOCK = 2**20  # bytes read at once while the digest is computed
# names of the types in safetensors
NAMES = {"F16": "float16", "F32": "float32", "F64": "float64"}
OWN = {"format", "format_version", "mnistgpu", "content_digest"}  # texts that `write` adds

Texts = dict[str, str]
Tensors = dict[str, np.ndarray]
Stream = io.FileIO | io.BytesIO


@dataclass(frozen=True)
class Expected:
    """What a reader expects of an array. `finite=False` allows nan and infinity.

    `least` and `most` are the smallest and the largest number that it may hold.
    """

    shape: tuple[int, ...]
    dtypes: tuple[str, ...] = ("float32", "float64")
    finite: bool = True
    least: float = -math.inf
    most: float = math.inf


def mark(kind: str) -> bytes:
    """What the beginning of every file of this kind holds, see `files.has_mark`."""
    return f'"format": "{kind}"'.encode()


def write(path: Path, kind: str, version: int, texts: Texts, tensors: Tensors) -> None:
    """Replace the file at path by these texts and arrays, atomically; RunError if that fails."""
    arrays = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    texts = texts | {"format": kind, "format_version": str(version), "mnistgpu": __version__}
    content = hashlib.sha256(description(texts, arrays))
    for array in arrays.values():
        content.update(array.reshape(-1).view(np.uint8).data)
    texts["content_digest"] = content.hexdigest()
    files.replace_bytes(path, serialized(texts, arrays))


def serialized(texts: Texts, arrays: Tensors) -> bytes:
    """The bytes of a safetensors file: the header's length, the header, the arrays.

    The same content gives the same bytes, which the safetensors library does not promise: it writes
    the texts in any order. Wider numbers come first, so that all numbers are aligned.
    """
    codes = {dtype: code for code, dtype in NAMES.items()}
    placed = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": texts}
    begin = 0
    for name in placed:
        array = arrays[name]
        header[name] = {
            "dtype": codes[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [begin, begin + array.nbytes],
        }
        begin += array.nbytes
    head = json.dumps(header, sort_keys=True).encode()
    head += b" " * (-len(head) % 8)
    return b"".join([len(head).to_bytes(8, "little"), head, *(arrays[n].tobytes() for n in placed)])


def read(
    stream: Stream,
    size: int,
    where: str,
    kind: str,
    version: int,
    expect: Callable[[Texts], Mapping[str, Expected]],
) -> tuple[Texts, Tensors]:
    """The texts and arrays of a file of `kind` that has `size` bytes.

    `expect` takes the texts and returns the arrays that belong to them, or raises DataError;
    `where` names the file in messages. Raises DataError unless everything agrees.
    """
    header, start = read_header(stream, size, where)
    texts = texts_of(header, where, kind, version)
    expected = expect(texts)
    places = check_entries(header, start, size, expected, where)
    content = hashlib.sha256(
        description(texts, {name: Described(*places[name][:2]) for name in places})
    )
    for name in sorted(places):
        _, _, begin, end = places[name]
        stream.seek(begin)
        while begin < end and (block := stream.read(min(BLOCK, end - begin))):
            content.update(block)
            begin += len(block)
    if content.hexdigest() != texts.get("content_digest"):
        raise DataError(
            f"{where}: its content does not have the digest in its header; copy it again, or train "
            "it again"
        )
    tensors = {}
    for name, (dtype, shape, begin, _) in places.items():
        array = np.empty(shape, dtype)
        stream.seek(begin)
        if stream.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
            raise DataError(f"{where}: became shorter while it was read; try again")
        tensors[name] = array
    check_arrays(tensors, expected, where)
    return texts, tensors


def check_arrays(
    arrays: Mapping[str, np.ndarray], expected: Mapping[str, Expected], where: str
) -> None:
    """DataError unless these are the expected arrays, with the expected numbers."""
    if set(arrays) != set(expected):
        raise DataError(
            f"{where}: holds the arrays {shown(arrays)}, where {shown(expected)} are expected; "
            "give another file"
        )
    for name, array in arrays.items():
        want = expected[name]
        if array.shape != want.shape or str(array.dtype) not in want.dtypes:
            raise DataError(
                f"{where}: {name} is {array.dtype} of shape {array.shape}, where "
                f"{' or '.join(want.dtypes)} of shape {want.shape} fits the rest of the file; copy "
                "it again, or train it again"
            )
        if want.finite and not np.isfinite(array).all():
            raise DataError(f"{where}: {name} holds numbers that are not finite; train it again")
        for bound, beyond in ((want.least, np.less), (want.most, np.greater)):
            if math.isfinite(bound) and beyond(array, bound).any():
                raise DataError(
                    f"{where}: {name} holds numbers beyond {bound:g}, which are impossible there; "
                    "train it again"
                )


def read_file(
    path: Path,
    kind: str,
    version: int,
    expect: Callable[[Texts], Mapping[str, Expected]],
) -> tuple[Texts, Tensors]:
    """`read` from the regular file at path."""
    with files.opened(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        return read(stream, size, str(path), kind, version, expect)


def read_header(stream: Stream, size: int, where: str) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and the byte at which its numbers begin."""
    torn = DataError(f"{where}: not a whole safetensors file; copy it again, or train it again")
    length = int.from_bytes(stream.read(8), "little")
    if size < 8 or not 2 <= length <= min(LARGEST_HEADER, size - 8):
        raise torn
    try:
        header = json.loads(stream.read(length).decode(), object_pairs_hook=without_repeats)
    except (ValueError, RecursionError):
        raise torn from None
    if not isinstance(header, dict):
        raise torn
    return header, 8 + length


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError if it has a name twice, which readers interpret differently."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def texts_of(header: dict[str, Any], where: str, kind: str, version: int) -> Texts:
    """The texts of a header; DataError if the file is of another kind or of a newer format."""
    texts = header.get("__metadata__")
    if (
        not isinstance(texts, dict)
        or not all(isinstance(text, str) for text in texts.values())
        or texts.get("format") != kind
    ):
        raise DataError(
            f"{where}: a safetensors file, but not a {kind.replace('-', ' ')}; give another file"
        )
    written = texts.get("format_version", "")
    if not (written.isascii() and written.isdecimal() and len(written) < 10 and int(written) > 0):
        raise DataError(
            f"{where}: the format version {written[:20]!r} is not a number from 1; copy it again"
        )
    if int(written) > version:
        raise DataError(
            f"{where}: format {written} is newer than {version}, the newest that this mnistgpu "
            "knows; upgrade mnistgpu"
        )
    return texts


def check_entries(
    header: dict[str, Any],
    start: int,
    size: int,
    expected: Mapping[str, Expected],
    where: str,
) -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    """Type, shape, first and last byte of each array; DataError unless all are as expected.

    The arrays must fill the file from `start` to its end, one after the other, without gaps.
    """
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if set(entries) != set(expected):
        raise DataError(
            f"{where}: holds the arrays {shown(entries)}, where {shown(expected)} are expected; "
            "give another file"
        )
    places = {}
    for name, entry in entries.items():
        want, fault = expected[name], f"{where}: the header is wrong about {name}; copy it again"
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise DataError(fault)
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not are_sizes(shape) or not are_sizes(offsets) or len(offsets) != 2:
            raise DataError(fault)
        if not isinstance(dtype, str) or NAMES.get(dtype) not in want.dtypes:
            raise DataError(
                f"{where}: {name} is of type {str(dtype)[:20]!r}, where {' or '.join(want.dtypes)} "
                "is expected; copy it again, or train it again"
            )
        if tuple(shape) != want.shape:
            raise DataError(
                f"{where}: {name} has the shape {str(shape)[:60]}, where {list(want.shape)} fits "
                "the rest of the file; copy it again, or train it again"
            )
        begin, end = offsets
        if end - begin != math.prod(want.shape) * np.dtype(NAMES[dtype]).itemsize:
            raise DataError(fault)
        places[name] = (NAMES[dtype], want.shape, start + begin, start + end)
    reached = start
    for _, _, begin, end in sorted(places.values(), key=lambda place: place[2:]):
        if begin != reached:
            raise DataError(f"{where}: its arrays do not lie one after the other; copy it again")
        reached = end
    if reached != size:
        raise DataError(
            f"{where}: has {size:,} bytes, where its header declares {reached:,}; copy it again"
        )
    return places


def are_sizes(values: object) -> bool:
    """Whether this is a list of at most 8 whole numbers (True is none) from 0 to below 2^63."""
    return (
        isinstance(values, list)
        and len(values) <= 8
        and all(type(value) is int and 0 <= value < 2**63 for value in values)
    )


def shown(names: Mapping[str, object]) -> str:
    """Names for a message; long names, and more than eight, are cut."""
    return ", ".join(repr(name[:40]) for name in sorted(names)[:8]) or "none"


@dataclass(frozen=True)
class Described:
    """The type and shape of an array that is not in memory."""

    dtype: str
    shape: tuple[int, ...]


def description(texts: Texts, arrays: Mapping[str, Any]) -> bytes:
    """What the digest covers besides the numbers: all texts but itself, names, types, shapes."""
    covered = {name: text for name, text in texts.items() if name != "content_digest"}
    entries = {name: [str(array.dtype), list(array.shape)] for name, array in arrays.items()}
    return json.dumps([covered, entries], sort_keys=True).encode()
