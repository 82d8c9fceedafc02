"""What losses without labels are for, in small: 2,000 images, and minutes less."""

import math

import numpy as np
import pytest

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.data import Dataset, Digits
from mnistgpu.maths.augment import preset
from mnistgpu.recipes import RECIPES
from mnistgpu.runs import training

JUDGED = 5000
QUIET = {"denoising": 0.0, "input_noise": 0.0, "hidden_noise": 0.0}
LOSSES = {"denoising": {}, "adversarial": QUIET | {"adversarial": 2.0}}
FEW = RECIPES["few"].settings
OF_FEW = {"information": FEW.information, "consistency": FEW.consistency}
OF_FEW |= QUIET | preset("strong")


def accuracy(train, **changes):
    """On 5,000 other training images, of a small network with the recipe's other settings."""
    every = data.load().train
    part = slice(20_000, 20_000 + JUDGED)
    test = Digits(every.images[part], every.labels[part], "other training images")
    settings = RECIPES["pure"].settings.changed(
        layers="784-200-100-10", batch_size=100, epochs=20, learning_rate=0.003
    )
    settings = settings.changed(**changes)
    return training.train(settings, Dataset(train, test, "x"), NUMPY).results["test_accuracy"]


def standard_error(*accuracies):
    """Of the difference of two accuracies."""
    return math.sqrt(sum(p * (1 - p) / JUDGED for p in accuracies))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "epochs"), [("adversarial", 20), ("denoising", 60)])
def test_the_loss_of_pure_beats_the_same_without_it(digits, name, epochs):
    train = Digits(*digits, "2,000 images")
    plain, pure = (accuracy(train, epochs=epochs, **how) for how in (QUIET, LOSSES[name]))
    print(plain, pure)
    assert pure - plain > 2 * standard_error(plain, pure)


@pytest.mark.slow
@pytest.mark.parametrize("losses", [*LOSSES.values(), OF_FEW], ids=[*LOSSES, "few"])
def test_few_beats_the_labels_alone(digits, losses):
    """Ten labels a class, and the other images of the 2,000 without; as many steps."""
    images, labels = digits
    known = np.concatenate([np.flatnonzero(labels == digit)[:10] for digit in range(10)])
    others = np.setdiff1d(np.arange(len(labels)), known)
    alone = Digits(images[known], labels[known], "100 labels")
    both = Digits(images[known], labels[known], "100 labels", unlabeled=images[others])
    plain = accuracy(alone, **QUIET, epochs=400)
    few = accuracy(both, **losses, unlabeled="arrays")
    print(plain, few)
    assert few - plain > 2 * standard_error(plain, few)
