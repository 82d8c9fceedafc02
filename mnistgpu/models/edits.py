"""Break a trained network on purpose: switch units off, scale, shift, prune, and see what it costs.

What every unit says to the test images is kept. After an edit only what depends on it is computed
again: of a unit its own row and what it adds to the layer above, then the layers above that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mnistgpu import network
from mnistgpu.data import Digits
from mnistgpu.engine import inference
from mnistgpu.errors import UsageError
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models import outputs
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model

NEVER = -1e6  # the logit of a class that is switched off
CLOSE = 1e-3  # two logits closer than this share of them may have changed places by rounding
LARGEST = 1e6  # factor or shift


@dataclass(frozen=True)
class Patch:
    """What an edit has replaced: weights and biases of a layer, and where they were."""

    layer: int
    unit: int | None  # whose row was edited; None for all rows, or if a column was
    column: int | None  # the unit of the layer below whose weights were edited
    W: np.ndarray
    b: np.ndarray


class Edits:
    """A copy of a trained network that can be edited, and its accuracy on labelled images.

    An edit returns the new accuracy, and so does `undo`. `list` has the edits so far, `model` is
    the edited network, which can be saved: its file says what was edited. UsageError for a unit
    that is not there and for a number that makes no sense.
    """

    def __init__(self, model: Model | Committee, digits: Digits):
        if isinstance(model, Committee):
            raise UsageError("a committee has no units of its own; edit one of its members")
        if digits.labels is None:
            raise UsageError("editing needs labels, since it shows what happens to the accuracy")
        self.original, self.labels = model, np.asarray(digits.labels)
        self.theta = model.theta.copy()
        self.layers = network.layers(self.theta, model.sizes)
        self.value = ACTIVATIONS[model.activation].value
        self.list: list[dict[str, Any]] = []
        self._patches: list[Patch] = []
        self.images = digits.images
        self.A = [np.ascontiguousarray(outputs.columns(model, digits.images))]
        self.Z: list[np.ndarray] = []
        begun = time.perf_counter()
        for layer, (W, b) in enumerate(self.layers, 1):
            self.Z.append(W @ self.A[-1] + b)
            if layer < len(self.layers):
                self.A.append(self.value(self.Z[-1]))
        self._speed = self._work(1) / max(time.perf_counter() - begun, 1e-6)
        self.before = self.accuracy = self._judged()

    # The edits

    def switch_off(self, layer: int, unit: int) -> float:
        """Let a unit say nothing: the layer above gives its output no weight. An output unit is
        never the answer.
        """
        outputs.check_unit(self.original, layer, unit)
        record = {"what": "switch off", "layer": layer, "unit": int(unit)}
        if layer < len(self.layers):
            W, _ = self.layers[layer]
            return self._do(record, layer + 1, None, unit, lambda: W[:, unit].fill(0.0))
        W, b = self.layers[-1]

        def silence() -> None:
            W[unit], b[unit] = 0.0, NEVER

        return self._do(record, layer, unit, None, silence)

    def scale(self, layer: int, unit: int, factor: float) -> float:
        """Multiply all weights of a unit by a number."""
        outputs.check_unit(self.original, layer, unit)
        factor = number(factor, "factor")
        W, _ = self.layers[layer - 1]
        record = {"what": "scale", "layer": layer, "unit": int(unit), "by": factor}
        return self._do(record, layer, unit, None, lambda: np.multiply(W[unit], factor, W[unit]))

    def shift(self, layer: int, unit: int, amount: float) -> float:
        """Add a number to the bias of a unit."""
        outputs.check_unit(self.original, layer, unit)
        amount = number(amount, "amount")
        _, b = self.layers[layer - 1]
        record = {"what": "shift", "layer": layer, "unit": int(unit), "by": amount}
        return self._do(record, layer, unit, None, lambda: np.add(b[unit], amount, b[unit]))

    def prune(self, layer: int, share: float) -> float:
        """Set this share of the weights of a layer to 0, those closest to 0."""
        outputs.check_unit(self.original, layer)
        share = number(share, "share")
        if not 0.0 <= share <= 1.0:
            raise UsageError(f"share must be a number from 0 to 1, not {share!r}")
        W, _ = self.layers[layer - 1]
        record = {"what": "prune", "layer": layer, "share": share}

        def prune() -> None:
            count = round(share * W.size)
            if count:
                smallest = np.argpartition(np.abs(W).reshape(-1), count - 1)[:count]
                W.reshape(-1)[smallest] = 0.0

        return self._do(record, layer, None, None, prune)

    def undo(self) -> float:
        """Take back the newest edit. UsageError if there is none."""
        if not self.list:
            raise UsageError("there is no edit to take back")
        self.list.pop()
        patch = self._patches.pop()
        W, b = self.layers[patch.layer - 1]
        self._replace(patch, lambda: self._put_back(patch, W, b))
        return self.accuracy

    def reset(self) -> float:
        """Take back all edits."""
        while self.list:
            self.undo()
        return self.accuracy

    @property
    def model(self) -> Model:
        """The edited network. Its file says what was edited; it is not calibrated."""
        if not self.list:
            return self.original
        edits = (*self.original.edits, *self.list)
        return replace(self.original, theta=self.theta.copy(), edits=edits, calibration=None)

    def seconds(self, layer: int, whole: bool = False) -> float:
        """About how long an edit of a unit of this layer takes, or of the `whole` layer."""
        outputs.check_unit(self.original, layer)
        above = self._work(layer if whole else layer + 2)
        return (above + 20.0 * len(self.labels) * sum(self.original.sizes[1:])) / self._speed

    # What an edit changes

    def _work(self, layer: int) -> float:
        """Multiply-adds of the products from this layer on."""
        return float(sum(W.size for W, _ in self.layers[layer - 1 :]) * len(self.labels))

    def _do(
        self,
        record: dict[str, Any],
        layer: int,
        unit: int | None,
        column: int | None,
        edit: Callable[[], object],
    ) -> float:
        """Edit a row, a column or all of a layer; the new accuracy."""
        W, b = self.layers[layer - 1]
        if unit is not None:
            patch = Patch(layer, unit, None, W[unit].copy(), b[unit].copy())
        elif column is not None:
            patch = Patch(layer, None, column, W[:, column].copy(), b.copy())
        else:
            patch = Patch(layer, None, None, W.copy(), b.copy())
        self._replace(patch, edit)
        self.list.append(record)
        self._patches.append(patch)
        return self.accuracy

    def _put_back(self, patch: Patch, W: np.ndarray, b: np.ndarray) -> None:
        """Undo an edit of the weights and biases of a layer."""
        if patch.unit is not None:
            W[patch.unit], b[patch.unit] = patch.W, patch.b
        elif patch.column is not None:
            W[:, patch.column] = patch.W
        else:
            W[...], b[...] = patch.W, patch.b

    def _replace(self, patch: Patch, edit: Callable[[], object]) -> None:
        """Edit the parameters, and compute again what depends on them."""
        layer, unit, column = patch.layer, patch.unit, patch.column
        (W, b), A, Z = self.layers[layer - 1], self.A[layer - 1], self.Z[layer - 1]
        last = layer == len(self.layers)
        if column is not None:
            before = W[:, column].copy()
            edit()
            Z += np.outer(W[:, column] - before, A[column])
        elif unit is None:
            edit()
            np.matmul(W, A, out=Z)
            Z += b
        else:
            edit()
            Z[unit] = W[unit] @ A + b[unit]
            if not last:
                said = self.value(Z[unit : unit + 1])[0]
                moved, self.A[layer][unit] = said - self.A[layer][unit], said
                self.Z[layer] += np.outer(self.layers[layer][0][:, unit], moved)
                layer += 1  # whose sums are known
        for above in range(layer, len(self.layers)):
            self.A[above] = self.value(self.Z[above - 1])
            W, b = self.layers[above]
            np.matmul(W, self.A[above], out=self.Z[above])
            self.Z[above] += b
        self.accuracy = self._judged()

    def _judged(self) -> float:
        """The share of right answers. Where two logits are close the sums are computed anew, since
        sums that were changed bit by bit are rounded otherwise.
        """
        Z = self.Z[-1]
        answers = np.argmax(Z, axis=0)
        two = np.partition(Z, -2, axis=0)[-2:]
        close = np.flatnonzero(two[1] - two[0] <= CLOSE * np.abs(two).max(axis=0))
        if len(close):
            how = self.original.activation, self.images[close], self.original.is_exact
            answers[close] = np.argmax(inference.of_layers(self.layers, *how), axis=0)
        return float(np.mean(answers == self.labels))


def number(value: Any, name: str) -> float:
    """A number that an edit may take; UsageError for others."""
    counts = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not counts or not abs(value) <= LARGEST:
        raise UsageError(f"{name} must be a finite number of at most {LARGEST:,.0f}, not {value!r}")
    return float(value)
