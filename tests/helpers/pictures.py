"""Pictures as people bring them, made from MNIST's digits: photographs, scans, drawings."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mnistgpu.pictures import decode, images

# Each digit as a hand would draw it: lines through points (x, y) of a square from 0 to 1.
HAND = {
    0: [
        [
            (0.5, 0.05),
            (0.28, 0.14),
            (0.17, 0.4),
            (0.18, 0.68),
            (0.32, 0.92),
            (0.55, 0.95),
            (0.76, 0.82),
            (0.84, 0.52),
            (0.78, 0.22),
            (0.62, 0.07),
            (0.5, 0.05),
        ]
    ],
    1: [[(0.42, 0.25), (0.56, 0.06), (0.55, 0.35), (0.53, 0.65), (0.52, 0.95)]],
    2: [
        [
            (0.2, 0.27),
            (0.3, 0.1),
            (0.52, 0.04),
            (0.73, 0.13),
            (0.77, 0.32),
            (0.62, 0.55),
            (0.4, 0.75),
            (0.19, 0.93),
            (0.5, 0.91),
            (0.83, 0.92),
        ]
    ],
    3: [
        [
            (0.22, 0.13),
            (0.45, 0.04),
            (0.7, 0.12),
            (0.72, 0.3),
            (0.58, 0.44),
            (0.4, 0.48),
            (0.62, 0.52),
            (0.78, 0.66),
            (0.72, 0.86),
            (0.5, 0.96),
            (0.22, 0.87),
        ]
    ],
    4: [
        [(0.38, 0.06), (0.28, 0.3), (0.17, 0.56), (0.45, 0.57), (0.84, 0.55)],
        [(0.66, 0.08), (0.64, 0.5), (0.62, 0.95)],
    ],
    5: [
        [
            (0.3, 0.07),
            (0.27, 0.28),
            (0.25, 0.45),
            (0.48, 0.4),
            (0.7, 0.5),
            (0.77, 0.7),
            (0.66, 0.89),
            (0.42, 0.96),
            (0.2, 0.86),
        ],
        [(0.3, 0.07), (0.52, 0.08), (0.77, 0.06)],
    ],
    6: [
        [
            (0.62, 0.05),
            (0.42, 0.2),
            (0.27, 0.45),
            (0.22, 0.7),
            (0.32, 0.91),
            (0.54, 0.95),
            (0.72, 0.82),
            (0.71, 0.62),
            (0.54, 0.52),
            (0.35, 0.6),
            (0.24, 0.75),
        ]
    ],
    7: [[(0.19, 0.11), (0.48, 0.1), (0.8, 0.08), (0.66, 0.36), (0.52, 0.65), (0.42, 0.95)]],
    8: [
        [
            (0.7, 0.16),
            (0.5, 0.05),
            (0.3, 0.14),
            (0.31, 0.32),
            (0.52, 0.46),
            (0.72, 0.63),
            (0.72, 0.85),
            (0.5, 0.96),
            (0.28, 0.86),
            (0.28, 0.66),
            (0.5, 0.47),
            (0.7, 0.32),
            (0.7, 0.16),
        ]
    ],
    9: [
        [
            (0.74, 0.24),
            (0.58, 0.07),
            (0.36, 0.1),
            (0.25, 0.29),
            (0.34, 0.48),
            (0.55, 0.49),
            (0.72, 0.34),
            (0.74, 0.22),
            (0.72, 0.5),
            (0.66, 0.75),
            (0.58, 0.95),
        ]
    ],
}
INKS = {"black": (35, 33, 38), "blue": (40, 55, 150), "pencil": (110, 108, 112)}


def strokes(digit: np.ndarray, height: int) -> np.ndarray:
    """A digit (784,) uint8 as smooth ink (height, height) in 0 to 1."""
    small = Image.fromarray(digit.reshape(28, 28))
    large = small.resize((height, height), Image.Resampling.BICUBIC)
    smooth = large.filter(ImageFilter.GaussianBlur(height / 56))
    return np.clip((np.asarray(smooth, dtype=np.float32) - 110.0) / 35.0, 0.0, 1.0)


def drawing(digit: int, side: int = 280, width: float = 0.09) -> np.ndarray:
    """A digit drawn by hand in white on black: (side, side) uint8."""
    large = Image.new("L", (2 * side, 2 * side))
    pen = ImageDraw.Draw(large)
    radius = width * side
    for line in HAND[digit]:
        points = [(0.4 * side + 1.2 * side * x, 0.4 * side + 1.2 * side * y) for x, y in line]
        pen.line(points, fill=255, width=round(2 * radius), joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(large.reduce(2))


def light(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """How bright each place by a window is: a slope, dark corners, the phone's shadow."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / height - 0.5, x / width - 0.5
    turn = rng.uniform(0, 2 * np.pi)
    slope = 1.0 + 0.35 * (np.cos(turn) * x + np.sin(turn) * y)
    corners = 1.0 - 0.45 * (x**2 + y**2)
    turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
    edge = np.cos(turn) * x + np.sin(turn) * y - away
    shadow = 1.0 - 0.3 / (1.0 + np.exp(-edge / 0.02))
    return slope * corners * shadow


def photograph(
    digit: np.ndarray,
    seed: int = 0,
    ink: str = "blue",
    size: tuple[int, int] = (900, 1200),
    share: float = 0.45,
    noise: float = 4.0,
    paper: tuple[int, int, int] = (226, 219, 205),
) -> np.ndarray:
    """A phone's photograph (H, W, 3) uint8 of a digit on paper, under uneven light."""
    rng = np.random.default_rng(seed)
    height, width = size
    side = round(share * height)
    top, left = rng.integers(0, height - side), rng.integers(0, width - side)
    where = np.zeros((height, width), dtype=np.float32)
    where[top : top + side, left : left + side] = strokes(digit, side)
    return photographed(where, rng, ink, noise, paper)


def photographed(
    where: np.ndarray,
    rng: np.random.Generator,
    ink: str = "blue",
    noise: float = 4.0,
    paper: tuple[int, int, int] = (226, 219, 205),
) -> np.ndarray:
    """Ink (H, W) in 0 to 1 on paper as a phone sees it: (H, W, 3) uint8."""
    colours = (1.0 - where[:, :, None]) * np.array(paper)
    colours += where[:, :, None] * np.array(INKS[ink])
    colours *= light(rng, *where.shape)[:, :, None]
    colours += rng.normal(0.0, noise, colours.shape)
    return np.clip(colours, 0, 255).astype(np.uint8)


def page(
    digits: np.ndarray,
    columns: int,
    seed: int = 0,
    ink: str = "blue",
    side: int = 150,
    jitter: float = 0.0,
    slant: float = 0.0,
    margin: int = 60,
) -> np.ndarray:
    """A phone's photograph of digits (n, 784) in rows, as a hand writes them on one page.

    jitter: how far digits stray up and down, as a share of their height. slant: how much lower each
    is than the one before.
    """
    rng = np.random.default_rng(seed)
    rows = -(-len(digits) // columns)
    fall = round(abs(slant) * side * columns)
    size = (round(1.25 * side * rows) + 2 * margin + fall, side * columns + 2 * margin)
    where = np.zeros(size, np.float32)
    for i, digit in enumerate(digits):
        row, column = divmod(i, columns)
        down = slant * column + (0.0 if slant >= 0 else -slant * columns)
        down += rng.uniform(-jitter, jitter)
        top, left = margin + round(side * (1.25 * row + down)), margin + side * column
        where[top : top + side, left : left + side] += strokes(digit, side)
    return photographed(np.minimum(where, 1.0), rng, ink)


def ruled(levels: np.ndarray, gap: int, rule: int = 190, thick: int = 2) -> np.ndarray:
    """A drawing (H, W) in black on white with the lines of a school book below its ink."""
    paper = np.full(levels.shape, 255, np.uint8)
    for line in range(thick):
        paper[gap // 2 + line :: gap] = rule
    return np.minimum(levels, paper)


def encoded(levels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    """Levels as the bytes of a picture file."""
    content = io.BytesIO()
    Image.fromarray(levels).save(content, kind, **options)
    return content.getvalue()


def seen(levels, **options):
    """The image (784,) that is found in a picture's levels."""
    return images.find(levels, **options).images[0]


def read(content, **options):
    """The image (784,) that is found in the bytes of a picture."""
    return images.find(decode.decode(content, "it"), **options).images[0]


def distance(a, b):
    """Mean difference over the pixels where either has ink, in grey levels."""
    a, b = a.astype(int), b.astype(int)
    return np.abs(a - b)[(a > 0) | (b > 0)].mean()
