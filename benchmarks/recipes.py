"""What each recipe reaches: test accuracy and training time over several seeds.

Run:  python benchmarks/recipes.py [--recipes fast strong] [--seeds 0 1 2] [--backend cupy]

Settings were chosen on held-out training images; here the test set is read once for each run.
Writes benchmarks/results/recipes-BACKEND.json and .md; the figures of recipes that are not run
again are kept, each with the machine on which it was measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from mnistgpu import backend, data
from mnistgpu.models import committee
from mnistgpu.recipes import RECIPES
from mnistgpu.reports import metrics
from mnistgpu.runs import training

RESULTS = Path(__file__).parent / "results"
OTHERS = ("record", "pure", "few", "clothes")  # of which board.py measures the last three
NAMES = [name for name in RECIPES if name not in OTHERS]
MAPS = 16

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument(
    "--recipes", nargs="+", default=NAMES, choices=[*NAMES, "record"], help="recipes to run again"
)
parser.add_argument(
    "--seeds", nargs="+", type=int, default=[0, 1, 2], help="one run for each (0 1 2)"
)
parser.add_argument("--backend", help="numpy, cupy, cupy:1 or auto")
arguments = parser.parse_args()

chosen = backend.select(arguments.backend)
dataset = data.load()
labels = np.asarray(dataset.test.labels)
training_alone = dataclasses.replace(dataset, test=None)
path = RESULTS / f"recipes-{chosen.name}.json"
RESULTS.mkdir(exist_ok=True)
found = json.loads(path.read_text()) if path.exists() else {}


def accuracy(model: object) -> float:
    """Test accuracy of a model or committee."""
    return float(np.mean(model.predict(dataset.test.images, chosen) == labels))


def machine() -> str:
    """Device, versions and BLAS kernel, in one line."""
    facts = chosen.describe()
    blas = {f"{lib['internal_api']} {lib['architecture']}" for lib in threadpool_info()
            if lib["user_api"] == "blas"}  # fmt: skip
    return f"{facts['device']}; numpy {facts['numpy']} with {', '.join(sorted(blas))}"


def summary(values: list[float], form: str) -> str:
    """Median and range of a few figures."""
    median, low, high = statistics.median(values), min(values), max(values)
    return f"{median:{form}} ({low:{form}} to {high:{form}})"


for name in arguments.recipes:
    settings = RECIPES[name].settings
    accuracies, seconds, averaged, members = [], [], [], []
    for seed in arguments.seeds:
        outcome = training.train(settings.changed(seed=seed), training_alone, chosen)
        accuracies.append(accuracy(outcome.model))
        seconds.append(outcome.results["seconds"])
        print(f"{name} seed {seed}: {accuracies[-1]:.4f} in {seconds[-1]:.2f} s", flush=True)
        if name in ("strong", "record"):
            members.append(outcome.model)
            averaged.append(accuracy(committee.Committee((outcome.model,), MAPS)))
            print(f"  averaged over {MAPS} deformed copies: {averaged[-1]:.4f}", flush=True)
    found[name] = {
        "seeds": arguments.seeds,
        "test_accuracy": accuracies,
        "seconds": seconds,
        "machine": machine(),
    }
    if members:
        found[name]["averaged"] = averaged
        found[name]["committee"] = accuracy(committee.Committee(tuple(members)))
        found[name]["committee averaged"] = accuracy(committee.Committee(tuple(members), MAPS))
    path.write_text(json.dumps(found, indent=2) + "\n")

rows = [
    "| recipe | network | test accuracy, median (range) | 95% interval of the median | "
    "training seconds, median (range) |",
    "|---|---|---|---|---|",
]
for name, figures in found.items():
    right = round(statistics.median(figures["test_accuracy"]) * len(labels))
    low, high = metrics.wilson_interval(right, len(labels))
    rows.append(
        f"| `{name}` | {RECIPES[name].settings.layers} | {summary(figures['test_accuracy'], '.2%')}"
        f" | {low:.2%} to {high:.2%} | {summary(figures['seconds'], '.2f')} |"
    )
    if "averaged" in figures:
        averages = summary(figures["averaged"], ".2%")
        rows.append(f"| `{name}`, {MAPS} deformed copies averaged | | {averages} | | |")
        rows.append(f"| committee of {len(figures['seeds'])} | | {figures['committee']:.2%} | | |")
        both = f"{figures['committee averaged']:.2%}"
        rows.append(f"| committee, {MAPS} copies averaged | | {both} | | |")
machines = sorted({figures["machine"] for figures in found.values()})
table = "\n".join(rows) + "\n\n" + "\n".join(f"Measured on {machine}." for machine in machines)
path.with_suffix(".md").write_text(table + "\n")
print(table)
