"""How a training run takes its steps: only this module imports from `cpu/` and `gpu/`.

`stepping` chooses: replays of a CUDA graph if the settings ask for them; several processes where
that pays; else `Trainer.step`, with bound calls for a plain network on NumPy. Whichever it is, the
first steps are compared with the plain form (`shard.Shard`, in this process). If they differ, all
steps are taken in the plain form, with a warning. docs/engine.md says what each way gives.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator

from mnistgpu.backend import Backend
from mnistgpu.engine.comparison import after, difference
from mnistgpu.engine.cpu import process_group
from mnistgpu.engine.cpu.bound_calls import bind_calls
from mnistgpu.engine.cpu.processes import number_of_processes, shared_steps
from mnistgpu.engine.gpu import cuda_graph
from mnistgpu.engine.products.precision import matmul_in
from mnistgpu.engine.trainer import Step, Trainer
from mnistgpu.settings import Settings

# How far the fast form may end from the plain one, relative to how far that moved. In float32 they
# are some 1e-5 apart, since Adam turns the rounding of a gradient next to 0 into a step of its own.
TOLERANCE = 1e-3
# Steps that are compared. Biases may be 0 before the first; odd steps may use memory of their own.
CHECKED_STEPS = 2


def check_backend(settings: Settings, backend: Backend) -> None:
    """Refuse settings that the backend cannot carry out, before anything is written."""
    matmul_in(settings.precision, backend.xp)
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
) -> Iterator[Step]:
    """The function that takes a step of the trainer, in the fastest way that this machine has.

    `processes` says how many processes share a step; by default `number_of_processes` decides.
    """
    if trainer.settings.graph:
        with cuda_graph.stepping(trainer, on_warning) as step:
            yield step
        return
    trainer.processes = number_of_processes(trainer) if processes is None else processes
    plain = trainer.engine.shards
    bind_calls(trainer.engine)
    fast, trainer.engine.shards = trainer.engine.shards, plain
    is_fast = trainer.processes > 1 or fast is not plain
    count = min(CHECKED_STEPS, trainer.steps - trainer.taken) if is_fast else 0
    start, expected = after(trainer, trainer.step, 0), after(trainer, trainer.step, count)
    trainer.engine.shards = fast
    with contextlib.ExitStack() as stack:
        step = trainer.step
        if trainer.processes > 1:
            step = stack.enter_context(shared_steps(trainer, trainer.processes))
        why = difference(start, expected, after(trainer, step, count), TOLERANCE)
        if why:
            stack.close()
            trainer.processes, trainer.engine.shards, step = 1, plain, trainer.step
            on_warning(f"steps are taken in the plain form, which is slower: fast ones {why}")
        yield step
