"""The gradient of a batch as a sum over shards, shared out among workers.

A shard is a part of a batch whose arrays stay in the cache between the products that use them. A
worker is a thread with buffers of its own (`shard.Shard`), or a process (`cpu.data_parallel`). With
one shard there is one worker, and BLAS uses all cores if the products are large enough; with more,
each core has a worker and BLAS uses one thread. On a GPU there is one worker, the GPU. The number
of workers and the cuts change a gradient by rounding alone: noise is a function of the step and an
image's place in the whole batch, and batch normalisation has groups of its own.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from itertools import pairwise, repeat
from typing import Any, Protocol

import numpy as np

from mnistgpu import counter_rng, network
from mnistgpu.backend import Array, array_namespace, on_device_of
from mnistgpu.counter_rng import ADVERSARIAL, DEFORM, DROPOUT, NOISE, Key
from mnistgpu.engine.arithmetic import shard_of
from mnistgpu.engine.batches import images_in
from mnistgpu.engine.inputs import Chance, Inputs, Keys
from mnistgpu.engine.shard import Shard
from mnistgpu.engine.teacher import Teacher
from mnistgpu.engine.threads import one_blas_thread, workers
from mnistgpu.errors import UsageError
from mnistgpu.maths import regularize
from mnistgpu.settings import Settings
from mnistgpu.storage.system import cores

SHARD_ROWS = 1000  # rows of 784 float32 pixels are 3.1 MB: they stay in the cache until backward
NOISY_SHARD_ROWS = 512  # at most, where much of the work is element by element
ONE_SHARD_UP_TO = 1024  # images of a plain batch, whose products BLAS shares out well
NORMALIZED_TOGETHER = 512  # images, at most
WIDE_UNITS = 4000  # in all layers: with more, products and not noise take most of a step
WIDE_SHARD_ROWS = 4096
GPU_SHARD_ROWS = 65536
GPU_SHARD_NUMBERS = 2**28  # in the layers of one shard, forward and backward: 1 GiB of float32
# Multiply-adds in the largest product of a step. With fewer, a second BLAS thread saves little at
# best, and on a machine that also runs other programs it waits long for a core.
ONE_THREAD_BELOW = 2**22
STATISTICS_DECAY = 0.99  # at most, of the running means and variances of batch normalisation
Found = list[tuple[int, list[tuple[Array, Array]]]]  # `Shard.statistics`, of several shards


class Communicator(Protocol):
    """One of `size` ranks, numbered from 0: processes, on one machine or many, that share every
    step of a run (`distributed.py`). All of them must make the same calls in the same order.

    vote: what this rank asks for with its next step: interrupted, finished, exit status, and
    the state of the optimiser, for a checkpoint; `voted` has the sums over all ranks, of the last
    step, and so is the same on each.
    """

    rank: int
    size: int
    vote: np.ndarray
    voted: np.ndarray

    def all_reduce(self, vector: Array) -> None:
        """Replace a vector by its sum over all ranks, in place and to the same bits on each."""

    def reduce_scatter(self, vector: Array) -> Array:
        """The sum over all ranks of this rank's `block` of a vector, which is overwritten."""

    def all_gather(self, vector: Array) -> None:
        """Replace each rank's `block` of a vector by the values that it has there, on all ranks."""

    def part(self, length: int) -> slice:
        """This rank's part of so many images."""

    def block(self, length: int) -> slice:
        """This rank's part of a vector: all are equally long, and the last one has the rest."""


class Engine:
    """Gradients of the mean cross-entropy over batches of one training set.

    theta (parameter_count,) is read, never written; images (N, pixels); labels (N,) of any integer
    type; weights (N,) of the images, for a weighted mean, or None. `workers` is the number of
    threads for batches of many shards: by default the cores on NumPy, where `stepping` may replace
    them by processes; one elsewhere, where more raise UsageError. Use it inside `with
    engine.running():`, which limits the threads of BLAS to the right number and restores them
    afterwards.
    """

    def __init__(
        self,
        theta: Array,
        settings: Settings,
        images: Array,
        labels: Array,
        inputs: Inputs,
        batch_rows: int,
        workers: int | None = None,
        shard_rows: int | None = None,
        weights: Array | None = None,
    ):
        self.xp = xp = array_namespace(theta, images, labels)
        on_cpu = xp.__name__ == "numpy"
        self.settings, self.inputs, self.theta = settings, inputs, theta
        self.teacher: Teacher | None = None
        self.sizes = (inputs.pixels, *settings.sizes[1:])
        self.images = inputs.crop(images)
        self.labels = xp.astype(labels, xp.int64)
        self.weights = None if weights is None else xp.astype(weights, theta.dtype)
        classes = xp.arange(self.sizes[-1], **on_device_of(theta))
        one_hot = network.one_hot(classes, self.sizes[-1], settings.dtype)
        smoothing = settings.label_smoothing
        self.targets = one_hot * (1.0 - smoothing) + smoothing / self.sizes[-1]  # a column a class
        if settings.unlabeled is not None:  # the label after the last class means none
            self.targets = xp.concat([self.targets, xp.zeros_like(self.targets[:, :1])], axis=1)
        rows = shard_rows or rows_of_a_shard(settings, batch_rows, on_cpu)
        unit = undivided(settings, batch_rows)
        self.shard_rows = -(-rows // unit) * unit
        self.group = normalized_together(batch_rows)
        if (workers or 1) > 1 and not on_cpu:
            raise UsageError(
                f"{workers} workers are threads of a CPU, and a GPU computes a step alone; leave "
                "workers out, or choose the backend numpy"
            )
        most = workers or (cores() if on_cpu else 1)
        count = min(most, -(-batch_rows // self.shard_rows))
        self.shards = [self.new_shard(theta) for _ in range(count)]
        normalized = self.shards[0].params[:-1] if settings.batch_norm else []
        # mean and variance (n, 1) by layer
        self.running_statistics = [(xp.zeros_like(b), xp.ones_like(b)) for _, b in normalized]
        self.batch_statistics: list[tuple[Array, Array]] = []  # of the last gradient
        largest_weights = max(a * b for a, b in pairwise(self.sizes))
        self._largest_product = largest_weights * min(batch_rows, self.shard_rows)
        self.draws = draws(settings)
        self._threads: Executor | None = None

    def new_shard(
        self, theta: Array, gradient: Array | None = None, kind: type[Shard] | None = None
    ) -> Shard:
        """A worker's shard for this engine's settings and inputs, by default of the plain form."""
        kind = kind or shard_of(self.settings)
        how = self.settings, self.inputs, self.targets, self.group
        shard = kind(theta, self.sizes, *how, gradient)
        shard.teacher = self.teacher
        return shard

    def learn_from(self, teacher: Teacher) -> None:
        """Take a teacher's answers in place of labels, from the next gradient on."""
        self.teacher = teacher
        for shard in self.shards:
            shard.teacher = teacher

    @contextlib.contextmanager
    def running(self) -> Iterator[Engine]:
        """Hold the threads: one for each worker, and for BLAS as many as pay."""
        small = len(self.shards) == 1 and self._largest_product < ONE_THREAD_BELOW
        one_thread = small and self.xp.__name__ == "numpy"
        blas = one_blas_thread() if one_thread else contextlib.nullcontext()
        with workers(len(self.shards)) as self._threads, blas:
            try:
                yield self
            finally:
                self._threads = None

    def keys(self, key: Key) -> Keys:
        """The keys of all that a step draws, from the key of the step."""
        return {draw: counter_rng.fold_in(key, *draw) for draw in self.draws}

    def gradient(
        self, rows: Array | slice, keys: Keys | None = None, deform: bool = True
    ) -> tuple[Array, Array, Array]:
        """Mean gradient (parameter_count,) over the images of `rows`, sum of losses, right answers.

        rows: indices (m,) or a slice. Losses count by their `relative_weights`, answers once each.
        The step's `keys` decide noise, dropout and deformations, which `deform` allows. The
        gradient is the engine's own buffer, valid until the next call. Loss and count are 0-d
        arrays on the device, so nothing waits for them.
        """
        busy = self.computed(rows, keys or {}, deform)
        found = [each for shard in busy for each in shard.statistics]
        return self.finished(busy[0], found, images_in(rows), busy[0].gradient)

    def computed(self, rows: Array | slice, keys: Keys, deform: bool) -> list[Shard]:
        """The shards of the workers that had a share; the first has the sum over all of them."""
        shares = self.cut(rows)
        busy = self.shards[: len(shares)]
        if self._threads is None or len(busy) == 1:
            for shard, own in zip(busy, shares, strict=True):
                self.work(shard, own, rows, keys, deform)
        else:
            others = (repeat(each) for each in (rows, keys, deform))
            list(self._threads.map(self.work, busy, shares, *others))

        for shard in busy[1:]:
            total = busy[0]
            total.gradient += shard.gradient
            total.loss, total.right = total.loss + shard.loss, total.right + shard.right
        return busy

    def finished(
        self, total: Shard, found: Found, images: int, gradient: Array, begin: int = 0
    ) -> tuple[Array, Array, Array]:
        """What `gradient` returns, from the sum over all shards of a batch of so many images.

        found: what `Shard.statistics` holds, of every shard in the order of the batch. gradient:
        that of `total`, or a part of it, from parameter `begin` on.
        """
        total.finish(gradient, begin, images)
        if self.settings.l2 > 0:
            regularize.add_l2(total.gradients, total.params, self.settings.l2)
        if self.settings.batch_norm:
            self.batch_statistics = weighted_means(found)
        return gradient, total.loss, total.right

    def cut(self, rows: Array | slice) -> list[range]:
        """Where each worker's shards of these rows begin."""
        starts = range(0, images_in(rows), self.shard_rows)
        share = -(-len(starts) // len(self.shards))
        return [starts[i : i + share] for i in range(0, len(starts), share)]

    def plain(
        self, theta: Array | None = None, statistics: Sequence[tuple[Array, Array]] = ()
    ) -> Array:
        """The parameters of the plain network on all pixels that answers as this one does.

        Batch normalisation, with its running statistics or those given, centring and pixel
        selection are linear and go into the weights: W / deviation and b - mean / deviation, then
        `Inputs.unfold`.
        """
        theta = self.theta if theta is None else theta
        params = network.layers(theta[: network.parameter_count(self.sizes)], self.sizes)
        for i, (mean, variance) in enumerate(statistics or self.running_statistics):
            (W, b), deviation = params[i], self.xp.sqrt(variance)
            params[i] = (W / deviation, b - mean / deviation)
        return network.flatten(self.inputs.unfold(params, self.settings.sizes[0]))

    def work(
        self, shard: Shard, starts: range, rows: Array | slice, keys: Keys, deform: bool
    ) -> None:
        """One worker's share: its shards one after the other, summed in its own buffers."""
        xp, count = self.xp, images_in(rows)
        deform = deform and self.inputs.deforming
        weights = self.relative_weights(rows)
        for start in starts:
            stop = min(start + self.shard_rows, count)
            if isinstance(rows, slice):
                part = slice(rows.start + start, rows.start + stop)
                labels, images = self.labels[part], self.images[part, :]
            else:
                part = rows[start:stop]
                labels = xp.take(self.labels, part)
                images = xp.take(self.images, part, axis=0)
            first, chance = start == starts[0], Chance(keys, start, deform)
            own = None if weights is None else weights[start:stop]
            shard.add_images(images, labels, 1.0 / count, first, chance, own)

    def relative_weights(self, rows: Array | slice) -> Array | None:
        """The weights (m,) of a batch, divided by their mean in it; None without weights.

        The mean gradient is 1/m times a sum of gradients times these: `network.shares`. With
        weights of 1 they are 1 to the bit, as a float32 holds the sum of them.
        """
        if self.weights is None:
            return None
        whole = isinstance(rows, slice)
        own = self.weights[rows] if whole else self.xp.take(self.weights, rows)
        return own * (images_in(rows) / self.xp.sum(own))

    def note(self, largest: Array) -> None:
        """Take in the `Shard.largest` of a worker in another process."""
        if (own := self.shards[0].largest) is not None:
            own[...] = self.xp.maximum(own, largest)

    def follow_statistics(self, kept: Any, taken_in: Any) -> None:
        """Move the running statistics in place towards those of the last gradient's batch.

        new running = kept * old running + taken_in * batch, with the two factors, floats or arrays
        (), of `statistics_shares`.
        """
        for running, newest in zip(self.running_statistics, self.batch_statistics, strict=True):
            for old, new in zip(running, newest, strict=True):
                old *= kept
                old += taken_in * new


def statistics_shares(taken: int) -> tuple[float, float]:
    """The factors of the old running statistics and of the batch's, in the step after `taken`.

    The first step takes those of its batch alone. The factor of the batch falls slowly from there,
    since the weights still change much at the beginning.
    """
    steps = taken + 1
    kept = min(STATISTICS_DECAY, steps / (steps + 10)) if taken > 0 else 0.0
    return kept, 1.0 - kept


def weighted_means(found: Sequence[tuple[int, Sequence[Any]]]) -> list[tuple[Array, Array]]:
    """Means and variances by layer, of a batch.

    `found` has for each shard its number of images, and mean and variance (n, 1) by layer.
    """
    counts = [m for m, _ in found]

    def mean(values: Iterable[Array]) -> Array:
        return regularize.weighted_mean(list(values), counts)

    layers = zip(*(layers for _, layers in found), strict=True)
    return [(mean(m for m, _ in layer), mean(v for _, v in layer)) for layer in layers]


def draws(settings: Settings) -> list[tuple[int, ...]]:
    """What a step draws random numbers for, besides its batch: the names of its `Keys`."""
    hidden = range(len(settings.sizes) - 2)
    found: list[tuple[int, ...]] = []
    if settings.deformation.is_deforming:
        found += [(DEFORM, 0), (DEFORM, 1)]
    for purpose, of_inputs, of_layers in (
        (NOISE, settings.input_noise, settings.hidden_noise),
        (DROPOUT, settings.input_dropout, settings.hidden_dropout),
    ):
        found += [(purpose,)] if of_inputs > 0 else []
        found += [(purpose, layer) for layer in hidden] if of_layers > 0 else []
    return found + ([(ADVERSARIAL,)] if settings.adversarial > 0 else [])


def is_plain(settings: Settings) -> bool:
    """Whether a step draws no random numbers, keeps no statistics, has no teacher, no loss but the
    cross-entropy, and ReLU units alone: then products take most of its time, and its calls can be
    bound.
    """
    more = settings.batch_norm or settings.activation != "relu" or settings.teacher is not None
    return not (draws(settings) or more or settings.information > 0)


def needs_norms(settings: Settings) -> bool:
    """Whether an update needs the whole gradient, or all weights into a unit, for their norm."""
    return settings.clip_norm is not None or settings.max_norm is not None


def needs_all_parameters(settings: Settings) -> bool:
    """Whether a part of the parameters cannot be updated alone, since it has no whole layers."""
    return needs_norms(settings) or settings.l2 > 0 or settings.weight_decay > 0


def normalized_together(batch_rows: int) -> int:
    """How many images of a batch are normalised together: half of it, or NORMALIZED_TOGETHER."""
    return min(NORMALIZED_TOGETHER, -(-batch_rows // 2))


def undivided(settings: Settings, batch_rows: int) -> int:
    """A shard has a multiple of so many images: those of a map, and of a group."""
    grouped = settings.batch_norm or settings.information > 0
    group = normalized_together(batch_rows) if grouped else 1
    deformation = settings.deformation
    per_map = min(deformation.images_per_map, batch_rows) if deformation.is_deforming else 1
    return math.lcm(group, per_map)


def rows_of_a_shard(settings: Settings, batch_rows: int, on_cpu: bool) -> int:
    """Where batches are cut: the largest shard's number of images.

    On a GPU the memory decides. On a CPU a plain batch of up to ONE_SHARD_UP_TO images is one
    shard: BLAS alone shares out its products. Where much of the work is element by element, halves
    are faster, each on a core of its own; not so in a wide network, whose products take most of the
    time. In exact arithmetic a shard is a normalised group on every machine, since the statistics
    of groups are averaged in the order of the shards.
    """
    if settings.is_exact and settings.batch_norm:
        return 1  # or as many as belong together
    if not on_cpu:
        rows = GPU_SHARD_ROWS
        while rows > SHARD_ROWS and 2 * rows * sum(settings.sizes[1:]) > GPU_SHARD_NUMBERS:
            rows //= 2
        return rows
    if is_plain(settings):
        several = SHARD_ROWS // 2 if settings.is_exact else SHARD_ROWS  # twice the bytes
        return batch_rows if batch_rows <= ONE_SHARD_UP_TO else several
    if sum(settings.sizes[1:]) > WIDE_UNITS:
        return min(WIDE_SHARD_ROWS, batch_rows)
    return min(NOISY_SHARD_ROWS, -(-batch_rows // 2))
