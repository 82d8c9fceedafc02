"""What `train` calls while it trains.

A progress bar, checkpoints, snapshots and early stopping are all callbacks; so are your own:

    class Print(Callback):
        def row(self, row, theta):
            print(row.iteration, row.train_loss)

    train(settings, dataset, backend, callbacks=[Print()])
"""

from __future__ import annotations

import numpy as np

from mnistgpu.backend import Array
from mnistgpu.engine.trainer import Trainer
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.outcome import Outcome
from mnistgpu.runs.stop import Stop


class Callback:
    """The methods that `train` calls. Each does nothing; a subclass overrides what it needs."""

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        """Called before the first step, or before the first one of a resumed run.

        All three arguments stay the same objects until the run ends.
        """

    def step(self, trainer: Trainer, progress: Progress) -> None:
        """Called after every step, or after a few taken together; must cost next to nothing."""

    def row(self, row: Row, theta: Array) -> None:
        """Called for every row of history, with the parameters (on the device) that it judges."""

    def changed(self, trainer: Trainer, progress: Progress) -> None:
        """Called when settings have changed by an event, or the run went back to an earlier step.

        The trainer has its new settings, `progress.events` the events. What was kept of later steps
        than `trainer.taken` is no part of the run any more.
        """

    def warning(self, sentence: str) -> None:
        """Called with a warning: data or network look as if little will be learnt."""

    def interrupted(self, trainer: Trainer, progress: Progress) -> None:
        """Called when the run was interrupted: the place to save it."""

    def end(self, outcome: Outcome) -> None:
        """Called last when the run is finished, or its outcome so far was asked for."""


class EarlyStopping(Callback):
    """Remembers the best parameters, and finishes the run when better ones no longer come.

    patience: the run is finished after this many epochs without a better validation accuracy, or an
    equal one at a smaller loss.
    """

    def __init__(self, patience: int):
        self.patience = patience

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        self.backend, self.progress, self.stop = trainer.backend, progress, stop

    def row(self, row: Row, theta: Array) -> None:
        progress, score = self.progress, (row.validation_accuracy, -row.validation_loss)
        if score > progress.best_score:
            progress.best_score, progress.best_epoch = score, row.epoch
            progress.best_theta = np.array(self.backend.to_numpy(theta))
        elif row.epoch - progress.best_epoch >= self.patience:
            self.stop.finish()
