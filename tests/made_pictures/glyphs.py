"""Characters as ink: with a pen along a path, from a font, from an image of a data set."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

LETTERS = "ACDEFGHJKLMNPQRTUVWXY"  # without O, I, S, Z and B, which may pass for 0, 1, 5, 2 and 8

# a character of about this height in pixels, as ink (H, W) float32 in 0 to 1, cropped
Writer = Callable[[np.random.Generator, str, int], np.ndarray]


def cropped(ink: np.ndarray) -> np.ndarray:
    """Ink without blank rows and columns at its edges."""
    rows, columns = (np.flatnonzero((ink > 0.2).any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def of_height(ink: np.ndarray, height: int) -> np.ndarray:
    """Cropped ink, scaled to a height; a wide one is at most 1.4 times as wide."""
    ink = cropped(ink)
    scale = min(height / ink.shape[0], 1.4 * height / ink.shape[1])
    size = tuple(max(2, round(side * scale)) for side in ink.shape[::-1])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.clip(cv2.resize(ink, size, interpolation=way), 0.0, 1.0)


# Fonts


@dataclass(frozen=True)
class Font:
    """A font's characters, each a little slanted and stretched."""

    path: Path

    def __call__(self, rng: np.random.Generator, char: str, height: int) -> np.ndarray:
        return of_height(self.plain(char, rng.uniform(-0.12, 0.12)), height)

    def plain(self, char: str, slant: float = 0.0) -> np.ndarray:
        """The character 200 pixels high, slanted by so many pixels a pixel of height."""
        font = ImageFont.truetype(str(self.path), 200)
        picture = Image.new("L", (480, 400))
        ImageDraw.Draw(picture).text((130, 60), char, fill=255, font=font)
        shear = (1.0, slant, -200.0 * slant, 0.0, 1.0, 0.0)
        picture = picture.transform(
            picture.size, Image.Transform.AFFINE, shear, Image.Resampling.BILINEAR
        )
        return np.asarray(picture, dtype=np.float32) / 255.0


def fonts_of_matplotlib(*names: str) -> list[Font]:
    """Fonts that come with Matplotlib, by the beginnings of their names."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return [Font(path) for path in sorted(folder.glob("*.ttf")) if usable(path, names)]


def fonts_of_debian(*names: str) -> list[Font]:
    """Fonts in Debian's folder, by the beginnings of their names, if they are installed."""
    folder = Path("/usr/share/fonts")
    files = [*folder.rglob("*.ttf"), *folder.rglob("*.otf")]
    return [Font(path) for path in sorted(files) if usable(path, names)]


def usable(path: Path, names: tuple[str, ...]) -> bool:
    """Whether a font's name begins so, and it has digits: those named Display have few glyphs."""
    return path.stem.startswith(names) and "Display" not in path.stem


# Images of data sets


def enlarged(image: np.ndarray, height: int, middle: float, soft: float) -> np.ndarray:
    """A small image (H, W) in 0 to 1 as smooth ink of a height: its level `middle` is the edge."""
    image = np.pad(image.astype(np.float32), 2)
    scale = max(1, round(2.0 * height / image.shape[0]))
    large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    large = cv2.GaussianBlur(large, (0, 0), scale / 2)
    return of_height(np.clip((large - middle) / soft + 0.5, 0.0, 1.0), height)


@dataclass(frozen=True)
class Enlarged:
    """Digits of a data set: images (N, H, W) in 0 to 1 and their labels."""

    images: np.ndarray
    labels: np.ndarray
    middle: float
    soft: float = 0.12

    def __call__(self, rng: np.random.Generator, char: str, height: int) -> np.ndarray:
        image = self.images[rng.choice(np.flatnonzero(self.labels == int(char)))]
        return enlarged(image, height, self.middle, self.soft)


# Digits without a pen


SEGMENTS = {  # which of the seven segments are lit: top, left, right, middle, left, right, bottom
    "0": "1110111", "1": "0010010", "2": "1011101", "3": "1011011", "4": "0111010",
    "5": "1101011", "6": "1101111", "7": "1010010", "8": "1111111", "9": "1111011",
}  # fmt: skip
DOTS = {  # five columns and seven rows
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00010 00100 01000 11111",
    "3": "11111 00010 00100 00010 00001 10001 01110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
}


def seven_segments(char: str, height: int, width: float, gap: float) -> np.ndarray:
    """A digit of a pocket calculator; width and gap are shares of the height."""
    ink = np.zeros((height, round(0.55 * height)), np.float32)
    thick, apart = max(2, round(width * height)), max(1, round(gap * height))
    below, right, half = ink.shape[0], ink.shape[1], (ink.shape[0] - thick) // 2
    places = [  # first row, first column, row and column after the last
        (0, apart + thick, thick, right - apart - thick),
        (apart + thick // 2, 0, half - apart, thick),
        (apart + thick // 2, right - thick, half - apart, right),
        (half, apart + thick, half + thick, right - apart - thick),
        (half + thick + apart, 0, below - apart - thick // 2, thick),
        (half + thick + apart, right - thick, below - apart - thick // 2, right),
        (below - thick, apart + thick, below, right - apart - thick),
    ]
    for lit, (top, left, after, beside) in zip(SEGMENTS[char], places, strict=True):
        if lit == "1":
            ink[top:after, left:beside] = 1.0
    return ink


def dot_matrix(char: str, height: int, size: float, square: bool) -> np.ndarray:
    """A digit of a ticket printer: dots whose diameter is `size` of their distance."""
    pitch = height / 7
    ink = np.zeros((height, round(5 * pitch)), np.uint8)
    for row, dots in enumerate(DOTS[char].split()):
        for column, dot in enumerate(dots):
            if dot == "1":
                x, y = (round((place + 0.5) * pitch) for place in (column, row))
                radius = max(1, round(size * pitch / 2))
                if square:
                    cv2.rectangle(ink, (x - radius, y - radius), (x + radius, y + radius), 255, -1)
                else:
                    cv2.circle(ink, (x, y), radius, 255, -1, cv2.LINE_AA)
    return ink.astype(np.float32) / 255.0


def with_gaps(rng: np.random.Generator, ink: np.ndarray, count: int, share: float) -> np.ndarray:
    """Ink of a pen that fails: `count` straight gaps, each as wide as a share of the height."""
    height, width = ink.shape
    y, x = np.mgrid[:height, :width]
    for _ in range(count):
        turn = rng.uniform(0, np.pi)
        along = np.cos(turn) * (x - rng.uniform(0.2, 0.8) * width)
        along = along + np.sin(turn) * (y - rng.uniform(0.2, 0.8) * height)
        ink = np.where(np.abs(along) < share * height / 2, 0.0, ink)
    return ink.astype(np.float32)
