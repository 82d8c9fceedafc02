"""Many steps, one launch: a window of training steps captured once as a CUDA graph, and replayed.

A graph replays the same kernels on the same memory. So all that differs between two windows lies in
arrays that the captured steps read, each step at places of its own: the rows of its batch, its
numbers and its random key. What is captured is `Trainer.advance`, which eager steps run too.

`StepGraph` decides which steps are replayed; a `CudaRecorder` captures them.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import numpy as np

from mnistgpu.backend import Array, Backend, array_namespace, gist, on_device_of
from mnistgpu.counter_rng import Key
from mnistgpu.engine.comparison import after, difference
from mnistgpu.engine.gpu.recorder import CudaRecorder
from mnistgpu.engine.trainer import Step, Trainer
from mnistgpu.errors import UsageError

SHORTEST, LONGEST = 32, 80  # steps of a window, where there are so many alike
TOLERANCE = 1e-4  # of how far eager steps moved a vector: the products are the same, to the bit


def length_of_window(steps: int) -> int:
    """How many steps to capture, of so many that follow each other and are alike.

    The length that leaves the fewest steps over, and of such lengths the longest.
    """
    lengths = range(min(steps, LONGEST), min(steps, SHORTEST) - 1, -1)
    return min(lengths, key=lambda length: steps % length)


class StepGraph:
    """The steps of a trainer: windows of them by replays, and those that are left over eagerly.

    Windows lie at the same places of every epoch, or between two rows of history if every step is
    an epoch; so a resumed run adds up its losses in the same order. The first window is taken
    eagerly and by a replay, and the two are compared; so are the first steps of a clean ending,
    which deform no images and are captured anew. If the capture fails or the replay differs, `say`
    is called with the reason, and all steps run eagerly.
    """

    def __init__(self, trainer: Trainer, recorder: CudaRecorder, say: Callable[[str], object]):
        xp, where = array_namespace(trainer.theta), on_device_of(trainer.theta)
        batches, dtype = trainer.batches, trainer.theta.dtype
        self.trainer, self.recorder, self.say = trainer, recorder, say
        self.full = batches.full
        self.alike = trainer.row_every if self.full else batches.alike
        self.length = length_of_window(self.alike)
        self.numbers = xp.zeros((self.length, len(trainer.numbers(0, 1.0))), dtype=dtype, **where)
        self.names = trainer.keys(0)
        self.keys = xp.zeros((self.length, len(self.names)), dtype=xp.uint64, **where)
        images = 0 if self.full else self.length * batches.size
        self.rows = xp.zeros((images,), dtype=xp.int64, **where)
        self.loss = xp.zeros((), dtype=dtype, **where)
        self.right = xp.zeros((), dtype=xp.int64, **where)
        self.replay: Callable[[], None] | None = None
        self.deform = True  # whether the captured steps do
        self.given_up = False
        # eager steps use these products too: so replays change no bit
        for shard in trainer.engine.shards:
            shard.matmul = recorder.matmul
        if trainer.engine.inputs.fields is not None:
            trainer.engine.inputs.fields.matmul = recorder.matmul_of_fields
        left = range(trainer.taken, min(trainer.steps, trainer.taken + 2 * trainer.row_every))
        if left and not any(map(self.begins, left)):
            self.give_up(f"fewer than {self.length} steps that are alike are left")

    def step(self, rate: float | None = None, most: int = 1) -> tuple[Array, Array, int]:
        """As `Trainer.step`; a window if one begins here and has no more than `most` steps."""
        trainer, taken = self.trainer, self.trainer.taken
        if rate is not None or self.given_up or most < self.length or not self.begins(taken):
            return trainer.step(rate)
        if self.replay is None or self.deform != trainer.deforms(taken):
            self.begin()
            return self.step(most=most)
        return self.carry_out(self.replay)

    def begins(self, taken: int) -> bool:
        """Whether a window of alike steps begins after `taken` steps."""
        trainer = self.trainer
        within = trainer.batches.place(taken) % trainer.row_every
        fits = within % self.length == 0 and within + self.length <= self.alike
        last = taken + self.length - 1
        return fits and last < trainer.steps and trainer.deforms(taken) == trainer.deforms(last)

    def advance(self, place: int) -> None:
        """What is captured: a step of the window, which reads all its variables from the device."""
        trainer, size, row = self.trainer, self.trainer.batches.size, self.numbers[place, :]
        start = place * size
        rows = slice(0, size) if self.full else self.rows[start : start + size]
        keys = {
            name: Key(self.keys[place, i : i + 1], key.like)
            for i, (name, key) in enumerate(self.names.items())
        }
        numbers = tuple(row[i] for i in range(row.shape[0]))
        loss, right = trainer.advance(rows, keys, self.deform, numbers)
        if place == (self.length - 1 if self.full else 0):
            self.loss[...], self.right[...] = loss, right
        elif not self.full:
            self.loss += loss
            self.right += right

    def load(self, taken: int) -> None:
        """Write what the captured steps read, for the window after `taken` steps."""
        trainer, xp, where = self.trainer, array_namespace(self.loss), on_device_of(self.loss)
        steps = range(taken, taken + self.length)
        numbers = [trainer.numbers(each, trainer.scheduled_rate(each)) for each in steps]
        self.numbers[...] = xp.astype(xp.asarray(np.asarray(numbers), **where), self.loss.dtype)
        if not self.full:
            self.rows[...] = trainer.batches.rows(taken, self.length)
        if self.names:
            keys = [[int(key) for key in trainer.keys(each).values()] for each in steps]
            self.keys[...] = xp.asarray(np.asarray(keys, dtype=np.uint64), **where)

    def carry_out(self, replay: Callable[[], None]) -> tuple[Array, Array, int]:
        """Take a window of steps by a replay."""
        trainer, batches = self.trainer, self.trainer.batches
        self.load(trainer.taken)
        replay()
        trainer.taken += self.length
        trainer.learning_rate = trainer.scheduled_rate(trainer.taken - 1)
        # copies: the next replay overwrites the arrays
        labelled = batches.labelled(slice(0, batches.size)) * (1 if self.full else self.length)
        return self.loss + 0.0, self.right + 0, labelled

    def begin(self) -> None:
        """Capture a window, compare its first replay with eager steps, and put the trainer back."""
        trainer, taken = self.trainer, self.trainer.taken
        arrays = trainer.arrays()  # if a step replaces one, the comparison shows it
        self.replay, self.deform = None, trainer.deforms(taken)
        start = after(trainer, trainer.step, 0, arrays)[0]
        try:
            expected = after(trainer, self.take_eagerly, 1, arrays)
            self.load(taken)
            replay = self.recorder.record(
                [functools.partial(self.advance, place) for place in range(self.length)]
            )
            trainer.restore(start, taken, arrays)
            found = after(trainer, functools.partial(self.carry_out, replay), 1, arrays)
            tolerance = 0.0 if trainer.settings.is_exact else TOLERANCE
            why = difference(start, expected, found, tolerance)
            self.replay, why_not = (None, f"replays {why}") if why else (replay, "")
        except Exception as error:
            why_not = gist(error)
        trainer.restore(start, taken, arrays)
        if why_not:
            self.give_up(why_not)

    def take_eagerly(self) -> tuple[Array]:
        """Take a window of steps one by one; the loss that a replay gives."""
        losses = [self.trainer.step()[0] for _ in range(self.length)]
        return (losses[-1] if self.full else sum(losses),)

    def give_up(self, why: str) -> None:
        """Take all steps from here on eagerly, and say why."""
        self.given_up = True
        self.say(f"steps are not replayed: {why}")


def require_gpu(backend: Backend) -> None:
    """UsageError where there is nothing to replay on."""
    if backend.name != "cupy":
        raise UsageError("--graph replays steps on an NVIDIA GPU: add --backend cupy, or leave it")


@contextlib.contextmanager
def stepping(trainer: Trainer, say: Callable[[str], object]) -> Iterator[Step]:
    """The function that takes steps of the trainer, windows of them by replays.

    Raises UsageError where there is no GPU to replay on, BackendError without nvmath-python.
    """
    require_gpu(trainer.backend)
    recorder = CudaRecorder(trainer.backend.xp, trainer.settings.precision)
    with recorder.running():
        yield StepGraph(trainer, recorder, say).step
