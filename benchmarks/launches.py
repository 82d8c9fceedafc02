"""How many operations a training step gives to a GPU: eager launches, and nodes of its graph.

Run:  python benchmarks/launches.py      (where CuPy computes, on a GPU or on a CPU in its place)

A launch costs the CPU some microseconds, a node the GPU one or two, whatever it computes. An eager
step is counted with the sums of the loop, as a graph of its own; a node of a window's graph is
counted for each of its steps. Where cuBLAS itself computes, a product may be several kernels, so
the counts of a GPU are higher. Writes benchmarks/results/launches.json and launches.md;
tests/engine/gpu/test_launches.py fails where a count is higher than there by more than two.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mnistgpu import backend, data
from mnistgpu.engine.gpu.cuda_graph import StepGraph
from mnistgpu.engine.gpu.recorder import CudaRecorder
from mnistgpu.engine.stepping import kernels_on
from mnistgpu.engine.trainer import Trainer
from mnistgpu.recipes import RECIPES
from mnistgpu.runs.history import Progress
from mnistgpu.settings import Settings

RESULTS = Path(__file__).parent / "results"
IMAGES = 2000  # so that a short window, and a short capture, is enough
PLAIN = Settings(layers="784-128-10").changed(batch_size=128, init="he", validation=0, epochs=3)
WORKS = {
    "784-10-10, full batch": Settings(validation=0),
    "784-128-10, B=128, SGD": PLAIN,
    "784-128-10, B=128, Adam": PLAIN.changed(optimizer="adam"),
    "`fast`": RECIPES["fast"].settings.changed(epochs=3),
    "`accurate`": RECIPES["accurate"].settings.changed(epochs=3),
    "`strong`": RECIPES["strong"].settings.changed(epochs=3, clean_ending=0.0),
}


def nodes_of(replay: Callable[[], None]) -> int:
    """The nodes of a captured graph, from what `CudaRecorder.record` returned."""
    import cupy

    graph = replay.func.__self__.graph  # type: ignore[attr-defined]
    major = cupy.cuda.runtime.runtimeGetVersion() // 1000
    count = ctypes.c_size_t()
    cuda = ctypes.CDLL(f"libcudart.so.{major}")
    status = cuda.cudaGraphGetNodes(ctypes.c_void_p(graph), None, ctypes.byref(count))
    if status:
        raise RuntimeError(f"cudaGraphGetNodes: error {status}")
    return count.value


def counts(settings: Settings, digits: data.Digits, gpu: backend.Backend) -> dict[str, float]:
    """Launches of an eager step, and nodes of a replayed one."""
    said: list[str] = []
    trainer, progress = Trainer(settings.changed(graph=True), digits, gpu), Progress()
    recorder = CudaRecorder(gpu.xp, settings.precision)
    with trainer.engine.running(), kernels_on(gpu), recorder.running():
        graph = StepGraph(trainer, recorder, said.append)
        progress.add_step(*trainer.step())

        def eager() -> None:
            trainer.taken = 1  # the second of an epoch, whose order of images is there
            if trainer.batches.per_epoch == 1:
                progress.begin_epoch()
            progress.add_step(*trainer.step())

        launches = nodes_of(recorder.record([eager]))
        while trainer.taken % trainer.row_every:
            trainer.step()
        graph.step(most=trainer.row_every)
        if said or graph.replay is None:
            raise RuntimeError(said[0] if said else "no step was captured")
        return {"launches": launches, "nodes": nodes_of(graph.replay) / graph.length}


def table(found: dict[str, dict[str, float]]) -> str:
    """The counts as Markdown."""
    lines = ["| a step of | launches, eager | nodes, in a graph |", "|---|---|---|"]
    for name, each in found.items():
        lines.append(f"| {name} | {each['launches']:.0f} | {each['nodes']:.1f} |")
    return "\n".join(lines) + "\n"


def measured() -> dict[str, dict[str, float]]:
    """The counts of all works; BackendError where CuPy does not compute."""
    gpu, whole = backend.select("cupy"), data.load().train
    digits = data.Digits(whole.images[:IMAGES], whole.labels[:IMAGES], whole.source)  # type: ignore[index]
    return {name: counts(settings, digits, gpu) for name, settings in WORKS.items()}


def main() -> None:
    found: dict[str, Any] = measured()
    (RESULTS / "launches.json").write_text(json.dumps(found, indent=2) + "\n")
    (RESULTS / "launches.md").write_text(table(found))
    print(table(found), end="")


if __name__ == "__main__":
    main()
