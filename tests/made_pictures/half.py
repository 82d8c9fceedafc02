"""What a half of the set is made of, and what a picture is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from made_pictures import camera
from made_pictures.camera import Colour, Sheet
from made_pictures.glyphs import Writer

HEIGHT, WIDTH = 720, 960  # of a photograph, in pixels
NOTHING = "nothing"  # what a picture shows that has no digit


@dataclass(frozen=True)
class Half:
    """What one half of the set is made of, and no scene of the other half."""

    name: str
    pens: Callable[[np.random.Generator], Writer]  # a hand with a pen: digits alone
    fonts: Callable[[np.random.Generator], Writer]  # digits and letters
    images: Callable[[np.random.Generator], Writer]  # enlarged images of a data set: digits alone
    mnist: np.ndarray  # (N, 28, 28) uint8
    mnist_labels: np.ndarray
    scribble: Callable[[np.random.Generator, int], np.ndarray]
    papers: tuple[Colour, ...]
    inks: tuple[Colour, ...]
    rules: tuple[Colour, ...]  # colours of printed lines
    tables: tuple[Callable[[np.random.Generator, int, int], np.ndarray], ...]
    lights: tuple[Callable[[np.random.Generator, int, int], np.ndarray], ...]
    shadows: tuple[Callable[[np.random.Generator, int, int], np.ndarray], ...]

    def writer(self, rng: np.random.Generator) -> Writer:
        """Half of all digits are written with a pen, the others come from fonts and data sets."""
        kind = rng.choice(["pens", "fonts", "images"], p=[0.5, 0.2, 0.3])
        return getattr(self, kind)(rng)


@dataclass(frozen=True)
class Made:
    """A picture, what it shows ("7", "03/12", NOTHING), and whether several digits are allowed."""

    levels: np.ndarray  # (H, W) or (H, W, 3) uint8
    shows: str
    many: bool = False


def pick(rng: np.random.Generator, choices):
    """One of the choices."""
    return choices[rng.integers(len(choices))]


def digit(rng: np.random.Generator) -> str:
    return str(rng.integers(10))


def sheet_of(rng, half: Half, height=HEIGHT, width=WIDTH) -> Sheet:
    return Sheet.blank(height, width, pick(rng, half.papers), pick(rng, half.inks))


def photo(rng, half: Half, colours, shadow: bool = False) -> np.ndarray:
    kinds = half.shadows if shadow else half.lights
    return camera.taken(rng, colours, pick(rng, kinds)(rng, *colours.shape[:2]))
