"""The hidden units of a network shared out among processes, for batches of one shard.

Here for speed alone. Each process holds the weights into its units and, of the last layer, the
weights out of them: it reads, changes and remembers (in the optimiser) no others. So little must be
told, and no gradient:

    forward    A_l of its units, to all, for l < L - 1; its part of W_L A_{L-1}, which all add up
    backward   its part of W_l^T dZ_l, for 1 < l < L, of which each adds up the rows of its units

Softmax, of ten numbers an image, everybody computes alike. Results differ from
those of one process by rounding.

What belongs to an image, or to a pixel in W_1, lies in one piece of memory: so products with the
images are fastest, and pixels that are blank in a whole batch can be left out (`blank_pixels`). The
rest of a small step is mostly what calls cost. So a step is recorded and repeated (`tape`), and
what does not depend on the weights is done for several steps together: their images are fetched
before the first, and their losses and right answers counted after the last.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mnistgpu import network, regularize
from mnistgpu.backend import Array
from mnistgpu.blank_pixels import SortedImages, sort_where_it_pays
from mnistgpu.tape import Recorder, plain
from mnistgpu.team import Team
from mnistgpu.unit_shard import Told, UnitShard, cut, part

if TYPE_CHECKING:
    from mnistgpu.training import Trainer

# Images whose steps are taken together: as bytes, a few of a core's second-level cache
TOGETHER = 512


class UnitShares:
    """A trainer in parts, a part for each process of a team; see the sketch of this module."""

    def __init__(self, trainer: Trainer, team: Team):
        self.trainer, self.team = trainer, team
        self.sizes = trainer.engine.sizes
        self.together = max(1, TOGETHER // trainer.batches.size)
        self.told = Told(team, self.sizes, trainer.batches.size, trainer.settings.dtype)
        self.images: SortedImages | None = None
        if not trainer.settings.center:  # which leaves no pixel zero
            images, rows = trainer.engine.images, trainer.batches.size
            self.images = sort_where_it_pays(images, rows, trainer.steps)
        self.pixels = slice(None) if self.images is None else self.images.order
        self.vectors = [self.vectors_of(rank) for rank in range(team.count)]

    def vectors_of(self, rank: int) -> dict[str, Array]:
        """A process's part of all that a step changes, in memory that the leader sees too."""
        vectors = {}
        for name, whole in self.trainer.arrays().items():
            (W, b), *others = self.part_of(whole, rank)
            values = network.flatten([(W[:, self.pixels].T, b), *others])
            vectors[name] = self.team.shared(len(values), dtype=values.dtype)
            vectors[name][...] = values
        return vectors

    def part_of(self, whole: Array, rank: int) -> list[network.Layer]:
        """The views of a process into a vector of the trainer."""
        return part(network.layers(whole, self.sizes), rank, self.team.count)

    def taker(self) -> UnitSteps:
        """What takes this process's share of steps."""
        return UnitSteps(self)

    def collect(self, *names: str) -> None:
        """Bring the parts of these vectors, or of all, into the trainer, between two steps."""
        for name in names or self.vectors[0]:
            for rank, vectors in enumerate(self.vectors):
                there = self.part_of(self.trainer.arrays()[name], rank)
                found = cut(vectors[name], there)
                for layer, ((W, b), (W_of, b_of)) in enumerate(zip(there, found, strict=True)):
                    W[:, self.pixels if layer == 0 else slice(None)] = W_of
                    b[...] = b_of


class UnitSteps:
    """A process's share of steps: its units, and a recording for every shape of a batch."""

    def __init__(self, shares: UnitShares):
        engine, told, rank = shares.trainer.engine, shares.told, shares.team.rank
        like = shares.part_of(shares.trainer.theta, rank)
        self.told, self.images = told, shares.images
        self.all_images = engine.images if shares.images is None else shares.images.images
        self.labels, self.targets = engine.labels, engine.targets
        self.inputs = engine.inputs.for_units(len(like[0][1]))
        self.recorder = recorder = Recorder()
        self.trainer = trainer = copy.copy(shares.trainer)
        trainer.state = {name: recorder.array(v) for name, v in shares.vectors[rank].items()}
        trainer.theta = trainer.state.pop("theta")
        self.shard = UnitShard(trainer.theta, like, trainer.settings, self.inputs.factor, told)
        trainer.params = self.shard.params

        # what recorded steps read, see `Trainer.numbers`, and what they have left, batch by batch
        self.plain_numbers = np.zeros(len(trainer.numbers(0, 1.0)), trainer.theta.dtype)
        self.numbers = recorder.array(self.plain_numbers)
        self.last_numbers: tuple[float, ...] = ()
        most = shares.together * trainer.batches.size
        self.Z = np.empty((shares.sizes[-1], most), trainer.theta.dtype)
        self.row = np.empty((1, most), trainer.theta.dtype)
        self.steps: dict[tuple[int, int, int], UnitStep] = {}

    def take(self, first: int, count: int, rate: float | None) -> tuple[Array, Array, int]:
        """Take so many steps from step `first` on, as `Trainer.step` takes one.

        Losses and right answers can be read when all processes have taken them.
        """
        trainer, size = self.trainer, self.trainer.batches.size
        rows = trainer.batches.rows(first, count)
        images, labels = self.all_images[rows], self.labels[rows]
        targets, m = self.targets[:, labels], len(labels)
        starts = range(0, m, size)
        blank = [0] * count if self.images is None else self.images.blank_in(rows, starts)
        for taken, start, left_out in zip(range(first, first + count), starts, blank, strict=True):
            part = slice(start, min(start + size, m))
            X = images[part, left_out:]
            step = self.step_for(len(X), X.shape[1], taken % 2)
            self.inputs.fill(step.X, X)
            np.copyto(step.targets, targets[:, part])
            self.set_numbers(taken, trainer.scheduled_rate(taken) if rate is None else rate)
            step.take()
            np.copyto(self.Z[:, part], step.Z)
            np.copyto(self.row[:, part], step.row)
        self.tell_results(labels, targets)
        return self.told.loss, self.told.right, m

    def step_for(self, m: int, pixels: int, turn: int) -> UnitStep:
        """The step with m images of so many pixels, even or odd."""
        key = m, pixels, turn
        if key not in self.steps:
            self.steps[key] = UnitStep(self, *key)
        return self.steps[key]

    def set_numbers(self, taken: int, rate: float) -> None:
        """Let the recorded steps read the numbers of the step after so many."""
        numbers = self.trainer.numbers(taken, rate)
        if numbers != self.last_numbers:
            self.last_numbers = numbers
            self.plain_numbers[...] = numbers

    def tell_results(self, labels: Array, targets: Array) -> None:
        """What all would compute alike, one does, and another the other."""
        m = len(labels)
        Z = self.Z[:, :m]
        if self.told.team.rank == 0:
            self.told.right[...] = np.count_nonzero(np.argmax(Z, axis=0) == labels)
        if self.told.team.rank == 1:
            self.told.loss[...] = np.sum(np.log(self.row[:, :m])) - np.sum(targets * Z)


class UnitStep:
    """A process's share of a step with m images of so many pixels, recorded when first taken."""

    def __init__(self, of: UnitSteps, m: int, pixels: int, turn: int):
        self.of, self.m, self.turn = of, m, turn
        self.buffers = buffers = of.shard.buffers_for(m)
        self.X_rows = buffers.X[:, -pixels:]
        # what is written before it and read after it, see `UnitBuffers`
        self.X, self.targets = plain(self.X_rows), plain(buffers.targets)
        self.Z, self.row = plain(buffers.Z[-1]), plain(buffers.row)
        self.repeat: Callable[[], None] | None = None

    def take(self) -> None:
        """Take the step."""
        if self.repeat is None:
            self.repeat = self.of.recorder.record(self.body)
        else:
            self.repeat()

    def body(self) -> None:
        """What is recorded, as in `Engine.gradient` and `Trainer.advance`."""
        of, shard, l2 = self.of, self.of.shard, self.of.trainer.settings.l2
        self.buffers.take_turn(self.turn)
        shard.add(self.X_rows.T, None, self.buffers.targets, self.m, True, None)
        if l2 > 0:
            regularize.add_l2(shard.gradients, shard.params, l2)
        numbers = of.numbers
        each = (numbers[i : i + 1].reshape(()) for i in range(len(numbers)))
        of.trainer.update(shard.gradient, tuple(each))
