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

WIDEST = 8  # bytes of a cell in memory
MOST_PIXELS = 128 * 128  # of one picture
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
        images = np.stack([picture(where, i, cell) for i, cell in enumerate(frame["image"])])
        return Raw(images, frame["label"].to_numpy(), where)
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
            cells = found.num_rows * max(found.num_columns, 1)
            check_growth(str(source), max(cells * WIDEST, unpacked(found)), size)
            if found.num_rows < 1:
                raise DataError(f"{source}: holds no images; {AGAIN}")
            return pd.read_parquet(io.BytesIO(content), engine="pyarrow")
        except DataError:
            raise
        except (pa.ArrowException, *FAULTS, LookupError, TypeError, OverflowError) as error:
            text = str(error).partition("\n")[0][:200]
            raise DataError(
                f"{source}: a damaged parquet file ({text!r}); copy it again, or {AGAIN}"
            ) from None


def unpacked(found: Any) -> int:
    """Bytes to which the columns of a parquet file claim to unpack."""
    total = 0
    for i in range(found.num_row_groups):
        group = found.row_group(i)
        total += sum(group.column(j).total_uncompressed_size for j in range(group.num_columns))
    return total


def picture(where: str, row: int, cell: Any) -> np.ndarray:
    """A cell with the bytes of a picture, as a grey image."""
    from PIL import Image

    content = cell.get("bytes") if isinstance(cell, dict) else cell
    try:
        if not isinstance(content, bytes):
            raise TypeError("it holds no bytes")
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "BMP")) as opened_picture:
            if opened_picture.width * opened_picture.height > MOST_PIXELS:
                raise ValueError("it is too large")
            return np.asarray(opened_picture.convert("L"))
    except (OSError, ValueError, TypeError, SyntaxError) as error:
        raise DataError(
            f"{where}, row {row}: the cell image is no small picture ({str(error)[:100]!r}); "
            "save pixels, or PNG"
        ) from None
