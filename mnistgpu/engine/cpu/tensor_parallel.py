"""The hidden units of a network shared out among processes, for batches of one shard.

Here for speed alone. Each process holds the weights into its units and, of the last layer, the
weights out of them: it reads, changes and remembers (in the optimiser) no others. So little must be
told, and no gradient:

    forward    A_l of its units, to all, for l < L - 1; its part of W_L A_{L-1}, which all add up
    backward   its part of W_l^T dZ_l, for 1 < l < L, of which each adds up the rows of its units

Softmax, of ten numbers an image, everybody computes alike. Results differ from those of one process
by rounding.

What belongs to an image, or to a pixel in W_1, lies in one piece of memory: so products with the
images are fastest, and pixels that are blank in a whole batch can be left out (`blank_pixels`). The
rest of a small step is mostly what calls cost. So a step is recorded and repeated (`tape`), and
what does not depend on the weights is done for several steps together: their labels are looked up
before the first, losses and right answers counted after the last. The images of a step are fetched
in the one before, between coming to a meeting and waiting for those who are late.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mnistgpu import network
from mnistgpu.backend import Array
from mnistgpu.engine.cpu.blank_pixels import SortedImages, sort_where_it_pays
from mnistgpu.engine.cpu.process_group import Team
from mnistgpu.engine.cpu.recorded_shard import count_right, total_loss
from mnistgpu.engine.cpu.unit_shard import Shapes, Told, UnitBuffers, UnitShard, cut, own_layers
from mnistgpu.engine.gradient import is_plain
from mnistgpu.maths import regularize

if TYPE_CHECKING:
    from mnistgpu.engine.trainer import Trainer

# How many steps are taken together at most, of so many multiply-adds, which take some ten
# milliseconds: a stop waits for them. What is done once for a step is like so many images more.
TOGETHER, WORK, BESIDE = 16, 2**29, 64


class UnitShares:
    """A trainer in parts, a part for each process of a team; see the sketch of this module."""

    def __init__(self, trainer: Trainer, team: Team):
        self.trainer, self.team = trainer, team
        self.sizes = trainer.engine.sizes
        work = len(trainer.theta) * (trainer.batches.size + BESIDE)
        self.together = max(1, min(TOGETHER, WORK // work))
        self.told = Told(team, self.sizes, trainer.batches.size, trainer.settings.dtype)
        settings = trainer.settings
        # whether what has no gradient does not move; what looks at whole layers or at a whole
        # gradient is not shared, see `sharing.processes`
        others = settings.l2 > 0 or settings.weight_decay > 0 or settings.ema is not None
        self.by_gradient_alone = not others
        self.images: SortedImages | None = None
        if not settings.center:  # which leaves no pixel zero
            images, rows = trainer.engine.images, trainer.batches.size
            self.images = sort_where_it_pays(images, rows, trainer.steps, self.by_gradient_alone)
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
        return own_layers(network.layers(whole, self.sizes), rank, self.team.count)

    def shapes(self, rank: int) -> Shapes:
        """The shapes of the weights in a process's vectors: of W_1 for the pixels kept."""
        (units, kept), *others = [W.shape for W, _ in self.part_of(self.trainer.theta, rank)]
        if self.images is not None:
            kept = len(self.images.order)
        return [(units, kept), *others]

    def taker(self) -> Callable[[int, int, float | None], tuple[Array, Array, int]]:
        """What takes this process's share of steps."""
        return UnitSteps(self).take

    def collect(self, *names: str) -> None:
        """Bring the parts of these vectors, or of all, into the trainer, between two steps."""
        for name in names or self.vectors[0]:
            for rank, vectors in enumerate(self.vectors):
                there = self.part_of(self.trainer.arrays()[name], rank)
                found = cut(vectors[name], self.shapes(rank))
                for layer, ((W, b), (W_of, b_of)) in enumerate(zip(there, found, strict=True)):
                    W[:, self.pixels if layer == 0 else slice(None)] = W_of
                    b[...] = b_of


class UnitSteps:
    """A process's share of steps: those of its units, recorded for every shape of a batch."""

    def __init__(self, shares: UnitShares):
        engine, rank = shares.trainer.engine, shares.team.rank
        self.told, self.sorted = shares.told, shares.images
        self.images = engine.images if self.sorted is None else self.sorted.images
        self.labels, self.targets = engine.labels, engine.targets
        shapes = shares.shapes(rank)
        self.inputs = engine.inputs.for_units(shapes[0][0])

        self.trainer = trainer = copy.copy(shares.trainer)
        vectors, settings = shares.vectors[rank], trainer.settings
        self.is_recorded = is_plain(settings)  # of many new arrays it would keep the memory
        # whether theta -= rate * gradient is all of an update
        self.descends = settings.optimizer == "gradient-descent" and shares.by_gradient_alone
        bias = self.sorted is not None and self.sorted.bias
        self.shard = shard = UnitShard(
            vectors["theta"],
            shapes,
            bias,
            settings,
            self.inputs.factor,
            self.told,
            not self.descends,
        )
        trainer.state = {name: shard.recorder.array(vector) for name, vector in vectors.items()}
        trainer.theta, trainer.params = trainer.state.pop("theta"), shard.params

        # what recorded steps read, `Trainer.numbers` and the rate for an image, and what they have
        # left, batch by batch
        self.numbers = np.zeros(len(trainer.numbers(0, 1.0)) + 1, settings.dtype)
        array = shard.recorder.array(self.numbers)
        self.recorded_numbers = tuple(array[i : i + 1].reshape(()) for i in range(len(array)))
        self.last_numbers: tuple[float, ...] = ()
        most = shares.together * trainer.batches.size
        self.Z = np.empty((shares.sizes[-1], most), settings.dtype)
        self.row = np.empty((1, most), settings.dtype)
        # rows of images to fetch, those of the last step first, and the room for the next step's
        self.to_fetch: list[np.ndarray] = []
        self.is_fetched = False
        self.room = np.empty((trainer.batches.size, self.images.shape[1]), self.images.dtype)
        shard.meanwhile = self.fetch

    def take(self, first: int, count: int, rate: float | None) -> tuple[Array, Array, int]:
        """Take so many steps from step `first` on, as `Trainer.step` takes one.

        Losses and right answers can be read when all processes have taken them.
        """
        trainer, size = self.trainer, self.trainer.batches.size
        rows = trainer.batches.rows(first, count)
        if isinstance(rows, slice):
            rows = np.arange(rows.start, rows.stop)
        labels = self.labels[rows]
        targets, m = self.targets[:, labels], len(labels)
        starts = range(0, m, size)
        blank = [0] * count if self.sorted is None else self.sorted.blank_in(rows, starts)
        self.to_fetch = [rows[start : start + size] for start in reversed(starts)]
        self.fetch()
        for taken, start, left_out in zip(range(first, first + count), starts, blank, strict=True):
            part = slice(start, min(start + size, m))
            own_rate = trainer.scheduled_rate(taken) if rate is None else rate
            self.set_numbers(*trainer.numbers(taken, own_rate), own_rate / (part.stop - start))
            buffers = self.step(targets[:, part], left_out, taken % 2)
            np.copyto(self.Z[:, part], buffers.bare_Z)
            np.copyto(self.row[:, part], buffers.bare_row)

        # what all would compute alike, one does, and another the other
        Z, row = self.Z[:, :m], self.row[:, :m]
        if self.told.team.rank == 0:
            self.told.right[...] = count_right(Z, labels)
        if self.told.team.rank == 1:
            self.told.loss[...] = total_loss(Z, targets, row)
        return self.told.loss, self.told.right, m

    def fetch(self) -> None:
        """Fetch the images of the next step, if there is one and they are not there yet."""
        if self.to_fetch and not self.is_fetched:
            rows = self.to_fetch.pop()
            np.take(self.images, rows, axis=0, out=self.room[: len(rows)], mode="clip")
            self.is_fetched = True

    def set_numbers(self, *numbers: float) -> None:
        """Let the recorded steps read these."""
        if numbers != self.last_numbers:
            self.last_numbers = numbers
            self.numbers[...] = numbers

    def step(self, targets: Array, blank: int, turn: int) -> UnitBuffers:
        """Take a step with the images fetched, whose first pixels are blank; even or odd."""
        m, shard, settings = targets.shape[1], self.shard, self.trainer.settings
        buffers = shard.buffers_for(m)
        self.inputs.fill(buffers.bare_X[:, blank:], self.room[:m, blank:])
        self.is_fetched = False
        np.copyto(buffers.bare_targets, targets)

        def body() -> None:  # as in `Engine.gradient` and `Trainer.advance`
            buffers.take_turn(turn)
            X, (*numbers, rate) = buffers.X[:, blank:].T, self.recorded_numbers
            if self.descends:  # the rate joins in where numbers are few; what is blank stays
                shard.add(X, None, buffers.targets, rate, True, None)
                start = blank * len(shard.params[0][0])
                moving = self.trainer.theta[start:]
                moving -= shard.gradient[start:]
                return
            shard.add(X, None, buffers.targets, 1.0 / m, True, None)
            if settings.l2 > 0:
                regularize.add_l2(shard.gradients, shard.params, settings.l2)
            self.trainer.update(shard.gradient, tuple(numbers))

        if self.is_recorded:
            buffers.repeat((blank, turn), body)
        else:
            body()
        return buffers
