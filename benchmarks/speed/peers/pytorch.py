"""PyTorch on the CPU with its own choice of threads: eager, with a fused optimiser, compiled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from speed.tasks import Task, floats


class Eager:
    """The training loop of PyTorch's tutorials, with the data already in tensors."""

    fused = False

    def __init__(self, task: Task):
        import torch

        self.torch, self.task = torch, task
        self.X = torch.from_numpy(floats(task.images))
        self.labels = torch.from_numpy(task.labels)
        self.order = torch.from_numpy(task.order)
        self.net = network(torch, task.layers_of(task.start))
        kind = {"gradient-descent": torch.optim.SGD, "adam": torch.optim.Adam}[task.optimizer]
        self.optimizer = kind(self.net.parameters(), lr=task.rate, fused=self.fused)
        self.loss_of = self.plain_loss

    def plain_loss(self, X: Any, labels: Any) -> Any:
        """The mean cross-entropy of a batch."""
        return self.torch.nn.functional.cross_entropy(self.net(X), labels)

    def steps(self, first: int, count: int) -> None:
        """See `Peer`."""
        for step in range(first, first + count):
            X, labels = self.X, self.labels
            if self.task.batch is not None:
                rows = self.order[step % len(self.order)]
                X, labels = X[rows], labels[rows]
            self.optimizer.zero_grad()
            self.loss_of(X, labels).backward()
            self.optimizer.step()

    def theta(self) -> np.ndarray:
        """See `Peer`."""
        parameters = [p.detach().numpy().reshape(-1) for p in self.net.parameters()]
        return np.concatenate(parameters)


class Fused(Eager):
    """The same with the optimiser's update in one kernel."""

    fused = True


class Compiled(Fused):
    """The same with the forward and the backward pass through torch.compile."""

    def __init__(self, task: Task):
        super().__init__(task)
        self.loss_of = self.torch.compile(self.plain_loss)


def network(torch: Any, layers: Sequence[tuple[np.ndarray, np.ndarray]]) -> Any:
    """A network of ReLU units with these weights (n_out, n_in) and biases (n_out, 1)."""
    modules: list[Any] = []
    for W, b in layers:
        linear = torch.nn.Linear(W.shape[1], W.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W))
            linear.bias.copy_(torch.from_numpy(b[:, 0]))
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1])
