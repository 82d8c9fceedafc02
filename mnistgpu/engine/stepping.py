"""How a training run takes its steps: the one door to `cpu` and `gpu`.

`stepping` chooses: replays of a CUDA graph if the settings ask for them; several processes where
that pays; else `Trainer.step`, with bound calls for a plain network on NumPy. Whichever it is, the
first steps are compared with the plain form (`shard.Shard`, in this process), and where they differ
the plain form takes all steps, with a warning. docs/engine.md says what each way gives.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from mnistgpu.backend import Backend
from mnistgpu.engine import products
from mnistgpu.engine.cpu import process_group
from mnistgpu.engine.cpu.bound_calls import BoundShard
from mnistgpu.engine.cpu.processes import number_of_processes, shared_steps
from mnistgpu.engine.gpu import cublas, cuda_graph
from mnistgpu.engine.trainer import Step, Trainer
from mnistgpu.settings import Settings

# How far the fast form may end from the plain one, relative to how far that moved. In float32 they
# are some 1e-5 apart, since Adam turns the rounding of a gradient next to 0 into a step of its own.
TOLERANCE = 1e-3
# Steps that are compared for bound calls: the first moves biases away from 0.
BOUND_STEPS = 2


def check_backend(settings: Settings, backend: Backend) -> None:
    """Refuse settings that the backend cannot carry out, before anything is written."""
    products.matmul_in(settings.precision, backend.xp)
    if settings.graph:
        cuda_graph.require_gpu(backend)


def processes_possible() -> bool:
    """Whether several processes can share a step on this machine."""
    return process_group.is_possible()


def require_graphs() -> None:
    """BackendError where nvmath-python, which `graph` needs, cannot be imported."""
    cublas.binding()


@contextlib.contextmanager
def stepping(
    trainer: Trainer,
    on_warning: Callable[[str], object] = warnings.warn,
    processes: int | None = None,
) -> Iterator[Step]:
    """The function that takes a step of the trainer, in the fastest way there is here.

    `processes` overrules how many processes share a step.
    """
    if trainer.settings.graph:
        with cuda_graph.stepping(trainer, on_warning) as step:
            yield step
        return
    trainer.processes = number_of_processes(trainer) if processes is None else processes
    with contextlib.ExitStack() as stack:
        step = trainer.step
        if trainer.processes > 1:
            step = stack.enter_context(shared_steps(trainer, trainer.processes))
        why = difference(trainer, step)
        if why:
            stack.close()
            trainer.processes = 1
            trainer.engine.take_plain_form()
            on_warning(f"steps are taken in the plain form, which is slower: {why}")
            step = trainer.step
        yield step


def difference(trainer: Trainer, step: Step) -> str:
    """Why `step` must not be used: how it differs from plain steps; "" where it does not.

    The trainer is left as it was. A step that is the plain form itself is not compared.
    """
    engine, taken = trainer.engine, trainer.taken
    if trainer.shared is None and not isinstance(engine.shards[0], BoundShard):
        return ""
    count = BOUND_STEPS if trainer.shared is None else trainer.shared.checked_steps
    count = min(count, trainer.steps - taken)
    start = copies(trainer)
    shards, is_plain_form = engine.shards, engine.is_plain_form
    engine.take_plain_form()
    plain_loss = sum(float(trainer.step()[0]) for _ in range(count))
    engine.shards, engine.is_plain_form = shards, is_plain_form
    plain = copies(trainer)
    trainer.restore(start, taken)
    loss = sum(float(step()[0]) for _ in range(count))
    trainer.collect()
    found = copies(trainer)
    trainer.restore(start, taken)

    apart = {"the loss": (abs(loss - plain_loss), abs(plain_loss))}
    for name, expected in plain.items():
        moved = float(np.linalg.norm(expected - start[name]))
        apart[name] = float(np.linalg.norm(found[name] - expected)), moved
    for name, (distance, scale) in apart.items():
        if not distance <= TOLERANCE * scale:
            share = distance / scale if scale else float("inf")
            return f"in a fast one {name} differs by {share:.0e} of how far it moves"
    return ""


def copies(trainer: Trainer) -> dict[str, np.ndarray]:
    """The trainer's arrays as they are now."""
    return {name: array.copy() for name, array in trainer.arrays().items()}
