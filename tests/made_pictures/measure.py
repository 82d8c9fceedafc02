"""How many pictures of each scene are read right: what `benchmarks/pictures.py` prints."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from made_pictures.glyphs import LETTERS
from made_pictures.half import NOTHING, Half, digit, pick
from made_pictures.scenes import SCENES, made
from mnistgpu.backend import NUMPY
from mnistgpu.errors import DataError
from mnistgpu.models import calibration
from mnistgpu.pictures import answers
from mnistgpu.pictures.preparing import prepare

SURE = 0.9  # an answer of more is a sure one
# the seeds of the judging half: of those below, some were read before the steps were last changed
JUDGED = range(140, 180)


@dataclass
class Tally:
    """Counts of pictures of one scene."""

    count: int = 0
    right: int = 0  # of a picture of nothing: said that it shows no digit
    unsure: int = 0  # a single digit that was named as one of two
    refused: int = 0
    wrong: int = 0
    sure_and_wrong: int = 0  # of the wrong ones, those with a probability over SURE

    def add(self, other: Tally) -> None:
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def judged(shows: str, text: str | None, probability: float, unsure: bool) -> Tally:
    """The tally of one picture: `text` is the answer, or None for a refusal."""
    if text is None:
        nothing = shows == NOTHING
        return Tally(1, right=int(nothing), refused=int(not nothing))
    if unsure:
        return Tally(1, unsure=1)
    if text == shows:
        return Tally(1, right=1)
    return Tally(1, wrong=1, sure_and_wrong=int(probability > SURE))


def answered(trained, levels: np.ndarray, many: bool) -> tuple[str | None, float, bool]:
    """What the package answers to a picture: text or None, the probability, whether it is unsure.

    Of several digits the probability is the product, and a doubtful one does not count as unsure.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it.png"
        Image.fromarray(levels).save(path, compress_level=1)
        try:
            given = list(answers.answers(trained, [path], many=many))
        except DataError:
            return None, 0.0, False
    if not many:
        (answer,) = given
        if answer.status == "not a digit":
            return None, 0.0, False
        return str(answer.digit), answer.probability, answer.status == "unsure"
    sure = all(answer.status == answers.SURE for answer in given)
    probability = float(np.prod([answer.probability for answer in given])) if sure else 0.0
    return answers.as_text(given), probability, False


def scene_tally(trained, scene: str, half: Half, seeds: range) -> Tally:
    """How the pictures of a scene are read."""
    total = Tally()
    for seed in seeds:
        picture = made(scene, seed, half)
        total.add(judged(picture.shows, *answered(trained, picture.levels, picture.many)))
    return total


def table(trained, half: Half, seeds: range, scenes=tuple(SCENES)) -> dict[str, Tally]:
    """The tally of each scene."""
    return {scene: scene_tally(trained, scene, half, seeds) for scene in scenes}


def digits_of(writer, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, pixels) of digits, cropped and scaled, and their labels (count,).

    writer: chooses, by random numbers, who writes a digit.
    """
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 10, count)
    made_of = [prepare(writer(rng)(rng, str(label), 100)) for label in labels]
    return np.stack(made_of), labels


def images_of(half: Half, count: int) -> dict[str, np.ndarray]:
    """`count` images (count, pixels) of each kind: good digits, letters, scribbles, turned digits.

    They are cropped and scaled from glyphs of a half, without a photograph in between.
    """
    rng = np.random.default_rng(0)
    kinds = {
        "digits": lambda: half.writer(rng)(rng, digit(rng), 100),
        "letters": lambda: half.fonts(rng)(rng, pick(rng, LETTERS), 100),
        "scribbles": lambda: half.scribble(rng, 100),
        "turned": lambda: np.rot90(
            half.writer(rng)(rng, pick(rng, "23457"), 100), pick(rng, (1, 3))
        ),
    }
    return {kind: np.stack([prepare(make()) for _ in range(count)]) for kind, make in kinds.items()}


def energies(trained, half: Half, count: int) -> dict[str, np.ndarray]:
    """The energies of `count` images of each kind: see `images_of`."""
    return {
        kind: calibration.energy_of(answers.asked(trained, images, NUMPY))
        for kind, images in images_of(half, count).items()
    }


def thresholds(trained, half: Half, count: int = 400) -> str:
    """A table: how many good digits each threshold refuses, and how much else it lets through."""
    found = energies(trained, half, count)
    lines = ["| energy | good digits refused | letters | scribbles | turned digits let through |"]
    lines.append("|---|---|---|---|---|")
    for energy in (-3.5, -3.0, -2.75, -2.63, -2.5, -2.4):
        refused = np.mean(found["digits"] > energy)
        through = [np.mean(found[kind] <= energy) for kind in ("letters", "scribbles", "turned")]
        lines.append(f"| {energy} | " + " | ".join(f"{x:.1%}" for x in (refused, *through)) + " |")
    return "\n".join(lines)
