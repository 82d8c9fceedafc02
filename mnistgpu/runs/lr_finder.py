"""Find a learning rate: a short run in which it grows with every step (Smith 2017, 3.3).

The loss is steady at first, then falls, then explodes. The suggestion is a third of the rate at
which the smoothed loss was lowest: there the loss still falls fast, and is far from exploding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnistgpu import data
from mnistgpu.backend import Backend
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DivergedError, RunError
from mnistgpu.runs.checks import check_fit
from mnistgpu.settings import Settings

FEWEST = 10  # steps
SMOOTHING = 0.9
EXPLODED = 4.0  # times the lowest loss so far


@dataclass(frozen=True)
class Curve:
    """Learning rates tried, the smoothed loss at each, and the rate suggested."""

    rates: list[float]
    losses: list[float]
    suggestion: float


def find(
    settings: Settings,
    dataset: data.Dataset,
    backend: Backend,
    lowest: float = 1e-5,
    highest: float = 10.0,
    steps: int = 100,
    start: np.ndarray | None = None,
) -> Curve:
    """Train for up to `steps` steps while the rate grows from lowest to highest, by one factor.

    start: the parameters to begin with, as for `training.train`.
    Raises DivergedError if the loss is not finite at the lowest rate, RunError if it is lowest at
    an end of the range, since then a rate beyond that end may be better.
    """
    check_fit(settings, dataset)
    training, _ = data.split(dataset.train, settings.validation, settings.seed)
    rising = settings.changed(
        iterations=steps, schedule="constant", warmup=0.0, early_stopping=None, clean_ending=0.0
    )
    trainer = Trainer(rising, training, backend, start=start)
    rates: list[float] = []
    losses: list[float] = []
    running = 0.0
    # an overflow ends the search and needs no warning
    with (
        np.errstate(over="ignore", invalid="ignore"),
        trainer.engine.running(),
        stepping(trainer) as take,
    ):
        for step in range(steps):
            rate = lowest * (highest / lowest) ** (step / max(1, steps - 1))
            total, _, count = take(rate)
            loss: Any = float(total) / count
            if not math.isfinite(loss):
                break
            running = SMOOTHING * running + (1 - SMOOTHING) * loss
            smooth = running / (1 - SMOOTHING ** (step + 1))
            if losses and smooth > EXPLODED * min(losses):
                break
            rates.append(rate)
            losses.append(smooth)
    if not rates:
        raise DivergedError(
            f"the loss is not a finite number at a learning rate of {lowest:g} already, before the "
            "network has learnt anything; try --init he, or fewer and narrower layers"
        )
    best = losses.index(min(losses))
    if best in (0, len(losses) - 1):
        only = "grows" if best == 0 else "falls"
        raise RunError(
            f"the loss only {only} from a learning rate of {rates[0]:.2g} to {rates[-1]:.2g}, so "
            "no rate can be suggested; try another --init, --optimizer or more --steps"
        )
    return Curve(rates, losses, rates[best] / 3)
