"""Measures of answers: accuracy and its uncertainty, confusion, calibration, comparison.

Pure functions of NumPy arrays on the host: predicted digits and labels (m,) are integers, the
probabilities (classes, m) are what `network.forward` gives, brought to the host.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from mnistgpu.errors import ShapeError


class PerClass(NamedTuple):
    """Three arrays (classes,); nan where a figure is 0/0."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


class McNemar(NamedTuple):
    """How many images only a and only b got right, and the p-value for equally good models."""

    only_a: int
    only_b: int
    p_value: float


class Reliability(NamedTuple):
    """Three arrays (bins,); confidence and accuracy are nan where a bin is empty."""

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """The share of predicted digits (m,) that equal their labels (m,), from 0 to 1."""
    predicted, labels = check_pair(predicted, labels)
    if len(labels) == 0:
        raise ShapeError("accuracy needs at least one predicted digit; there are none")
    return float(np.mean(predicted == labels))


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes) int64 from predicted digits (m,) and labels (m,).

    Row: the true digit; column: the answer. The diagonal is what was right.
    """
    predicted, labels = check_pair(predicted, labels)
    for name, digits in (("predicted digit", predicted), ("label", labels)):
        outside = np.flatnonzero((digits < 0) | (digits >= classes))
        if len(outside):
            raise ShapeError(
                f"{name} {digits[outside[0]]} at index {outside[0]} is not one of the {classes} "
                f"classes 0 to {classes - 1}"
            )
    # in int64: 46 * 47 + 46 would not fit into a uint8 label
    cells = labels.astype(np.int64) * classes + predicted.astype(np.int64)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def per_class(confusion: np.ndarray) -> PerClass:
    """Precision, recall and F1 of each class from a confusion matrix (classes, classes).

    Precision: of the answers d, the share that were d (nan if d was never answered). Recall: of
    the true d, the share that were answered d (nan if there was no d). F1: their harmonic mean,
    2 tp / (2 tp + fp + fn) (nan if there was neither; 0 if nothing was right).
    """
    confusion = check_confusion(confusion)
    right = np.diagonal(confusion).astype(np.float64)
    answered, true = confusion.sum(axis=0), confusion.sum(axis=1)
    return PerClass(ratio(right, answered), ratio(right, true), ratio(2.0 * right, answered + true))


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds on the true accuracy behind `correct` right answers of `total`.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927. Unlike
    the normal interval around the accuracy it stays within [0, 1] and has a width at 100%.
    """
    if not 0 <= correct <= total or total == 0:
        raise ShapeError(f"{correct} of {total} right is impossible: 0 <= correct <= total, not 0")
    if not 0.0 < confidence < 1.0:
        raise ShapeError(f"confidence {confidence} must lie between 0 and 1, as in 0.95")
    z = -NormalDist().inv_cdf((1.0 - confidence) / 2.0)
    p, shrink = correct / total, 1.0 + z**2 / total
    middle = (p + z**2 / (2.0 * total)) / shrink
    half = z * math.sqrt(p * (1.0 - p) / total + z**2 / (4.0 * total**2)) / shrink
    # exact, where rounding would give 1e-17 or 1 - 1e-17
    low = 0.0 if correct == 0 else middle - half
    high = 1.0 if correct == total else middle + half
    return low, high


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> McNemar:
    """Compare two models on the same images, of which each got those right where it is True (m,).

    The exact two-sided test: for equally good models, an image that only one of them gets right is
    right for either with probability 1/2. McNemar, "Note on the sampling error of the difference
    between correlated proportions or percentages", 1947.
    """
    a, b = np.asarray(correct_a), np.asarray(correct_b)
    if a.dtype != np.bool_ or b.dtype != np.bool_ or a.ndim != 1 or a.shape != b.shape:
        raise ShapeError(
            f"comparing needs two boolean vectors of one length, not {a.dtype} {a.shape} and "
            f"{b.dtype} {b.shape}: give predicted == labels of each"
        )
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    n, k = only_a + only_b, min(only_a, only_b)
    # P(X <= k) of a binomial with p = 1/2: its largest term, as a logarithm since it may underflow,
    # times the sum of C(n, i) / C(n, k) for i = k ... 0, each computed from the one before
    i = np.arange(k, 0, -1, dtype=np.float64)
    tail = 1.0 + float(np.sum(np.cumprod(i / (n - i + 1.0))))
    log_largest = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    log_p = log_largest - n * math.log(2.0) + math.log(tail)
    return McNemar(only_a, only_b, min(1.0, 2.0 * math.exp(log_p)))


def reliability_bins(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> Reliability:
    """How often answers of each confidence are right: probabilities (classes, m), labels (m,).

    Bin b holds the answers whose probability lies in (b / bins, (b + 1) / bins]. Guo, Pleiss, Sun,
    Weinberger, "On calibration of modern neural networks", 2017, section 2.
    """
    probabilities, labels = check_probabilities(probabilities, labels)
    if bins < 1:
        raise ShapeError(f"{bins} bins: give at least 1, for instance 15")
    confidence = np.max(probabilities, axis=0).astype(np.float64)
    right = np.argmax(probabilities, axis=0) == labels
    # inner edges only: a probability rounded to above 1 stays in the last bin
    where = np.searchsorted(np.arange(1, bins) / bins, confidence, side="left")
    counts = np.bincount(where, minlength=bins)
    return Reliability(
        counts,
        ratio(np.bincount(where, weights=confidence, minlength=bins), counts),
        ratio(np.bincount(where, weights=right, minlength=bins), counts),
    )


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 15
) -> float:
    """Mean distance between confidence and accuracy, of probabilities (classes, m), labels (m,).

    It is 0 if 80% of the answers with a probability of 80% are right, and so on. Guo et al. 2017,
    equation 3.
    """
    counts, confidence, right = reliability_bins(probabilities, labels, bins)
    filled = counts > 0
    distance = np.abs(right[filled] - confidence[filled])
    return float(np.sum(counts[filled] * distance) / np.sum(counts))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, element by element, and nan for 0/0."""
    quotient = np.full(part.shape, np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient


def check_pair(predicted: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """ShapeError unless answers and labels are two integer vectors of one length."""
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    if predicted.ndim != 1 or predicted.shape != labels.shape:
        raise ShapeError(
            f"predicted digits {predicted.shape} and labels {labels.shape} must be vectors of one "
            "length"
        )
    for name, digits in (("predicted digits", predicted), ("labels", labels)):
        if digits.dtype.kind not in "iu":
            raise ShapeError(f"{name} must be integers, not {digits.dtype}; take the argmax first")
    return predicted, labels


def check_confusion(confusion: Any) -> np.ndarray:
    """ShapeError unless this is a square matrix of counts."""
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ShapeError(f"a confusion matrix is (classes, classes), not {counts.shape}")
    if counts.dtype.kind not in "iu" or (counts.size and counts.min() < 0):
        raise ShapeError("a confusion matrix holds counts: whole numbers from 0")
    return counts


def check_probabilities(probabilities: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """ShapeError unless these are probabilities (classes, m) and labels (m,) of as many images."""
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[1:] or 0 in labels.shape:
        raise ShapeError(
            f"probabilities (classes, m) and labels (m,) do not fit: {probabilities.shape} and "
            f"{labels.shape}; one image is one column"
        )
    if not (np.all(probabilities >= 0.0) and np.all(probabilities <= 1.0 + 1e-6)):
        raise ShapeError("probabilities must lie in [0, 1]; give the softmax, not the logits")
    return probabilities, labels
