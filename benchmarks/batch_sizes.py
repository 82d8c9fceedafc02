"""The learning rate by the batch size on MNIST: the network of `fast`, trained for so many epochs.

    python benchmarks/batch_sizes.py --out benchmarks/results/batch-sizes.json
    python benchmarks/batch_sizes.py --table benchmarks/results/batch-sizes.json

For each batch size the learning rates of a grid are tried; the one with the best validation
accuracy, on the average of the seeds, counts. What was measured is kept in the file, so that the
same command goes on where it was stopped. docs/scaling.md shows the table.
"""

from __future__ import annotations

import argparse
import json
import warnings
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

SIZES = (256, 1024, 4096, 16384, 55000)
RATES = (0.012, 0.048, 0.003, 0.024, 0.006)


def trained(size: int, rate: float, epochs: int, seed: int) -> dict[str, Any]:
    """The validation accuracy at the end of a run; 0 if it has diverged."""
    import mnistgpu

    how = {"batch_size": size, "alpha": rate, "epochs": epochs, "seed": seed}
    try:
        run = mnistgpu.fit(recipe="fast", validation=5000, progress=False, **how)
    except mnistgpu.DivergedError:
        return how | {"accuracy": 0.0, "test": 0.0}
    results = run.results
    return how | {"accuracy": results["validation_accuracy"], "test": results["test_accuracy"]}


def table(found: list[dict[str, Any]]) -> str:
    """A line for each number of epochs and batch size, with the best learning rate."""
    lines = [
        "| epochs | images a batch | steps | best learning rate | validation | test | "
        "validation by 0.012, that of 256 |",
        "|---|---|---|---|---|---|---|",
    ]
    for epochs in sorted({run["epochs"] for run in found}):
        for size in SIZES:
            own = [run for run in found if (run["batch_size"], run["epochs"]) == (size, epochs)]
            by_rate: dict[float, list[dict[str, Any]]] = {}
            for run in own:
                by_rate.setdefault(run["alpha"], []).append(run)
            if not by_rate:
                continue
            best = max(by_rate, key=lambda rate: mean(run["accuracy"] for run in by_rate[rate]))
            figures = [mean(run[name] for run in by_rate[best]) for name in ("accuracy", "test")]
            usual = by_rate.get(0.012)
            same = f"{mean(run['accuracy'] for run in usual):.2%}" if usual else "-"
            steps = -(-55000 // size) * epochs
            cells = [f"{epochs}", f"{size:,}", f"{steps:,}", f"{best:g}"]
            lines.append(f"| {' | '.join([*cells, *map('{:.2%}'.format, figures), same])} |")
    return "\n".join(lines)


def key(run: dict[str, Any]) -> tuple[int, float, int, int]:
    """What tells runs apart."""
    return run["batch_size"], run["alpha"], run["epochs"], run["seed"]


def main() -> None:
    """Measure what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--epochs", type=int, nargs="+", default=[5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    if options.table:
        print(table(json.loads(options.table.read_text())))
        return
    warnings.simplefilter("ignore")
    out = options.out or Path("batch-sizes.json")
    found = json.loads(out.read_text()) if out.exists() else []
    done = {key(run) for run in found}
    for epochs, seed, rate, size in product(options.epochs, options.seeds, RATES, SIZES):
        if (size, rate, epochs, seed) in done:
            continue
        found.append(trained(size, rate, epochs, seed))
        print(found[-1], flush=True)
        out.write_text(json.dumps(found, indent=0) + "\n")


if __name__ == "__main__":
    main()
