"""How far a network's probabilities can be believed, and what it has never seen the like of.

Temperature: dividing the logits by one number makes the probabilities of a network that is too sure
right on average (Guo et al. 2017, "On calibration of modern neural networks", section 4). Energy:
images unlike the training's have logits that hardly differ (Liu et al. 2020, "Energy-based
out-of-distribution detection"). Both are fitted on validation data and saved with the model.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

from mnistgpu.errors import DataError

REFUSED = 0.003  # of the validation's images that were answered right have more than the energy
TEMPERATURES = np.geomspace(0.2, 5.0, 97)
FEWEST = 200  # validation images: with fewer nothing is fitted
MOST_COPIES = 1024
SMALLEST = 1e-30  # probabilities below this, which float32 may round to 0, count as this


@dataclass(frozen=True)
class Calibration:
    """What `fitted` has found: the temperature, and the largest energy of what is known.

    copies: of an image in a picture, deformed a little, over which the probabilities were averaged
    before; 0 for the image alone. Copies that are answered differently show that it is doubtful.
    """

    temperature: float
    energy: float
    copies: int = 0

    @classmethod
    def from_text(cls, text: str, where: str) -> Calibration:
        """The calibration of such a text; DataError, which names `where`, if it is none."""
        try:
            found = json.loads(text)
            temperature, energy = float(found["temperature"]), float(found["energy"])
            copies = found.get("copies", 0)
        except (ValueError, RecursionError, TypeError, KeyError, OverflowError):
            temperature, energy, copies = math.nan, math.nan, 0
        counted = type(copies) is int and 0 <= copies <= MOST_COPIES
        if not (0.0 < temperature < math.inf and math.isfinite(energy) and counted):
            raise DataError(f"{where}: its calibration is damaged; copy it or train it again")
        return cls(temperature, energy, copies)

    def text(self) -> str:
        """As it stands in the header of a model file."""
        known: dict[str, float] = {"temperature": self.temperature, "energy": self.energy}
        if self.copies:
            known["copies"] = self.copies
        return json.dumps(known, sort_keys=True)

    def calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities (classes, N) at the temperature instead of at 1."""
        return at_temperature(probabilities, self.temperature)

    def unknown(self, probabilities: np.ndarray) -> np.ndarray:
        """Which images of these probabilities (classes, N) are unlike the training's: (N,) bool."""
        found: np.ndarray = energy_of(probabilities) > self.energy
        return found


def fitted(probabilities: np.ndarray, labels: np.ndarray) -> Calibration | None:
    """The calibration for these probabilities (classes, N) of validation images with labels (N,).

    None for fewer than 200 images, or if no image was answered right.
    """
    right = np.argmax(probabilities, axis=0) == labels
    if len(labels) < FEWEST or not right.any():
        return None
    images = np.arange(len(labels))
    losses = [
        -np.mean(np.log(at_temperature(probabilities, t)[labels, images] + SMALLEST))
        for t in TEMPERATURES
    ]
    temperature = float(TEMPERATURES[int(np.argmin(losses))])
    energy = float(np.quantile(energy_of(probabilities[:, right]), 1.0 - REFUSED))
    return Calibration(round(temperature, 4), round(energy, 4))


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (classes, N), made anew from their logarithms divided by a temperature."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)) / temperature
    shares = np.exp(logits - logits.max(axis=0))
    anew: np.ndarray = shares / shares.sum(axis=0)
    return anew


def energy_of(probabilities: np.ndarray) -> np.ndarray:
    """The energy (N,) of images with these probabilities (classes, N): high where all are alike.

    Minus the logarithm of the sum of exp(logits), with logits of mean 0 over the classes, which the
    probabilities determine.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
    energy: np.ndarray = logits.mean(axis=0)  # for log probabilities the sum of exp is 1
    return energy
