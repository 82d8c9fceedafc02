"""What the layers of a network look like while it learns: a callback.

Norms that grow without end, units that have died and steps that are far too long or too short are
seen here before the loss shows them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mnistgpu import network
from mnistgpu.backend import Array, array_namespace
from mnistgpu.engine.inputs import scale_of
from mnistgpu.engine.trainer import Trainer
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.stop import Stop

IMAGES = 1000  # of the training set, by which units are judged


@dataclass(frozen=True)
class LayerRow:
    """A layer at a row of history, of the plain network that the row judges.

    weight_norm, bias_norm: Euclidean norms of all weights, and of all biases.
    update_ratio: how far the weights went since the row before, by step, divided by weight_norm;
        nan in the first row. Customary are 1e-4 to 1e-2; steps that go back and forth make it
        smaller than the length of each.
    dead_units: units with the same output for each of 1,000 training images, of `units`; 0 of the
        last layer, whose units have no activation of their own.
    """

    iteration: int
    layer: int  # from 1
    weight_norm: float
    bias_norm: float
    update_ratio: float
    dead_units: int
    units: int


class LayerStatistics(Callback):
    """Collects a LayerRow for each layer at each row of history, in `rows`.

    It changes nothing in the run, and costs a forward pass over 1,000 images a row.
    """

    def __init__(self) -> None:
        self.rows: list[LayerRow] = []

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        self.settings, self.backend = trainer.settings, trainer.backend
        self.selected = trainer.inputs.selected
        self.images = trainer.engine.images[:IMAGES, :]
        self.before: tuple[int, Array] | None = None

    def row(self, row: Row, theta: Array) -> None:
        """Measure the layers. A sync point, as the row was."""
        sizes, xp = self.settings.sizes, self.backend.xp
        layers = network.layers(theta, sizes)
        dead = [*self.dead_units(layers), 0]
        taken, older = self.before or (row.iteration, theta)
        steps = row.iteration - taken
        for number, ((W, b), (V, _), still) in enumerate(
            zip(layers, network.layers(older, sizes), dead, strict=True), 1
        ):
            norm, moved = self.norm(W), self.norm(W - V)
            ratio = moved / steps / norm if steps and norm else math.nan
            self.rows.append(
                LayerRow(row.iteration, number, norm, self.norm(b), ratio, still, len(b))
            )
        self.before = row.iteration, xp.asarray(theta) + 0.0

    def changed(self, trainer: Trainer, progress: Progress) -> None:
        """Forget the rows of steps that were undone."""
        self.settings = trainer.settings
        kept = [row for row in self.rows if row.iteration <= trainer.taken]
        if len(kept) < len(self.rows):
            self.rows[:], self.before = kept, None

    def dead_units(self, layers: list[network.Layer]) -> list[int]:
        """How many units of each hidden layer say the same for every image."""
        (W, b), *others = layers
        xp = self.backend.xp
        if self.images.shape[1] != W.shape[1] and self.selected is not None:
            W = xp.take(W, self.selected, axis=1)  # the images have these pixels alone
        X = xp.astype(self.images, W.dtype).T * scale_of(self.images)
        A, _ = network.forward([(W, b), *others], X, ACTIVATIONS[self.settings.activation].value)
        return [int(xp.count_nonzero(still(hidden))) for hidden in A[1:-1]]

    def norm(self, numbers: Array) -> float:
        """The Euclidean norm of all numbers of an array."""
        return math.sqrt(float(self.backend.xp.sum(numbers * numbers)))


def still(hidden: Array) -> Array:
    """Which units (n,) of a layer's outputs (n, m) say the same for every image."""
    xp = array_namespace(hidden)
    found: Array = xp.max(hidden, axis=1) == xp.min(hidden, axis=1)
    return found
