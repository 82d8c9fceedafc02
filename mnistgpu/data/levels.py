"""Grey levels: which value is paper and which is ink, in what people have.

Here images are always uint8, 0 for paper and 255 for ink. Elsewhere they are also floats from 0 to
1, integers from 0 to 16 (scikit-learn's digits), 0 and 1, or white paper with dark ink.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Levels(NamedTuple):
    """The values of paper and of ink: (0, 255) here, (0, 1) of floats, (255, 0) of white paper."""

    paper: float = 0
    ink: float = 255

    def __str__(self) -> str:
        return f"{self.paper:g} (paper) to {self.ink:g} (ink)"

    def to_uint8(self, values: np.ndarray) -> np.ndarray:
        """Values from paper to ink as uint8 from 0 to 255, rounded; uint8 of (0, 255) unchanged."""
        if self == OURS and values.dtype == np.uint8:
            return np.ascontiguousarray(values)
        scaled = (values.astype(np.float32) - self.paper) * (255 / (self.ink - self.paper))
        levels: np.ndarray = np.round(scaled).astype(np.uint8)
        return levels


OURS = Levels()
