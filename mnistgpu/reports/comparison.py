"""Two networks on the same images: is one of them better, or may it be chance?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnistgpu.backend import Backend
from mnistgpu.data import Digits
from mnistgpu.errors import UsageError
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.reports import metrics

LEVEL = 0.05  # of significance


@dataclass(frozen=True)
class Comparison:
    """How often two networks are right, and McNemar's exact test of the difference."""

    right: tuple[int, int]  # right answers of each
    count: int  # images
    test: metrics.McNemar

    @property
    def accuracies(self) -> tuple[float, float]:
        """The share of right answers of each."""
        return self.right[0] / self.count, self.right[1] / self.count

    @property
    def p_value(self) -> float:
        """How probable so large a difference is if both were equally good."""
        return float(self.test.p_value)

    @property
    def better(self) -> int | None:
        """0 if the first is better at the 5% level, 1 if the second is, None if neither is."""
        if self.p_value >= LEVEL:
            return None
        return 0 if self.test.only_a > self.test.only_b else 1

    def lines(self, names: Sequence[str] = ("first", "second")) -> list[str]:
        """The comparison in words, as `mnistgpu compare` prints it."""
        lines = []
        for name, right in zip(names, self.right, strict=True):
            low, high = metrics.wilson_interval(right, self.count)
            accuracy = right / self.count
            lines.append(f"{name}: {accuracy:.4f} (95% interval {low:.4f} to {high:.4f})")
        test = self.test
        lines.append(f"right by the first alone {test.only_a}, by the second alone {test.only_b}")
        verdict = "no difference beyond chance"
        if self.better is not None:
            verdict = f"{names[self.better]} is better"
        lines.append(f"McNemar's exact test: p = {self.p_value:.3g}; {verdict} at the 5% level")
        return lines


def compare(networks: Sequence[Model | Committee], digits: Digits, backend: Backend) -> Comparison:
    """Compare two networks on labelled digits; UsageError if they know different classes."""
    first, second = networks
    if first.sizes[-1] != second.sizes[-1]:
        raise UsageError(
            f"the first network knows {first.sizes[-1]} classes and the second "
            f"{second.sizes[-1]}: they cannot be compared"
        )
    labels = np.asarray(digits.labels)
    right = [network.predict(digits.images, backend) == labels for network in networks]
    counts = int(right[0].sum()), int(right[1].sum())
    return Comparison(counts, len(labels), metrics.mcnemar(*right))
