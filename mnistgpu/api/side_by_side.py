"""Two runs side by side (`Run.beside`): their curves in one figure, and where they differ."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistgpu.api.own_data import digits_to_judge
from mnistgpu.data import Digits
from mnistgpu.errors import UsageError
from mnistgpu.reports.page import picture_of
from mnistgpu.reports.side_by_side import SideBySide
from mnistgpu.reports.side_by_side import side_by_side as compared
from mnistgpu.runs.events import KNOBS, flag_of, shown
from mnistgpu.runs.history import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Beside:
    """Two runs on the same images: their curves, and where they answer differently.

    names: what tells them apart. both: their answers to the digits, as numbers of the classes.
    """

    names: tuple[str, str]
    histories: tuple[list[Row], list[Row]]
    digits: Digits
    both: SideBySide
    classes: tuple[str | int, ...]

    @property
    def differ(self) -> np.ndarray:
        """The images that are answered differently, those where both are surest first."""
        return self.both.different

    @property
    def accuracies(self) -> tuple[float, float]:
        """The share of right answers of each."""
        return self.both.accuracies

    def answered(self, index: int) -> tuple[Any, Any, Any]:
        """What the first and the second run say to an image, and its label, by their names."""
        first, second, true = (*self.both.answers[:, index], self.both.labels[index])
        return self.classes[int(first)], self.classes[int(second)], self.classes[int(true)]

    @property
    def figure(self) -> Figure:
        """The curves of both in one figure, and the first images that are answered differently."""
        from mnistgpu.reports.side_by_side_figure import figure

        return figure(self.histories, self.names, self.digits, self.both, self.classes)

    def __repr__(self) -> str:
        first, second = self.accuracies
        return (
            f"<Beside: accuracy {first:.4f} and {second:.4f}, {len(self.differ):,} of "
            f"{len(self.both.labels):,} images answered differently>"
        )

    def _repr_html_(self) -> str:
        return f"<p><code>{html.escape(repr(self))}</code></p>{picture_of(self.figure)}"


def side_by_side(first: Any, second: Any, X: Any = None, y: Any = None) -> Beside:
    """See `Run.beside`, of which `first` and `second` are two."""
    networks = [run.model.trained for run in (first, second)]
    if networks[0].sizes[-1] != networks[1].sizes[-1]:
        raise UsageError(
            f"the first run knows {networks[0].sizes[-1]} classes and the second "
            f"{networks[1].sizes[-1]}: they cannot be compared"
        )
    digits = digits_to_judge([first, second], X, y, networks)
    first_says, second_says = (each.probabilities(digits.images) for each in networks)
    return Beside(
        (named(first, second), named(second, first)),
        (first.history, second.history),
        digits,
        compared(first_says, second_says, np.asarray(digits.labels)),
        first.model.classes,
    )


def named(run: Any, other: Any) -> str:
    """What tells a run from the other: the settings that differ, at most three of them."""
    own, theirs = run.settings.as_dict(), other.settings.as_dict()
    words = [
        f"{flag_of(name)} {shown(value)}"
        for name, value in own.items()
        if name in KNOBS and value != theirs.get(name)
    ]
    if changes := len(run.results.get("events", ())):
        words.append(f"{changes} changes on the way")
    if not words:
        words = [f"seed {run.settings.seed}" if run.directory is None else str(run.directory)]
    return ", ".join(words[:3])
