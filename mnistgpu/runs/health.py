"""Signs that a network will not learn: numbers that are not finite, dead units, poor data.

What makes a run useless stops it (`check`); what makes it suspicious is a warning.
"""

from __future__ import annotations

import math

import numpy as np

from mnistgpu import data, network
from mnistgpu.backend import Array, Backend, array_namespace
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DivergedError
from mnistgpu.settings import Settings

DEAD = 0.9  # of a layer's units; a few dead ones are usual
SAMPLE = 1000  # images on which no unit may be dead
CUSTOMARY = {"adam": 0.001}  # learning rates to try first; 0.1 for other optimisers
BRIGHT = 128  # the brightest pixel of images with 0 for paper and 255 for ink is over this


def check(loss: Array, seen: int, theta: Array, iteration: int, settings: Settings) -> float:
    """The mean of a sum of losses; DivergedError unless it and theta are finite. A sync point."""
    xp = array_namespace(theta)
    total = float(loss + xp.sum(theta * 0.0))  # 0 times what is not finite is nan: one sync, not 2
    if not math.isfinite(total):
        what = f"the loss is {float(loss) / seen}"
        if math.isfinite(float(loss)):
            what = "the parameters are no longer finite numbers"
        raise diverged(what, iteration, settings)
    return total / seen


def check_range(trainer: Trainer) -> None:
    """DivergedError if a number of the steps so far has left the range of the arithmetic.

    A sync point.
    """
    if what := trainer.out_of_range():
        raise diverged(what, trainer.taken, trainer.settings)


def check_finite(theta: Array, iteration: int, settings: Settings) -> None:
    """DivergedError unless the parameters to predict with are finite. A sync point.

    They may overflow although the trained ones are finite: when they are averaged, or divided by
    the standard deviations of batch normalisation.
    """
    xp = array_namespace(theta)
    if not bool(xp.all(xp.isfinite(theta))):
        raise diverged("the final parameters are not finite numbers", iteration, settings)


def diverged(what: str, iteration: int, settings: Settings) -> DivergedError:
    """The error of a run whose numbers have overflown, with the probable cause."""
    if iteration == 1 and max(settings.input_noise, settings.hidden_noise) > 10:
        cause = (
            "of the noise, for pixels are scaled to 0 to 1; try --input-noise 0.3 "
            "--hidden-noise 0.3"
        )
    else:
        rate = settings.learning_rate
        shorter = min(rate / 10, CUSTOMARY.get(settings.optimizer, 0.1))
        cause = (
            f"the steps are too long; try --alpha {shorter:g} instead of {rate:g}, or --clip-norm 1"
        )
    return DivergedError(
        f"training diverged: {what} at iteration {iteration}, probably because {cause}"
    )


def of_data(digits: data.Digits) -> list[str]:
    """Warnings about digits from which little can be learnt."""
    warnings = []
    brightest = int(np.max(digits.images))
    if brightest < BRIGHT:
        warnings.append(
            f"{digits.source}: the brightest pixel is {brightest}, where ink should be 255: pixels "
            "are divided by 255, so these are nearly blank; scale them to 0 to 255"
        )
    labels = np.asarray(digits.labels)
    if np.all(labels == labels[0]):
        warnings.append(
            f"{digits.source}: all {len(digits):,} labels are {labels[0]}: a network learns to "
            "answer that for every image; add images of the other classes"
        )
    return warnings


def of_units(theta: Array, settings: Settings, digits: data.Digits, backend: Backend) -> list[str]:
    """Warnings about hidden layers whose ReLU units are nearly all 0 for every image."""
    if settings.activation != "relu":
        return []
    images = backend.asarray(digits.images[:SAMPLE])
    X = backend.xp.astype(images, theta.dtype) / 255.0
    A, _ = network.forward(network.layers(theta, settings.sizes), X.T)
    warnings = []
    for layer, hidden in enumerate(A[1:-1], 1):
        dead = int(np.sum(backend.to_numpy(backend.xp.max(hidden, axis=1)) == 0))
        if dead > DEAD * hidden.shape[0]:
            warnings.append(
                f"{dead} of {hidden.shape[0]} units of hidden layer {layer} are dead (0 for all of "
                f"{images.shape[0]:,} images), and dead units no longer learn; try a smaller "
                f"--alpha than {settings.learning_rate:g}, or --init he"
            )
    return warnings
