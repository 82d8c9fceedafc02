"""How the learning rate (alpha) of the recipe `classic` was chosen: how steadily it learns.

Run:  taskset -c 0 python benchmarks/classic_scan.py [--rates 0.3 0.5:linear] [--seeds 0 1 2 3 4]

Each rate, with a schedule if one is named, is trained from each seed with each set of OpenBLAS's
kernels. Kernels round differently, and where a step is almost too long, rounding decides whether
the accuracy falls. Measured are the largest fall of the training or validation accuracy from one
row of history to the next, and the validation accuracy. Full batches over 50,000 training images,
10,000 held-out ones. The test accuracy is recorded in the JSON file, but the choice does not depend
on it. `taskset -c 0` leaves the other cores alone.

Writes benchmarks/results/classic-scan.json and .md; the figures of runs that are not run again are
kept. benchmarks/fill_docs.py then puts the table into docs/recipes.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent
PATH = ROOT / "benchmarks" / "results" / "classic-scan.json"
SHOWN = (400, 1200, 2000)  # iterations of which the history has rows
STEADY_AFTER = 200  # iterations; before that, accuracy may rise and fall


def largest_fall(history: list) -> tuple[float, int]:
    """By how much an accuracy is lower than in the row before, at most, and at which iteration."""
    falls = [
        (getattr(before, name) - getattr(row, name), row.iteration)
        for before, row in pairwise(history)
        for name in ("train_accuracy", "validation_accuracy")
        if row.iteration > STEADY_AFTER
    ]
    return max(falls)


def train(rate: str, seed: int) -> dict:
    """The figures of one run with the kernels of this process."""
    from threadpoolctl import threadpool_info

    from mnistgpu import backend, data
    from mnistgpu.recipes import RECIPES
    from mnistgpu.runs import training

    alpha, _, schedule = rate.partition(":")
    settings = RECIPES["classic"].settings.changed(
        learning_rate=float(alpha),
        schedule=schedule or "constant",
        seed=seed,
        iterations=SHOWN[-1],
        validation=10_000,
    )
    outcome = training.train(settings, data.load(), backend.NUMPY)
    fall, iteration = largest_fall(outcome.history)
    accuracy = {row.iteration: row.validation_accuracy for row in outcome.history}
    return {
        "kernels": [lib["architecture"] for lib in threadpool_info() if lib["user_api"] == "blas"],
        "fall": fall,
        "fall at": iteration,
        "accuracy": [accuracy[i] for i in SHOWN],
        "test accuracy": outcome.results["test_accuracy"],
        "seconds": outcome.results["seconds"],
        "machine": f"{outcome.results['device']}; numpy {outcome.results['numpy']}",
    }


def measured(rate: str, seed: int, kernels: str) -> dict:
    """The figures of one run in a process of its own, which takes these kernels of OpenBLAS."""
    environment = os.environ | {"OPENBLAS_CORETYPE": kernels, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__, "--rates", rate, "--seeds", str(seed), "--here"],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    figures = json.loads(done.stdout)
    if figures["kernels"] != [kernels]:
        raise SystemExit(f"OpenBLAS took the kernels {figures['kernels']} instead of {kernels}")
    return figures


def table(found: dict[str, dict[str, dict[str, dict]]]) -> str:
    """The figures as the table of the documents: a line for each rate."""
    names = sorted({kernels for by_kernels in found.values() for kernels in by_kernels})
    titles = ["alpha"]
    titles += [f"largest fall, {kernels} (runs)" for kernels in names]
    titles += [f"accuracy after {iterations}" for iterations in SHOWN]
    titles[-1] += " (range)"
    lines = [row(titles), "|" + "---|" * len(titles)]
    for rate in sorted(found, key=lambda rate: (":" in rate, rate)):
        cells = [rate.replace(":", ", ")]
        for kernels in names:
            falls = [run["fall"] for run in found[rate].get(kernels, {}).values()]
            cells.append(f"{100 * max(falls):.2f} ({len(falls)})" if falls else "not measured")
        runs = [run["accuracy"] for by_seed in found[rate].values() for run in by_seed.values()]
        cells += [f"{statistics.median(at):.1%}" for at in zip(*runs, strict=True)]
        cells[-1] += f" ({min(run[-1] for run in runs):.1%} to {max(run[-1] for run in runs):.1%})"
        lines.append(row(cells))
    machines = {
        run["machine"]
        for by_kernels in found.values()
        for by_seed in by_kernels.values()
        for run in by_seed.values()
    }
    words = (
        "Falls in percentage points, of the training or the validation accuracy, from a row of "
        f"history to the next after iteration {STEADY_AFTER}; validation accuracy as the median of "
        f"all runs. Measured on {'; '.join(sorted(machines))}."
    )
    return "\n".join([*lines, "", words])


def row(cells: list[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run every rate from every seed with every set of kernels, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rates",
        nargs="+",
        default=["0.1", "0.2", "0.3", "0.4", "0.5"],
        help="alphas to measure, with a schedule as in 0.5:linear",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--kernels", nargs="+", default=["Haswell", "SkylakeX"], help="values of OPENBLAS_CORETYPE"
    )
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(train(arguments.rates[0], arguments.seeds[0])))
        return
    if platform.machine() not in ("x86_64", "AMD64"):
        parser.error("the kernels are those of x86-64")
    PATH.parent.mkdir(exist_ok=True)
    found = json.loads(PATH.read_text()) if PATH.exists() else {}
    for rate in arguments.rates:
        for seed in arguments.seeds:
            for kernels in arguments.kernels:
                run = measured(rate, seed, kernels)
                found.setdefault(rate, {}).setdefault(kernels, {})[str(seed)] = run
                print(
                    f"alpha {rate}, seed {seed}, {kernels}: largest fall {100 * run['fall']:.2f} "
                    f"points at {run['fall at']}, {run['accuracy'][-1]:.4f}, "
                    f"{run['seconds']:.0f} s",
                    flush=True,
                )
                PATH.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
                PATH.with_suffix(".md").write_text(table(found) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
