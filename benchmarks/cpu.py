"""How fast this project is on the CPU, beside other systems at the same work and beside bounds.

Run:  pip install -r benchmarks/requirements.txt
      python benchmarks/cpu.py [--quick] [--only SECTION ...] [--out DIR]

All systems take turns in one run. Writes cpu.json, cpu.md and cpu-summary.md; `fill_docs.py` puts
the summary into docs/performance.md. The full mode takes about half an hour on two cores, --quick
under two minutes. With --only nothing is written unless --out is given.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from speed import (
    bounds,
    clock,
    inference,
    peers,
    processes,
    recipe_steps,
    report,
    to_accuracy,
    whole_training,
)
from speed.modes import ALL, FULL, QUICK, RECIPE_GOALS, TINY, tasks
from speed.results import Results, ratio
from speed.tasks import Task, mnist
from threadpoolctl import threadpool_info

from mnistgpu.backend import NUMPY
from mnistgpu.engine.threads import one_blas_thread

PACKAGES = ("numpy", "torch", "jax", "scikit-learn", "onnxruntime", "pandas", "matplotlib")
SMALL = 128  # units, up to which a network is a small one
AT_ONCE = 200  # answers to one image between two readings of the clock
TOLERANCE = 0.01  # of the loss after CHECKED_STEPS, between systems
CHECKED_STEPS = 20


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
        for peer in ready.values():
            peers.close(peer)
        for goal in goals:
            reached = ratio(times, peers.THIS_PROJECT, goal.against)
            results.goal(task.name, goal.against, reached, goal.at_most)


def whole(results: Results) -> None:
    """Training of the small networks as the README's commands do it, set-up included."""
    for task, goals in tasks(results.mode):
        if max(task.sizes[1:]) > SMALL:
            continue
        run, times, missing = whole_training.runs(task, goals, results.mode)
        title = f"{task.name}, set-up included"
        note = f"Seconds of a run of {run.steps:,} steps, set-up included, over its steps."
        results.section(title, times, peers.EAGER, note, missing)
        for goal in goals:
            reached = ratio(times, peers.THIS_PROJECT, goal.against)
            results.goal(title, goal.against, reached, goal.at_most)


def recipes(results: Results) -> None:
    """A step of a recipe, as trained, beside its matrix products alone."""
    for name in results.mode.recipes:
        times, note = recipe_steps.times(name, results.mode)
        title = f"Recipe {name}, a step as trained"
        results.section(title, times, ALL, note)
        reached = ratio(times, peers.THIS_PROJECT, ALL)
        results.goal(title, ALL, reached, RECIPE_GOALS[name])


def stepper(peer: peers.Peer) -> Callable[[int], None]:
    """A function that takes the next `count` steps of a peer."""
    taken = CHECKED_STEPS

    def take(count: int) -> None:
        nonlocal taken
        peer.steps(taken, count)
        taken += count

    return take


def common_loss(ready: dict[str, peers.Peer], task: Task) -> float:
    """This project's loss; AssertionError if a peer's differs by more than TOLERANCE."""
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
        ready, missing = inference.make(Task(layers, 32), images)
        works = {name: partial(answer, images) for name, answer in ready.items()}
        times = clock.interleaved(works, results.mode.repeats)
        title = f"Inference, {layers}, {len(images):,} images"
        results.section(title, times, peers.EAGER, missing=missing)

        works = {name: partial(inference.of_one, answer) for name, answer in ready.items()}
        blocks = {
            name: lambda work=work: [work(images[0]) for _ in range(AT_ONCE)]
            for name, work in works.items()
        }
        times = clock.interleaved(blocks, results.mode.repeats, AT_ONCE)
        title = f"Inference, {layers}, one image (784,) to its digit"
        results.section(title, times, peers.EAGER, missing=missing)
        results.goal(title, "onnxruntime", ratio(times, peers.THIS_PROJECT, "onnxruntime"), 1.0)


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
    results.goal("recipe fast to 98.0%", peers.FUSED, reached, 0.6)
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
        results.goal(title, "the equations, float64", reached, 0.25)

        memory = processes.peak_memory(mode.whole_iterations, folder)
        results.goal("classic, peak memory in GB", "none", memory / 1e9, 1.0)
        times = clock.interleaved({"--help": processes.help_text}, mode.repeats)
        results.section("python -m mnistgpu.train --help", times, "--help")
        results.goal("seconds to the help", "none", times["--help"].median, 0.6)

        times = clock.interleaved(processes.starts(folder), mode.repeats)
        results.section("From the command to the first step", times, "import numpy")
        beyond = times["to the first step"].median - times["import numpy"].median
        results.goal("seconds to the first step", "beyond import numpy", beyond, 0.45)

        reads = processes.csv_reads(folder, mode.csv_images)
        times = clock.in_turn(reads, mode.repeats)
        pandas = "pandas, C engine"
        results.section(f"Kaggle's train.csv, {mode.csv_images:,} rows", times, pandas)
        reached = ratio(times, peers.THIS_PROJECT, pandas)
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
        peers.close(peer)
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


SECTIONS: dict[str, Callable[[Results], None]] = {
    "steps": training,
    "runs": whole,
    "recipes": recipes,
    "answers": answering,
    "fast": reaching,
    "processes": starting,
    "growth": growing,
}


def main() -> None:
    """Measure, show and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter, and less exact")
    parser.add_argument("--tiny", action="store_true", help="only to see that everything runs")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(SECTIONS),
        metavar="SECTION",
        help=f"run these sections alone: {', '.join(SECTIONS)}",
    )
    parser.add_argument("--out", type=Path, help="folder for the results (benchmarks/results)")
    arguments = parser.parse_args()
    mode = TINY if arguments.tiny else QUICK if arguments.quick else FULL
    out = arguments.out
    if out is None and not arguments.only:
        out = Path(__file__).parent / "results"

    facts = machine()
    print(f"{facts['device']}; BLAS {facts['blas']}\n{facts['versions']}; load {facts['load']}")
    clock.pause = mode.pause
    results = Results(mode, sgemm=sgemm())
    for name in arguments.only or SECTIONS:
        started = time.perf_counter()
        SECTIONS[name](results)
        print(f"\nsection {name}: {time.perf_counter() - started:.0f} s", flush=True)
    found = {
        "machine": facts,
        "mode": mode.name,
        "repeats": mode.repeats,
        "sgemm": results.sgemm,
        "goals": results.goals,
        "sections": results.sections,
        "facts": results.facts,
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "cpu.json").write_text(json.dumps(found, indent=1) + "\n")
        (out / "cpu.md").write_text(report.markdown(found))
        (out / "cpu-summary.md").write_text(report.summary(found))
        print(f"\nsaved in {out}")


if __name__ == "__main__":
    main()
