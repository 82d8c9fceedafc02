"""What the layers of a network see: their outputs for some images in the plane, histograms, dead
units, as pictures that move while it learns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mnistgpu import network
from mnistgpu.backend import NUMPY, Array, Backend
from mnistgpu.errors import DataError
from mnistgpu.maths import pca
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models import outputs
from mnistgpu.models.model import Model
from mnistgpu.runs.layer_statistics import IMAGES, still

BINS = 40  # of a histogram


class LayerViews:
    """Pictures of what a network's layers say to the first 1,000 of some labelled images.

    images (N, pixels), labels (N,). layer: the one whose outputs are shown in the plane, from 1 on;
    None for the last hidden one (of a network without hidden layers, the last). The axes of one
    picture point as those of the one before, so that points move and do not jump.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        layer: int | None = None,
        backend: Backend = NUMPY,
    ):
        self.backend, self.layer = backend, layer
        self.images = backend.asarray(np.ascontiguousarray(images[:IMAGES]))
        self.labels = np.asarray(labels)[:IMAGES]
        if len(self.labels) == 0:
            raise DataError("there are no images to show what the layers say to")
        self._axes: dict[int, Array] = {}

    def view(self, model: Model) -> dict[str, Any]:
        """What the layers of a network see now, as JSON types."""
        A, Z, gradients = self.passes(model)
        hidden = len(A) - 2
        layer = self.layer or max(1, hidden)
        outputs.check_unit(model, layer)
        # of the last layer the logits: probabilities are all next to 0 or 1
        points, explained = self.plane(Z[-1] if layer == len(Z) else A[layer], layer)
        said = [*A[1:-1], Z[-1]]
        histograms = [
            {
                "layer": number,
                "weights": self.histogram(W),
                "gradients": self.histogram(dW),
                "activations": self.histogram(said[number - 1]),
            }
            for number, ((W, _), (dW, _)) in enumerate(
                zip(self.params(model), gradients, strict=True), 1
            )
        ]
        return {
            "layer": layer,
            "points": np.round(points, 4).tolist(),
            "labels": self.labels.tolist(),
            "explained": explained,
            "histograms": histograms,
            "dead": [self.count(still(each)) for each in A[1:-1]],
            "units": list(model.sizes[1:]),
        }

    def params(self, model: Model) -> list[network.Layer]:
        """The layers of a network where the images live."""
        return network.layers(self.backend.asarray(model.theta), model.sizes)

    def passes(self, model: Model) -> tuple[list[Array], list[Array], list[network.Layer]]:
        """Activations, sums and gradients of the mean loss, of all images together."""
        params, activation = self.params(model), ACTIVATIONS[model.activation]
        A_0 = outputs.columns(model, self.images)
        A, Z = network.forward(params, A_0, activation.value)
        labels = self.backend.asarray(self.labels.astype(np.int64))
        Y = network.one_hot(labels, model.sizes[-1], str(model.theta.dtype))
        return A, Z, network.backward(params, A, Z, Y, activation.derivative)

    def plane(self, columns: Array, layer: int) -> tuple[np.ndarray, list[float]]:
        """Points (m, 2) of columns (n, m), and the share of the variance along each axis."""
        axes, variances, whole = pca.principal_axes(columns, 2, self._axes.get(layer))
        self._axes[layer] = axes
        xp = self.backend.xp
        points = self.backend.to_numpy((columns - xp.mean(columns, axis=1, keepdims=True)).T @ axes)
        shares = [float(each) / whole if whole else 0.0 for each in variances]
        if points.shape[1] == 1:  # a layer of one unit
            points, shares = np.concatenate([points, 0.0 * points], axis=1), [*shares, 0.0]
        return points, shares

    def histogram(self, numbers: Array) -> dict[str, list[float]]:
        """How many numbers lie between edges, 41 of them."""
        flat = self.backend.to_numpy(numbers).reshape(-1)
        counts, edges = np.histogram(flat, BINS)
        return {"edges": [float(f"{edge:.4g}") for edge in edges], "counts": counts.tolist()}

    def count(self, mask: Array) -> int:
        """How many of a mask are true. A sync point."""
        return int(self.backend.xp.count_nonzero(mask))
