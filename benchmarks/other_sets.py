"""Small sets of scikit-learn: a search with mnistgpu beside one with MLPClassifier, equally long.

Run:  python benchmarks/other_sets.py [--minutes 0.5] [--seeds 0 1 2 3 4]

Handwritten digits of 8x8 pixels, which ours searches by `mnistgpu.tune`, and two tables, where both
draw candidates at random, ours of `MnistGpuClassifier`. A quarter of the rows is the test, another
one for each seed, and a tenth of the others is held out. Rows are standardised, but for the pixels
that `tune` has. Both choose by the accuracy on the rows held out, then by their loss, and get the
same time; what each has chosen is trained anew on all rows but those of the test, and judged once.
They search in turn. Writes benchmarks/results/other-sets.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import mnistgpu
from mnistgpu import MnistGpuClassifier, backend

RESULT = Path(__file__).parent / "results" / "other-sets.md"
HELD_OUT = 0.1


class Parts(NamedTuple):
    """Rows and labels to train on and to test with."""

    X: np.ndarray
    X_test: np.ndarray
    y: np.ndarray
    y_test: np.ndarray


class Task(NamedTuple):
    """A set, and whether its rows are images."""

    name: str
    load: Callable[..., Any]
    images: bool = False


TASKS = [
    Task("digits, 8x8", load_digits, images=True),
    Task("wine, 13 columns", load_wine),
    Task("breast cancer, 30 columns", load_breast_cancer),
]


def parts(task: Task, seed: int) -> Parts:
    """A quarter of the rows for the test, as many of each class."""
    X, y = task.load(return_X_y=True)
    return Parts(*train_test_split(X, y, stratify=y, test_size=0.25, random_state=seed))


def standardised(given: Parts) -> Parts:
    """The parts with columns of mean 0 and deviation 1 in the rows to train on."""
    scaler = StandardScaler().fit(given.X)
    return Parts(scaler.transform(given.X), scaler.transform(given.X_test), given.y, given.y_test)


def held_out(given: Parts, seed: int) -> list[np.ndarray]:
    """X, X held out, y, y held out."""
    return train_test_split(
        given.X, given.y, stratify=given.y, test_size=HELD_OUT, random_state=seed
    )


def tuned(given: Parts, minutes: float, seed: int) -> tuple[float, int]:
    """Accuracy on the test after `mnistgpu.tune`, and how many runs it had."""
    X, X_held, y, y_held = held_out(given, seed)
    with tempfile.TemporaryDirectory() as folder:
        found = mnistgpu.tune(
            X, y, validation=(X_held, y_held), minutes=minutes, out=folder, seed=seed
        )
    chosen = found.settings.changed(validation=0)
    run = mnistgpu.fit(given.X, given.y, progress=False, **chosen.as_dict())
    return run.model.evaluate(given.X_test, given.y_test).accuracy, len(found.trials)


def of_both(draws: np.random.Generator, rows: int) -> dict[str, Any]:
    """What both classifiers have: layers, rate and batches. The epochs come besides."""
    width = int(2 ** draws.uniform(4, 9))
    return {
        "hidden_layer_sizes": (width,) * int(draws.integers(1, 4)),
        "batch_size": min(int(2 ** draws.integers(5, 9)), rows),
    }


def theirs(draws: np.random.Generator, rows: int) -> dict[str, Any]:
    """Settings of MLPClassifier."""
    return of_both(draws, rows) | {
        "learning_rate_init": 10 ** draws.uniform(-4, -1.5),
        "max_iter": int(2 ** draws.uniform(4, 9)),
        "alpha": 10 ** draws.uniform(-6, 0),
        "activation": str(draws.choice(["relu", "tanh"])),
    }


def ours(draws: np.random.Generator, rows: int) -> dict[str, Any]:
    """Settings of MnistGpuClassifier."""
    return of_both(draws, rows) | {
        "learning_rate": 10 ** draws.uniform(-4, -1.5),
        "epochs": int(2 ** draws.uniform(4, 9)),
        "l2": 10 ** draws.uniform(-6, -1),
        "activation": str(draws.choice(["relu", "tanh"])),
        "input_noise": float(draws.choice([0.0, 0.3, 0.6])),
        "label_smoothing": float(draws.choice([0.0, 0.05])),
    }


def searched(
    kind: Any, draw: Callable[..., dict[str, Any]], given: Parts, minutes: float, seed: int
) -> tuple[float, int]:
    """Accuracy on the test after a search at random, which begins with the usual settings."""
    X, X_held, y, y_held = held_out(given, seed)
    draws, end = np.random.default_rng(seed), time.monotonic() + 60.0 * minutes
    tried: list[tuple[float, float, int, dict[str, Any]]] = []
    chosen: dict[str, Any] = {}
    while time.monotonic() < end:
        model = kind(random_state=seed, **chosen).fit(X, y)
        loss = log_loss(y_held, model.predict_proba(X_held), labels=model.classes_)
        tried.append((-model.score(X_held, y_held), loss, len(tried), chosen))
        chosen = draw(draws, len(X))
    best = kind(random_state=seed, **min(tried)[3]).fit(given.X, given.y)
    return float(best.score(given.X_test, given.y_test)), len(tried)


def main() -> None:
    """Measure all sets."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=0.5, help="of each search (0.5)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # candidates of a search may well learn nothing
    lines = [
        "| set | mnistgpu, mean (range) | MLPClassifier, mean (range) | runs of a search |",
        "|---|---|---|---|",
    ]
    for task in TASKS:
        found: list[list[tuple[float, int]]] = [[], []]
        for seed in arguments.seeds:
            plain, how = parts(task, seed), (arguments.minutes, seed)
            rows = standardised(plain)
            if task.images:
                found[0].append(tuned(plain, *how))
            else:
                found[0].append(searched(MnistGpuClassifier, ours, rows, *how))
            found[1].append(searched(MLPClassifier, theirs, rows, *how))
            print(task.name, seed, found[0][-1], found[1][-1], flush=True)
        cells = [task.name]
        for figures in found:
            values = [accuracy for accuracy, _ in figures]
            cells.append(f"{statistics.fmean(values):.2%} ({min(values):.2%} to {max(values):.2%})")
        counts = [str(round(statistics.median(count for _, count in each))) for each in found]
        lines.append(f"| {' | '.join([*cells, ' and '.join(counts)])} |")
    lines.append("")
    lines.append(
        f"{len(arguments.seeds)} divisions of the rows, {60 * arguments.minutes:.0f} seconds for "
        "each search."
    )
    facts = backend.select("numpy").describe()
    device, library = facts["device"], sklearn.__version__
    lines += ["", f"Measured on {device}; numpy {facts['numpy']}, scikit-learn {library}."]
    RESULT.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
