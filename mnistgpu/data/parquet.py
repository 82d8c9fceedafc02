"""Parquet tables, read by pandas where pyarrow is installed.

A column for each pixel, as in a text table; or, as Hugging Face serves MNIST, a column of pictures
(PNG) called image and one called label.
"""

from __future__ import annotations

import importlib.util
import io
from typing import Any

import numpy as np

from mnistgpu.data.columns import columns_named
from mnistgpu.data.raw import Ids, Raw
from mnistgpu.data.streams import FAULTS, LARGEST, Source, check_growth, fill, opened
from mnistgpu.errors import DataError

NUMBER, OBJECT = 8, 256  # bytes of a cell in memory: a number, or text or a picture
MOST_PIXELS = 128 * 128  # of one picture
MODES = ("1", "L", "P", "RGB", "RGBA")
AGAIN = "save the table with DataFrame.to_parquet or to_csv(index=False)"


def read(source: Source) -> Raw:
    """Images, labels and ids of a parquet table."""
    if source.member:
        raise DataError(f"{source}: parquet in an archive; unpack {source.path} first")
    if importlib.util.find_spec("pyarrow") is None:
        raise DataError(
            f"{source}: parquet needs pyarrow (pip install pyarrow); or save the table with "
            "to_csv(index=False)"
        )
    frame = frame_of(source)
    where = str(source)
    names = [str(name) for name in frame.columns]
    if {"image", "label"} <= set(names):
        images, notes = pictures(where, frame["image"], source.path.stat().st_size)
        return Raw(images, frame["label"].to_numpy(), where, notes)
    columns = columns_named(where, names)
    labels = ids = None
    if columns.numbered:
        ids = Ids(columns.id_name, frame.iloc[:, 0].to_numpy())
    if columns.label:
        place = -1 if columns.label == "last" else columns.lead - 1
        labels = frame.iloc[:, place].to_numpy()
    pixels = frame.iloc[:, columns.lead : columns.lead + columns.pixels].to_numpy()
    if pixels.dtype.kind not in "biuf":
        raise DataError(f"{where}: cells that are no numbers ({pixels.dtype}); {AGAIN}")
    return Raw(pixels.reshape(-1, columns.side, columns.side), labels, where, (), ids)


def frame_of(source: Source) -> Any:
    """The whole table as a DataFrame; DataError if it is damaged or too large for its file."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    with opened(source.path) as file:
        size = file.size
        if size > LARGEST:
            raise DataError(f"{source}: {size:,} bytes, but the limit is {LARGEST:,}; split it")
        content = bytearray(size)
        fill(file, memoryview(content))
        try:
            found = pq.read_metadata(io.BytesIO(content))
            check_growth(str(source), max(in_memory(found), unpacked(found)), size)
            frame = pd.read_parquet(io.BytesIO(content), engine="pyarrow")
            if not len(frame):
                raise DataError(f"{source}: holds no images; {AGAIN}")
            return frame
        except DataError:
            raise
        except (pa.ArrowException, *FAULTS, LookupError, TypeError, OverflowError) as error:
            text = str(error).partition("\n")[0][:200]
            raise DataError(
                f"{source}: a damaged parquet file ({text!r}); copy it again, or {AGAIN}"
            ) from None


def in_memory(found: Any) -> int:
    """Bytes that the cells of a parquet file may need in memory, however they are stored."""
    kinds = [found.schema.column(j).physical_type for j in range(found.num_columns)]
    row = sum(OBJECT if "BYTE_ARRAY" in kind else NUMBER for kind in kinds)
    rows = sum(found.row_group(i).num_rows for i in range(found.num_row_groups))
    return int(max(found.num_rows, rows) * max(row, NUMBER))


def unpacked(found: Any) -> int:
    """Bytes to which the columns of a parquet file claim to unpack.

    Those of a single column are not looked at: pyarrow ends the process over some damaged ones.
    """
    return sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))


def pictures(where: str, cells: Any, size: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """The cells of a column of pictures as grey images (N, rows, columns), and what is to be said.

    size: bytes of the file, to which memory is bound. DataError for a picture of another size.
    """
    images: list[np.ndarray] = []
    coloured = False
    for row, cell in enumerate(cells):
        image, mode = picture(where, row, cell)
        images.append(image)
        if image.shape != images[0].shape:
            shapes = ["x".join(map(str, each.shape)) for each in (image, images[0])]
            raise DataError(
                f"{where}, row {row}: a picture of {shapes[0]}, but the first has {shapes[1]}; "
                "scale them to one size"
            )
        check_growth(where, image.size * len(images), size)
        coloured |= mode not in ("1", "L")
    return np.stack(images), (f"{where}: colours are converted to grey",) * coloured


def picture(where: str, row: int, cell: Any) -> tuple[np.ndarray, str]:
    """A cell with the bytes of a picture, as a grey image, and the mode that it had in Pillow."""
    from PIL import Image

    content = cell.get("bytes") if isinstance(cell, dict) else cell
    try:
        if not isinstance(content, bytes):
            raise TypeError("it holds no bytes")
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "BMP")) as opened_picture:
            if opened_picture.width * opened_picture.height > MOST_PIXELS:
                raise ValueError("it is too large")
            if opened_picture.mode not in MODES:
                raise ValueError(f"its mode is {opened_picture.mode}, not 8 bits")
            return np.asarray(opened_picture.convert("L")), opened_picture.mode
    except (OSError, ValueError, TypeError, SyntaxError) as error:
        raise DataError(
            f"{where}, row {row}: the cell image is no small picture ({str(error)[:100]!r}); "
            "save pixels, or PNG"
        ) from None
