"""Images to train the shipped model with: what people write, and what is no digit.

All are made of the tuning half, and of MNIST's training images. What is no digit (letters,
scribbles, digits turned by a quarter, two digits that touch, half a digit) has labels drawn at
random, so that the network learns to give every digit the same probability there (Hendrycks,
Mazeika and Dietterich 2019, "Deep anomaly detection with outlier exposure").
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from helpers.mnist import read_idx

from made_pictures import glyphs, hands, tuning
from made_pictures.half import pick
from mnistgpu.pictures.preparing import prepare

HELD_OUT = 2_000  # of MNIST's training images, at their end: for the calibration
MORE_FONTS = 16  # that `more_fonts` adds


def mnist() -> tuple[np.ndarray, np.ndarray]:
    """MNIST's 60,000 training images (N, 784) and labels."""
    images = read_idx("train-images-idx3-ubyte", 60_000)
    return images, read_idx("train-labels-idx1-ubyte", 60_000)


@dataclass(frozen=True)
class Writers:
    """Who writes the digits of a set of images."""

    hand: Callable[[np.random.Generator], tuning.Spline]
    fonts: Callable[[], list[glyphs.Font]]
    share: float  # of the digits that are a hand's

    def __call__(self, rng: np.random.Generator) -> glyphs.Writer:
        return self.hand(rng) if rng.random() < self.share else pick(rng, self.fonts())


@cache
def more_fonts() -> list[glyphs.Font]:
    """The tuning half's fonts that are seen in training, and those of Debian's packages fonts-bwht
    (four of six), fonts-inconsolata, fonts-lato, fonts-ocr-b and fonts-quicksand.

    SystemExit if one of them is missing: other fonts give another model.
    """
    more = glyphs.fonts_of_debian(
        "BecauseWeBuild", "BecauseWeConnect", "BecauseWeCreate", "BecauseWeLearn", "Inconsolata",
        "Lato-Regular", "Lato-LightItalic", "Lato-Heavy", "Quicksand",
    )  # fmt: skip
    ocr = [font for font in glyphs.fonts_of_debian("OCRB") if font.path.stem[4:] in ("", "L", "S")]
    if len(more) + len(ocr) != MORE_FONTS:
        raise SystemExit(
            "to train the shipped model, install the fonts of Debian that CONTRIBUTING.md names: "
            f"{len(more) + len(ocr)} of {MORE_FONTS} were found"
        )
    return [*tuning.seen_fonts(), *more, *ocr]


FEW = Writers(tuning.Spline, tuning.seen_fonts, 0.6)
MORE = Writers(hands.Hand, more_fonts, 0.55)


def written(
    rng: np.random.Generator, count: int, writers: Writers
) -> tuple[np.ndarray, np.ndarray]:
    """Digits (count, 784) of these hands and fonts, and their labels."""
    images, labels = np.empty((count, 784), np.uint8), rng.integers(0, 10, count)
    for i, label in enumerate(labels):
        images[i] = prepare(writers(rng)(rng, str(label), int(rng.integers(60, 130))))
    return images, labels


def no_digits(
    rng: np.random.Generator, count: int, digits: np.ndarray, labels: np.ndarray, writers: Writers
) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 784) of what is no digit, and labels drawn at random."""
    images = np.empty((count, 784), np.uint8)
    turnable = np.flatnonzero(np.isin(labels, (2, 3, 4, 5, 7)))
    for i in range(count):
        kind = rng.choice(5, p=[0.25, 0.15, 0.15, 0.25, 0.2])
        if kind == 0:
            ink = pick(rng, writers.fonts())(rng, pick(rng, glyphs.LETTERS), 100)
        elif kind == 1:
            ink = tuning.scribble(rng, 100)
        elif kind == 2:
            if rng.random() < 0.5:
                ink = digits[rng.choice(turnable)].reshape(28, 28).astype(np.float32)
            else:
                ink = writers.hand(rng)(rng, pick(rng, "23457"), 100)
            ink = np.rot90(ink, pick(rng, (1, 3)))
        elif kind == 3:
            ink = two(rng, digits, writers)
        else:
            ink = part(rng, digits, writers)
        images[i] = prepare(ink)
    return images, rng.integers(0, 10, count)


def glyph(rng: np.random.Generator, digits: np.ndarray, writers: Writers) -> np.ndarray:
    """A digit (h, w) of MNIST or of these writers, cropped, about 20 pixels high."""
    if rng.random() < 0.5:
        return glyphs.cropped(digits[rng.integers(len(digits))].reshape(28, 28) / np.float32(255.0))
    return glyphs.of_height(writers(rng)(rng, str(rng.integers(10)), 60), 20)


def two(rng: np.random.Generator, digits: np.ndarray, writers: Writers) -> np.ndarray:
    """Two digits beside each other, which touch or nearly do, or overlap a little."""
    left, right = glyph(rng, digits, writers), glyph(rng, digits, writers)
    ink = np.zeros((28, left.shape[1] + right.shape[1] + 4), np.float32)
    ink[: left.shape[0], : left.shape[1]] = left
    top = int(rng.integers(0, 3))
    at = max(0, left.shape[1] + int(rng.integers(-5, 3)))
    place = ink[top : top + right.shape[0], at : at + right.shape[1]]
    np.maximum(place, right[: place.shape[0], : place.shape[1]], out=place)
    return ink


def part(rng: np.random.Generator, digits: np.ndarray, writers: Writers) -> np.ndarray:
    """Half of a wide digit, cut from top to bottom, with or without some of its neighbour."""
    while True:
        ink = glyph(rng, digits, writers)
        if ink.shape[1] >= 12:
            break
    if rng.random() < 0.4:  # a whole digit, and a clear piece of another one
        other = glyph(rng, digits, writers)
        wide = max(5, round(rng.uniform(0.35, 0.6) * other.shape[1]))
        pair = (ink, other[:, :wide]) if rng.random() < 0.5 else (other[:, -wide:], ink)
    else:
        kept = round(rng.uniform(0.35, 0.6) * ink.shape[1])
        pair = (ink[:, :kept] if rng.random() < 0.5 else ink[:, -kept:],)
    high = max(each.shape[0] for each in pair)
    return np.hstack([np.pad(each, ((0, high - len(each)), (0, 0))) for each in pair])


def people(seed: int, count: int, odd: int, writers: Writers):
    """Images (N, 784) and labels (N,) to train with, and a pair of both to validate with.

    The validation has MNIST's last training images and a quarter as many written ones.
    """
    rng = np.random.default_rng(seed)
    images, labels = mnist()
    own = (images[:-HELD_OUT], labels[:-HELD_OUT])
    train = [own, written(rng, count, writers), no_digits(rng, odd, *own, writers)]
    held = [(images[-HELD_OUT:], labels[-HELD_OUT:]), written(rng, HELD_OUT // 4, writers)]
    return tuple(
        tuple(np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
        for pairs in (train, held)
    )
