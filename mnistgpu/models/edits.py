"""Break a trained network on purpose: switch units off, scale, shift, prune, and see what it costs.

What every unit says to the test images is kept. After an edit only what depends on it is computed
again: of a unit its own row and what it adds to the layer above, then the layers above that. Images
are taken a block at a time, which the cores share; where time is short the first ones are judged
and the others later.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mnistgpu import network
from mnistgpu.data import Digits
from mnistgpu.engine import inference
from mnistgpu.engine.threads import workers
from mnistgpu.errors import UsageError
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models import outputs
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.storage.system import cores

BLOCK = 500  # images that are computed together
NEVER = -1e6  # the logit of a class that is switched off
LOST = 100.0  # the rest of a sum that was so many times as large lacks digits that count
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

    within: seconds in which an edit must have an answer. It is then of the first `judged` images
    (always some), as is `before`, and `go_on` judges more of them, in as many seconds again. By
    default every image is judged at once.
    """

    def __init__(self, model: Model | Committee, digits: Digits, within: float = math.inf):
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
        self.images, self.within = digits.images, within
        blocks = -(-len(self.images) // BLOCK)
        # each block (n, BLOCK) apart: of those to come the system has no memory to give yet
        numbers = [np.empty((blocks, size, BLOCK), self.theta.dtype) for size in model.sizes]
        self.A = numbers[:-1]
        self.Z = [np.empty_like(each) for each in numbers[1:]]
        self._right = np.empty((2, len(self.images)), bool)  # before the edits, and after them
        # images, from the first on, that are begun: their A_0 is known, and the answer before
        self._begun = 0
        self.judged = 0  # of these, those whose sums follow from all edits
        self._lowest = len(self.layers)  # the layer from which the other sums do not
        begun = time.perf_counter()
        self.go_on()
        spent = max(time.perf_counter() - begun, 1e-6)
        self._speed = self._work(1) * self.judged / len(self.images) / spent

    @property
    def accuracy(self) -> float:
        """The share of right answers of the edited network, to the first `judged` images."""
        return float(np.mean(self._right[1, : self.judged]))

    @property
    def before(self) -> float:
        """That of the network that was not edited, to the same images."""
        return float(np.mean(self._right[0, : self.judged]))

    def go_on(self) -> int:
        """Judge more images, for `within` seconds; how many are judged then."""
        blocks = range(self.judged, len(self.images), BLOCK)
        self._compute(blocks, lambda block: self._anew(self._lowest, block))
        return self.judged

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
                sizes, flat = np.abs(W).reshape(-1), W.reshape(-1)
                most = np.partition(sizes, count - 1)[count - 1]
                # of those of this size as many as are still to be set, which are mostly none or one
                as_large = np.flatnonzero(sizes == most)[: count - np.count_nonzero(sizes < most)]
                flat[sizes < most] = 0.0
                flat[as_large] = 0.0

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
        layer, column = patch.layer, patch.column
        before = None if column is None else self.layers[layer - 1][0][:, column].copy()
        edit()
        whole = patch.unit is None and column is None

        def change(block: slice) -> None:
            if whole or block.start >= self.judged:
                self._anew(min(patch.layer, self._lowest), block)
            else:
                self._change(patch, before, block)

        self._compute(range(0, self._begun, BLOCK), change)
        if self.judged < self._begun:
            self._lowest = min(patch.layer, self._lowest)

    def _change(self, patch: Patch, before: np.ndarray | None, block: slice) -> None:
        """Follow the edit of a unit, or of the weights `before` that its output had above."""
        layer, unit, column = patch.layer, patch.unit, patch.column
        W, b = self.layers[layer - 1]
        A, Z = of(self.A[layer - 1], block), of(self.Z[layer - 1], block)
        if before is not None:
            self._add(layer, W[:, column] - before, A[column], block)
        else:
            assert unit is not None  # an edit of a whole layer has no terms that stay
            Z[unit] = W[unit] @ A + b[unit]
            if layer < len(self.layers):
                said, above = self.value(Z[unit]), of(self.A[layer], block)
                moved = said - above[unit]
                above[unit] = said
                layer += 1
                self._add(layer, self.layers[layer - 1][0][:, unit], moved, block)
        self._above(layer, block)

    def _add(self, layer: int, weights: np.ndarray, inputs: np.ndarray, block: slice) -> None:
        """Add the products of these to the sums of a layer, or where little is left of large sums
        compute them anew: the rest is rounded as those were.
        """
        Z, terms = of(self.Z[layer - 1], block), np.outer(weights, inputs)
        Z += terms
        if not (np.abs(terms).max(axis=0) <= LOST * np.abs(Z).max(axis=0)).all():
            self._sum(layer, block)

    def _sum(self, layer: int, block: slice) -> None:
        """Compute the sums of a layer from what the one below says."""
        W, b = self.layers[layer - 1]
        Z = of(self.Z[layer - 1], block)
        np.matmul(W, of(self.A[layer - 1], block), out=Z)
        Z += b

    def _anew(self, layer: int, block: slice) -> None:
        """Compute the sums of some images from a layer on, or all if they are not begun yet."""
        if block.start >= self._begun:
            of(self.A[0], block)[...] = outputs.columns(self.original, self.images[block])
            if self.list:
                Z = inference.of_layers(self.original.layers, *self._how(block))
                self._right[0, block] = np.argmax(Z, axis=0) == self.labels[block]
            layer = 1
        self._sum(layer, block)
        self._above(layer, block)
        if block.start >= self._begun and not self.list:
            self._right[0, block] = self._right[1, block]

    def _above(self, layer: int, block: slice) -> None:
        """Compute what follows from the sums of a layer, up to the answers."""
        for above in range(layer, len(self.layers)):
            of(self.A[above], block)[...] = self.value(of(self.Z[above - 1], block))
            self._sum(above + 1, block)
        self._right[1, block] = self._answers(block) == self.labels[block]

    def _compute(self, starts: Iterable[int], compute: Callable[[slice], None]) -> None:
        """Compute blocks of images, from the first on, as many as there is time for."""
        until = time.perf_counter() + self.within
        if not (starts := list(starts)):
            return

        def one(start: int) -> bool:
            if start != starts[0] and time.perf_counter() > until:
                return False
            compute(slice(start, min(start + BLOCK, len(self.images))))
            return True

        with workers(min(cores(), len(starts))) as pool:
            done = list(pool.map(one, starts) if pool else map(one, starts))
        computed = done.index(False) if False in done else len(done)
        self.judged = min(starts[0] + BLOCK * computed, len(self.images))
        self._begun = max(self._begun, self.judged)
        if self.judged == self._begun:
            self._lowest = len(self.layers)

    def _answers(self, block: slice) -> np.ndarray:
        """The answers to some images. Where two logits are close the sums are computed anew, since
        sums that were changed bit by bit are rounded otherwise.
        """
        Z = of(self.Z[-1], block)
        answers: np.ndarray = np.argmax(Z, axis=0)
        two = np.partition(Z, -2, axis=0)[-2:]
        close = np.flatnonzero(two[1] - two[0] <= CLOSE * np.abs(two).max(axis=0))
        if len(close):
            logits = inference.of_layers(self.layers, *self._how(block.start + close))
            answers[close] = np.argmax(logits, axis=0)
        return answers

    def _how(self, images: slice | np.ndarray) -> tuple[str, np.ndarray, bool]:
        """What `inference.of_layers` needs to know of some images."""
        return self.original.activation, self.images[images], self.original.is_exact


def of(blocks: np.ndarray, images: slice) -> np.ndarray:
    """The columns (n, m) of some images, which are a block."""
    found: np.ndarray = blocks[images.start // BLOCK][:, : images.stop - images.start]
    return found


def number(value: Any, name: str) -> float:
    """A number that an edit may take; UsageError for others."""
    counts = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not counts or not abs(value) <= LARGEST:
        raise UsageError(f"{name} must be a finite number of at most {LARGEST:,.0f}, not {value!r}")
    return float(value)
