"""Training from its set-up to its last step, as long as the README's commands train."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from speed import clock, peers
from speed.modes import Goal, Mode
from speed.tasks import Task, floats

BLOCK = 40  # full batches in a call: as many as lie between two rows of history


def runs(
    task: Task, goals: list[Goal], mode: Mode
) -> tuple[Task, dict[str, clock.Times], dict[str, str]]:
    """Seconds of a step by system, set-up included; and why a system is missing.

    Set-up is whatever a system does with images in memory before it can take steps: buffers,
    processes, sorting, compiling. Not counted are imports, the reading of the files and, for
    systems that are fed with float32, the conversion of the images. The systems are this project
    and those that the goals name.
    """
    per_epoch, repeats = len(task.order), mode.run_repeats[task.batch is not None]
    steps = mode.iterations if task.batch is None else mode.epochs * per_epoch
    block = min(BLOCK, steps) if task.batch is None else per_epoch
    whole = dataclasses.replace(task, steps=steps)
    floats(task.images)
    names = [peers.THIS_PROJECT, *(goal.against for goal in goals if goal.against in peers.PEERS)]
    works: dict[str, Callable[[], float]] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            train(name, whole, 2, 2)  # imports
        except ImportError as error:
            missing[name] = f"{type(error).__name__}: {error}"
        else:
            works[name] = lambda name=name: train(name, whole, steps, block)
    return whole, clock.in_turn(works, repeats, steps), missing


def train(name: str, task: Task, steps: int, block: int) -> float:
    """Seconds of a whole run: make the peer, take the steps in blocks, fetch what was learnt."""
    started = time.perf_counter()
    peer = peers.PEERS[name](task)
    for first in range(0, steps, block):
        peer.steps(first, min(block, steps - first))
    peer.theta()
    peers.close(peer)
    return time.perf_counter() - started
