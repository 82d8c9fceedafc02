"""Two networks on the same images, side by side: where they answer differently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistgpu.errors import UsageError


@dataclass(frozen=True, eq=False)
class SideBySide:
    """The answers of two networks to the same N images.

    labels: (N,). answers: (2, N), of the first network and of the second. confidence: (2, N), the
    probability of each answer.
    """

    labels: np.ndarray
    answers: np.ndarray
    confidence: np.ndarray

    @property
    def accuracies(self) -> tuple[float, float]:
        """The share of right answers of each."""
        first, second = (self.answers == self.labels).mean(axis=1)
        return float(first), float(second)

    @property
    def different(self) -> np.ndarray:
        """Indices of the images that they answer differently; those where both are surest first."""
        found = np.flatnonzero(self.answers[0] != self.answers[1])
        return found[np.argsort(-self.confidence.min(axis=0)[found], kind="stable")]

    @property
    def counts(self) -> dict[str, int]:
        """How many images the first alone is right on, the second alone, both, and neither."""
        first, second = self.answers == self.labels
        return {
            "first": int(np.count_nonzero(first & ~second)),
            "second": int(np.count_nonzero(second & ~first)),
            "both": int(np.count_nonzero(first & second)),
            "neither": int(np.count_nonzero(~first & ~second)),
        }


def side_by_side(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> SideBySide:
    """The answers that two networks' probabilities (classes, N) for images with labels (N,) give.

    UsageError if they are not of the same classes and images.
    """
    labels = np.asarray(labels)
    if first.shape != second.shape or first.shape[1:] != labels.shape:
        raise UsageError(
            f"side by side: probabilities of shape {first.shape} and {second.shape} for "
            f"{len(labels):,} labels; give those of two networks with the same classes for the "
            "same images"
        )
    both = np.stack([first, second])
    return SideBySide(labels, both.argmax(axis=1), both.max(axis=1))
