"""Scenes with several digits in a row."""

from __future__ import annotations

import cv2
import numpy as np

from made_pictures import glyphs
from made_pictures.half import HEIGHT, NOTHING, WIDTH, Half, Made, digit, photo, pick, sheet_of


def written(rng, half: Half, text: str, gaps, high: float) -> Made:
    """Text in a row on paper; gaps: a share of the digits' height between each and the next."""
    writer = half.writer(rng)
    small = {",": 0.22, ".": 0.1, "/": 1.15, "-": 0.08}
    inks = []
    for char in text:
        size = max(6, round(small.get(char, rng.uniform(0.92, 1.08)) * high))
        inks.append(writer(rng, char, size) if char.isdigit() else separator(rng, char, size, high))
    right, lefts, before = 0.0, [], None
    for ink, gap in zip(inks, gaps, strict=True):
        if before is not None:
            right += nearest(before, ink) + gap * high
        lefts.append(right)
        before, right = ink, right + ink.shape[1]
    scale = max(1.0, (right + 120) / WIDTH)
    height, width = round(HEIGHT * scale), round(WIDTH * scale)
    sheet = sheet_of(rng, half, height, width)
    top, left = rng.uniform(60, height - 1.4 * high - 60), (width - right) / 2
    for char, ink, start in zip(text, inks, lefts, strict=True):
        low = {",": 0.88, ".": 0.92, "-": 0.5}.get(char, 0.0) * high + rng.uniform(0, 0.05) * high
        sheet.add(ink, round(top + low), round(left + start))
    return Made(photo(rng, half, sheet.colours), text, many=True)


def nearest(left: np.ndarray, right: np.ndarray) -> float:
    """How far the right glyph may move into the left one's box until their ink touches: <= 0."""
    height = max(left.shape[0], right.shape[0])
    gaps = np.full((2, height), np.inf)
    for row, ink in enumerate((left[:, ::-1], right)):
        dark = ink > 0.3
        some = dark.any(axis=1)
        gaps[row, : len(some)][some] = np.argmax(dark, axis=1)[some]
    free = gaps.sum(axis=0)
    if not np.isfinite(free).any():
        return 0.0
    return -min(float(free[np.isfinite(free)].min()), 0.3 * left.shape[1], 0.3 * right.shape[1])


def separator(rng, char: str, size: int, high: float) -> np.ndarray:
    """A comma, dot, slash or dash."""
    thick = max(4, round(0.08 * high))
    if char == ".":
        ink = np.zeros((size, size), np.uint8)
        cv2.circle(ink, (size // 2, size // 2), size // 2, 255, -1)
    elif char == "-":
        ink = np.full((size, round(0.35 * high)), 255, np.uint8)
    else:
        ink = np.zeros((size, round((0.5 if char == "/" else 0.45) * size)), np.uint8)
        far = ink.shape[1] - thick // 2 - 1
        cv2.line(ink, (far, thick // 2), (thick // 2, size - thick // 2 - 1), 255, thick)
    return glyphs.cropped(ink.astype(np.float32) / 255.0)


def row(rng, half: Half) -> Made:
    """3 to 10 digits in a row, with gaps from 0.1 to 0.5 of their height."""
    count = int(rng.integers(3, 11))
    text = "".join(digit(rng) for _ in range(count))
    return written(rng, half, text, rng.uniform(0.1, 0.5, count), rng.uniform(90, 150))


def touching(rng, half: Half) -> Made:
    """3 to 6 digits in a row, some of which touch."""
    count = int(rng.integers(3, 7))
    text = "".join(digit(rng) for _ in range(count))
    gaps = np.where(rng.random(count) < 0.5, -0.03, rng.uniform(0.0, 0.3, count))
    return written(rng, half, text, gaps, rng.uniform(100, 150))


def separated(rng, half: Half) -> Made:
    """A date or a decimal number."""
    text = pick(
        rng,
        [
            f"{rng.integers(1, 29):02d}/{rng.integers(1, 13):02d}/{rng.integers(20, 30)}",
            f"{rng.integers(1, 29)}.{rng.integers(1, 13)}.{rng.integers(2020, 2030)}",
            f"{rng.integers(10, 1000)},{rng.integers(10, 100)}",
            f"{rng.integers(1, 29):02d}-{rng.integers(1, 13):02d}",
        ],
    )
    return written(rng, half, text, rng.uniform(0.15, 0.35, len(text)), rng.uniform(90, 140))


def two_without_many(rng, half: Half) -> Made:
    """Two digits that touch, where one is expected: to be refused."""
    text = digit(rng) + digit(rng)
    made = written(rng, half, text, [0.0, -0.03], rng.uniform(140, 260))
    return Made(made.levels, NOTHING)
