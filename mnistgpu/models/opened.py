"""A unit of a network opened: its sum written out for one image, with the numbers in it.

A unit adds up weight times input over all its inputs, adds its bias, and its activation makes
something of the sum. In the last layer the softmax turns the sums of all units, the logits, into
probabilities.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu import network
from mnistgpu.errors import ShapeError, UsageError
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models import outputs
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model

LARGEST = 10  # contributions that are written out
# in network.py: what computes a sum, an activation and the softmax, and the equation beside it
IN_SOURCE = {
    "sum": r"Z\.append\(W @ A\[-1\] \+ b\)",
    "activation": r"A\.append\(softmax\(Z\[-1\]\) if last else activation\(Z\[-1\]\)\)",
    "softmax": r"return E / xp\.sum\(E, axis=0, keepdims=True\)",
}


@dataclass(frozen=True)
class Contribution:
    """One term of a unit's sum: the product of a weight and an input, and which input it is."""

    index: int
    weight: float
    input: float
    product: float


@dataclass(frozen=True)
class Unit:
    """One unit of a layer, from 1 on, and its sum for an image.

    weights, inputs and products are (n_in,); sum is bias + all products. activation is what the
    unit says, and slope the derivative there. image_map (H, W) has the products of the first layer,
    where an input is a pixel; None elsewhere.
    exponentials (classes,), total and probability are there in the last layer: exp(logit - largest
    logit) of every class, their sum, and this unit's share of it.
    """

    layer: int
    unit: int
    weights: np.ndarray
    inputs: np.ndarray
    products: np.ndarray
    bias: float
    sum: float
    activation: float
    slope: float | None
    image_map: np.ndarray | None = None
    logits: np.ndarray | None = None
    exponentials: np.ndarray | None = None

    @property
    def largest(self) -> list[Contribution]:
        """The ten largest terms of the sum, whatever their sign, the largest first."""
        order = np.argsort(-np.abs(self.products), kind="stable")[:LARGEST].tolist()
        terms = self.weights, self.inputs, self.products
        return [Contribution(i, *(float(each[i]) for each in terms)) for i in order]

    @property
    def rest(self) -> float:
        """The sum of all other terms."""
        return float(np.delete(self.products, [each.index for each in self.largest]).sum())

    @property
    def total(self) -> float | None:
        """The sum of the exponentials, in the last layer."""
        return None if self.exponentials is None else float(self.exponentials.sum())

    @property
    def probability(self) -> float | None:
        """This unit's share of the exponentials, in the last layer."""
        if self.exponentials is None:
            return None
        return float(self.exponentials[self.unit] / self.exponentials.sum())

    def as_dict(self) -> dict[str, Any]:
        """It as JSON types."""
        found: dict[str, Any] = {
            name: None if value is None else value.tolist()
            for name, value in vars(self).items()
            if name in ("image_map", "logits", "exponentials")
        }
        return found | {
            "layer": self.layer,
            "unit": self.unit,
            "terms": len(self.products),
            "bias": self.bias,
            "sum": self.sum,
            "activation": self.activation,
            "slope": self.slope,
            "largest": [vars(each) for each in self.largest],
            "rest": self.rest,
            "total": self.total,
            "probability": self.probability,
        }


@dataclass(frozen=True, eq=False)
class Opened:
    """A network and one image: what every unit says.

    activations: A_0 (pixels,), from 0 to 1 for grey levels, A_1, ..., A_L, the probabilities.
    sums: Z_1, ..., Z_L, the logits. All in float64, so that a sum can be checked by hand.
    """

    model: Model
    activations: list[np.ndarray]
    sums: list[np.ndarray]

    def unit(self, layer: int, unit: int) -> Unit:
        """A unit of layer 1, 2, ..., from 0 on. UsageError if there is none."""
        outputs.check_unit(self.model, layer, unit)
        W, b = self.model.layers[layer - 1]
        weights, inputs = W[unit].astype(np.float64), self.activations[layer - 1]
        products, last = weights * inputs, layer == len(self.sums)
        Z, A = self.sums[layer - 1], self.activations[layer]
        slope = None if last else ACTIVATIONS[self.model.activation].derivative(Z, A)[unit]
        return Unit(
            layer,
            unit,
            weights,
            inputs,
            products,
            float(b[unit, 0]),
            float(Z[unit]),
            float(A[unit]),
            None if slope is None else float(slope),
            products.reshape(self.model.image_shape) if layer == 1 else None,
            Z if last else None,
            np.exp(Z - Z.max()) if last else None,
        )

    @property
    def answer(self) -> int:
        """The number of the most probable class."""
        return int(np.argmax(self.activations[-1]))


def opened(model: Model | Committee, image: np.ndarray) -> Opened:
    """A network opened for one image: (pixels,) or (H, W), uint8 grey levels or features.

    UsageError for a committee, ShapeError for an image of another size.
    """
    if isinstance(model, Committee):
        raise UsageError("a committee has no units of its own; open one of its members")
    image = np.asarray(image)
    if image.shape not in ((model.sizes[0],), model.image_shape):
        raise ShapeError(
            f"this network reads one image of {model.sizes[0]} pixels here, not an array of shape "
            f"{image.shape}"
        )
    params = network.layers(model.theta.astype(np.float64), model.sizes)
    A_0 = outputs.columns(model, image.reshape(1, -1), "float64")
    A, Z = network.forward(params, A_0, ACTIVATIONS[model.activation].value)
    return Opened(model, [each[:, 0] for each in A], [each[:, 0] for each in Z])


def responds_most(
    model: Model, images: np.ndarray, layer: int, unit: int, count: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """The images (N, pixels) to which a unit says most: their indices and what it says to each.

    In the last layer that is the probability.
    """
    says = outputs.of_unit(model, images, layer, unit)
    most = np.argsort(-says, kind="stable")[:count]
    return most, says[most]


@functools.cache
def source_lines() -> dict[str, tuple[int, str]]:
    """Where network.py computes a sum, an activation, the softmax: number and text of each line."""
    lines = Path(network.__file__).read_text(encoding="utf-8").splitlines()
    found = {}
    for name, pattern in IN_SOURCE.items():
        (number,) = (i for i, line in enumerate(lines, 1) if re.search(pattern, line))
        found[name] = number, lines[number - 1].strip()
    return found
