"""Pictures that a program holds in memory: bytes, open files, pictures of Pillow, arrays.

They become a file for a moment, so that they are checked and decoded by the one way that pictures
take. What is no picture of a known format is refused there.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu.data import conversion, shapes
from mnistgpu.data.digits import Digits, rows_of
from mnistgpu.errors import DataError, UsageError

MOST_BYTES = 2**24  # of a picture; larger ones are refused
NAME = "the picture"


def is_encoded(given: object) -> bool:
    """Whether this is the content of a file, or an open file."""
    return isinstance(given, (bytes, bytearray)) or callable(getattr(given, "read", None))


@contextlib.contextmanager
def as_file(given: Any) -> Iterator[Path]:
    """The path of a file with a picture, as long as the context lasts.

    In a DataError that is raised within it, the file has the name that `name_of` gives it. Raises
    UsageError for what is no picture.
    """
    with tempfile.TemporaryDirectory(prefix="mnistgpu-") as folder:
        path = Path(folder) / "picture.png"  # whatever its format, which its bytes say
        if is_encoded(given):
            path.write_bytes(content_of(given))
        else:
            picture_of(given).save(path)
        try:
            yield path
        except DataError as error:
            raise DataError(str(error).replace(str(path), name_of(given))) from None


def name_of(given: Any) -> str:
    """What a picture is called in messages: an open file may have a name."""
    name = getattr(given, "name", None)
    return name if isinstance(name, str) and name else NAME


def content_of(given: Any) -> bytes:
    """The bytes of a picture, or of an open file from where it stands."""
    if isinstance(given, (bytes, bytearray)):
        return bytes(given)
    content = given.read(MOST_BYTES + 1)
    if not isinstance(content, bytes):
        raise UsageError(
            f"{name_of(given)}: was opened as text; open it as bytes, as in open(path, 'rb')"
        )
    return content


def picture_of(given: Any) -> Any:
    """A picture of Pillow from one, or from an array (H, W) or (H, W, channels) of grey levels."""
    from PIL import Image

    if isinstance(given, Image.Image):
        if given.mode == "F" or given.mode.startswith("I"):
            return Image.fromarray(of_levels(np.asarray(given)))
        has_alpha = given.has_transparency_data or given.mode in ("LA", "La", "RGBa", "PA")
        plain = given.mode in ("1", "L", "P", "RGB", "RGBA", "LA")
        return given if plain else given.convert("RGBA" if has_alpha else "RGB")
    if isinstance(given, Digits):
        raise UsageError("picture: is digits already; give them to predict")
    try:
        array = conversion.on_host(given, NAME)
    except DataError:
        raise UsageError(
            "picture: must be a path, its bytes, an open file, a picture of Pillow or an array of "
            f"its levels, not {type(given).__name__}"
        ) from None
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in shapes.CHANNELS):
        raise UsageError(
            f"picture: must have the shape (H, W) or (H, W, 3), not {array.shape}; give many "
            "images to predict"
        )
    return Image.fromarray(of_levels(array))


def of_levels(array: np.ndarray) -> np.ndarray:
    """Grey levels or colours of any numeric type as uint8."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.uint16 and array.size and array.max() > 255:
        return (array // 257).astype(np.uint8)
    rows = rows_of(array.reshape(1, array.shape[0], -1), NAME).rows
    levels: np.ndarray = rows.reshape(array.shape)
    return levels
