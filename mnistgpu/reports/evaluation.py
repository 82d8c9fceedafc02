"""The evaluation of a trained network on labelled digits, and its lines for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mnistgpu.backend import Backend
from mnistgpu.errors import printable
from mnistgpu.reports import metrics
from mnistgpu.reports.robustness import TRIALS, Trial

if TYPE_CHECKING:
    from mnistgpu.data import Digits
    from mnistgpu.models.committee import Committee
    from mnistgpu.models.model import Model

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
FEW = 20  # classes whose confusion matrix fits on a terminal
ROBUSTNESS_IMAGES = 2000  # spread evenly over the digits: curves within 1%, in seconds


@dataclass(frozen=True)
class Threshold:
    """The answers that remain if those less probable than `confidence` are refused."""

    confidence: float
    refused: int
    wrong: int  # of the answers that remain
    accuracy: float  # of the answers that remain; nan if there are none


@dataclass(frozen=True)
class Curve:
    """Accuracy at each strength of a change, and how many images it was measured on."""

    trial: Trial
    right: tuple[int, ...]
    count: int

    @property
    def accuracy(self) -> list[float]:
        """The share of right answers at each strength."""
        return [right / self.count for right in self.right]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A network's answers to labelled digits, and the figures computed from them."""

    digits: Digits
    probabilities: np.ndarray  # (classes, N)
    right: int
    interval: tuple[float, float]  # of the accuracy, 95%, after Wilson
    confusion: np.ndarray  # (classes, classes)
    classes: metrics.PerClass
    calibration_error: float
    reliability: metrics.Reliability
    thresholds: list[Threshold]
    worst: np.ndarray  # indices of the wrong answers, the most probable first
    curves: list[Curve]
    names: tuple[str | int, ...] = ()  # of the classes; () for digits, which name themselves

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.right / len(self.digits)

    @property
    def shown(self) -> list[str]:
        """The name of each class, as tables show it."""
        return [printable(str(name)) for name in self.names or range(len(self.confusion))]

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"<Evaluation: accuracy {self.accuracy:.4f} (95% interval {low:.4f} to {high:.4f}), "
            f"{self.right:,} of {len(self.digits):,} right>"
        )

    def lines(self) -> list[str]:
        """The evaluation in words and tables, as `mnistgpu evaluate` prints it."""
        return lines_of(self)


def evaluate(
    trained: Model | Committee, digits: Digits, backend: Backend, robustness: bool = True
) -> Evaluation:
    """Evaluate the network on labelled digits, and on worse copies of some of them."""
    classes = trained.sizes[-1]
    probabilities = backend.to_numpy(trained.probabilities(digits.images, backend))
    labels = np.asarray(digits.labels, dtype=np.int64)
    predicted = np.argmax(probabilities, axis=0)
    right = int(np.sum(predicted == labels))
    confusion = metrics.confusion_matrix(predicted, labels, classes)
    confidence = probabilities.max(axis=0)
    wrong = np.flatnonzero(predicted != labels)
    return Evaluation(
        digits,
        probabilities,
        right,
        metrics.wilson_interval(right, len(labels)),
        confusion,
        metrics.per_class(confusion),
        metrics.expected_calibration_error(probabilities, labels),
        metrics.reliability_bins(probabilities, labels),
        [threshold(confidence, predicted == labels, at) for at in THRESHOLDS],
        wrong[np.argsort(-confidence[wrong], kind="stable")],
        [curve(trained, digits, trial, backend) for trial in TRIALS] if robustness else [],
        trained.classes,
    )


def threshold(confidence: np.ndarray, right: np.ndarray, at: float) -> Threshold:
    """Refuse answers (N,) less probable than `at`: their number, and the accuracy of the rest."""
    kept = confidence >= at
    wrong = int(np.sum(kept & ~right))
    left = int(np.sum(kept))
    return Threshold(at, len(right) - left, wrong, (left - wrong) / left if left else float("nan"))


def curve(trained: Model | Committee, digits: Digits, trial: Trial, backend: Backend) -> Curve:
    """The network's accuracy on changed copies of some of the digits."""
    some = np.unique(np.linspace(0, len(digits) - 1, ROBUSTNESS_IMAGES).astype(np.int64))
    images = digits.images[some].reshape(-1, *digits.image_shape).astype(np.float32)
    labels = np.asarray(digits.labels)[some]
    right = []
    for strength in trial.strengths:
        changed = np.round(trial.change(images, strength)).astype(np.uint8)
        answers = trained.predict(changed.reshape(len(some), -1), backend)
        right.append(int(np.sum(answers == labels)))
    return Curve(trial, tuple(right), len(some))


def lines_of(found: Evaluation) -> list[str]:
    """The lines of an evaluation for a terminal."""
    lines: list[str] = []
    say = lines.append
    low, high = found.interval
    say(f"{found.digits.source}: {found.right:,} of {len(found.digits):,} right")
    say(f"accuracy {found.accuracy:.4f} (95% interval {low:.4f} to {high:.4f})")
    lines += confusion_lines(found)
    say(f"calibration error {found.calibration_error:.4f} (mean of |probability - accuracy|)")
    say("if less probable answers are refused:    below   refused   right of the rest")
    for row in found.thresholds:
        say(f"{row.confidence:>46.0%}{row.refused:>10,}{share(row.accuracy, 2):>20}")
    if found.curves:
        say(f"accuracy on changed copies of {found.curves[0].count:,} of the digits:")
    for line in found.curves:
        pairs = zip(line.trial.strengths, line.accuracy, strict=True)
        figures = "  ".join(f"{strength:g}: {share(part)}" for strength, part in pairs)
        say(f"{line.trial.name.lower()} ({line.trial.unit})  {figures}")
    return lines


def confusion_lines(found: Evaluation) -> list[str]:
    """The confusion matrix, and precision and recall of each class.

    Of many classes, whose matrix no terminal has room for, the most frequent mistakes instead.
    """
    names, few = found.shown, len(found.confusion) <= FEW
    first = max(5, *map(len, names))
    width = max(6, first + 1) if few else 0
    head = "".join(f"{name:>{width}}" for name in names) if few else ""
    lines = ["rows are the true digits, columns the answers" if few else "of each class:"]
    lines.append(f"{'':>{first}}{head}  precision  recall")
    for name, row, precision, recall in zip(
        names, found.confusion, found.classes.precision, found.classes.recall, strict=True
    ):
        counts = "".join(f"{count:>{width}}" for count in row) if few else ""
        lines.append(f"{name:>{first}}{counts}  {share(precision):>9}  {share(recall):>6}")
    if not few:
        mistakes = found.confusion - np.diag(np.diagonal(found.confusion))
        most = np.argsort(-mistakes, axis=None, kind="stable")[:FEW]
        pairs = [divmod(int(place), len(names)) for place in most if mistakes.flat[place]]
        texts = [f"{names[i]} as {names[j]} ({mistakes[i, j]})" for i, j in pairs]
        lines.append(f"most often confused: {', '.join(texts) or 'none'}")
    return lines


def share(value: float, digits: int = 1) -> str:
    """A share as 98.3%, or - for nan."""
    return "-" if np.isnan(value) else f"{value:.{digits}%}"
