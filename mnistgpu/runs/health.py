"""Signs that a network will not learn: numbers that are not finite, dead units, poor data.

What makes a run useless stops it (`check`); what makes it suspicious is a warning.
"""

from __future__ import annotations

import math

import numpy as np

from mnistgpu import data, network
from mnistgpu.backend import Array, Backend, array_namespace
from mnistgpu.data.classes import shown
from mnistgpu.data.mapped import pieces_of
from mnistgpu.engine.inputs import scale_of
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DivergedError
from mnistgpu.maths.optimizers import OPTIMIZERS
from mnistgpu.settings import Settings

DEAD = 0.9  # of a layer's units; a few dead ones are usual
SAMPLE = 1000  # images on which no unit may be dead
GUESSING = 0.02  # above the share of the most frequent class an accuracy is still that of guessing
MOSTLY = 0.5  # of the images: with more in one class, what it learns of the others is little
STEPS_JUDGED, FEWEST_JUDGED = 100, 20  # of a run that goes on, of a whole run
COMPARED = 2000  # images, spread evenly, whose nearest class means are looked for
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
        shorter = min(rate / 10, OPTIMIZERS[settings.optimizer].rate)
        cause = (
            f"the steps are too long; try --alpha {shorter:g} instead of {rate:g}, or --clip-norm 1"
        )
    return DivergedError(
        f"training diverged: {what} at iteration {iteration}, probably because {cause}"
    )


def of_data(digits: data.Digits) -> list[str]:
    """Warnings about digits from which little can be learnt."""
    warnings = []
    brightest = brightest_of(digits)
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


def brightest_of(digits: data.Digits) -> int:
    """The brightest pixel of grey levels, where all are below BRIGHT; BRIGHT of features."""
    if not is_grey(digits):
        return BRIGHT
    brightest = 0
    for piece in pieces_of(digits.images):
        brightest = max(brightest, int(np.max(piece)))
        if brightest >= BRIGHT:
            break
    return brightest


def is_grey(digits: data.Digits) -> bool:
    """Whether these are images with grey levels, and not rows of features."""
    return bool(digits.images.dtype == np.uint8)


def of_outputs(digits: data.Digits, outputs: int) -> list[str]:
    """A warning about outputs of the network that no image of the training set belongs to."""
    counts = np.bincount(np.asarray(digits.labels), minlength=outputs)
    missing, present = np.flatnonzero(counts == 0), np.count_nonzero(counts)
    if len(missing) == 0 or present == 1:  # of which `of_data` warns
        return []
    return [
        f"{digits.source}: {len(missing)} of the {outputs} outputs have no image to learn from "
        f"({shown(missing.tolist())}), so they are never the answer; add images, or end --layers "
        f"with {present}"
    ]


def of_learning(
    accuracy: float, seen: int, digits: data.Digits, settings: Settings, dead: bool
) -> list[str]:
    """A warning, with the likely cause, about an accuracy that is that of guessing.

    accuracy: the share of right answers to the last `seen` training images. dead: whether most
    units of a layer are dead.
    """
    counts = np.bincount(np.asarray(digits.labels))
    most = float(counts.max()) / len(digits)
    if np.count_nonzero(counts) == 1 or accuracy > most + margin(most, seen):
        return []
    if most > MOSTLY and accuracy < most - margin(most, seen):
        return []  # it answers other classes too, as it learns where rare ones count more
    rate, customary = settings.learning_rate, OPTIMIZERS[settings.optimizer].rate
    right, count = by_class_means(digits)
    chance = 1.0 / np.count_nonzero(counts)
    if dead:
        cause = "units are dead; see the warning about them"
    elif brightest_of(digits) < BRIGHT:
        cause = "the images are nearly blank; scale them to 0 (paper) to 255 (ink)"
    elif right <= chance + margin(chance, count):
        cause = (
            "the labels look shuffled: images of one label are no more alike than others; check "
            "that images and labels are in the same order"
        )
    elif most > MOSTLY:
        cause = "most of the images are of one class; try --class-weight balanced"
    elif rate > customary:
        cause = f"the learning rate is high for {settings.optimizer}; try --alpha {customary:g}"
    else:
        higher = max(customary, 10 * rate)
        cause = f"the learning rate is low, or the run short; try --alpha {higher:g} or more epochs"
    return [
        f"the accuracy is that of guessing ({accuracy:.1%}, the most frequent class has "
        f"{most:.1%}), probably because {cause}"
    ]


def margin(share: float, count: float) -> float:
    """How far above the share of right guesses an accuracy on so many images may be by chance."""
    return max(GUESSING, 3.0 * math.sqrt(share * (1.0 - share) / count))


def by_class_means(digits: data.Digits) -> tuple[float, float]:
    """The accuracy of the nearest class mean, and on how many images it was measured.

    It is measured on every second of some images, with the means of the others: chance, if labels
    do not belong to their images. Each class counts alike, however many images it has; the number
    is that of images in equal classes from which the accuracy would be known as well.
    """
    some = slice(None, None, max(1, len(digits) // COMPARED))
    images = digits.images[some].astype(np.float32)
    labels = np.asarray(digits.labels)[some]
    own, other = slice(0, None, 2), slice(1, None, 2)
    present = np.unique(labels[own])
    means = np.stack([images[own][labels[own] == each].mean(axis=0) for each in present])
    # the nearest mean m has the smallest |x - m|^2 - |x|^2 = |m|^2 - 2 x m
    distances = (means * means).sum(axis=1) - 2.0 * images[other] @ means.T
    right = present[np.argmin(distances, axis=1)] == labels[other]
    if not len(right):
        return 1.0, 1
    _, place, images_of = np.unique(labels[other], return_inverse=True, return_counts=True)
    shares = np.bincount(place, right) / images_of
    return float(shares.mean()), len(shares) ** 2 / float(np.sum(1.0 / images_of))


def of_units(theta: Array, settings: Settings, digits: data.Digits, backend: Backend) -> list[str]:
    """Warnings about hidden layers whose ReLU units are nearly all 0 for every image."""
    if settings.activation != "relu":
        return []
    images = backend.asarray(digits.images[:SAMPLE])
    X = backend.xp.astype(images, theta.dtype) * scale_of(images)
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
