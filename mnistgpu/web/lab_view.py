"""What the page shows of a run between two steps: rows of history, weights, answers, layers."""

from __future__ import annotations

import importlib.util
import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistgpu.backend import Backend
from mnistgpu.data import Dataset, Digits
from mnistgpu.models.model import Model
from mnistgpu.runs.history import Row
from mnistgpu.runs.layer_views import LayerViews
from mnistgpu.runs.watching import UNITS, Snapshots
from mnistgpu.web.encoded import of_run, rows_of

if TYPE_CHECKING:
    from mnistgpu.runs.steered import Moment

WANTED = 2.0  # seconds that pictures or layers are looked at after they were asked for


@dataclass(frozen=True)
class Seen:
    """A moment of the run, as the page shows it."""

    taken: int
    model: Model  # on the host
    number: int  # of the looks so far
    pictures: dict[str, Any]
    layers: dict[str, Any] | None = None


class View:
    """Looks at a run between two steps, in the thread that trains it.

    It is called only while the page asks for it; the page's threads then read `seen`.
    """

    def __init__(self, dataset: Dataset, backend: Backend):
        self.digits: Digits = dataset.test or dataset.train
        self.backend = backend
        self.watched = Snapshots.of(dataset)
        self.lock = threading.Lock()  # held while t-SNE computes
        self.looks = 0
        self.forget()

    def forget(self) -> None:
        """Forget the run: another one begins."""
        self.history: list[Row] = []
        self.branch = 0  # how often rows were taken back
        self.seen: Seen | None = None
        self.behind = False  # whether steps were taken since, which nobody wanted pictures of
        self.pictured = -math.inf  # when pictures were asked for
        self.layers: LayerViews | None = None
        self.wanted: tuple[float, int] = (-math.inf, 1)  # when layers were asked for, and which
        self.made: tuple[tuple[int, int, int], list[list[float]]] = (-1, -1, -1), []  # by t-SNE

    def __call__(self, moment: Moment) -> Seen:
        """Look: the rows so far, and if they are wanted pictures of the model. A sync point."""
        rows, old = list(moment.history), self.history
        if len(rows) < len(old) or (old and rows[len(old) - 1] is not old[-1]):
            self.branch += 1
        self.history = rows
        if self.seen is not None and not self.wants():
            self.behind = True
            return self.seen
        model = moment.model()
        if self.seen is not None and not np.isfinite(model.theta).all():
            return self.seen  # it overflows, which the run itself finds and says at its next row
        W, _ = model.layers[0]
        shares = model.probabilities(self.watched.images).T
        found = of_run(
            model.image_shape,
            np.asarray(W[:UNITS], dtype=np.float32),
            self.watched.images,
            self.watched.labels,
            shares,
        )
        self.looks += 1
        self.behind = False
        self.seen = Seen(moment.taken, model, self.looks, found, self.view_of(model))
        return self.seen

    def wants(self) -> bool:
        """Whether a page has asked for pictures or layers lately."""
        return time.monotonic() - max(self.pictured, self.wanted[0]) <= WANTED

    def rows(self, after: int) -> list[dict[str, Any]]:
        """The rows of history after the first so many, as JSON types."""
        return rows_of(self.history[after:])

    def view_of(self, model: Model) -> dict[str, Any] | None:
        """The layers of the model as the page shows them, if it has asked for them."""
        asked, layer = self.wanted
        known = layer < len(model.sizes) and bool(np.isfinite(model.theta).all())
        if time.monotonic() - asked > WANTED or not known:
            return None
        if self.layers is None or self.layers.layer != layer:
            self.layers = self.views(layer)
        return self.layers.view(model)

    def views(self, layer: int) -> LayerViews:
        """What makes pictures of a layer."""
        labels = self.digits.labels
        assert labels is not None  # data to train on have them
        return LayerViews(self.digits.images, labels, layer, self.backend)

    def neighbours(self, seen: Seen, layer: int) -> list[list[float]]:
        """The outputs of a layer in the plane by t-SNE, which takes seconds; each step once.

        van der Maaten and Hinton 2008. From the same outputs it makes the same picture.
        """
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        with self.lock:
            made_at, points = self.made
            if made_at != (self.branch, seen.taken, layer):
                A, Z, _ = self.views(layer).passes(seen.model)
                columns = Z[-1] if layer == len(Z) else A[layer]
                outputs = np.asarray(self.backend.to_numpy(columns)).T
                with threadpool_limits(1):  # with more it waits for threads where others compute
                    found = TSNE(init="pca", random_state=0).fit_transform(outputs)
                points = np.round(found, 3).tolist()
                self.made = (self.branch, seen.taken, layer), points
            return points

    def want_pictures(self) -> None:
        """Ask for pictures from now on."""
        self.pictured = time.monotonic()

    def want_layers(self, layer: int) -> None:
        """Ask for views of the layers from now on, with this one in the plane."""
        self.wanted = (time.monotonic(), layer)


def methods() -> list[str]:
    """How outputs can be shown in the plane: t-SNE where scikit-learn is installed."""
    return ["pca", *(["tsne"] if importlib.util.find_spec("sklearn") else [])]
