"""What a reader finds in a file, before it becomes digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Ids(NamedTuple):
    """The column of a table that numbers or names its images: what it is called, and its cells."""

    name: str  # "" if the table has no header
    values: np.ndarray  # (N,) integers or text


@dataclass(frozen=True)
class Raw:
    """Images and labels as they stand in a file."""

    images: np.ndarray  # (N, rows, columns) or with colours, numbers of any type
    labels: np.ndarray | None  # (N,) numbers or text, or one-hot (N, classes)
    source: str
    notes: tuple[str, ...] = ()  # sentences that say what was recognised, turned or left out
    ids: Ids | None = None
