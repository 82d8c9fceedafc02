"""A step of a recipe as `mnistgpu train --recipe NAME` takes it, and its matrix products alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine.inputs import Inputs
from mnistgpu.engine.trainer import Trainer
from mnistgpu.recipes import RECIPES
from speed import clock, peers
from speed.bounds import Products
from speed.modes import ALL, Mode
from speed.steps import Steps
from speed.tasks import mnist

DEFORMED, CLEAN = "a step with deformation", "a step of the clean ending"


def times(name: str, mode: Mode) -> tuple[dict[str, clock.Times], str]:
    """Seconds of a step and of its products, measured in turn; and a sentence about them.

    Blocks of steps begin with an epoch and end before its last batch, which is shorter than the
    others. If a recipe ends with undeformed images, both kinds of steps are measured, and the mean
    weights them by their share of the run.
    """
    settings = RECIPES[name].settings
    digits = mnist().train
    if mode.images < len(digits):
        digits = dataclasses.replace(
            digits, images=digits.images[: mode.images], labels=digits.labels[: mode.images]
        )
    training, _ = data.split(digits, settings.validation, settings.seed)
    trainer = Trainer(settings, training, NUMPY)
    per_epoch, ending = trainer.batches.per_epoch, settings.clean_ending
    middle = trainer.steps // per_epoch // 2 * per_epoch
    steps = Steps(trainer)
    few = min(16, per_epoch - 1)
    steps.take(middle, few)
    each = clock.stopwatch(lambda: steps.take(middle, few)) / few
    count = max(2, min(round(mode.block / each), per_epoch - 1))

    works: dict[str, Callable[[], object]] = {
        DEFORMED if ending else peers.THIS_PROJECT: lambda: steps.take(middle, count)
    }
    if ending:
        undeformed = math.ceil((1.0 - ending) * trainer.steps / per_epoch) * per_epoch
        works[CLEAN] = lambda: steps.take(undeformed, count)
    pixels = Inputs(training.images, settings, training.image_shape, trainer.theta).pixels
    sizes = (pixels, *settings.sizes[1:])
    m = settings.batch_size or len(training)
    products = Products(sizes, m)
    X = np.random.default_rng(0).random((m, pixels), dtype=np.float32)
    works[ALL] = lambda: [products.step(X) for _ in range(count)]
    found = clock.interleaved(works, mode.repeats, count)
    steps.close()

    note = f"Products of {'-'.join(map(str, sizes))} with {m} images, float32."
    if ending:
        found = {peers.THIS_PROJECT: weighted(found[DEFORMED], found[CLEAN], ending), **found}
        note += f" The mean is of {1 - ending:.0%} steps with deformation and {ending:.0%} without."
    return found, note


def weighted(first: clock.Times, second: clock.Times, share: float) -> clock.Times:
    """The mean of two times, the second with this share of the weight."""

    def mean(one: float, other: float) -> float:
        return (1.0 - share) * one + share * other

    return clock.Times(
        mean(first.median, second.median),
        mean(first.low, second.low),
        mean(first.high, second.high),
        first.repeats,
    )
