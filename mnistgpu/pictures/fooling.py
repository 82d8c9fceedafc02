"""The smallest change of an image's pixels by which a network takes its digit for another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistgpu import counter_rng
from mnistgpu.backend import NUMPY
from mnistgpu.models.model import Model
from mnistgpu.pictures.explain import input_gradient


@dataclass(frozen=True, eq=False)
class Fooled:
    """An image that the network reads right, and one next to it that it takes for another digit.

    image, changed, at_random: (pixels,) uint8. No pixel differs from the image by more than `step`
    of the 255 grey levels; in `at_random` each is darker or lighter by chance.
    before: the probability of the digit. after: that of the other one, for `changed`. by_chance:
    that of the digit, for `at_random`.
    """

    image: np.ndarray
    changed: np.ndarray
    at_random: np.ndarray
    step: int
    before: float
    after: float
    by_chance: float


def fooled(trained: Model, image: np.ndarray, digit: int, other: int) -> Fooled | None:
    """The image (pixels,) uint8 with every pixel a little darker or lighter, so that the network
    finds `other` more probable than all other answers together; None if no such change does.

    Every pixel goes by the same step in the direction of the sign of the gradient of the log-odds
    of `other` against `digit` (Goodfellow et al. 2015, "Explaining and Harnessing Adversarial
    Examples", section 4), and the smallest of the steps 1 to 255 that does it is taken.
    """
    direction = np.sign(input_gradient(trained, image / 255.0, other, digit)).astype(np.int64)
    steps = np.arange(1, 256)
    changed = np.clip(image + steps[:, None] * direction, 0, 255).astype(np.uint8)
    enough = trained.probabilities(changed)[other] > 0.5
    if not enough.any():
        return None
    at = int(np.argmax(enough))
    key = counter_rng.key(0, like=NUMPY.asarray(0.0))
    signs = np.where(counter_rng.uniforms(key, (len(image),), "float32") < 0.5, -1, 1)
    at_random = np.clip(image + steps[at] * signs, 0, 255).astype(np.uint8)
    images = np.stack([image, changed[at], at_random])
    before, after, by_chance = trained.probabilities(images).T
    return Fooled(
        image,
        changed[at],
        at_random,
        int(steps[at]),
        float(before[digit]),
        float(after[other]),
        float(by_chance[digit]),
    )
