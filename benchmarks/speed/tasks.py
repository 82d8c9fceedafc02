"""The work that all systems do: the same network, first weights, images, batch order, precision."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np

from mnistgpu import counter_rng, data, network
from mnistgpu.engine import inference

SEED = 0
CLASSES = 10


@cache
def mnist() -> data.Dataset:
    """The embedded MNIST."""
    return data.load()


@cache
def floats(images: int) -> np.ndarray:
    """The first training images as float32 rows in [0, 1]: the input of most systems."""
    return mnist().train.images[:images] * np.float32(1 / 255)


@dataclass(frozen=True)
class Task:
    """Steps of gradient descent or Adam on batches of the first training images."""

    layers: str
    batch: int | None  # None: every step takes all images
    optimizer: str = "gradient-descent"
    rate: float = 0.1
    images: int = 60_000
    steps: int = field(default=10**9, repr=False)  # of the whole run, which settings may look at

    @property
    def name(self) -> str:
        """A short title."""
        how = {"gradient-descent": "SGD", "adam": "Adam"}[self.optimizer]
        return f"{self.layers}, {how}, " + (f"B={self.batch}" if self.batch else "full batch")

    @property
    def sizes(self) -> tuple[int, ...]:
        """The layer sizes as numbers."""
        return tuple(int(size) for size in self.layers.split("-"))

    @cached_property
    def order(self) -> np.ndarray:
        """Row numbers (steps, B) int64: the batches of one epoch, repeated in every epoch."""
        size = self.batch or self.images
        key = counter_rng.key(SEED, like=np.zeros(1))
        rows = counter_rng.permutation(key, self.images) if self.batch else np.arange(self.images)
        return rows[: self.images // size * size].reshape(-1, size)

    def batches(self, first: int, count: int) -> np.ndarray:
        """Row numbers (count, B) of steps first, first + 1, ..."""
        return self.order[np.arange(first, first + count) % len(self.order)]

    @property
    def rows(self) -> np.ndarray:
        """All images, uint8 rows (N, 784)."""
        return mnist().train.images[: self.images]

    @property
    def labels(self) -> np.ndarray:
        """Their labels (N,), int64."""
        return mnist().train.labels[: self.images].astype(np.int64)

    @cached_property
    def start(self) -> np.ndarray:
        """The first parameter vector."""
        key = counter_rng.key(SEED + 1, like=np.zeros(1))
        return network.init(key, self.sizes, "he")

    def layers_of(self, theta: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """[(W (n_out, n_in), b (n_out, 1)), ...] of a parameter vector."""
        return network.layers(theta, self.sizes)

    def loss(self, theta: np.ndarray) -> float:
        """The mean cross-entropy on the first test images: what all systems must agree on."""
        test = mnist().test
        Z = inference.logits(theta, self.sizes, "relu", test.images[:2000])
        Y = network.one_hot(test.labels[:2000].astype(np.int64), CLASSES)
        return float(network.cross_entropy(Z, Y))
