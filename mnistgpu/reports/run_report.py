"""report.png of a run: its curves, confusion, predictions and first-layer weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu import data, network
from mnistgpu.errors import printable
from mnistgpu.models import model
from mnistgpu.reports import metrics, plots
from mnistgpu.runs import history
from mnistgpu.runs.origin import to_judge
from mnistgpu.runs.outcome import Outcome
from mnistgpu.settings import from_dict

FILE = "report.png"
GRID = 24  # predictions shown


def write(path: Path, outcome: Outcome, dataset: data.Dataset, title: str) -> None:
    """Draw report.png, from the outcome of a run, into its directory."""
    if dataset.test is None or outcome.test_probabilities is None:
        used = outcome.model.settings  # none of a model made by hand
        settings = from_dict(used, str(path)) if used else None
        shown, probabilities = to_judge(dataset, settings) or dataset.train, None
    else:
        shown, probabilities = dataset.test, outcome.test_probabilities
    columns = history.as_columns(outcome.history)
    plots.save(figure(outcome.model, columns, shown, title, probabilities), path / FILE)


def figure(
    trained: model.Model,
    columns: dict[str, list[float]],
    digits: data.Digits,
    title: str,
    probabilities: np.ndarray | None = None,
) -> Any:
    """The report of a model on labelled digits; columns as of `run_directory.read_history`."""
    if probabilities is None:
        probabilities = np.asarray(trained.probabilities(digits.images))
    labels = np.asarray(digits.labels)
    predicted = np.argmax(probabilities, axis=0)
    right = int(np.sum(predicted == labels))
    low, high = metrics.wilson_interval(right, len(labels))
    first_layer = np.asarray(network.layers(trained.theta, trained.sizes)[0][0])
    return plots.report(
        columns,
        metrics.confusion_matrix(predicted, labels, trained.sizes[-1]),
        digits.images[:GRID],
        labels[:GRID],
        probabilities[:, :GRID],
        first_layer,
        printable(title),
        printable(
            f"{digits.source}: {right / len(labels):.2%} of {len(labels):,} right "
            f"(95% interval {low:.2%} to {high:.2%})"
        ),
        trained.image_shape,
        trained.classes,
    )
