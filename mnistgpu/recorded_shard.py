"""A shard whose gradient is recorded once, for every shape, and then repeated.

Here for speed alone: what `shard.Shard` computes, on NumPy, for settings without random numbers and
without statistics. What it is given lies in buffers, where recorded calls find it; and losses and
right answers are counted afterwards, from what they leave.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from mnistgpu.backend import Array
from mnistgpu.inputs import Inputs
from mnistgpu.settings import Settings
from mnistgpu.shard import Buffers, Shard
from mnistgpu.tape import RecordedArray, Recorder, plain


class RecordedShard(Shard):
    """See `Shard`. Its arrays, also the views into theta and gradient, are those of a recorder."""

    def __init__(
        self,
        theta: np.ndarray,
        sizes: tuple[int, ...],
        settings: Settings,
        factor: float = 1.0,
        gradient: np.ndarray | None = None,
    ):
        self.recorder = Recorder()
        self._repeats: dict[Hashable, Callable[[], None]] = {}
        gradient = np.zeros_like(theta) if gradient is None else gradient
        array = self.recorder.array
        super().__init__(array(theta), sizes, settings, factor, array(gradient))

    def add_images(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        inputs: Inputs,
        columns: np.ndarray,
        scale: float,
        first: bool,
    ) -> None:
        """As `add`, of images (m, n_0) uint8; `columns` (classes, classes) are the targets."""
        m = len(images)
        buffers = self.buffers_for(m)
        loss, right = (0.0, 0) if first else (self.loss, self.right)
        inputs.fill(buffers.plain_X, images)
        np.take(columns, labels, axis=1, out=buffers.plain_targets, mode="clip")
        self.repeat(
            (m, scale, first),
            lambda: self.add(buffers.X.T, None, buffers.targets, scale, first, None),
        )
        Z, targets = buffers.plain_Z, buffers.plain_targets
        self.loss = loss + sum_of_losses(Z, targets, buffers.plain_row)
        self.right = right + right_answers(Z, labels)

    def repeat(self, key: Hashable, body: Callable[[], object]) -> None:
        """Do what body does: itself at first, and from then on what was recorded of it."""
        if key in self._repeats:
            self._repeats[key]()
        else:
            self._repeats[key] = self.recorder.record(body)

    def new_buffers(self, m: int) -> RecordedBuffers:
        """See `Shard`."""
        return RecordedBuffers(self.gradient, self.sizes, m)

    def right_answers(self, Z: Array, labels: Array) -> int:
        """See `Shard`. They are counted afterwards."""
        return 0

    def sum_of_losses(self, Z: Array, targets: Array, buffers: Buffers) -> float:
        """See `right_answers`."""
        return 0.0


class RecordedBuffers(Buffers):
    """Buffers of the recorder that `like` is of.

    A gradient begins with the images in `X`, as rows, and their `targets` (classes, m); it leaves
    the logits less their largest in `Z[-1]`, and in `row` the sums of their exp. The same four
    without the recorder are `plain_X`, `plain_targets`, `plain_Z` and `plain_row`.
    """

    def __init__(self, like: RecordedArray, sizes: tuple[int, ...], m: int):
        super().__init__(plain(like), sizes, m, batch_norm=False)
        self.X = np.empty((m, sizes[0]), like.dtype)
        self.targets = np.empty((sizes[-1], m), like.dtype)
        self.plain_X, self.plain_targets = self.X, self.targets
        self.plain_Z, self.plain_row = self.Z[-1], self.row
        for name, value in vars(self).items():
            if not name.startswith("plain"):
                setattr(self, name, recorded(value, like.recorder))


def recorded(value: Any, recorder: Recorder) -> Any:
    """An array, or the arrays in a list, as those of a recorder; anything else as it is."""
    if isinstance(value, list):
        return [recorded(each, recorder) for each in value]
    return recorder.array(value) if isinstance(value, np.ndarray) else value


def sum_of_losses(Z: np.ndarray, targets: np.ndarray, row: np.ndarray) -> Any:
    """Of images with logits less their largest Z (classes, m), and the sums of their exp (1, m)."""
    return np.log(row).sum() - np.vdot(targets, Z)


def right_answers(Z: np.ndarray, labels: np.ndarray) -> Any:
    """How many columns of Z, logits less their largest, are largest at the label, and first so."""
    largest = Z == 0.0
    if np.count_nonzero(largest) == len(labels):  # one each: to look for the first takes longer
        return np.sum(largest[labels, np.arange(len(labels))])
    return np.sum(np.argmax(Z, axis=0) == labels)
