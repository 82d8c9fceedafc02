"""A shard whose gradient is recorded once, for every shape, and then repeated.

Here for speed alone: what `shard.Shard` computes, on NumPy, for settings that are plain (see
`engine.is_plain`). What it is given lies in buffers, where recorded calls find it; and losses and
right answers are counted afterwards, from what they leave.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from mnistgpu.backend import Array
from mnistgpu.engine.cpu.tape import RecordedArray, Recorder, bare
from mnistgpu.engine.inputs import Inputs
from mnistgpu.engine.shard import Buffers, Shard
from mnistgpu.engine.threads import empty_lines
from mnistgpu.settings import Settings


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
        if gradient is None:
            gradient = empty_lines(theta.shape, theta.dtype)
            gradient[...] = 0.0
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
        inputs.fill(buffers.bare_X, images)
        np.take(columns, labels, axis=1, out=buffers.bare_targets)
        buffers.repeat(
            (scale, first),
            lambda: self.add(buffers.X.T, None, buffers.targets, scale, first, None),
        )
        Z, targets = buffers.bare_Z, buffers.bare_targets
        self.loss = loss + total_loss(Z, targets, buffers.bare_row)
        self.right = right + count_right(Z, labels)

    def new_buffers(self, m: int) -> RecordedBuffers:
        """See `Shard`."""
        return RecordedBuffers(self.gradient, self.sizes, m)

    def results(
        self, Z: Array, labels: Array, targets: Array, buffers: Buffers
    ) -> tuple[float, int]:
        """None yet: they are counted afterwards, by `total_loss` and `count_right`."""
        return 0.0, 0


class RecordedBuffers(Buffers):
    """Buffers of the recorder that `like` is of.

    A gradient begins with the images in `X`, as rows, and their `targets` (classes, m); it leaves
    the logits less their largest in `Z[-1]`, and in `row` the sums of their exp. The same four
    without the recorder are `bare_X`, `bare_targets`, `bare_Z` and `bare_row`.
    """

    def __init__(self, like: RecordedArray, sizes: tuple[int, ...], m: int):
        super().__init__(bare(like), sizes, m, batch_norm=False)
        self.recorder = like.recorder
        self._repeats: dict[Hashable, Callable[[], None]] = {}
        self.X = empty_lines((m, sizes[0]), like.dtype)
        self.targets = np.empty((sizes[-1], m), like.dtype)
        self.bare_X, self.bare_targets = self.X, self.targets
        self.bare_Z, self.bare_row = self.Z[-1], self.row
        for name, value in vars(self).items():
            if not name.startswith("bare"):
                setattr(self, name, recorded(value, like.recorder))

    def repeat(self, key: Hashable, body: Callable[[], object]) -> None:
        """Do what body does: itself at first, and from then on what was recorded of it."""
        if key in self._repeats:
            self._repeats[key]()
        else:
            self._repeats[key] = self.recorder.record(body)


def recorded(value: Any, recorder: Recorder) -> Any:
    """An array, or the arrays in a list, as those of a recorder; anything else as it is."""
    if isinstance(value, list):
        return [recorded(each, recorder) for each in value]
    return recorder.array(value) if isinstance(value, np.ndarray) else value


def total_loss(Z: np.ndarray, targets: np.ndarray, row: np.ndarray) -> Any:
    """Of images with logits less their largest Z (classes, m), and the sums of their exp (1, m)."""
    return np.log(row).sum() - np.vdot(targets, Z)


def count_right(Z: np.ndarray, labels: np.ndarray) -> Any:
    """How many columns of Z, logits less their largest, are largest at the label, and first so."""
    largest = Z == 0.0
    if np.count_nonzero(largest) == len(labels):  # one each: to look for the first takes longer
        return np.sum(largest[labels, np.arange(len(labels))])
    return np.sum(np.argmax(Z, axis=0) == labels)
