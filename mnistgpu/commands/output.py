"""What commands print: JSON for programs, and tables with columns of one width."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np


def as_json(value: Any) -> str:
    """The value as JSON: floats with all their digits, and null for nan and infinity.

    Arrays and tuples become arrays, dataclasses and mappings objects, paths texts.
    """
    return json.dumps(plain(value), indent=1, allow_nan=False)


def plain(value: Any) -> Any:
    """The value in types that JSON has."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def widths(rows: Iterable[Sequence[str]]) -> list[int]:
    """The width of each column of a table: that of its widest cell."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def table_line(cells: Sequence[str], columns: Sequence[int]) -> str:
    """A line of a table, with two blanks between columns of these widths."""
    padded = (cell.ljust(width) for cell, width in zip(cells, columns, strict=True))
    return "  ".join(padded).rstrip()
