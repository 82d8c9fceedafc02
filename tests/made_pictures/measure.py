"""How many pictures of each scene are read right: what `benchmarks/pictures.py` prints."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from made_pictures.half import NOTHING, Half
from made_pictures.scenes import SCENES, made
from mnistgpu.errors import DataError
from mnistgpu.pictures import answers

SURE = 0.9  # an answer of more is a sure one


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
