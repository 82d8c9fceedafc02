"""One step, one launch: a training step captured once as a CUDA graph, and replayed.

A graph replays the same kernels on the same memory. So all that differs between two steps lies in
arrays that the captured step reads: tables of the numbers and of the keys of the steps to come, the
order of the epoch's images, and a counter that the step itself increases. What is captured is
`Trainer.advance`, which eager steps run too.

`StepGraph` decides when to capture a step, to fill the table and to replay; a `CudaRecorder` owns
the stream, the memory and the products that a capture needs: `matmul` for the network,
`matmul_of_fields` for deformations.
"""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mnistgpu.backend import Array, Backend, array_namespace, gist, on_device_of
from mnistgpu.counter_rng import Key
from mnistgpu.engine.comparison import after, difference
from mnistgpu.engine.products.cublas import Cublas
from mnistgpu.engine.trainer import Step, Trainer
from mnistgpu.errors import UsageError

FULL_BATCHES = 256  # steps of a full batch whose numbers are sent to the device together
CHECKED_STEPS = 3
TOLERANCE = 1e-4  # of how far eager steps moved a vector: the products are the same, to the bit


class CudaRecorder:
    """Stream, memory pool and cuBLAS of a captured graph; they live as long as it does.

    The pool is for the capture alone: every replay writes to the memory of the temporary arrays, so
    it must not be used for anything else.
    """

    def __init__(self, cupy: Any, precision: str):
        self._cupy = cupy
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.pool = cupy.cuda.MemoryPool()
        self.matmul = Cublas(cupy, precision).matmul
        self.matmul_of_fields = Cublas(cupy, "exact" if precision == "exact" else "float32").matmul

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run everything within on the recorder's stream, in order with what is around it."""
        self._cupy.cuda.get_current_stream().synchronize()
        with self.stream:
            try:
                yield
            finally:
                self.stream.synchronize()

    def record(self, body: Callable[[], None]) -> Callable[[], None]:
        """Capture body on the stream, and return the replay. Raises what the capture raises."""
        with self._cupy.cuda.using_allocator(self.pool.malloc), no_garbage_collection():
            body()  # compiles its kernels, and leaves the memory that it needs in the pool
            self.stream.synchronize()
            self.stream.begin_capture()
            try:
                body()
            except BaseException:
                with contextlib.suppress(Exception):  # the capture is void: only leave it
                    self.stream.end_capture()
                raise
            graph = self.stream.end_capture()
        return functools.partial(graph.launch, self.stream)


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect garbage now, and none within: an old graph must not be freed during a capture."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class StepGraph:
    """The steps of a trainer, by replays where the captured step fits, and eagerly elsewhere.

    The short last batch of an epoch and a step at a given rate run eagerly, and so do the last
    steps if too few are left to compare; for a clean ending a step is captured anew. If a capture
    fails, or its first replays differ from eager steps, `say` is called with the reason and all
    steps run eagerly.
    """

    def __init__(self, trainer: Trainer, recorder: CudaRecorder, say: Callable[[str], object]):
        xp, where = array_namespace(trainer.theta), on_device_of(trainer.theta)
        batches = trainer.batches
        self.trainer, self.recorder, self.say = trainer, recorder, say
        self.full = batches.size == batches.images
        self.last_is_short = batches.images % batches.size != 0
        self.period = FULL_BATCHES if self.full else batches.per_epoch
        self.deform = trainer.deforms(trainer.taken)
        width = len(trainer.numbers(0, 1.0))
        self.table = xp.zeros((self.period, width), dtype=trainer.theta.dtype, **where)
        self.place = xp.zeros((1,), dtype=xp.int64, **where)  # of the next step, in the table
        self.keys = trainer.keys(0)  # the names of the keys
        self.key_table = xp.zeros((self.period, len(self.keys)), dtype=xp.uint64, **where)
        self.order = xp.arange(batches.images, dtype=xp.int64, **where)
        self.within = xp.arange(batches.size, dtype=xp.int64, **where)
        self.loss = xp.zeros((), dtype=trainer.theta.dtype, **where)
        self.right = xp.zeros((), dtype=xp.int64, **where)
        self.first = -1  # the step that the table begins with
        self.expected = -1  # the step that `place` points to
        self.replay: Callable[[], None] | None = None
        self.given_up = False
        # eager steps use the recorder's products too: so replays change no bit
        self.products: list[tuple[Any, Callable[..., Array]]] = [
            (shard, recorder.matmul) for shard in trainer.engine.shards
        ]
        if trainer.engine.inputs.fields is not None:
            self.products.append((trainer.engine.inputs.fields, recorder.matmul_of_fields))
        self.exchange_products()
        why_not = obstacle(trainer, self.last_is_short)
        if why_not:
            self.give_up(why_not)

    def step(self, rate: float | None = None, most: int = 1) -> tuple[Array, Array, int]:
        """As `Trainer.step`, one step; the arrays it returns are valid until the next step."""
        trainer, taken = self.trainer, self.trainer.taken
        if rate is not None or self.given_up or not self.is_whole(taken):
            return trainer.step(rate)
        if trainer.deforms(taken) != self.deform:
            self.deform, self.replay = not self.deform, None
        if self.replay is None:
            checked = range(taken, taken + CHECKED_STEPS)
            if not all(self.is_alike(each) for each in checked):
                return trainer.step()
            self.begin()
            return self.step()
        return self.carry_out(self.replay)

    def is_whole(self, taken: int) -> bool:
        """Whether the step after `taken` has a whole batch."""
        per_epoch = self.trainer.batches.per_epoch
        return not (self.last_is_short and taken % per_epoch == per_epoch - 1)

    def is_alike(self, taken: int) -> bool:
        """Whether there is a step after `taken` in whose place the captured one can be replayed."""
        trainer = self.trainer
        alike = taken < trainer.steps and trainer.deforms(taken) == self.deform
        return alike and self.is_whole(taken)

    def body(self) -> None:
        """What is captured: a step that reads all its variables from the device."""
        trainer, xp = self.trainer, array_namespace(self.table)
        row = xp.take(self.table, self.place, axis=0)
        numbers = tuple(row[0, i] for i in range(row.shape[1]))
        size = trainer.batches.size
        rows: Array | slice = slice(0, size)
        if not self.full:
            start = self.place * size
            rows = xp.take(self.order, start + self.within)
        values = xp.take(self.key_table, self.place, axis=0)
        keys = {
            name: Key(values[0, i : i + 1], key.like)
            for i, (name, key) in enumerate(self.keys.items())
        }
        loss, right = trainer.advance(rows, keys, self.deform, numbers)
        self.loss[...] = loss
        self.right[...] = right
        self.place += 1

    def carry_out(self, replay: Callable[[], None]) -> tuple[Array, Array, int]:
        """Take a step by a replay."""
        trainer, taken = self.trainer, self.trainer.taken
        self.point_to(taken)
        replay()
        self.expected = trainer.taken = taken + 1
        trainer.learning_rate = trainer.scheduled_rate(taken)
        return self.loss, self.right, trainer.batches.size

    def point_to(self, taken: int) -> None:
        """Set the arrays that the captured step reads to those of the step after `taken`."""
        if not 0 <= taken - self.first < self.period or self.first < 0:
            self.first = taken if self.full else taken - taken % self.period
            self.fill_table()
            self.expected = -1
        if self.expected != taken:
            self.place[...] = taken - self.first
            self.expected = taken

    def fill_table(self) -> None:
        """The numbers and keys of the steps from `first` on, the order of their epoch's images."""
        trainer, xp = self.trainer, array_namespace(self.table)
        steps = range(self.first, min(self.first + self.period, trainer.steps))
        numbers = np.zeros(self.table.shape)
        keys = np.zeros(self.key_table.shape, dtype=np.uint64)
        for i, taken in enumerate(steps):
            numbers[i] = trainer.numbers(taken, trainer.scheduled_rate(taken))
            keys[i] = [int(key) for key in trainer.keys(taken).values()]
        where = on_device_of(self.table)
        self.table[...] = xp.astype(xp.asarray(numbers, **where), self.table.dtype)
        self.key_table[...] = xp.asarray(keys, **where)
        if not self.full:
            self.order[...] = trainer.batches.order(self.first // self.period)

    def begin(self) -> None:
        """Capture a step, compare its first replays with eager steps, and put the trainer back."""
        trainer, taken = self.trainer, self.trainer.taken
        arrays = trainer.arrays()  # if a step replaces one, the comparison shows it
        start = after(trainer, trainer.step, 0, arrays)[0]
        try:
            expected = after(trainer, trainer.step, CHECKED_STEPS, arrays)
            self.point_to(taken)
            replay = self.recorder.record(self.body)
            trainer.restore(start, taken, arrays)
            self.expected = -1
            replayed = functools.partial(self.carry_out, replay)
            found = after(trainer, replayed, CHECKED_STEPS, arrays)
            tolerance = 0.0 if trainer.settings.is_exact else TOLERANCE
            why = difference(start, expected, found, tolerance)
            self.replay, why_not = (None, f"replays {why}") if why else (replay, "")
        except Exception as error:
            why_not = gist(error)
        if why_not:
            self.give_up(why_not)
        trainer.restore(start, taken, arrays)
        self.expected = -1

    def give_up(self, why: str) -> None:
        """Take all steps from here on eagerly, with their own products, and say why."""
        self.given_up = True
        self.exchange_products()
        self.say(f"steps are not replayed: {why}")

    def exchange_products(self) -> None:
        """Swap the products kept here with those of the shards and the deformation fields."""
        for i, (owner, product) in enumerate(self.products):
            self.products[i], owner.matmul = (owner, owner.matmul), product


def obstacle(trainer: Trainer, last_is_short: bool) -> str:
    """Why steps of this trainer cannot be replayed; "" if they can."""
    if len(trainer.engine.shards) > 1:
        return "batches are shared out among several workers"
    in_a_row = trainer.steps - trainer.taken
    if last_is_short:
        in_a_row = min(in_a_row, trainer.batches.per_epoch - 1)
    if 0 < in_a_row < CHECKED_STEPS:  # a run that is over needs no reason
        return f"there are no {CHECKED_STEPS} alike steps to compare"
    return ""


def require_gpu(backend: Backend) -> None:
    """UsageError where there is nothing to replay on."""
    if backend.name != "cupy":
        raise UsageError("--graph replays steps on an NVIDIA GPU: add --backend cupy, or leave it")


@contextlib.contextmanager
def stepping(trainer: Trainer, say: Callable[[str], object]) -> Iterator[Step]:
    """The function that takes a step of the trainer by replays.

    Raises UsageError where there is no GPU to replay on, BackendError without nvmath-python.
    """
    require_gpu(trainer.backend)
    recorder = CudaRecorder(trainer.backend.xp, trainer.settings.precision)
    with recorder.running():
        yield StepGraph(trainer, recorder, say).step
