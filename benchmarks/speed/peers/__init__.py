"""Systems that train a dense network. Each has a file of its own; all have the same interface.

A peer is made for one task, ready to run; it raises ImportError where what it needs is missing.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from speed.peers import equations, jax_scan, pytorch, scikit, this_project
from speed.tasks import Task


class Peer(Protocol):
    """One system at work on one task."""

    def steps(self, first: int, count: int) -> None:
        """Take steps first, ..., first + count - 1, and wait until they are done."""

    def theta(self) -> np.ndarray:
        """The parameter vector as it is now, in the order of `mnistgpu.network.layers`."""


THIS_PROJECT, EAGER, FUSED, JAX = "mnistgpu", "PyTorch eager", "PyTorch fused optimiser", "JAX jit"

PEERS = {
    THIS_PROJECT: this_project.ThisProject,
    EAGER: pytorch.Eager,
    FUSED: pytorch.Fused,
    "PyTorch compile": pytorch.Compiled,
    JAX: jax_scan.Scan,
    "scikit-learn": scikit.PartialFit,
    "the equations, float64": equations.Equations,
}


def after(task: Task, steps: int) -> tuple[dict[str, Peer], dict[str, str]]:
    """The peers that can do a task, after so many steps; the others by name, with the reason."""
    ready: dict[str, Peer] = {}
    missing: dict[str, str] = {}
    for name, kind in PEERS.items():
        try:
            peer = kind(task)
            peer.steps(0, steps)
            ready[name] = peer
        except Exception as error:  # a peer that fails is left out; the others are still measured
            if name == THIS_PROJECT:
                raise
            lines = str(error).strip().splitlines() or [""]
            missing[name] = f"{type(error).__name__}: {lines[0][:100]}"
    return ready, missing


def close(peer: Peer) -> None:
    """End the processes of a peer that has started some."""
    if isinstance(peer, this_project.ThisProject):
        peer.close()
