"""npz: a zip archive of arrays, as numpy.savez writes it and Keras serves MNIST.

numpy.load allocates as much as a header declares, evaluates the header as Python and does not
notice missing or renamed arrays. This reader accepts only arrays of plain numbers, in the form in
which numpy.savez writes them.
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from mnistgpu.data.streams import check_growth, check_labels, fill, opened
from mnistgpu.errors import DataError

NAMES = ("x_train", "y_train", "x_test", "y_test")
HEADER = re.compile(
    rb"\{'descr': '([|<>](?:[iu][1248]|f[248]|b1))', 'fortran_order': (False|True), "
    rb"'shape': \(([0-9]{1,12}(?:, [0-9]{1,12})*),?\), \} *\n"
)
AGAIN = "write it again with numpy.savez"
FAULTS = (  # errors of zipfile for damaged archives
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,  # an offset beyond the end of any file
    RuntimeError,  # and NotImplementedError
    ValueError,  # and UnicodeDecodeError
)


def read(path: Path, part: str, classes: int) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Images and labels of the part "train" or "test", or None if the file has no such part.

    Images x_train (N, rows, columns) are uint8, labels y_train (N,) whole numbers of any type.
    """
    arrays = read_arrays(path, (f"x_{part}", f"y_{part}"))
    images, labels = arrays.get(f"x_{part}"), arrays.get(f"y_{part}")
    if images is None:
        if labels is not None:
            raise DataError(f"{path}: holds y_{part} without x_{part}; add the images")
        return None
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DataError(
            f"{path}, x_{part}: {images.dtype} of shape {images.shape}, but images are uint8 of "
            "shape (N, rows, columns); convert the array and save it again"
        )
    if labels is None:
        return images, None
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise DataError(
            f"{path}, y_{part}: {labels.dtype} of shape {labels.shape}, but labels are whole "
            "numbers of shape (N,); convert the array and save it again"
        )
    check_labels(labels, classes, lambda i: f"{path}, y_{part}[{i}]")
    return images, labels.astype(np.uint8, copy=False)


def read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The named arrays, as far as the file holds them, by name."""
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = known_members(path, archive)
                return {
                    name: read_array(path, archive, members[name], file.size)
                    for name in names
                    if name in members
                }
        except DataError:
            raise
        except FAULTS as error:
            raise DataError(
                f"{path}: a damaged npz file ({str(error)[:200]!r}); copy it again, or {AGAIN}"
            ) from None


def known_members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members by the names of their arrays; DataError for a name not in NAMES."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name not in NAMES or info.filename != f"{name}.npy":
            raise DataError(
                f"{path}: holds {info.filename[:60]!r}, but only the arrays {', '.join(NAMES)} are "
                "known; rename it or leave it out"
            )
        if name in members:
            raise DataError(f"{path}: holds {name} twice; {AGAIN}")
        members[name] = info
    return members


def read_array(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int
) -> np.ndarray:
    """One array of an npz file that has `size` bytes in all."""
    where = f"{path}, {info.filename}"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{where}: compressed by a method that numpy does not use; {AGAIN}")
    check_growth(where, info.file_size, size)
    with archive.open(info) as stream:
        start = bytearray(10)
        fill(stream, memoryview(start))
        if start[:8] != b"\x93NUMPY\x01\x00":
            raise DataError(f"{where}, byte 0: not an array in numpy's format 1.0; {AGAIN}")
        header = bytearray(int.from_bytes(start[8:], "little"))
        fill(stream, memoryview(header))
        match = HEADER.fullmatch(header)
        if match is None:
            raise DataError(
                f"{where}, byte 10: the header does not describe an array of plain numbers; save "
                "images and labels as uint8 with numpy.savez"
            )
        kind, fortran, sizes = (group.decode() for group in match.groups())
        dtype, shape = np.dtype(kind), tuple(int(size) for size in sizes.split(", "))
        count = math.prod(shape)
        declared = len(start) + len(header) + count * dtype.itemsize
        if declared != info.file_size:
            raise DataError(
                f"{where}, byte 10: declares {dtype} of shape {shape}, {declared:,} bytes in all, "
                f"where {info.file_size:,} are stored; {AGAIN}"
            )
        if count == 0:
            raise DataError(
                f"{where}, byte 10: declares the shape {shape}, which is empty; save at least "
                "one image"
            )
        array = np.empty(count, dtype=dtype)
        filled = fill(stream, array.view(np.uint8).data)
        if filled < array.nbytes:
            raise DataError(f"{where}: ends {array.nbytes - filled:,} bytes too early; {AGAIN}")
    if fortran == "True":  # in memory the first index changes fastest
        return np.ascontiguousarray(array.reshape(shape[::-1]).T)
    return array.reshape(shape)
