"""A training run between two steps: its batches, its parameters, and what a step changes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from mnistgpu import counter_rng, network
from mnistgpu.backend import Array, Backend, array_namespace, on_device_of
from mnistgpu.data import Digits
from mnistgpu.data.mapped import there
from mnistgpu.data.weighting import scaled, weighted
from mnistgpu.data.windows import windows_of
from mnistgpu.engine.arithmetic import inputs_of
from mnistgpu.engine.batches import UNSHIFTED, Batches, MixedBatches, Shift, images_in
from mnistgpu.engine.clean_statistics import clean_images, clean_statistics, is_disturbed
from mnistgpu.engine.gradient import Communicator, Engine, statistics_shares
from mnistgpu.engine.inputs import Inputs, Keys
from mnistgpu.engine.teacher import Teacher, Trained
from mnistgpu.errors import RunError
from mnistgpu.maths import augment, denoising, exact, optimizers, regularize
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.settings import Settings

# A function that takes a step, or up to `most` steps together: `Trainer.step`, or a faster form.
# What it returns are sums over these steps; if each of them is an epoch, it is that of the last.
Step = Callable[..., tuple[Array, Array, int]]

ROWS_OF_HISTORY = 50  # of a run of full batches, where every step is an epoch


class Shared(Protocol):
    """Where a trainer's vectors are while several processes share its steps."""

    def distribute(self) -> None:
        """Copy the trainer's vectors to the processes."""

    def collect(self, *names: str) -> None:
        """Copy these vectors, or all, from the processes into the trainer."""


class Trainer:
    """A training run between two steps: parameters, what the optimiser remembers, the step count.

    Everything else follows from settings, seed and data, so `arrays` are all there is to save.
    """

    def __init__(
        self,
        settings: Settings,
        digits: Digits,
        backend: Backend,
        workers: int | None = None,
        communicator: Communicator | None = None,
        start: np.ndarray | None = None,
        shift: Shift = UNSHIFTED,
        teachers: Sequence[Trained] = (),
    ):
        self.digits, self.backend, self.teachers = digits, backend, teachers
        self.communicator = communicator  # of the ranks that share the steps, if there are any
        # the parameters of the plain network, on all pixels, to begin with; None for first weights
        self.start = start
        self.taken = 0
        self.before = 0  # steps of earlier runs, which the optimiser's state remembers
        self.learning_rate = math.nan
        self.shared: Shared | None = None
        self.has_all_images = True  # False if they are a part of those that are learnt from
        self.gathered = True  # False while each rank has only its part of the newest state
        self.key = counter_rng.key(settings.seed, like=backend.asarray(digits.labels))
        self.step_key = counter_rng.fold_in(self.key, counter_rng.STEP)
        self.set_up(settings, workers, shift)

    def set_up(
        self,
        settings: Settings,
        workers: int | None,
        shift: Shift,
        theta: Array | None = None,
        state: optimizers.State | None = None,
    ) -> None:
        """Make all that follows from settings and data; by default also the first parameters."""
        digits, backend = self.digits, self.backend
        with_classes = weighted(digits, digits, settings.class_weight, settings.sizes[-1])
        counted, others = scaled(with_classes.weights), digits.unlabeled
        if others is not None:
            digits, counted = with_others(digits, others, counted, settings.sizes[-1])
        labels, images = backend.asarray(digits.labels), there(digits.images, backend)
        weights = None if counted is None else backend.asarray(counted)
        self.settings = settings
        sorts, size = settings.deformation.sorts, settings.batch_size or len(digits)
        windows, with_places = windows_of(digits.images, images), labels if sorts else None
        self.batches = Batches(self.key, len(digits), size, with_places, windows, shift)
        if others is not None:
            of_both = len(digits) - len(others), len(others)
            self.batches = MixedBatches(self.key, *of_both, settings.batch_size, shift)
        if sorts and size == len(digits):  # a full batch has the order of the data
            every = array_namespace(labels).arange(size, **on_device_of(labels))
            order = augment.ones_and_sevens_last(every, labels, size)
            labels, images = (backend.xp.take(each, order, axis=0) for each in (labels, images))
            if weights is not None:
                weights = backend.xp.take(weights, order)
        of_epochs = (settings.epochs or 0) * self.batches.per_epoch - shift.ahead
        self.steps = settings.iterations or of_epochs
        known: Inputs | None = None if theta is None else self.inputs
        inputs = inputs_of(settings)(digits.images, settings, digits.image_shape, labels, known)
        sizes = (inputs.pixels, *settings.sizes[1:])
        self.inputs: Inputs = inputs
        self.theta = self.first_parameters(sizes) if theta is None else theta
        self.params = network.layers(self.theta[: network.parameter_count(sizes)], sizes)
        of_engine = self.theta, settings, images, labels, inputs, self.batches.size, workers
        if self.communicator is None:
            self.engine = Engine(*of_engine, weights=weights)
        else:
            from mnistgpu.engine.distributed import DistributedEngine  # for several ranks alone

            self.engine = DistributedEngine(self.communicator, *of_engine, weights=weights)
        if self.teachers:
            self.engine.learn_from(Teacher(self.teachers, inputs, backend, settings.dtype))
        self._clean_images: tuple[Array, Array] | None = None
        self.optimizer = optimizers.OPTIMIZERS[settings.optimizer]
        # so many numbers of theta, those of the first layers, stay as they are
        self.frozen = network.parameter_count(sizes[: settings.freeze + 1])
        if state is None:
            state = self.optimizer.start(self.theta)
            if settings.ema is not None:
                state["average"] = array_namespace(self.theta).zeros_like(self.theta)
        self.state = state
        per_epoch = self.batches.per_epoch
        # after so many steps the loop reads its sums, for a row of history
        self.row_every = per_epoch if per_epoch > 1 else max(1, self.steps // ROWS_OF_HISTORY)
        self.total = exact.fold if settings.is_exact else regularize.last_axis_sum
        self.workers, self.processes = workers, 1  # `stepping` may choose more processes

    def change(self, settings: Settings, shift: Shift, workers: int | None = None) -> None:
        """Go on with other settings, of the same network and the same optimiser.

        Between two steps, and not within `stepping`. The parameters and what the optimiser
        remembers stay; all else is made anew, as for a new trainer. workers: as for one.
        """
        statistics = self.engine.running_statistics
        self.set_up(settings, workers, shift, self.theta, self.state)
        self.engine.running_statistics = statistics

    def step(self, rate: float | None = None, most: int = 1) -> tuple[Array, Array, int]:
        """Take one step; sum of losses and right answers of its batch (on the device), its size.

        Images without labels do not count.

        The schedule gives the learning rate unless `rate` does. `most` is for forms that take
        several steps together, see `Step`.
        """
        taken = self.taken
        rows = self.batches.rows(taken)
        keys = self.keys(taken)
        rate = self.scheduled_rate(taken) if rate is None else rate
        loss, right = self.advance(rows, keys, self.deforms(taken), self.numbers(taken, rate))
        self.taken, self.learning_rate = taken + 1, rate
        count = images_in(rows)
        if self.settings.unlabeled is not None:
            count = self.batches.labelled(rows)
        return loss, right, count

    def keys(self, taken: int) -> Keys:
        """What the step after `taken` steps draws its random numbers from; empty if it draws none.

        For each step the same names in the same order, and integers of the host as their values.
        """
        return self.engine.keys(counter_rng.fold_in(self.step_key, taken))

    def advance(
        self, rows: Array | slice, keys: Keys, deform: bool, numbers: tuple[Any, ...]
    ) -> tuple[Array, Array]:
        """The step itself, on the device alone: sum of losses and right answers of these rows.

        All that changes from step to step comes in as an argument, so that on a GPU the step can be
        captured once and replayed (see `gpu/cuda_graph.py`); `numbers` may then be arrays (), and
        the values of the keys arrays (1,) uint64.
        """
        gradient, loss, right = self.engine.gradient(rows, keys, deform)
        if self.settings.unlabeled is not None:  # it is a mean, times the number of all images
            loss = loss * (self.batches.labelled(rows) / images_in(rows))
        self.update(gradient, numbers)
        return loss, right

    def update(self, gradient: Array, numbers: tuple[Any, ...]) -> None:
        """Change everything that a step changes. The gradient's values are overwritten."""
        settings = self.settings
        weights_kept, statistics_kept, statistics_new, *of_optimizer = numbers
        moving = self.params[settings.freeze :]
        if self.frozen:  # every optimiser leaves numbers alone whose gradients have all been 0
            gradient[: self.frozen] = 0.0
        if settings.batch_norm:
            self.engine.follow_statistics(statistics_kept, statistics_new)
        if settings.clip_norm is not None:
            regularize.clip(gradient, settings.clip_norm, self.total)
        if settings.weight_decay > 0:
            regularize.decay(moving, weights_kept)
        self.optimizer.apply(self.theta, gradient, self.state, tuple(of_optimizer))
        if settings.max_norm is not None:
            regularize.limit_norms(moving, settings.max_norm, self.total)
        if settings.ema is not None:
            average = self.state["average"]
            average *= settings.ema
            average += (1.0 - settings.ema) * self.theta

    def of_part(self, part: slice, vectors: dict[str, Array], engine: Engine) -> Trainer:
        """A trainer that updates a part of the parameters alone, from the engine's gradient of it.

        vectors: all of theta and of the state. For settings that do not `need_all_parameters`.
        """
        own = copy.copy(self)
        own.theta, own.params, own.engine = vectors["theta"][part], [], engine
        own.state = {name: vectors[name][part] for name in self.state}
        own.frozen = max(0, self.frozen - part.start)
        return own

    def collect(self, *names: str) -> None:
        """Copy these of `arrays`, or all, from the processes that share the steps, if any do.

        With ranks all of them must call it after the same step, unless the state is `gathered`.
        """
        if self.shared is not None:
            self.shared.collect(*names)

    def out_of_range(self) -> str:
        """Which number of the steps so far has left the range of the arithmetic; "" if none has.

        Right after `collect`. A sync point.
        """
        return next(filter(None, (shard.out_of_range() for shard in self.engine.shards)), "")

    def scheduled_rate(self, taken: int) -> float:
        """The learning rate of the step that follows `taken` steps."""
        settings = self.settings
        return optimizers.learning_rate(
            settings.learning_rate, settings.schedule, settings.warmup, *self.place_in_run(taken)
        )

    def place_in_run(self, taken: int) -> tuple[int, int]:
        """Where in the run the step after `taken` steps is, and how long the run is, as steps.

        Their ratio is the share of the run that is done. In a run of so many epochs a change of the
        batch size does not change this share.
        """
        ahead = 0 if self.settings.iterations else self.batches.shift.ahead
        return taken + ahead, self.steps + ahead

    def numbers(self, taken: int, rate: float) -> tuple[float, ...]:
        """What a step needs besides its batch: the factor of weight decay, the two factors of
        `Engine.follow_statistics`, and the optimiser's numbers. Each is used as it is, so that it
        is rounded alike as a float and as an array of the device.
        """
        weights_kept = 1.0 - rate * self.settings.weight_decay
        taken += self.before
        shares = statistics_shares(taken) if self.settings.batch_norm else (1.0, 0.0)
        of_optimizer = self.optimizer.all_numbers(rate, taken, self.settings.momentum)
        return weights_kept, *shares, *of_optimizer

    def deforms(self, taken: int) -> bool:
        """Whether the step after `taken` steps may deform its images: not in a clean ending."""
        place, length = self.place_in_run(taken)
        return place < (1.0 - self.settings.clean_ending) * length

    def arrays(self) -> dict[str, Array]:
        """All that a run computes, by name, where it lives; a step changes them in place."""
        arrays = {"theta": self.theta, **self.state}
        for i, (mean, variance) in enumerate(self.engine.running_statistics):
            arrays |= {f"mean.{i}": mean, f"variance.{i}": variance}
        return arrays

    def first_parameters(self, sizes: tuple[int, ...]) -> Array:
        """theta before the first step of the run, with the numbers of a decoder if it has one."""
        theta = self.first_network(sizes)
        if self.settings.denoising == 0:
            return theta
        key = counter_rng.fold_in(self.key, counter_rng.DECODER)
        decoder = denoising.first_decoder(key, sizes, self.settings.dtype)
        return array_namespace(theta).concat([theta, decoder])

    def first_network(self, sizes: tuple[int, ...]) -> Array:
        """The network's parameters before the first step of the run."""
        if self.start is not None:
            theta = self.backend.asarray(self.start)
            return network.flatten(self.inputs.fold(network.layers(theta, self.settings.sizes)))
        key, settings = counter_rng.fold_in(self.key, counter_rng.INIT), self.settings
        gain = ACTIVATIONS[settings.activation].gain
        # those of float32, which are multiples of 2^-24 or products of two numbers
        dtype = "float32" if settings.is_exact else settings.dtype
        theta = network.init(key, sizes, settings.init, dtype, gain)
        xp = array_namespace(theta)
        return xp.astype(theta, getattr(xp, settings.dtype), copy=False)

    def first_arrays(self) -> dict[str, Array]:
        """`arrays` as they are before the first step of the run."""
        xp = array_namespace(self.theta)
        first = {name: xp.zeros_like(array) for name, array in self.arrays().items()}
        first |= {name: array + 1.0 for name, array in first.items() if name[:8] == "variance"}
        return first | {"theta": self.first_parameters(self.engine.sizes)}

    def vectors(self) -> dict[str, np.ndarray]:
        """`arrays` on the host. A sync point. RunError if other ranks have parts of them."""
        if not self.gathered:
            raise RunError(
                "each rank has only its part of what the optimiser remembers; call "
                "trainer.collect() first, on every rank after the same step"
            )
        self.collect()
        return {name: self.backend.to_numpy(array) for name, array in self.arrays().items()}

    def restore(self, vectors: dict[str, Any], taken: int, arrays: Any = None) -> None:
        """Go back to the state of `vectors`, which is that after `taken` steps.

        Writes them into `arrays`, by default those of the trainer.
        """
        for name, array in (arrays or self.arrays()).items():
            array[...] = self.backend.asarray(vectors[name])
        self.taken = taken
        if self.shared is not None:
            self.shared.distribute()

    def go_on_from(self, vectors: dict[str, Any], before: int) -> None:
        """Begin with the `vectors` of a trainer of the same network, which took `before` steps.

        Before the first step. Unlike `restore` this is a new run, of any length and on any images,
        with batches, noise and a schedule of its own.
        """
        self.restore(vectors, 0)
        self.before = before
        self.step_key = counter_rng.fold_in(self.step_key, before)
        self.batches.key = counter_rng.fold_in(self.batches.key, before)

    def plain(self) -> Array:
        """The parameters to predict with, of a plain network on all pixels; averaged with `ema`."""
        self.collect()
        theta, statistics, settings = self.theta, [], self.settings
        if self.taken > 0:
            if settings.ema is not None:
                taken = self.before + self.taken
                theta = self.state["average"] / (1.0 - exact.power(settings.ema, taken))
            looks = self.has_all_images and (settings.ema is not None or is_disturbed(settings))
            if settings.batch_norm and looks:
                statistics = self.statistics_of(theta)
        plain = self.engine.plain(theta, statistics)
        if self.frozen:  # to the bit, where averaging and centring would round
            assert self.start is not None
            count = network.parameter_count(self.settings.sizes[: self.settings.freeze + 1])
            plain[:count] = self.backend.asarray(self.start[:count])
        return plain

    def statistics_of(self, theta: Array) -> list[tuple[Array, Array]]:
        """Means and variances (n, 1) by normalised layer, of a network with these parameters.

        Running statistics are those of the weights that were trained, and no average of weights has
        them (Izmailov et al. 2018 look at the images again, too); and they are those of disturbed
        images, which have larger variances than those that a network answers.
        """
        kept = self.theta + 0.0
        try:
            self.theta[...] = theta
            if self._clean_images is None:
                self._clean_images = clean_images(self.engine, self.key)
            return clean_statistics(self.engine, *self._clean_images)
        finally:
            self.theta[...] = kept


def with_others(
    digits: Digits, others: np.ndarray, counted: np.ndarray | None, classes: int
) -> tuple[Digits, np.ndarray]:
    """The digits with others (U, pixels) that have no label after them, and the weight of each.

    Their label is the number after the last class, and their weight in the cross-entropy is 0.
    """
    labels = np.full(len(digits) + len(others), classes, dtype=np.int64)
    labels[: len(digits)] = np.asarray(digits.labels)
    weights = np.zeros(len(labels))
    weights[: len(digits)] = 1.0 if counted is None else counted
    images = np.concatenate([digits.images, others])
    return replace(digits, images=images, labels=labels, weights=None, unlabeled=None), weights
