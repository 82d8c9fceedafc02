"""A network's answers to pictures: the digit, its probability, and the second most probable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnistgpu import data
from mnistgpu.backend import NUMPY, Backend
from mnistgpu.data import levels
from mnistgpu.errors import Note, warn
from mnistgpu.pictures import images as pictures

if TYPE_CHECKING:
    from mnistgpu.models.committee import Committee
    from mnistgpu.models.model import Model


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to one image, with the image and the picture that it comes from."""

    name: str  # of the file, and the number of the image where the file holds several
    levels: np.ndarray  # (H, W) or (H, W, 3) uint8: the picture as it is
    box: tuple[int, int, int, int]  # of the digit in it: first row and column, and after the last
    image: np.ndarray  # (pixels,) uint8: the network's input
    probabilities: np.ndarray  # (classes,)
    classes: tuple[str | int, ...] = ()  # their names; () for digits, which name themselves

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

    def __repr__(self) -> str:
        return f"<Answer {self.sentence()}>"

    def sentence(self) -> str:
        """For a person: the digit and the second most probable one, with their probabilities."""
        first, second = self.ranked[:2]
        return (
            f"{self.name}: {self.name_of(first)} ({self.probabilities[first]:.1%}), "
            f"then {self.name_of(second)} ({self.probabilities[second]:.1%})"
        )

    def record(self) -> dict[str, object]:
        """For a program: a dictionary of JSON types."""
        first, second = (int(digit) for digit in self.ranked[:2])
        return {
            "image": self.name,
            "digit": self.name_of(first),
            "probability": round(float(self.probabilities[first]), 6),
            "runner_up": self.name_of(second),
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
        if pictures.is_picture(path):
            picture = (
                pictures.read_as_is(path, shape)
                if as_is
                else pictures.read_picture(path, shape, many)
            )
            images, boxes = picture.images, picture.boxes
            if as_is:
                own, _ = levels.applied(images, trained.levels, str(path), len(images))
                images = own.to_uint8(images)
        else:
            digits = data.load_digits(path, trained, trained.orientation)
            images = digits.images
            for note in digits.notes:
                warn(note, Note)
        probabilities = backend.to_numpy(trained.probabilities(images, backend))
        for i in range(len(images)):
            if pictures.is_picture(path):
                top, left, below, right = (int(edge) for edge in boxes[i])
                shown, box = picture.levels, (top, left, below, right)
            else:
                shown, box = images[i].reshape(shape), (0, 0, *shape)
            name = str(path) if len(images) == 1 else f"{path}[{i}]"
            yield Answer(name, shown, box, images[i], probabilities[:, i], trained.classes)


def as_json(given: list[Answer]) -> str:
    """The answers as a JSON array."""
    return json.dumps([answer.record() for answer in given], indent=1)
