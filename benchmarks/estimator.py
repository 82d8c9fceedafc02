"""MnistGpuClassifier beside MLPClassifier of scikit-learn: accuracy and time, the same settings.

Run:  python benchmarks/estimator.py [--all-cores] [--quick]

Both have the same layers, batches, epochs, rate and penalty, and neither stops early. They are
trained in turn, seed by seed, and the ratio is the median of the ratios of neighbours. Times are
those of the processor, on one core with one thread of BLAS: so they mean the same on a machine that
is busy. With --all-cores they are those of the clock, with all cores, which needs an idle machine.
Prints the table, and writes that of one core to benchmarks/results/estimator.md.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import mnistgpu
from mnistgpu import MnistGpuClassifier
from mnistgpu.storage import system

RESULT = Path(__file__).parent / "results" / "estimator.md"
RATE, PENALTY, BATCH = 0.001, 1e-4, 200


class Task(NamedTuple):
    """Rows to train on and to test with, and how both are trained."""

    name: str
    parts: Callable[[int], list[np.ndarray]]  # X_train, X_test, y_train, y_test of a seed
    hidden: tuple[int, ...]
    epochs: int
    seeds: int


def table(load: Callable[..., Any]) -> Callable[[int], list[np.ndarray]]:
    """The parts of one of scikit-learn's tables, standardised, a quarter for the test."""

    def parts(seed: int) -> list[np.ndarray]:
        X, y = load(return_X_y=True)
        split = train_test_split(X, y, stratify=y, test_size=0.25, random_state=seed)
        scaler = StandardScaler().fit(split[0])
        return [*map(scaler.transform, split[:2]), *split[2:]]

    return parts


def mnist(seed: int) -> list[np.ndarray]:
    """MNIST as floats from 0 to 1, in float32, which both take as it is."""
    data = mnistgpu.load_data()
    X, X_test = ((part.images / 255).astype(np.float32) for part in (data.train, data.test))
    return [X, X_test, np.asarray(data.train.labels), np.asarray(data.test.labels)]


TASKS = [
    Task("MNIST", mnist, (100,), 10, 3),
    Task("digits", table(load_digits), (100,), 100, 10),
    Task("wine", table(load_wine), (100,), 200, 20),
    Task("breast cancer", table(load_breast_cancer), (100,), 200, 20),
]


def pair(task: Task, seed: int, rows: int) -> list[Any]:
    """Both classifiers with the same settings."""
    batch = min(BATCH, rows)
    theirs = MLPClassifier(
        task.hidden, alpha=PENALTY, batch_size=batch, learning_rate_init=RATE,
        max_iter=task.epochs, tol=0.0, n_iter_no_change=task.epochs, random_state=seed,
    )  # fmt: skip
    ours = MnistGpuClassifier(
        task.hidden, l2=PENALTY / batch, batch_size=batch, learning_rate=RATE,
        epochs=task.epochs, random_state=seed,
    )  # fmt: skip
    return [ours, theirs]


def measured(task: Task, clock: Callable[[], float]) -> str:
    """The line of the table."""
    accuracies: list[list[float]] = [[], []]
    seconds: list[list[float]] = [[], []]
    for seed in range(task.seeds):
        X, X_test, y, y_test = task.parts(seed)
        for place, classifier in enumerate(pair(task, seed, len(X))):
            started = clock()
            classifier.fit(X, y)
            seconds[place].append(clock() - started)
            accuracies[place].append(classifier.score(X_test, y_test))
    ours, theirs = (statistics.fmean(each) for each in accuracies)
    ratio = statistics.median(a / b for a, b in zip(*seconds, strict=True))
    own, other = (statistics.median(each) for each in seconds)
    return (
        f"| {task.name}, {task.epochs} epochs, {task.seeds} seeds | {ours:.4f} | {theirs:.4f} | "
        f"{own:.2f} s | {other:.2f} s | {ratio:.2f} |"
    )


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Within it, this process computes on one core, where the system allows that."""
    before = system.affinity()
    with threadpoolctl.threadpool_limits(1):
        try:
            if before:
                system.run_only_on({min(before)})
            yield
        finally:
            if before:
                system.run_only_on(before)


def main() -> None:
    """Measure all tasks, or the small ones."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--all-cores", action="store_true", help="by the clock; writes no file")
    parser.add_argument("--quick", action="store_true", help="without MNIST; writes no file")
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # all epochs are wanted
    lines = [
        "| data | accuracy | MLPClassifier | time | MLPClassifier | ratio of times |",
        "|---|---|---|---|---|---|",
    ]
    clock = time.perf_counter if given.all_cores else time.process_time
    with contextlib.nullcontext() if given.all_cores else one_core():
        for task in TASKS[1 if given.quick else 0 :]:
            lines.append(measured(task, clock))
            print(lines[-1], flush=True)
    if not (given.quick or given.all_cores):
        RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"wrote {RESULT}")


if __name__ == "__main__":
    main()
