"""scikit-learn's MLPClassifier: `partial_fit` takes the steps of one call without overhead between.

It takes its rows in order, so each call gets a copy of the rows in the order of the batches.
"""

from __future__ import annotations

import numpy as np

from speed.tasks import CLASSES, Task, floats


class PartialFit:
    """MLPClassifier with the task's first weights, no penalty, no momentum, no shuffling."""

    def __init__(self, task: Task):
        from sklearn.neural_network import MLPClassifier

        self.task, self.X = task, floats(task.images)
        self.labels = task.labels
        self.model = MLPClassifier(
            hidden_layer_sizes=task.sizes[1:-1],
            solver={"gradient-descent": "sgd", "adam": "adam"}[task.optimizer],
            alpha=0.0,
            learning_rate_init=task.rate,
            momentum=0.0,
            nesterovs_momentum=False,
            shuffle=False,
        )
        first = task.order[0][:32]
        self.model.partial_fit(self.X[first], self.labels[first], classes=np.arange(CLASSES))
        self.model.batch_size = task.batch or task.images
        for i, (W, b) in enumerate(task.layers_of(task.start)):
            self.model.coefs_[i][...] = W.T
            self.model.intercepts_[i][...] = b[:, 0]
        if task.optimizer == "adam":
            state = self.model._optimizer
            state.t = 0
            for moments in (state.ms, state.vs):
                for moment in moments:
                    moment[...] = 0.0

    def steps(self, first: int, count: int) -> None:
        """See `Peer`."""
        if self.task.batch is None:
            for _ in range(count):
                self.model.partial_fit(self.X, self.labels)
            return
        rows = self.task.batches(first, count).reshape(-1)
        self.model.partial_fit(self.X[rows], self.labels[rows])

    def theta(self) -> np.ndarray:
        """See `Peer`."""
        layers = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        return np.concatenate([part for W, b in layers for part in (W.T.reshape(-1), b)])
