"""Grey levels: which value is paper and which is ink, in what people have.

Here images are always uint8, 0 for paper and 255 for ink. Elsewhere they are also floats from 0 to
1, integers from 0 to 16 (scikit-learn's digits), 0 and 1, or white paper with dark ink.
`recognised` finds that out for a whole training set, `applied` uses it for images that come later.
Nothing is guessed from a few images: one image may be all ink, or nearly blank.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from mnistgpu.backend import Array, array_namespace
from mnistgpu.errors import DataError

RECOGNISED = "grey levels are read as"  # in what is said of them
FEWEST = 100  # images from which a scale or an orientation is recognised
SAMPLE = 2000  # images, spread evenly, whose share of bright pixels is counted
WHITE = 0.6  # share of bright pixels, of all and at the border, from which paper is bright
DEEP = (1023, 4095, 65535)  # the largest values of pictures with 10, 12 and 16 bits
BLOCK = 1024  # images converted at once, which bounds the memory


class Levels(NamedTuple):
    """The values of paper and of ink: (0, 255) here, (0, 1) of floats, (255, 0) of white paper."""

    paper: float = 0
    ink: float = 255

    def __str__(self) -> str:
        return f"{self.paper:g} (paper) to {self.ink:g} (ink)"

    @property
    def top(self) -> float:
        """The value of what is brightest: of ink, or of white paper."""
        return max(self.paper, self.ink)

    @property
    def is_white(self) -> bool:
        """Whether paper is brighter than ink."""
        return self.paper > self.ink

    def to_uint8(self, values: Array) -> Array:
        """Values from paper to ink as uint8 from 0 to 255, rounded; uint8 of (0, 255) unchanged."""
        xp = array_namespace(values)
        if values.dtype == np.uint8:
            if self == OURS:
                return xp.ascontiguousarray(values)
            table = np.clip(self.scaled(np.arange(256)), 0, 255).astype(np.uint8)
            return xp.asarray(table)[values]
        levels = xp.empty(values.shape, dtype=np.uint8)
        for start in range(0, len(values), BLOCK):
            levels[start : start + BLOCK] = self.scaled(values[start : start + BLOCK])
        return levels

    def scaled(self, values: Array) -> Array:
        """Values as whole numbers, 0 where they are paper and 255 where they are ink.

        In float64 whatever their type is, so that the same values give the same images.
        """
        return ((values.astype(np.float64) - self.paper) * self.factor).round()

    def kept(self, kind: np.dtype[Any]) -> Levels:
        """What is saved of levels of values of a type: bools and floats up to 1 tell their scale.

        So a network that was trained on floats from 0 to 1 takes integers from 0 to 255 too.
        """
        if self.top == 1 and kind.kind in "bf":
            return Levels(255, 0) if self.is_white else OURS
        return self

    @property
    def factor(self) -> float:
        """255 divided by the distance of ink from paper."""
        return 255 / (self.ink - self.paper)


OURS = Levels()


def recognised(values: Array, name: str, count: int) -> Levels:
    """The levels of a training set (N, H, W) of `count` images, of any numeric type.

    Of at least FEWEST images the brightest value is full ink (of 128 to 255 it is 255, of 0.5 to 1
    it is 1), or paper where most pixels are bright. Of fewer images integers are from 0 to 255, and
    floats from 0 to 1.
    Raises DataError for nan, infinity, negative values and other ranges; `name` names the values.
    """
    if values.dtype == np.uint8 and count < FEWEST:
        return OURS
    high = highest(values, name)
    if values.dtype == np.bool_:
        top: float = 1
    elif count < FEWEST:
        top = usual_top(values, high, name)
    else:
        top = top_of_set(values, high, name)
    if count >= FEWEST and is_white(values, top):
        return Levels(top, 0)
    return Levels(0, top)


def applied(values: Array, levels: Levels, name: str, count: int) -> tuple[Levels, tuple[str, ...]]:
    """The levels of images (N, H, W) for a network that was trained on `levels`, and what to say.

    They are those of the training; but bools are 0 and 1, floats that do not exceed 1 are from 0 to
    1, and values beyond those of the training are from 0 to 255 if they fit. uint8 from 0 to 255
    are not looked at, unless there are FEWEST images or more.
    Raises DataError for nan, infinity, negative values, and values of another range.
    """
    if values.dtype == np.uint8 and levels == OURS and count < FEWEST:
        return levels, ()
    high = highest(values, name)
    top = top_for(values, high, levels.top)
    if top is None or (count >= FEWEST and 0 < high <= top / 8):
        raise DataError(
            f"{name}: {kind(values)} up to {high:g}, but this network was trained on values from "
            f"{levels}; divide them by the value of "
            f"{'white paper' if levels.is_white else 'full ink'}, so that they are floats from 0 "
            "to 1"
        )
    found = Levels(top, 0) if levels.is_white else Levels(0, top)
    notes = [] if top == levels.top else [sentence(found, name)]
    if count >= FEWEST:
        if 0 < high < top / 2:
            notes.append(
                f"{name}: the brightest value of {count:,} images is {high:g}, but the network was "
                f"trained on values from {levels}: its answers may be wrong"
            )
        if is_white(values, top) != found.is_white:
            kinds = ("light ink on dark paper", "dark ink on light paper")
            notes.append(
                f"{name}: most images show {kinds[not found.is_white]}, but the network was "
                f"trained on {kinds[found.is_white]}: its answers may be wrong; give {top:g} - X "
                "to exchange the two"
            )
    return found, tuple(notes)


def top_for(values: Array, high: float, trained: float) -> float | None:
    """The largest value of the scale of values up to `high`; None if it cannot be told.

    trained: the largest value of the scale that the network was trained on.
    """
    if values.dtype == np.bool_:
        return 1
    if values.dtype.kind == "f":
        if trained / 2 < high <= above(trained):
            return trained
        if high <= above(1):
            return 1
    else:
        if values.dtype == np.uint8:
            trained = min(trained, 255)
        elif high == 1 < trained:  # 0 and 1 for paper and ink, perhaps
            return None
        if high <= trained:
            return trained
    return 255 if 128 <= high <= 255 else None


def sentence(levels: Levels, name: str) -> str:
    """What is said of levels that are not those of this program."""
    return f"{name}: {RECOGNISED} {levels}"


def highest(values: Array, name: str) -> float:
    """The largest value, or any over 127 of uint8; DataError if one is negative or not finite."""
    if values.dtype.kind not in "biuf":
        raise DataError(
            f"{name}: grey levels must be numbers, such as integers from 0 to 255 or floats from 0 "
            f"to 1, not {values.dtype}"
        )
    if values.dtype == np.uint8:  # whose scale a few bright pixels tell
        seen = int(sample(values).max())
        return float(seen if seen >= 128 else values.max())
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise DataError(
            f"{name}: holds nan or infinity; replace them, for example with np.nan_to_num(X, "
            "posinf=0, neginf=0)"
        )
    if low < -(above(1) - 1):
        raise DataError(
            f"{name}: {kind(values)} from {low:g} to {high:g}, but grey levels are not negative: "
            f"{of_negative(low, high)}"
        )
    return high


def of_negative(low: float, high: float) -> str:
    """The mend for values that were standardised, in a customary way if they look so."""
    if abs(low + 1) < 0.01 and high <= above(1):
        return "give (X + 1) / 2, which is from 0 to 1"
    if abs(low + 0.4242) < 0.001 and high <= 2.83:
        return "give X * 0.3081 + 0.1307, which is from 0 to 1 again"
    return "scale them to 0 to 1, or give them as they were before they were standardised"


def usual_top(values: Array, high: float, name: str) -> float:
    """The largest value of the usual scale of a type; DataError for values beyond it."""
    floats = values.dtype.kind == "f"
    top = 1 if floats and high <= above(1) else 255
    if high > 255 or (floats and above(1) < high < 128):
        mend = "divide them by the value of full ink"
        if high in DEEP or high == 16:
            mend = f"divide them by {high:g}"
        raise DataError(
            f"{name}: {kind(values)} up to {high:g}, but grey levels are integers from 0 (paper) "
            f"to 255 (ink), or floats from 0 to 1: {mend}"
        )
    return top


def top_of_set(values: Array, high: float, name: str) -> float:
    """The value of full ink (or white paper) in a whole set, from its brightest value."""
    if high == 0:
        return 255
    if values.dtype.kind == "f" and high <= above(1):
        return 1 if high >= 0.5 else high
    if high <= 255:
        return 255 if high >= 128 else high
    for top in DEEP:
        if 0.9 * top <= high <= top:
            return top
    raise DataError(
        f"{name}: {kind(values)} up to {high:g}, but grey levels reach from 0 to 1, 255 or another "
        "customary value; divide them by the value of full ink, so that they are from 0 to 1"
    )


def sample(values: Array) -> Array:
    """Some of the images, spread evenly."""
    return values[:: max(1, len(values) // SAMPLE)]


def is_white(values: Array, top: float) -> bool:
    """Whether most pixels, and most at the border, are bright in a whole set (N, H, W)."""
    some = sample(values) > top / 2
    if float(some.mean()) <= WHITE:
        return False
    edges = (some[:, 0], some[:, -1], some[:, :, 0], some[:, :, -1])
    return sum(float(edge.mean()) for edge in edges) / len(edges) > WHITE


def kind(values: Array) -> str:
    """What the values are, for messages."""
    return "floats" if values.dtype.kind == "f" else "integers"


def above(top: float) -> float:
    """The largest value that rounding takes for `top`: less than half a grey level above it."""
    return top * (1 + 1 / 512)
