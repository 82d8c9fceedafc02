"""A network's answers to pictures: the digit, its probability, and whether it can be believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnistgpu import data
from mnistgpu.backend import NUMPY, Array, Backend
from mnistgpu.data import levels
from mnistgpu.errors import Note, warn
from mnistgpu.models.calibration import energy_of
from mnistgpu.pictures import decode, images

if TYPE_CHECKING:
    from mnistgpu.models.committee import Committee
    from mnistgpu.models.model import Model
    from mnistgpu.pictures.images import Picture

SURE, UNSURE, NO_DIGIT = "sure", "unsure", "not a digit"
DOUBT = 0.7  # a digit less probable than this is unsure
NEARLY = 0.7  # of energy below the threshold: there an image begins to be unlike a digit
BELIEVED = 0.02  # the most that an image unlike the training's counts when numbers are cut


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to one image, with the image and the picture that it comes from."""

    name: str  # of the file, and the number of the image where the file holds several
    levels: np.ndarray  # (H, W) or (H, W, 3) uint8: the picture as it is
    box: tuple[int, int, int, int]  # of the digit in it: first row and column, and after the last
    image: np.ndarray  # (pixels,) uint8: the network's input
    probabilities: np.ndarray  # (classes,), calibrated if the model is; with the doubt of the cut
    classes: tuple[str | int, ...] = ()  # their names; () for digits, which name themselves
    status: str = SURE  # or UNSURE, or NO_DIGIT
    before: str = ""  # what stands between the digit before and this: a blank, a slash, a new line
    is_cut: bool = False  # whether the edge of the picture cuts its ink
    picture: Picture | None = None  # the sheet and what was taken away from it
    whole: float = 1.0  # how probable it is that this is one digit, and all of it

    @property
    def ranked(self) -> np.ndarray:
        """The classes, the most probable first: (classes,)."""
        return np.argsort(-self.probabilities, kind="stable")

    @property
    def digit(self) -> str | int:
        """The most probable class, by its name."""
        return self.name_of(self.ranked[0])

    @property
    def probability(self) -> float:
        """The probability of `digit`."""
        return float(self.probabilities[self.ranked[0]])

    def name_of(self, number: int) -> str | int:
        """The name of a class."""
        return self.classes[number] if self.classes else int(number)

    @property
    def why(self) -> str:
        """Why it is not a digit, and what may be done."""
        if self.is_cut:
            return "one shape that the picture's edge cuts: crop the picture to the paper"
        return "looks like nothing in the network's training"

    def __repr__(self) -> str:
        return f"<Answer {self.sentence()}>"

    def sentence(self) -> str:
        """For a person: the digit and the second most probable one, with their probabilities."""
        if self.status == NO_DIGIT:
            what = "none of the classes" if self.classes else NO_DIGIT
            return f"{self.name}: {what} ({self.why})"
        first, second = (
            f"{self.name_of(k)} ({self.probabilities[k]:.1%})" for k in self.ranked[:2]
        )
        if self.status == UNSURE and self.whole < DOUBT:
            return f"{self.name}: unsure: {first}, if this is one whole digit; see --explain"
        if self.status == UNSURE:
            return f"{self.name}: unsure: {first} or {second}; see --explain"
        return f"{self.name}: {first}, then {second}"

    def record(self) -> dict[str, object]:
        """For a program: a dictionary of JSON types."""
        first, second = (int(digit) for digit in self.ranked[:2])
        return {
            "image": self.name,
            "status": self.status,
            "digit": self.name_of(first),
            "probability": round(float(self.probabilities[first]), 6),
            "runner_up": self.name_of(second),
            "before": self.before,
            "probabilities": [round(float(p), 6) for p in self.probabilities],
        }


def answers(
    trained: Model | Committee,
    paths: list[Path],
    backend: Backend = NUMPY,
    many: bool = False,
    as_is: bool = False,
) -> Iterator[Answer]:
    """The answer to each image of each file, in order.

    many: a picture may show several digits. as_is: pictures are already images of the network's
    kind, and are not searched for a digit. DataError for a file that cannot be read, or a picture
    without a digit.
    """
    shape = trained.image_shape
    for path in paths:
        picture = None
        if not decode.is_picture(path):
            digits = data.load_digits(path, trained, trained.orientation)
            found = digits.images
            for note in digits.notes:
                warn(note, Note)
        else:
            if as_is:
                picture = images.read_as_is(path, shape)
            else:
                picture = images.read_picture(path, shape, many, belief(trained, backend))
            found = picture.images
            if as_is:
                own, _ = levels.applied(found, trained.levels, str(path), len(found))
                found = own.to_uint8(found)
        probabilities, known = judged(trained, found, backend, copied=picture is not None)
        for i, image in enumerate(found):
            shown, box, before, cut = image.reshape(shape), (0, 0, *shape), "", False
            shares, whole = probabilities[:, i], 1.0
            if picture is not None:
                top, left, below, right = (int(edge) for edge in picture.boxes[i])
                shown, box, before = picture.levels, (top, left, below, right), picture.before[i]
                cut = picture.cut is not None and bool(picture.cut[i])
                if picture.whole is not None:
                    whole = float(picture.whole[i])
                    shares = whole * shares + (1.0 - whole) / len(shares)
            name = str(path) if len(found) == 1 else f"{path}[{i}]"
            status = SURE if shares.max() >= DOUBT else UNSURE
            if not known[i]:
                status = NO_DIGIT
            yield Answer(
                name,
                shown,
                box,
                image,
                shares,
                trained.classes,
                status,
                before,
                cut,
                picture,
                whole,
            )


def judged(
    trained: Model | Committee, found: np.ndarray, backend: Backend, copied: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities (classes, N) of images (N, pixels); which are like the training's.

    copied: whether they are the means over the copies of the calibration: see `asked`. Without a
    calibration they are the network's own, and all images count as known.
    """
    own = asked(trained, found, backend) if copied else trained.probabilities(found, backend)
    own = backend.to_numpy(own)
    calibration = getattr(trained, "calibration", None)
    if calibration is None:
        return own, np.ones(len(found), dtype=bool)
    return calibration.calibrated(own), ~calibration.unknown(own)


def asked(trained: Model | Committee, found: np.ndarray, backend: Backend) -> Array:
    """Probabilities (classes, N) of images (N, pixels), not calibrated.

    They are averaged over as many deformed copies of each image as the calibration says.
    """
    from mnistgpu.models.committee import Committee, averaged

    calibration = getattr(trained, "calibration", None)
    if calibration is None or calibration.copies == 0:
        return trained.probabilities(found, backend)
    if isinstance(trained, Committee):
        maps = max(trained.maps, calibration.copies)
        return replace(trained, maps=maps).probabilities(found, backend)
    return averaged(trained, found, backend, calibration.copies)


def belief(trained: Model | Committee, backend: Backend) -> Callable[[np.ndarray], np.ndarray]:
    """How far the network believes that each of several images is a digit: for `numbers`.

    Near the energy above which an image is no digit the belief falls steadily: a piece of a digit
    that is cut is often just below it.
    """
    calibration = getattr(trained, "calibration", None)

    def believe(found: np.ndarray) -> np.ndarray:
        own = backend.to_numpy(asked(trained, found, backend))
        if calibration is None:
            return np.asarray(own.max(axis=0))
        most: np.ndarray = calibration.calibrated(own).max(axis=0)
        over = (energy_of(own) - calibration.energy) / NEARLY + 1.0
        believed: np.ndarray = most * BELIEVED ** np.clip(over, 0.0, 1.0)
        return believed

    return believe


def as_text(given: list[Answer]) -> str:
    """The answers as they were written: digits and what stands between them; "?" for no digit."""
    return "".join(
        answer.before + ("?" if answer.status == NO_DIGIT else str(answer.digit))
        for answer in given
    )


def as_lines(given: list[Answer]) -> list[str]:
    """The answers of one file for a person.

    A sentence for each; of several digits in one picture the number as it is written, and a
    sentence for each digit of it that is not sure.
    """
    if len(given) < 2 or given[0].picture is None:
        return [answer.sentence() for answer in given]
    name = given[0].name.removesuffix("[0]")
    text = as_text(given).replace("\n", f"\n{name}: ")
    doubtful = [answer.sentence() for answer in given if answer.status != SURE]
    return [f"{name}: {text}", *doubtful]


def as_json(given: list[Answer]) -> str:
    """The answers as a JSON array."""
    return json.dumps([answer.record() for answer in given], indent=1)
