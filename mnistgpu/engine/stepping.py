"""How a training run takes its steps: only this module imports from `cpu/` and `gpu/`.

`stepping` chooses: several processes where that pays; else `Trainer.step`, with bound calls for a
plain network on NumPy, and with kernels on a GPU, where its steps are replayed as a CUDA graph if
the settings ask for it. Whichever it is, the first steps are compared with the plain form
(`shard.Shard`, in this process). If they differ, all steps are taken in the plain form, with a
warning. docs/engine.md says what each way gives.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from mnistgpu.backend import Backend, are_kernels_used, using_kernels
from mnistgpu.engine import exact_probe
from mnistgpu.engine.comparison import after, difference
from mnistgpu.engine.cpu import process_group
from mnistgpu.engine.cpu.bound_calls import BoundShard, bind_calls
from mnistgpu.engine.cpu.exact_calls import BoundExactShard
from mnistgpu.engine.cpu.processes import number_of_processes, shared_steps
from mnistgpu.engine.gpu import cuda_graph
from mnistgpu.engine.products.precision import matmul_in
from mnistgpu.engine.shard import Shard
from mnistgpu.engine.trainer import Step, Trainer
from mnistgpu.settings import Settings

# How far the fast form may end from the plain one, relative to how far that moved. In float32 they
# are up to some 1e-5 apart, as Adam turns the rounding of a gradient next to 0 into a whole step.
TOLERANCE = 1e-3
# Steps that are compared. Biases may be 0 before the first; odd steps may use memory of their own.
CHECKED_STEPS = 2


def check_backend(settings: Settings, backend: Backend) -> None:
    """Refuse settings that the backend cannot carry out, before anything is written."""
    matmul_in(settings.precision, backend.xp)
    if settings.is_exact:
        exact_probe.check(backend)
    if settings.graph:
        cuda_graph.require_gpu(backend)


def processes_possible() -> bool:
    """Whether several processes can share a step on this machine."""
    return process_group.is_possible()


@contextlib.contextmanager
def stepping(
    trainer: Trainer,
    on_warning: Callable[[str], object] = warnings.warn,
    processes: int | None = None,
    compared: set[object] | None = None,
) -> Iterator[Step]:
    """The function that takes a step of the trainer, in the fastest way that this machine has.

    `processes` says how many processes share a step; by default `number_of_processes` decides.
    `compared` has the parts of forms that this run has compared with the plain one, such as how
    processes share a step; a form of such parts alone is not compared again.
    """
    if trainer.settings.graph:
        cuda_graph.require_gpu(trainer.backend)
    trainer.processes = number_of_processes(trainer) if processes is None else processes
    engine, plain = trainer.engine, trainer.engine.shards
    bind_calls(engine, BoundExactShard if trainer.settings.is_exact else BoundShard)
    with contextlib.ExitStack() as stack:
        stack.enter_context(kernels_on(trainer.backend))
        step = trainer.step
        if trainer.processes > 1:
            step = stack.enter_context(shared_steps(trainer, trainer.processes))
        elif trainer.communicator is not None:
            from mnistgpu.engine import divided_update  # for several ranks alone

            if divided_update.pays(trainer, trainer.communicator):
                step = stack.enter_context(divided_update.steps(trainer, trainer.communicator))
        form = {type(engine.shards[0]), type(trainer.shared), are_kernels_used()}
        compared = set() if compared is None else compared
        known = {type(plain[0]), type(None), False, *compared}
        why = "" if form <= known else check(trainer, step, plain)
        if not why:
            compared |= form
        else:
            stack.close()
            trainer.processes, step, engine.shards = 1, trainer.step, plain
            on_warning(f"steps are taken in the plain form, which is slower: fast ones {why}")
        if trainer.settings.graph:
            step = stack.enter_context(cuda_graph.stepping(trainer, on_warning))
        yield step


def kernels_on(backend: Backend) -> contextlib.AbstractContextManager[None]:
    """Within it, a GPU computes by the kernels of `gpu/kernels.py`."""
    if backend.xp.__name__ != "cupy":
        return contextlib.nullcontext()
    from mnistgpu.engine.gpu.kernels import KERNELS  # which imports CuPy

    return using_kernels(KERNELS)


def check(trainer: Trainer, step: Step, plain: list[Shard]) -> str:
    """How the first steps differ from those by plain shards, if they are not the same; else "".

    They begin at the first parameters of the run, also if it is resumed, so that it goes on in the
    form in which it began. Rounding may turn a ReLU on or off, which moves much in a small network:
    where the first steps differ, those after them decide.
    """
    engine, fast = trainer.engine, trainer.engine.shards
    in_plain_form = trainer.shared is None and fast is plain and not are_kernels_used()
    if in_plain_form or trainer.taken >= trainer.steps:
        return ""

    now, taken, why = after(trainer, step, 0)[0], trainer.taken, ""
    first, shared = trainer.first_arrays(), trainer.shared
    steps = CHECKED_STEPS if trainer.batches.per_epoch > 1 else 1  # one of a full batch takes long
    earliest = max(0, -trainer.batches.shift.ahead)  # that has a place in the epochs
    last = min(earliest + 2 * steps, trainer.steps)
    for begin in range(earliest, last, steps):
        count = min(steps, trainer.steps - begin)
        engine.shards, trainer.shared = plain, None
        trainer.restore(first, begin)
        with using_kernels({}):
            expected = after(trainer, trainer.step, count)
        engine.shards, trainer.shared = fast, shared
        trainer.restore(first, begin)
        tolerance = 0.0 if trainer.settings.is_exact else TOLERANCE
        found = after(trainer, step, count)
        why = of_any_rank(trainer, difference(first, expected, found, tolerance))
        if not why:
            break
    trainer.restore(now, taken)
    return why


def of_any_rank(trainer: Trainer, why: str) -> str:
    """A difference that this rank or another has found: all of them must go on alike."""
    if trainer.communicator is not None:
        found = np.array([float(bool(why))])
        trainer.communicator.all_reduce(found)
        why = why or ("differ on another rank" if found[0] else "")
    return why
