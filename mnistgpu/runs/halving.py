"""Successive halving: many settings for a few epochs, the best third for three times as many.

Jamieson and Talwalkar 2016 (arXiv:1502.07943). Each rung has as many epochs in all; the last is
one run. Candidates are drawn by a seed: the first is the one to begin with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mnistgpu import counter_rng
from mnistgpu.backend import NUMPY
from mnistgpu.maths.augment import preset
from mnistgpu.settings import Settings

THIRD = 3  # by which a rung has fewer runs, of more epochs
MOST_RUNGS = 5  # after the first: 243 candidates
LONGEST = 300  # epochs of the last run
WIDTHS = (0.5, 1.0, 2.0)
WIDEST = 2048
NOISES = (0.0, 0.15, 0.3)
RATES = 10.0  # the rate is at most so many times larger or smaller than the first
MOST_LOST = 0.9  # share of a weight that weight decay takes at a step
SEARCHED = ("learning_rate", "layers", "input_noise", "hidden_noise", "deformation")
MNIST_SIDE = 28  # whose pixels the lengths of a preset count


@dataclass(frozen=True)
class Rung:
    """How many candidates are trained for how many epochs."""

    candidates: int
    epochs: int

    def seconds(self, per_epoch: float, per_run: float = 0.0) -> float:
        """How long its runs take, if an epoch takes so many seconds and a run so many besides."""
        return self.candidates * (self.epochs * per_epoch + per_run)


def plan(seconds: float, per_epoch: float, per_run: float = 0.0) -> list[Rung]:
    """The rungs of a search of so many seconds, if an epoch of the first candidate takes so many.

    per_run: seconds that a run takes besides, such as for its beginning.
    [] if there is no time for three runs of one epoch and one of three.
    """
    for more in range(MOST_RUNGS, 0, -1):
        count = THIRD**more
        left = seconds - per_run * sum(THIRD**i for i in range(more + 1))
        epochs = math.floor(left / ((more + 1) * count * per_epoch))
        if epochs >= (2 if more > 1 else 1):
            epochs = min(epochs, math.ceil(LONGEST / count))
            return [Rung(count // THIRD**i, epochs * THIRD**i) for i in range(more + 1)]
    return []


def candidates(
    base: Settings, count: int, seed: int, fixed: Sequence[str], deforms: bool
) -> list[Settings]:
    """So many settings to try, of which the first is `base`.

    fixed: settings that are not searched. deforms: whether the rows are images to be deformed.
    """
    found, fastest = [base], math.inf
    if base.weight_decay > 0:  # at a step a share of each weight is lost, which must be below 1
        fastest = MOST_LOST / base.weight_decay
    first = counter_rng.fold_in(counter_rng.key(seed, like=NUMPY.asarray(0.0)), counter_rng.SPLIT)
    noises = [each for each in NOISES if each > 0 or base.denoising == 0]  # a decoder takes it away
    deforms = deforms and "deformation" not in fixed and base.consistency == 0  # which needs it
    for number in range(1, count):
        draw = counter_rng.uniforms(counter_rng.fold_in(first, number), (5,), "float64").tolist()
        changes: dict[str, Any] = {
            "learning_rate": round_to(
                min(base.learning_rate * RATES ** (2 * draw[0] - 1), fastest)
            ),
            "layers": widened(base.sizes, WIDTHS[int(len(WIDTHS) * draw[1])]),
            "input_noise": noises[int(len(noises) * draw[2])],
            "hidden_noise": NOISES[int(len(NOISES) * draw[3])],
        }
        changes = {name: value for name, value in changes.items() if name not in fixed}
        if deforms and draw[4] < 0.5:
            changes |= without_deformation() if base.deformation.is_deforming else scaled(base)
            if draw[4] < 0.25 and not base.deformation.is_deforming:
                changes["mirror"] = 0.5  # clothes, say, though not digits
        found.append(base.changed(**changes))
    return found


def round_to(value: float, digits: int = 2) -> float:
    """The value with so many digits."""
    return float(f"{value:.{digits - 1}e}")


def widened(sizes: Sequence[int], factor: float) -> str:
    """The layers with hidden ones of so many times as many units."""
    hidden = (max(8, min(WIDEST, round(n * factor))) for n in sizes[1:-1])
    return "-".join(map(str, (sizes[0], *hidden, sizes[-1])))


def scaled(base: Settings) -> dict[str, Any]:
    """The preset of deformations for images of another size than MNIST's."""
    side = math.sqrt(base.sizes[0])
    chosen = preset("strong")
    for name in ("shift", "elastic", "elastic_sigma"):
        chosen[name] = round_to(chosen[name] * side / MNIST_SIDE)
    return chosen | {"rotation_1_7": None}


def without_deformation() -> dict[str, Any]:
    """Settings that deform nothing."""
    limits = ("rotation", "scaling", "shear", "shift", "mirror", "elastic")
    return {**dict.fromkeys(limits, 0.0), "rotation_1_7": None}


def ranked(scores: Mapping[int, tuple[float, float]]) -> list[int]:
    """Candidates by accuracy and then by loss, the best first; (accuracy, loss) of each."""
    return sorted(scores, key=lambda each: (-scores[each][0], scores[each][1], each))
