"""How fast this project is on the CPU, against others at the same work and against the bounds.

Run:  pip install -r benchmarks/requirements.txt
      python benchmarks/cpu.py [--quick] [--out DIR]

All systems take turns in one run. Writes cpu.json and cpu.md, which `fill_docs.py` puts into
docs/performance.md. The full mode takes about 15 minutes on two cores, --quick under two.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from speed import bounds, clock, inference, peers, processes, report, to_accuracy
from speed.tasks import Task, mnist
from threadpoolctl import threadpool_info

from mnistgpu.backend import NUMPY
from mnistgpu.engine.threads import one_blas_thread

PACKAGES = ("numpy", "torch", "jax", "scikit-learn", "onnxruntime", "pandas", "matplotlib")
TOLERANCE = 0.01  # of the loss after CHECKED_STEPS, between systems
CHECKED_STEPS = 20
ONE, ALL = "products, 1 thread", "products, all threads"


@dataclass(frozen=True)
class Mode:
    """How much is measured."""

    name: str
    repeats: int
    block: float  # seconds of this project's steps between two readings of the clock
    images: int
    recipe_repeats: int
    whole_iterations: int
    whole_repeats: int
    csv_images: int
    growth: tuple[int, ...]  # images
    widths: tuple[int, ...]
    pause: float = clock.pause  # seconds between two systems


IMAGES, MORE = 60_000, 600_000
FULL = Mode(
    "full", 7, 0.3, IMAGES, 5, 500, 5, 42_000, (6_000, IMAGES, MORE), (128, 512, 1024, 2048, 4096)
)
QUICK = Mode("quick", 5, 0.03, IMAGES, 2, 20, 1, 4_200, (6_000, 4 * IMAGES), (128, 512), pause=0.1)
TINY = Mode("tiny", 2, 0.002, 2_000, 1, 3, 1, 100, (2_000,), (16,), pause=0.0)


@dataclass(frozen=True)
class Goal:
    """A time of this project over that of something else, at most."""

    against: str
    at_most: float


def tasks(mode: Mode) -> list[tuple[Task, list[Goal]]]:
    """The work, and what is to be reached there."""
    images = mode.images
    eager, fused, jax = peers.EAGER, peers.FUSED, peers.JAX
    small = [
        (Task("784-10-10", None, rate=0.5, images=min(images, 59_000)),
         [Goal(eager, 0.45), Goal(jax, 0.8), Goal(ALL, 1.4)]),
        (Task("784-128-10", 32, images=images),
         [Goal(eager, 0.4), Goal(jax, 1.05), Goal(ONE, 1.3)]),
        (Task("784-128-10", 128, images=images),
         [Goal(eager, 0.6), Goal(jax, 0.85), Goal(ONE, 1.2)]),
        (Task("784-128-10", 128, "adam", 0.001, images=images),
         [Goal(fused, 0.8), Goal(jax, 1.0)]),
    ]  # fmt: skip
    large = [
        (Task("784-1024-1024-10", 256, images=images),
         [Goal(eager, 0.88), Goal(jax, 0.95), Goal(ALL, 1.15)]),
        (Task("784-1024-1024-10", 1024, images=images),
         [Goal(eager, 1.0), Goal(jax, 0.95), Goal(ALL, 1.15)]),
    ]  # fmt: skip
    if mode is TINY:
        return small[::3]
    return small + (large[:1] if mode is QUICK else large)


@dataclass
class Results:
    """Everything that goes into the report."""

    mode: Mode
    sections: list[dict[str, Any]] = field(default_factory=list)
    goals: list[dict[str, Any]] = field(default_factory=list)
    facts: list[dict[str, str]] = field(default_factory=list)
    sgemm: dict[str, float] = field(default_factory=dict)

    def section(
        self,
        title: str,
        times: dict[str, clock.Times],
        against: str,
        note: str = "",
        missing: dict[str, str] | None = None,
    ) -> None:
        """Add a table of times, and show it."""
        found = {
            "title": title,
            "note": note,
            "against": against,
            "times": {name: asdict(t) for name, t in times.items()},
            "missing": missing or {},
        }
        self.sections.append(found)
        print(f"\n{title}\n" + report.times_table(found["times"], against), flush=True)
        for name, why in found["missing"].items():
            print(f"left out: {name} ({why})", flush=True)

    def goal(self, work: str, against: str, reached: float, at_most: float) -> None:
        """Add a line to the table of goals."""
        self.goals.append({"work": work, "against": against, "reached": reached, "goal": at_most})
        print(f"{work}: {reached:.2f} of {against}, goal {at_most:g}", flush=True)

    def fact(self, title: str, text: str) -> None:
        """Add a line of text."""
        self.facts.append({"title": title, "text": text})
        print(f"\n{title} {text}", flush=True)


def ratio(times: dict[str, clock.Times], name: str, to: str) -> float | None:
    """The ratio of two medians; None where one is missing."""
    return times[name].median / times[to].median if name in times and to in times else None


def training(results: Results) -> None:
    """Steps of every task by every peer, and the bounds beside them."""
    mode = results.mode
    for task, goals in tasks(mode):
        ready, missing = peers.after(task, CHECKED_STEPS)
        note = f"Loss after {CHECKED_STEPS} steps: {common_loss(ready, task):.4f}."
        works: dict[str, Callable[[int], None]] = {
            name: stepper(peer) for name, peer in ready.items()
        }
        count = clock.count_for(works[peers.THIS_PROJECT], mode.block)
        works |= bounds.products(task)
        if task.batch is None:
            works["reading the images once"] = bounds.reading(task)
        blocks = {name: partial(work, count) for name, work in works.items()}
        times = clock.interleaved(blocks, mode.repeats, count)
        results.section(task.name, times, peers.EAGER, note, missing)
        for goal in goals:
            reached = ratio(times, peers.THIS_PROJECT, goal.against)
            if reached is not None:
                results.goal(task.name, goal.against, reached, goal.at_most)


def stepper(peer: peers.Peer) -> Callable[[int], None]:
    """A function that takes the next `count` steps of a peer."""
    taken = CHECKED_STEPS

    def take(count: int) -> None:
        nonlocal taken
        peer.steps(taken, count)
        taken += count

    return take


def common_loss(ready: dict[str, peers.Peer], task: Task) -> float:
    """This project's loss; AssertionError where another peer has learnt something else."""
    ours = task.loss(ready[peers.THIS_PROJECT].theta())
    for name, peer in ready.items():
        loss = task.loss(peer.theta())
        if abs(loss - ours) > TOLERANCE * ours:
            raise AssertionError(f"{task.name}: {name} has a loss of {loss}, this project {ours}")
    return ours


def answering(results: Results) -> None:
    """Inference: 10,000 images, and one."""
    images = mnist().test.images[: 500 if results.mode is TINY else 10_000].copy()
    for layers in ("784-128-10", "784-800-800-10"):
        task = Task(layers, 32)
        ready, missing = inference.make(task, images)
        for shown, per in ((images, 1), (images[:1], 200)):
            works = {
                name: lambda answer=answer, shown=shown, per=per: [
                    answer(shown) for _ in range(per)
                ]
                for name, answer in ready.items()
            }
            times = clock.interleaved(works, results.mode.repeats, per)
            title = f"Inference, {layers}, {len(shown):,} image{'s' * (len(shown) > 1)}"
            results.section(title, times, peers.EAGER, missing=missing)


def reaching(results: Results) -> None:
    """The recipe `fast` to 98%."""
    mode = results.mode
    found, missing = to_accuracy.runs(mode.recipe_repeats, mode.images)
    times = {name: clock.summary([run.seconds for run in runs]) for name, runs in found.items()}
    accuracies = {
        name: ", ".join(f"{run.accuracy:.2%}" for run in runs) for name, runs in found.items()
    }
    note = "Test accuracy by seed: " + "; ".join(f"{k} {v}" for k, v in accuracies.items()) + "."
    results.section("Recipe fast, training", times, peers.FUSED, note, missing)
    reached = ratio(times, peers.THIS_PROJECT, peers.FUSED)
    if reached is not None:
        results.goal("recipe fast to 98.0%", peers.FUSED, reached, 0.7)
    typical = statistics.median(run.accuracy for run in found[peers.THIS_PROJECT])
    if mode.images == 60_000 and typical < to_accuracy.TARGET:
        raise AssertionError(f"recipe fast reaches only {typical:.2%}")


def starting(results: Results) -> None:
    """Whole runs, the first step, the table of a competition, the report."""
    mode = results.mode
    with processes.temporary() as folder:
        works = processes.whole_runs(mode.whole_iterations, folder)
        times = clock.interleaved(works, mode.whole_repeats, warm_up=False)
        title = f"Recipe classic, {mode.whole_iterations} iterations, process start to exit"
        results.section(title, times, "the equations, float64")
        reached = ratio(times, peers.THIS_PROJECT, "the equations, float64")
        results.goal(title, "the equations, float64", reached or 0.0, 0.25)

        memory = processes.peak_memory(mode.whole_iterations, folder)
        results.goal("classic, peak memory in GB", "none", memory / 1e9, 1.0)
        times = clock.interleaved({"--help": processes.help_text}, mode.repeats)
        results.section("python -m mnistgpu.train --help", times, "--help")
        results.goal("seconds to the help", "none", times["--help"].median, 0.6)

        times = clock.interleaved(processes.starts(folder), mode.repeats)
        results.section("From the command to the first step", times, "import numpy")
        beyond = times["to the first step"].median - times["import numpy"].median
        results.goal("seconds to the first step", "beyond import numpy", beyond, 0.5)

        reads = processes.csv_reads(folder, mode.csv_images)
        times = clock.told(reads, mode.repeats)
        pandas = "pandas, C engine"
        results.section(f"Kaggle's train.csv, {mode.csv_images:,} rows", times, pandas)
        reached = ratio(times, peers.THIS_PROJECT, pandas)
        if reached is not None:
            results.goal("train.csv", pandas, reached, 1.1)

        seconds = clock.summary([processes.report_seconds(folder) for _ in range(mode.repeats)])
        results.section("The end report, drawn and saved", {"mnistgpu": seconds}, "mnistgpu")
        results.goal("seconds for the report", "none", seconds.median, 1.5)


def growing(results: Results) -> None:
    """Time with the number of images and of hidden units, and memory."""
    mode = results.mode
    rows = []
    for images in mode.growth:
        seconds, memory = processes.growth(images, mode.repeats)
        rows.append((images, seconds, seconds / images))
    results.fact(
        "784-10-10, time of an iteration by images:",
        "; ".join(
            f"{n:,}: {report.duration(s)}, {each * 1e9:.0f} ns an image" for n, s, each in rows
        ),
    )
    results.goal("growth with the images", "linear", rows[-1][2] / rows[0][2], 1.15)
    results.goal("peak memory of training", "the images' bytes", memory, 1.3)

    widths = []
    for units in mode.widths:
        task = Task(f"784-{units}-10", 256, images=mode.images)
        peer = peers.PEERS[peers.THIS_PROJECT](task)
        count = clock.count_for(stepper(peer), mode.block)
        seconds = clock.interleaved(
            {"": lambda p=peer, n=count: p.steps(0, n)}, mode.repeats, count
        )
        rate = 2 * bounds.multiply_adds(task) / seconds[""].median / 1e9
        widths.append((units, seconds[""].median, rate))
    results.fact(
        "784-n-10, B=256, time of a step by n:",
        "; ".join(f"{n:,}: {report.duration(s)}, {rate:.0f} GFLOP/s" for n, s, rate in widths),
    )
    results.goal("growth with the units", "linear", widths[0][2] / widths[-1][2], 1.15)


def machine() -> dict[str, str]:
    """Hardware, versions and BLAS kernel."""
    blas = {
        f"{lib['internal_api']} {lib['version']} ({lib['architecture']} kernels, "
        f"{lib['num_threads']} threads)"
        for lib in threadpool_info()
        if lib["user_api"] == "blas" and "architecture" in lib
    }
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "device": NUMPY.describe()["device"],
        "python": sys.version.split()[0],
        "blas": ", ".join(sorted(blas)),
        "versions": f"Python {sys.version.split()[0]}, " + ", ".join(versions),
        "load": load,
    }


def sgemm() -> dict[str, float]:
    """GFLOP/s of a large product, by all BLAS threads and by one."""
    work = bounds.sgemm()
    found = {}
    for name, limit in (("all", None), ("one", one_blas_thread)):
        work()
        if limit is None:
            best = min(clock.stopwatch(work) for _ in range(5))
        else:
            with limit():
                best = min(clock.stopwatch(work) for _ in range(5))
        found[name] = bounds.sgemm_work() / best / 1e9
    return found


def main() -> None:
    """Measure, show and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter, and less exact")
    parser.add_argument("--tiny", action="store_true", help="only to see that everything runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    mode = TINY if arguments.tiny else QUICK if arguments.quick else FULL

    facts = machine()
    print(f"{facts['device']}; BLAS {facts['blas']}\n{facts['versions']}; load {facts['load']}")
    clock.pause = mode.pause
    results = Results(mode, sgemm=sgemm())
    for part in (training, answering, reaching, starting, growing):
        part(results)
    found = {
        "machine": facts,
        "mode": mode.name,
        "repeats": mode.repeats,
        "sgemm": results.sgemm,
        "goals": results.goals,
        "sections": results.sections,
        "facts": results.facts,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "cpu.json").write_text(json.dumps(found, indent=1) + "\n")
    (arguments.out / "cpu.md").write_text(report.markdown(found))
    print(f"\nsaved in {arguments.out}")


if __name__ == "__main__":
    main()
