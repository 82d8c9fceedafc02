"""A neuron opened: `explain` gives a unit's sum for an image, with its numbers, as a figure."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistgpu.api.inputs import is_path, network_of
from mnistgpu.api.model import Model
from mnistgpu.errors import ShapeError, UsageError
from mnistgpu.models.committee import Committee
from mnistgpu.models.opened import Opened, Unit, opened
from mnistgpu.reports.page import picture_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """What every unit of a network says to one image, and one unit's sum written out.

    opened: the activations and sums of all layers. unit: the one in the figure.
    """

    opened: Opened
    unit: Unit

    @property
    def probabilities(self) -> dict[str | int, float]:
        """The probability of each class, by its name."""
        shares = self.opened.activations[-1].tolist()
        return dict(zip(self._names(), shares, strict=True))

    @property
    def answer(self) -> str | int:
        """The most probable class, by its name."""
        return self._names()[self.opened.answer]

    @property
    def figure(self) -> Figure:
        """The image, weight x input, the ten largest terms, and the sum in words."""
        from mnistgpu.reports import unit_figure

        return unit_figure.figure(self.opened, self.unit)

    def of(self, layer: int, unit: int) -> Explanation:
        """The same image with another unit: of layer 1, 2, ..., from 0 on."""
        return Explanation(self.opened, self.opened.unit(layer, unit))

    def _names(self) -> list[str | int]:
        model = self.opened.model
        return list(model.classes or range(model.sizes[-1]))

    def __repr__(self) -> str:
        unit, sure = self.unit, max(self.probabilities.values())
        return (
            f"<Explanation: {self.answer}, {sure:.1%} sure; unit {unit.unit} of layer {unit.layer} "
            f"sums to {unit.sum:.4f} and says {unit.activation:.4f}>"
        )

    def _repr_html_(self) -> str:
        return f"<p><code>{html.escape(repr(self))}</code></p>{picture_of(self.figure)}"


def explain(
    model: Any, image: Any, *, layer: int | None = None, unit: int | None = None
) -> Explanation:
    """A unit's sum for an image, with every number in it, and a figure of it in a notebook.

    model: a Model, a Run or the path of one. image: one image (H, W) or (pixels,), as for
    `Model.predict`, or a picture as for `Model.read`, whose digit is taken. layer, unit: which
    unit, of layer 1, 2, ..., from 0 on; by default that of the answer in the last layer.

    UsageError for a committee and for a unit that is not there, ShapeError for several images.
    """
    trained = network_of(model)
    if isinstance(trained, Committee):
        raise UsageError("a committee has no units of its own; explain one of its members")
    held = model if isinstance(model, Model) else Model(trained)
    if is_path(image):
        row = held.read(image).image
    else:
        images = held.backend.to_numpy(held._rows(image))
        if len(images) != 1:
            raise ShapeError(f"explain takes one image, not {len(images)}; give X[0], for example")
        row = images[0]
    found = opened(trained, np.asarray(row).reshape(-1))
    layer = len(trained.sizes) - 1 if layer is None else layer
    if unit is None:
        unit = found.answer if layer == len(trained.sizes) - 1 else 0
    return Explanation(found, found.unit(layer, unit))
