"""The bytes of a picture's file, decoded to levels: upright, opaque, and not larger than needed."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnistgpu.errors import DataError
from mnistgpu.pictures import picture_parts
from mnistgpu.storage import files

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FROM_PHONES = (".heic", ".heif", ".avif")
COMMON_MODES = ("1", "L", "P", "RGB")
TIFF_BEGINNINGS = (b"II*\0", b"MM\0*")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
BEGINNINGS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"%PDF", *TIFF_BEGINNINGS)
ORIENTATION = 0x0112  # EXIF's tag for the rotation of the camera
MOST_BYTES = 2**24
MOST_PIXELS = 50_000_000  # a phone's camera makes 12 to 50 million
MOST_UNCOMMON_PIXELS = 10_000_000  # with transparency, 16 bits, four inks: far more memory
MOST_TWICE_PIXELS = 25_000_000  # of a progressive JPEG or with a palette: held in two forms
MOST_WEBP_PIXELS = 8_000_000  # decoded as a whole, and more than once
MOST_HEIF_PIXELS = 25_000_000  # decoded as a whole
WORKING_SIDE = 1200  # a picture's longest side, in pixels, when its ink is searched for


def is_picture(path: Path) -> bool:
    """Whether a file is a picture, and not a table or an array of digits.

    Decided by its name or its first bytes: files from phones may have names without an ending.
    """
    if path.suffix.lower() in (*PICTURES, *FROM_PHONES, ".pdf"):
        return True
    if not files.is_file(path):
        return False
    with files.opened(path) as stream:
        start = stream.read(12)
    webp = start[:4] == b"RIFF" and start[8:] == b"WEBP"
    return webp or start[4:8] == b"ftyp" or start.startswith(BEGINNINGS)


def read(path: Path) -> np.ndarray:
    """The levels of a picture's file, as `decode`; DataError for one over 16 MB, too."""
    return decode(files.read_bytes(Path(path), limit=MOST_BYTES), str(path))


def decode(content: bytes, where: str) -> np.ndarray:
    """The levels of a picture's bytes, upright, with its longest side at most WORKING_SIDE.

    (H, W) uint8, or (H, W, 3) for colours. DataError if it is no picture, or too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError
    from PIL import WebPImagePlugin as WebPImagePlugin  # importing it registers WebP

    if content.startswith(b"%PDF"):
        raise DataError(
            f"{where}: PDF is not read; export the page as PNG, such as by "
            "`pdftoppm -png -r 150 -singlefile FILE.pdf page`, or take a screenshot of it"
        )
    picture_parts.check(content, where)
    formats = from_phones() if content[4:8] == b"ftyp" else FORMATS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on unusual files
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture: PillowImage = Image.open(io.BytesIO(content), formats=formats)
            check_size(picture, where)
            picture.draft("RGB", (WORKING_SIDE, WORKING_SIDE))  # decodes a JPEG at a reduced size
            picture.load()
            check_size(picture, where)  # what follows the pixels may have made some transparent
            picture_parts.check_notes(picture.info, where)
            turned = picture.getexif().get(ORIENTATION)
            picture = opaque(picture)
            picture = picture.reduce(-(-max(picture.size) // WORKING_SIDE))
            if turned is not None:  # `opaque` may have made a picture without it
                picture.getexif()[ORIENTATION] = turned
            return np.asarray(ImageOps.exif_transpose(picture))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise too_large(where, MOST_PIXELS) from None
    except DataError:
        raise
    except UnidentifiedImageError:
        if content[4:8] == b"ftyp" and "HEIF" not in formats:
            raise DataError(
                f"{where}: HEIC is read only with pillow-heif; install it with "
                "pip install 'mnistgpu[heif]', or export it as JPEG"
            ) from None
        raise DataError(
            f"{where}: no picture can be read from it; give a PNG, JPEG or WebP"
        ) from None
    except Exception as error:  # decoders raise errors of every kind for damaged bytes
        raise DataError(
            f"{where}: no picture can be read from it ({error}); give a PNG, JPEG or WebP"
        ) from None


def from_phones() -> tuple[str, ...]:
    """Pillow's names of the formats of phones, AVIF and HEIF, that can be decoded here."""
    from PIL import Image, features

    known = ["AVIF"] if features.check("avif") else []
    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        pillow_heif.register_heif_opener()
        known.append("HEIF")
    Image.init()  # registers AVIF
    return (*known, "PNG")  # Pillow takes an empty list for all formats


def check_size(picture: PillowImage, where: str) -> None:
    """DataError for a picture of more pixels than its kind may have."""
    most = most_pixels(picture)
    if picture.width * picture.height > most:
        raise too_large(where, most)


def most_pixels(picture: PillowImage) -> int:
    """The largest number of pixels that are decoded, by the memory that each of them needs."""
    if picture.format == "WEBP":
        return MOST_WEBP_PIXELS
    if picture.format in ("HEIF", "AVIF"):
        return MOST_HEIF_PIXELS
    if picture.mode not in COMMON_MODES or picture.has_transparency_data:
        return MOST_UNCOMMON_PIXELS
    twice = picture.mode == "P" or picture.info.get("progressive")
    return MOST_TWICE_PIXELS if twice else MOST_PIXELS


def too_large(where: str, most: int) -> DataError:
    """The error for a picture of more pixels than are decoded."""
    return DataError(
        f"{where}: more than {most // 10**6} million pixels; scale it down, a side of 1,000 is "
        "plenty"
    )


def opaque(picture: PillowImage) -> PillowImage:
    """The picture in grey (L) or colours (RGB); transparent places become contrasting paper."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16 bits
        levels = (np.asarray(picture).astype(np.int64) + 128) // 257
        return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    if not picture.has_transparency_data:
        if picture.mode in ("L", "RGB"):
            return picture  # without the copy that `convert` would make
        return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    picture = picture.convert("RGBA")
    grey, alpha = np.asarray(picture.convert("L")), np.asarray(picture.getchannel("A"))
    shown = np.einsum("ij,ij->", grey, alpha, dtype=np.int64)  # without a copy of either
    light = shown > 127.5 * np.sum(alpha)
    paper = Image.new("RGBA", picture.size, "black" if light and np.any(alpha < 255) else "white")
    return Image.alpha_composite(paper, picture).convert("RGB")
