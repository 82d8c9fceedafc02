"""What the pages get: rows of history, and pictures as levels in base64 for their canvases."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mnistgpu.runs.history import Row


def as_text(levels: np.ndarray) -> str:
    """Levels from 0 to 255 as base64, a quarter as long as a list of numbers."""
    return base64.b64encode(levels.astype(np.uint8).tobytes()).decode()


def signed(numbers: np.ndarray, limit: float | None = None) -> str:
    """Numbers from -limit to limit as levels around 127.5; limit: by default the largest one."""
    return as_text(levels_of(numbers, limit or float(np.max(np.abs(numbers))) or 1.0))


def levels_of(numbers: np.ndarray, limit: float) -> np.ndarray:
    """Numbers from -limit to limit as levels from 0 to 255."""
    return np.round(127.5 + 127.5 * numbers / limit)


def of_run(
    image_shape: tuple[int, int],
    units: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: Sequence[np.ndarray] | np.ndarray,
) -> dict[str, Any]:
    """First-layer weights (units, pixels), and answers (images, classes) to some digits."""
    height, width = image_shape
    limit = float(np.max(np.abs(units))) or 1.0
    return {
        "height": height,
        "width": width,
        "limit": limit,
        "units": [as_text(unit) for unit in levels_of(units, limit)],
        "digits": [as_text(image) for image in images],
        "labels": labels.tolist(),
        "probabilities": np.round(np.asarray(probabilities, np.float64), 4).tolist(),
    }


def finite(content: Any) -> Any:
    """The same with None for every number that JSON has no form of: of a network that overflows."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {name: finite(each) for name, each in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite(each) for each in content]
    return content


def rows_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of history as JSON types: numbers, and None for what is not one."""
    return [finite(asdict(row)) for row in rows]
