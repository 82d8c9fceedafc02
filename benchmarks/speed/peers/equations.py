"""The equations as a student writes them after the tutorial: NumPy, float64, columns.

Two mistakes of the original are corrected, since all systems must learn the same: there the bias
gradient is one number for a whole layer, and the classes are those that occur in the batch. Run as
a script, it trains 784-10-10 from start to end.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np


class Equations:
    """One hidden layer, gradient descent."""

    def __init__(self, task):
        if len(task.sizes) != 3 or task.optimizer != "gradient-descent":
            raise NotImplementedError("the tutorial has one hidden layer and gradient descent")
        self.task = task
        self.X, self.labels = np.ascontiguousarray(task.rows.T) / 255.0, task.labels
        (W1, b1), (W2, b2) = task.layers_of(task.start.astype(np.float64))
        self.parameters = W1, b1, W2, b2

    def steps(self, first: int, count: int) -> None:
        """See `Peer`."""
        for rows in self.task.batches(first, count):
            X, labels = self.X, self.labels
            if self.task.batch is not None:
                X, labels = X[:, rows], labels[rows]
            self.parameters = one_step(*self.parameters, X, one_hot(labels), self.task.rate)

    def theta(self) -> np.ndarray:
        """See `Peer`."""
        parts = [part.reshape(-1) for part in self.parameters]
        return np.concatenate(parts).astype(np.float32)


def one_hot(labels):
    """Y (10, m)."""
    Y = np.zeros((labels.size, 10))
    Y[np.arange(labels.size), labels] = 1
    return Y.T


def one_step(W1, b1, W2, b2, X, Y, alpha):
    """Forward, backward, update."""
    m = X.shape[1]
    Z1 = W1.dot(X) + b1
    A1 = np.maximum(Z1, 0)
    Z2 = W2.dot(A1) + b2
    exponentials = np.exp(Z2 - Z2.max(axis=0))
    A2 = exponentials / exponentials.sum(axis=0)
    dZ2 = A2 - Y
    dW2 = 1 / m * dZ2.dot(A1.T)
    db2 = 1 / m * np.sum(dZ2, axis=1, keepdims=True)
    dZ1 = W2.T.dot(dZ2) * (Z1 > 0)
    dW1 = 1 / m * dZ1.dot(X.T)
    db1 = 1 / m * np.sum(dZ1, axis=1, keepdims=True)
    return W1 - alpha * dW1, b1 - alpha * db1, W2 - alpha * dW2, b2 - alpha * db2


def main(folder: str, iterations: int) -> None:
    """Train 784-10-10 on all but the last 1,000 training images; print accuracies on the way."""
    with gzip.open(Path(folder) / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), dtype=np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(Path(folder) / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), dtype=np.uint8, offset=8).astype(np.int64)
    X, X_held_out = images[:-1000].T / 255.0, images[-1000:].T / 255.0
    Y, held_out = one_hot(labels[:-1000]), labels[-1000:]
    random = np.random.default_rng(0)
    shapes = ((10, 784), (10, 1), (10, 10), (10, 1))
    parameters = tuple(random.random(shape) - 0.5 for shape in shapes)
    for iteration in range(iterations):
        parameters = one_step(*parameters, X, Y, 0.5)
        if iteration % 50 == 0 or iteration == iterations - 1:
            W1, b1, W2, b2 = parameters
            Z2 = W2.dot(np.maximum(W1.dot(X_held_out) + b1, 0)) + b2
            print(iteration, np.mean(Z2.argmax(axis=0) == held_out))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
