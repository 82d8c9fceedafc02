"""The numbers, pictures and curves of a run that the text of an experiment may name.

A row of NUMBERS, PICTURES or CURVES is all that a new one needs. Each is computed if an experiment
names it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from mnistgpu import network
from mnistgpu.backend import NUMPY
from mnistgpu.data import Dataset, Digits
from mnistgpu.engine.inputs import scale_of
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models.model import Model
from mnistgpu.pictures.fooling import Fooled, fooled
from mnistgpu.runs.history import Row
from mnistgpu.runs.outcome import evaluate
from mnistgpu.settings import Settings

LOOKED_AT = 1000  # images by which units are judged
SURE = 0.9  # probability of a 3 that is to be taken for an 8


@dataclass(eq=False)
class Trained:
    """A run of an experiment when it has ended: its network, and what it was trained on.

    diverged_at: the step at which its numbers were no longer finite; the network is then that of
    the last row of history before.
    """

    settings: Settings
    dataset: Dataset
    model: Model
    history: list[Row]
    diverged_at: int | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def test(self) -> Digits:
        """The images for the test, changed as the run's twists say."""
        assert self.dataset.test is not None  # `running.images_of` sees to it
        return self.dataset.test

    @cached_property
    def right_labels(self) -> np.ndarray:
        """The labels of the test images."""
        return np.asarray(self.test.labels)

    @cached_property
    def answers(self) -> np.ndarray:
        """What the network answers for the test images: (N,)."""
        return self.model.predict(self.test.images)

    @cached_property
    def hidden(self) -> list[np.ndarray]:
        """What the units of each hidden layer say to 1,000 training images: (units, 1000)."""
        images = self.dataset.train.images[:LOOKED_AT]
        X = images.T.astype(self.model.theta.dtype) * scale_of(images)
        value = ACTIVATIONS[self.settings.activation].value
        return network.forward(self.model.layers, X, value)[0][1:-1]

    @cached_property
    def first_test_image(self) -> np.ndarray:
        """The first test image, as it stands and upside down: (2, pixels)."""
        image = self.test.images[0]
        return np.stack([image, image[::-1]])  # all pixels backwards: turned by half a circle

    @cached_property
    def three_as_eight(self) -> Fooled | None:
        """The first 3 among the test images that the network is sure of, taken for an 8."""
        threes = np.flatnonzero(self.right_labels == 3)
        found = threes[self.model.probabilities(self.test.images[threes])[3] > SURE]
        if not len(found) or self.test.images.dtype != np.uint8:
            return None
        return fooled(self.model, self.test.images[found[0]], 3, 8)

    @cached_property
    def accuracies_without(self) -> list[float]:
        """The test accuracy with the first 0, 1, 2, ... units of the first hidden layer at 0."""
        if len(self.model.sizes) == 2:  # there is none
            return [float(np.mean(self.answers == self.right_labels))]
        theta = np.array(self.model.theta)
        (W, b), (V, c), *others = network.layers(theta, self.model.sizes)
        value = ACTIVATIONS[self.settings.activation].value
        images = self.test.images
        A = value(W @ (images.T.astype(W.dtype) * scale_of(images)) + b)
        found = []
        for count in range(len(b) + 1):
            V[:, :count] = 0.0
            Z = V @ A + c
            for U, d in others:
                Z = U @ value(Z) + d
            found.append(float(np.mean(np.argmax(Z, axis=0) == self.right_labels)))
        return found


def last(run: Trained, column: str) -> float | None:
    """A figure of the last row of history; None if a run diverged before its first row."""
    return getattr(run.history[-1], column) if run.history else None


def first_loss(history: list[Row]) -> float | None:
    """The training loss of the first row, which is that of the first step."""
    return history[0].train_loss if history else None


def accuracy_of(run: Trained, digit: int) -> float:
    """The share of right answers to the test images of a digit."""
    own = run.right_labels == digit
    return float(np.mean(run.answers[own] == digit))


def training_accuracy(run: Trained) -> float:
    """The share of right answers to the images and labels that the run was trained on."""
    train = run.dataset.train
    return float(np.mean(run.model.predict(train.images) == train.labels))


def upside_down_accuracy(run: Trained, digit: int) -> float:
    """The share of right answers to the test images of a digit, upside down."""
    own = run.test.images[run.right_labels == digit]
    return float(np.mean(run.model.predict(own[:, ::-1]) == digit))


def probability(run: Trained, image: int) -> float:
    """The probability of the answer to the first test image (0), or to it upside down (1)."""
    return float(run.model.probabilities(run.first_test_image)[:, image].max())


def answer(run: Trained, image: int) -> int:
    """The answer to the first test image (0), or to it upside down (1)."""
    return int(run.model.predict(run.first_test_image)[image])


def different_units(run: Trained) -> int:
    """How many units of the first hidden layer have weights that no unit before them has."""
    W, b = run.model.layers[0]
    return len(np.unique(np.concatenate([W, b], axis=1), axis=0))


def dead_units(run: Trained) -> int:
    """How many hidden units say the same to each of 1,000 training images."""
    return sum(int(np.count_nonzero(np.ptp(A, axis=1) == 0)) for A in run.hidden)


@dataclass(frozen=True)
class Number:
    """A number of a run: what it is, how it is written (see `KINDS`), how it is computed.

    most: the largest argument, for a number that takes one; the smallest is 0.
    """

    help: str
    kind: str
    value: Callable[..., float | None]
    most: Callable[[Settings], int] | None = None


def nine(settings: Settings) -> int:
    return 9


def hidden_units(settings: Settings) -> int:
    """Units of the first hidden layer; 0 if there is none."""
    return settings.sizes[1] if len(settings.sizes) > 2 else 0


NUMBERS = {
    "test_accuracy": Number(
        "share of right answers to the 10,000 test images",
        "share",
        lambda run: float(np.mean(run.answers == run.right_labels)),
    ),
    "test_errors": Number(
        "wrong answers to the 10,000 test images",
        "count",
        lambda run: int(np.count_nonzero(run.answers != run.right_labels)),
    ),
    "test_loss": Number(
        "mean loss on the test images",
        "decimal",
        lambda run: evaluate(run.model.theta, run.settings, run.test, NUMPY)[0],
    ),
    "train_accuracy": Number(
        "share of right answers to the images that it was trained on", "share", training_accuracy
    ),
    "images": Number("training images", "count", lambda run: len(run.dataset.train)),
    "parameters": Number(
        "weights and biases", "count", lambda run: network.parameter_count(run.settings.sizes)
    ),
    "steps": Number("training steps taken", "count", lambda run: last(run, "iteration")),
    "first_loss": Number(
        "training loss of the first step", "decimal", lambda run: first_loss(run.history)
    ),
    "last_loss": Number(
        "mean training loss of the last epoch", "decimal", lambda run: last(run, "train_loss")
    ),
    "highest_loss": Number(
        "highest training loss of its curve",
        "decimal",
        lambda run: max((row.train_loss for row in run.history), default=None),
    ),
    "loss_rises": Number(
        "how often the curve of the training loss goes up",
        "count",
        lambda run: sum(b.train_loss > a.train_loss for a, b in pairwise(run.history)),
    ),
    "lowest_validation_loss": Number(
        "lowest loss on the 1,000 images held out",
        "decimal",
        lambda run: min((row.validation_loss for row in run.history), default=None),
    ),
    "last_validation_loss": Number(
        "loss at the end on the 1,000 images held out",
        "decimal",
        lambda run: last(run, "validation_loss"),
    ),
    "diverged_at": Number(
        "step at which the numbers were no longer finite (none if they stayed so)",
        "count",
        lambda run: run.diverged_at,
    ),
    "hidden_units": Number(
        "units in all hidden layers", "count", lambda run: sum(run.settings.sizes[1:-1])
    ),
    "dead_units": Number(
        "hidden units that say the same to each of 1,000 training images", "count", dead_units
    ),
    "different_units": Number(
        "units of the first hidden layer with weights of their own", "count", different_units
    ),
    "answers": Number(
        "how many of the ten digits it ever answers, for the test images",
        "count",
        lambda run: len(np.unique(run.answers)),
    ),
    "most_frequent_answer": Number(
        "the digit that it answers most often",
        "digit",
        lambda run: int(np.argmax(np.bincount(run.answers, minlength=10))),
    ),
    "share_of_answers": Number(
        "share of the test images for which it answers this digit",
        "share",
        lambda run, digit: float(np.mean(run.answers == digit)),
        nine,
    ),
    "accuracy_of": Number(
        "share of right answers to the test images of this digit", "share", accuracy_of, nine
    ),
    "lowest_accuracy_of_a_digit": Number(
        "the lowest of these shares, over the ten digits",
        "share",
        lambda run: min(accuracy_of(run, digit) for digit in range(10)),
    ),
    "largest_output_bias": Number(
        "largest bias of the last layer, without its sign",
        "decimal",
        lambda run: float(np.abs(run.model.layers[-1][1]).max()),
    ),
    "accuracy_without": Number(
        "test accuracy with so many units of the first hidden layer switched off, from the first",
        "share",
        lambda run, count: run.accuracies_without[count],
        hidden_units,
    ),
    "first_test_label": Number(
        "the digit of the first test image", "digit", lambda run: int(run.right_labels[0])
    ),
    "first_test_answer": Number(
        "the answer to the first test image", "digit", lambda run: answer(run, 0)
    ),
    "first_test_probability": Number(
        "the probability of that answer", "share", lambda run: probability(run, 0)
    ),
    "upside_down_answer": Number(
        "the answer to the first test image upside down", "digit", lambda run: answer(run, 1)
    ),
    "upside_down_probability": Number(
        "the probability of that answer", "share", lambda run: probability(run, 1)
    ),
    "accuracy_upside_down": Number(
        "share of right answers to all test images upside down",
        "share",
        lambda run: float(np.mean(run.model.predict(run.test.images[:, ::-1]) == run.right_labels)),
    ),
    "accuracy_upside_down_of": Number(
        "share of right answers to the test images of this digit upside down",
        "share",
        upside_down_accuracy,
        nine,
    ),
    "three_probability": Number(
        "the probability of 3 for the first 3 among the test images that it is sure of",
        "share",
        lambda run: run.three_as_eight and run.three_as_eight.before,
    ),
    "eight_probability": Number(
        "the probability of 8 for the same image with changed pixels",
        "share",
        lambda run: run.three_as_eight and run.three_as_eight.after,
    ),
    "three_probability_by_chance": Number(
        "the probability of 3 if each pixel changes as much, but darker or lighter by chance",
        "share",
        lambda run: run.three_as_eight and run.three_as_eight.by_chance,
    ),
    "three_to_eight_step": Number(
        "by how many of the 255 grey levels each pixel was changed",
        "count",
        lambda run: run.three_as_eight and run.three_as_eight.step,
    ),
}

# Images (pixels,) of grey levels; None where there is none
PICTURES: dict[str, Callable[[Trained], Any]] = {
    "first_test_image": lambda run: run.first_test_image[0],
    "upside_down": lambda run: run.first_test_image[1],
    "three": lambda run: run.three_as_eight and run.three_as_eight.image,
    "three_as_eight": lambda run: run.three_as_eight and run.three_as_eight.changed,
    "three_changed_by_chance": lambda run: run.three_as_eight and run.three_as_eight.at_random,
}

# Values at 0, 1, 2, ...
CURVES: dict[str, Callable[[Trained], list[float]]] = {
    "accuracy_without": lambda run: run.accuracies_without,
}

KINDS: dict[str, Callable[[float], str]] = {
    "share": lambda value: f"{100 * value:.1f}%",
    "count": lambda value: f"{value:,.0f}",
    "digit": lambda value: f"{value:.0f}",
    "decimal": lambda value: f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}",
}
NONE = {"en": "none", "de": "keine"}


def written(value: float | None, kind: str, language: str) -> str:
    """A number as it stands in a text of that language: 11.4% or, in German, 11,4 %."""
    if value is None:
        return NONE.get(language, "–")
    text = KINDS[kind](value)
    if language == "en":
        return text
    # elsewhere the comma is decimal, and thin spaces group: ISO 80000-1
    swapped = text.translate(str.maketrans(",.", "\u202f,"))
    return swapped.replace("%", "\u00a0%")
