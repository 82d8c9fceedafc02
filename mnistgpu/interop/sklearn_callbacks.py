"""What is called while an estimator learns: scikit-learn's callbacks, for each epoch.

scikit-learn has them from 1.9 on; before, an estimator has none. Each epoch is a task of `fit`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnistgpu.backend import Array
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.models.model import Model
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.outcome import Outcome
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings

__all__ = ["CallbackSupportMixin", "Learning", "Learnt", "with_callbacks"]

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # older than 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """The method as it is."""
        return method


@dataclass(frozen=True)
class Learnt:
    """What fitting goes on from: the vectors of a trainer on the host, after so many steps."""

    vectors: dict[str, np.ndarray]
    taken: int


class Learning(Callback):
    """A run of an estimator: begins where the last one ended, tells scikit-learn of each epoch."""

    learnt: Learnt

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: Any,
        settings: Settings,
        image_shape: tuple[int, int],
        before: Learnt | None,
        part: bool = False,
    ):
        self.estimator, self.settings, self.image_shape = estimator, settings, image_shape
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.told = {"X": X, "y": y, "metadata": metadata}
        self.before, self.part = before, part  # of the rows, for `partial_fit`
        self.context: Any = None  # scikit-learn's, of the fit and of the epoch
        self.epoch: Any = None

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        self.trainer, self.stop = trainer, stop
        trainer.has_all_images = not self.part
        self.per_epoch, self.steps = trainer.batches.per_epoch, trainer.steps
        if self.per_epoch == 1 and not self.settings.graph:  # whose windows lie between two rows
            trainer.row_every = 1  # since few rows make a full batch, and an epoch has a loss
        if self.before is not None:
            go_on(trainer, self.before)
        begin = getattr(self.estimator, "_init_callback_context", None)
        if begin is not None:
            self.context = begin(max_subtasks=self.tasks())
            self.context.call_on_fit_task_begin(estimator=self.estimator, **self.told)
            self.begin_epoch()

    def tasks(self) -> int:
        """How many epochs the run has at most; with `graph`, rows of full batches."""
        if self.per_epoch > 1:
            return math.ceil(self.steps / self.per_epoch)
        every = self.trainer.row_every
        return len({1, self.steps, *range(every, self.steps + 1, every)})

    def begin_epoch(self) -> None:
        """Tell scikit-learn that an epoch begins."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(estimator=self.estimator, **self.told)

    def step(self, trainer: Trainer, progress: Progress) -> None:
        if self.epoch is None and self.context is not None and not progress.finished:
            self.begin_epoch()

    def row(self, row: Row, theta: Array) -> None:
        if self.epoch is None or not self.is_epoch(row):
            return
        stops = self.epoch.call_on_fit_task_end(
            estimator=self.estimator,
            **self.told,
            reconstruction_attributes=lambda: self.estimator._answering(self.network(theta)),
        )
        self.epoch = None
        if stops:
            self.stop.finish()

    def network(self, theta: Array) -> Model:
        """The network of these parameters."""
        host = np.array(self.trainer.backend.to_numpy(theta))
        settings = self.settings
        return Model(
            host, settings.sizes, self.image_shape, settings.activation, settings.as_dict()
        )

    def end(self, outcome: Outcome) -> None:
        taken = self.trainer.before + self.trainer.taken
        vectors = {name: np.array(each) for name, each in self.trainer.vectors().items()}
        self.learnt = Learnt(vectors, taken)

    def finish(self) -> None:
        """Tell scikit-learn that the estimator is fitted."""
        if self.context is not None:
            self.context.call_on_fit_task_end(
                estimator=self.estimator, **self.told, reconstruction_attributes={}
            )

    def is_epoch(self, row: Row) -> bool:
        """Whether an epoch, or the run, ends with this row."""
        return row.iteration % self.per_epoch == 0 or row.iteration == self.steps

    def count(self, row: Row) -> int:
        """How many epochs, or steps of full batches, were taken up to a row."""
        return math.ceil(row.epoch)


def go_on(trainer: Trainer, before: Learnt) -> None:
    """Begin with what was learnt before. UsageError if that is of another network.

    What the optimiser remembers is taken over if it is the same optimiser.
    """
    own, found = trainer.arrays(), before.vectors
    if found["theta"].shape != own["theta"].shape:
        raise UsageError(
            "warm_start: the network has other layers than the one to go on from, or one of them "
            "a decoder; keep hidden_layer_sizes and denoising, or fit with warm_start=False"
        )
    same = set(own) == set(found)
    vectors = {name: found.get(name, trainer.backend.to_numpy(own[name])) for name in own}
    trainer.go_on_from(vectors, before.taken if same else 0)
