"""A finished training run, as `fit` returns it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistgpu.api.inputs import AnyPath, labelled_digits
from mnistgpu.api.model import Model
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset
from mnistgpu.models import model
from mnistgpu.runs import history, run_directory
from mnistgpu.runs.history import Row
from mnistgpu.runs.outcome import Outcome
from mnistgpu.settings import Settings, from_dict
from mnistgpu.storage import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A trained model, how it was trained, and how good it became.

    history: rows with `iteration`, `epoch`, `seconds`, `train_loss`, `train_accuracy`,
    `validation_loss`, `validation_accuracy` and `learning_rate`, as in history.csv.
    results: the figures of results.json.
    directory: where the run is saved; None if it is not.
    dataset: what it was trained on; None if the run was read from its directory.
    """

    model: Model
    history: list[Row]
    results: dict[str, Any]
    settings: Settings
    directory: Path | None = None
    dataset: Dataset | None = None
    test_probabilities: np.ndarray | None = field(default=None)  # (classes, test images)

    @property
    def test_accuracy(self) -> float | None:
        """The share of right answers on the test images; None if there were none."""
        accuracy: float | None = self.results["test_accuracy"]
        return accuracy

    def plot(self, X: Any = None, y: Any = None, *, path: AnyPath | None = None) -> Figure:
        """The picture of the run: curves, confusion, first-layer weights, some answers.

        X, y: the images and labels to answer; by default the run's test images, or its training
        images if it had none, or MNIST's test images if the run was read from its directory.
        path: where to write the picture, if anywhere (PNG). UsageError if a file is there that this
        program has not made.
        """
        from mnistgpu.reports import plots, run_report

        if path is not None:
            target = files.path_of(path, "path")
            files.check_ours("path", target, ".png", plots.MARK)
        probabilities = None
        if X is None and y is None and self.dataset is not None:
            digits = self.dataset.test or self.dataset.train
            probabilities = self.test_probabilities if self.dataset.test else None
        else:
            digits = labelled_digits(X, y, self.model.trained)
        trained = self.model.trained
        assert isinstance(trained, model.Model)  # a run trains one network
        title = f"{self.settings.layers} on {digits.source}"
        columns = history.as_columns(self.history)
        figure: Figure = run_report.figure(trained, columns, digits, title, probabilities)
        if path is not None:
            plots.save(figure, target)
        return figure

    def __repr__(self) -> str:
        results, parts = self.results, []
        if self.test_accuracy is not None:
            parts.append(f"test accuracy {self.test_accuracy:.4f}")
        parts.append(f"{results['iterations']:,} iterations in {results['seconds']:.1f} s")
        if self.directory is not None:
            parts.append(f"saved in {self.directory}")
        return f"<Run {self.settings.layers}: {', '.join(parts)}>"


def of_outcome(
    outcome: Outcome, settings: Settings, backend: Backend, dataset: Dataset, path: Path | None
) -> Run:
    """The Run of what the training loop has returned."""
    trained = Model(outcome.model, backend)
    return Run(
        trained,
        outcome.history,
        outcome.results,
        settings,
        path,
        dataset,
        outcome.test_probabilities,
    )


def read(path: Path, backend: Backend) -> Run:
    """The finished run in a directory; DataError if its files are missing or damaged."""
    trained = model.load(path)
    rows = run_directory.read_rows(path / "history.csv")
    results = run_directory.read_results(path / "results.json")
    settings = from_dict(trained.settings, str(path))
    return Run(Model(trained, backend), rows, results, settings, path)
