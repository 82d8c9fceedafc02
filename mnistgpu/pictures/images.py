"""A person's picture of a digit, converted to an image of the kind that the network has learned.

MNIST shows light ink on black, the digit's longest side 20 pixels long, its centre of mass in the
middle of 28x28. A picture is converted in the way of MNIST's authors: the ink is found, cropped,
scaled by area, and placed with its centre of mass at (14.0, 14.0). MNIST's own images come out
unchanged, up to one grey level.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnistgpu import data
from mnistgpu.errors import DataError
from mnistgpu.pictures import components, picture_parts
from mnistgpu.pictures.ink import area, highest, ink_of
from mnistgpu.storage import files

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
UNREAD = (".heic", ".heif", ".avif", ".tif", ".tiff")  # from phones and scanners
COMMON_MODES = ("1", "L", "P", "RGB", "CMYK")  # CMYK: some JPEGs
TIFF_BEGINNINGS = (b"II*\0", b"MM\0*")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
BEGINNINGS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", *TIFF_BEGINNINGS)  # and see `is_picture`
ORIENTATION = 0x0112  # EXIF's tag for the rotation of the camera
MOST_BYTES = 2**24
MOST_PIXELS = 50_000_000  # a phone's camera makes 12 to 50 million
MOST_UNCOMMON_PIXELS = 10_000_000  # with transparency or 16 bits: five times the memory
MOST_PROGRESSIVE_PIXELS = 25_000_000  # of a JPEG: all coefficients stay in memory
MOST_WEBP_PIXELS = 8_000_000  # decoded as a whole, and more than once
WORKING_SIDE = 1200  # a picture's longest side, in pixels, when its ink is searched for
BOX = 20 / 28  # the share of an image that its digit takes
FINE = 4  # strokes are measured on a copy so many times as large as the digit will be
THIN, WANTED = 1.7, 2.2  # widths of strokes in pixels of the 20; MNIST's are 2 to 4 wide
DARK = 0.4  # a pixel is dark from this share of the darkest on
MOSTLY = 0.3  # the least share of dark pixels in ink; a part with fewer is a shadow
WHOLE = 0.04  # of the longest side: beside a whole part so large, parts cut by the frame go
# shares of the darkest: ink paler than these is dropped if ruled lines join all parts to the frame
PALE = (0.35, 0.5)


@dataclass(frozen=True)
class Picture:
    """A picture and the digits found in it."""

    levels: np.ndarray  # (H, W) or (H, W, 3) uint8, the picture as it is
    images: np.ndarray  # (digits, pixels) uint8, the network's input
    boxes: np.ndarray  # (digits, 4), in `levels`: first row and column, row and column after last


def is_picture(path: Path) -> bool:
    """Whether a file is a picture, and not a table or an array of digits.

    Decided by its name or its first bytes: files from phones may have names without an ending.
    """
    if path.suffix.lower() in (*PICTURES, *UNREAD):
        return True
    if not files.is_file(path):
        return False
    with files.opened(path) as stream:
        start = stream.read(12)
    webp = start[:4] == b"RIFF" and start[8:] == b"WEBP"
    return webp or start[4:8] == b"ftyp" or start.startswith(BEGINNINGS)


def read(path: Path, image_shape: tuple[int, int] = (28, 28), many: bool = False) -> np.ndarray:
    """The digits in a file as rows (N, pixels) uint8: a picture, or any file `data` reads."""
    path = Path(path)
    if is_picture(path):
        return read_picture(path, image_shape, many).images
    return data.load_digits(path).images


def read_picture(
    path: Path, image_shape: tuple[int, int] = (28, 28), many: bool = False
) -> Picture:
    """The digit in a picture, or with `many` each of its digits in reading order.

    Raises DataError for a file that is no picture, too large or blank, or, without `many`, a
    picture that shows more than one digit.
    """
    levels = decode(files.read_bytes(Path(path), limit=MOST_BYTES), str(path))
    return find(levels, image_shape, many, str(path))


def read_as_is(path: Path, image_shape: tuple[int, int] = (28, 28)) -> Picture:
    """A picture that is already an image of the network's kind: of its size, light on black."""
    levels = decode(files.read_bytes(Path(path), limit=MOST_BYTES), str(path))
    grey = levels if levels.ndim == 2 else levels.mean(axis=2).round().astype(np.uint8)
    if grey.shape != image_shape:
        raise DataError(
            f"{path}: {grey.shape[1]}x{grey.shape[0]} pixels, but this network reads "
            f"{image_shape[1]}x{image_shape[0]}; leave out --as-is to have it scaled"
        )
    return Picture(levels, grey.reshape(1, -1), np.array([[0, 0, *image_shape]]))


def find(
    levels: np.ndarray,
    image_shape: tuple[int, int] = (28, 28),
    many: bool = False,
    where: str = "the picture",
) -> Picture:
    """The digits in levels (H, W) or (H, W, 3), from 0 to 255; DataError as `read_picture`."""
    ink = ink_of(levels)
    if ink.shape == image_shape:  # too small for two digits: all its ink is one digit
        names, boxes = components.label(ink > 0)
        groups = [np.arange(len(boxes))] if len(boxes) else []
    else:
        ink, names, boxes, kept = writing(ink)
        groups = [kept[group] for group in components.digits_of(boxes[kept])]
    if not groups:
        raise DataError(
            f"{where}: no digit found; write it larger or darker, on paper of one colour"
        )
    if len(groups) > 1 and not many:
        raise DataError(
            f"{where}: {len(groups)} digits found, where one is expected; crop the picture to one, "
            "or add --many to read them one by one"
        )
    outer = [(*boxes[g, :2].min(axis=0), *boxes[g, 2:].max(axis=0)) for g in groups]
    images = []
    for group, (top, left, bottom, right) in zip(groups, outer, strict=True):
        around = slice(top, bottom), slice(left, right)
        own = np.isin(names[around], group + 1)
        images.append(prepare(np.where(own, ink[around], 0.0), image_shape))
    return Picture(levels, np.stack(images), np.array(outer))


def writing(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ink (H, W) without parts paler than writing; names and boxes of its parts, and the indices of
    those that are writing.

    On ruled paper the lines may join all writing to the frame. Then the palest ink is dropped, in
    steps, until some part is whole; if none becomes whole, no ink is dropped.
    """
    peak = float(np.quantile(ink, 1.0 - 2e-4))
    found = []
    for pale in (0.0, *PALE):
        left = np.where(ink < pale * peak, np.float32(0.0), ink)
        names, boxes = components.label(left > 0)
        kept, whole = inked(names, boxes, left > DARK * peak)
        found.append((left, names, boxes, kept))
        if whole or len(kept) == 0:
            break
    return found[-1 if whole else 0]


def inked(names: np.ndarray, boxes: np.ndarray, dark: np.ndarray) -> tuple[np.ndarray, bool]:
    """The indices of the parts that are mostly dark, and whether a large one of them is whole.

    If one is whole, the parts cut by the frame are left out: the table beside the paper, a finger
    or a ruled line.
    """
    count = len(boxes) + 1
    sizes = np.bincount(names.ravel(), minlength=count)[1:]
    darker = np.bincount(names[dark], minlength=count)[1:]
    kept = np.flatnonzero(darker >= np.maximum(MOSTLY * sizes, 1))
    height, width = names.shape
    whole = (boxes[kept, :2] > 0).all(axis=1) & (boxes[kept, 2:] < (height, width)).all(axis=1)
    sides = np.max(boxes[kept, 2:] - boxes[kept, :2], axis=1, initial=0)
    if not np.any(whole & (sides >= WHOLE * max(height, width))):
        return kept, False
    return kept[whole], True


def prepare(ink: np.ndarray, image_shape: tuple[int, int] = (28, 28)) -> np.ndarray:
    """Ink (H, W), 0 for paper, as the network's input (pixels,) uint8; DataError if there is none.

    The longest side becomes 20 of 28 pixels, the darkest place 255, and the centre of mass comes to
    the middle, index (14.0, 14.0) of 28x28, as near as whole pixels can.
    """
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if len(rows) == 0:
        raise DataError("no digit found: the picture is blank; draw a digit")
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    box = round(BOX * min(image_shape))
    if max(ink.shape) > FINE * box:
        ink = fitted(ink, FINE * box)
        ink = thickened(ink, box)
    digit = fitted(ink, box)
    digit *= 255.0 / digit.max()
    weight = digit.sum()
    image = np.zeros(image_shape, dtype=np.uint8)
    place = []
    for axis, (length, size) in enumerate(zip(image_shape, digit.shape, strict=True)):
        along = digit.sum(axis=1 - axis)
        middle = float(np.arange(size) @ along / weight)
        start = min(max(round(length / 2 - middle), 0), length - size)
        place.append(slice(start, start + size))
    image[tuple(place)] = np.round(digit)
    return image.reshape(-1)


def fitted(ink: np.ndarray, longest: int) -> np.ndarray:
    """Ink with its longest side scaled to `longest`."""
    scale = longest / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    return area(np.asarray(ink, dtype=np.float32), height, width)


def thickened(ink: np.ndarray, box: int) -> np.ndarray:
    """Ink whose strokes would be too thin in `box` pixels, made as thick as a pen's of MNIST.

    A ballpoint's line, scaled down to 20 pixels, would be paler than any stroke in MNIST.
    """
    ink = ink / ink.max()
    mask = np.pad(ink > 0.35, 1)
    edges = sum(int(np.diff(mask, axis=axis).sum()) for axis in (0, 1))
    # a stroke's area is its length times its width, its outline is twice its length, and an outline
    # of length l crosses 4/pi l edges of pixels, averaged over its angle
    width = 2.0 * (4.0 / np.pi) * int(mask.sum()) / max(edges, 1)
    longest: int = max(ink.shape)
    if width * box / longest >= THIN:
        return ink
    grow = max(1, round((WANTED * longest / box - width) / 2.0))
    return highest(np.pad(ink, grow), 2 * grow + 1)


def decode(content: bytes, where: str) -> np.ndarray:
    """The levels of a picture's bytes, upright, with its longest side at most WORKING_SIDE.

    (H, W) uint8, or (H, W, 3) for colours. DataError if it is no picture, or too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError
    from PIL import WebPImagePlugin as WebPImagePlugin  # importing it registers WebP

    if content[4:8] == b"ftyp" or content.startswith(TIFF_BEGINNINGS):
        raise DataError(f"{where}: HEIC, AVIF and TIFF are not read; export it as JPEG or PNG")
    picture_parts.check(content, where)
    most = MOST_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on unusual files
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture: PillowImage = Image.open(io.BytesIO(content), formats=FORMATS)
            most = most_pixels(picture)
            if picture.width * picture.height > most:
                raise too_large(where, most)
            picture.draft("RGB", (WORKING_SIDE, WORKING_SIDE))  # decodes a JPEG at a reduced size
            picture.load()
            picture_parts.check_notes(picture.info, where)
            turned = picture.getexif().get(ORIENTATION)
            picture = opaque(picture)
            picture = picture.reduce(-(-max(picture.size) // WORKING_SIDE))
            if turned is not None:  # `opaque` may have made a picture without it
                picture.getexif()[ORIENTATION] = turned
            return np.asarray(ImageOps.exif_transpose(picture))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise too_large(where, most) from None
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(
            f"{where}: no picture can be read from it; give a PNG, JPEG or WebP"
        ) from None
    except Exception as error:  # decoders raise errors of every kind for damaged bytes
        raise DataError(
            f"{where}: no picture can be read from it ({error}); give a PNG, JPEG or WebP"
        ) from None


def most_pixels(picture: PillowImage) -> int:
    """The largest number of pixels that are decoded, by the memory that each of them needs."""
    if picture.format == "WEBP":
        return MOST_WEBP_PIXELS
    if picture.mode not in COMMON_MODES or picture.has_transparency_data:
        return MOST_UNCOMMON_PIXELS
    return MOST_PROGRESSIVE_PIXELS if picture.info.get("progressive") else MOST_PIXELS


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
    light = np.sum(grey * (alpha / 255.0)) > 127.5 * np.sum(alpha / 255.0)
    paper = Image.new("RGBA", picture.size, "black" if light and np.any(alpha < 255) else "white")
    return Image.alpha_composite(paper, picture).convert("RGB")
