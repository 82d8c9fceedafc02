"""A training run, as `fit` returns it."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistgpu.api.inputs import AnyPath
from mnistgpu.api.model import Model
from mnistgpu.api.own_data import digits_to_judge
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset
from mnistgpu.errors import UsageError
from mnistgpu.models import model
from mnistgpu.runs import history, run_directory
from mnistgpu.runs.history import Row
from mnistgpu.runs.origin import to_judge
from mnistgpu.settings import Settings, from_dict
from mnistgpu.storage import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mnistgpu.api.side_by_side import Beside


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A trained model, how it was trained, and how good it became.

    history: rows with `iteration`, `epoch`, `seconds`, `train_loss`, `train_accuracy`,
    `validation_loss`, `validation_accuracy` and `learning_rate`, as in history.csv.
    results: the figures of results.json.
    directory: where the run is saved; None if it is not.
    dataset: what it was trained on; None if the run was read from its directory.
    stopped: whether it was interrupted, so that `resume` may go on with it.
    """

    model: Model
    history: list[Row]
    results: dict[str, Any]
    settings: Settings
    directory: Path | None = None
    dataset: Dataset | None = None
    test_probabilities: np.ndarray | None = None  # (classes, test images)
    stopped: bool = False
    go_on: Callable[..., Run] | None = None  # what `resume` calls

    def resume(self, **changes: Any) -> Run:
        """Go on with the run in its directory, bit for bit: `mnistgpu.resume` with its data.

        changes: as for `mnistgpu.resume`, such as epochs=20. UsageError if it was not saved.
        """
        if self.go_on is None:
            raise UsageError(
                "this run was not saved, so it cannot be resumed; train with out=, such as "
                'fit(..., out="runs/first")'
            )
        return self.go_on(**changes)

    @property
    def test_accuracy(self) -> float | None:
        """The share of right answers on the test images; None if there were none."""
        accuracy: float | None = self.results["test_accuracy"]
        return accuracy

    @property
    def digest(self) -> str:
        """The SHA-256 of the network's parameters. With precision="exact" it is the same on every
        machine: `mnistgpu.verify` compares it.
        """
        trained = self.model.trained
        assert isinstance(trained, model.Model)  # a run trains one network
        return trained.digest

    def plot(self, X: Any = None, y: Any = None, *, path: AnyPath | None = None) -> Figure:
        """The picture of the run: curves, confusion, first-layer weights, some answers.

        X, y: the images and labels to answer; by default the run's test images, or those held out
        for validation if it had none, or its training images if none were held out.
        path: where to write the picture, if anywhere (PNG). UsageError if a file is there that this
        program has not made.
        """
        from mnistgpu.reports import plots, run_report

        if path is not None:
            target = files.path_of(path, "path")
            files.check_ours("path", target, ".png", files.PNG_MARK)
        probabilities = None
        if X is None and y is None and self.dataset is not None:
            digits = to_judge(self.dataset, self.settings) or self.dataset.train
            probabilities = self.test_probabilities if self.dataset.test else None
        else:
            digits = digits_to_judge([self], X, y)
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
        stopped = "stopped after " if self.stopped else ""
        count, seconds = results["iterations"], results["seconds"]
        parts.append(f"{stopped}{count:,} iterations in {seconds:.1f} s")
        if self.directory is not None:
            parts.append(f"saved in {self.directory}")
        return f"<Run {self.settings.layers}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """For notebooks: what `repr` says, and the picture of the run if its data are at hand."""
        text = f"<p><code>{html.escape(repr(self))}</code></p>"
        if self.dataset is None:
            return text
        from mnistgpu.reports.page import picture_of

        return text + picture_of(self.plot(), "the run")

    def beside(self, other: Run, X: Any = None, y: Any = None) -> Beside:
        """This run and another on the same images: curves of both, and where they differ.

        X, y: images and labels; by default those that neither was trained on, as for
        `mnistgpu.compare`. UsageError if they know different classes or share no such images.
        """
        from mnistgpu.api import side_by_side

        if not isinstance(other, Run):
            raise UsageError(f"beside: expected another Run, not {type(other).__name__}")
        return side_by_side.side_by_side(self, other, X, y)

    def report(self, X: Any = None, y: Any = None) -> HtmlPage:
        """The page of `mnistgpu evaluate`: confusion, calibration, robustness, worst mistakes.

        X, y: the images and labels to answer; by default those of `plot`. A notebook shows it;
        `.save(path)` writes it.
        """
        from mnistgpu.reports import evaluation, html_report

        if X is None and y is None and self.dataset is not None:
            digits = to_judge(self.dataset, self.settings) or self.dataset.train
        else:
            digits = digits_to_judge([self], X, y)
        trained = self.model.trained
        found = evaluation.evaluate(trained, digits, self.model.backend)
        name = self.settings.layers if self.directory is None else str(self.directory)
        return HtmlPage(html_report.page(found, trained, name, "run.report()"), html_report.MARK)


@dataclass(frozen=True)
class HtmlPage:
    """A page in one file: a notebook shows it in a frame of its own."""

    text: str = field(repr=False)
    mark: bytes = field(repr=False)  # by which `save` knows a page that it may replace

    def save(self, path: AnyPath) -> Path:
        """Write the page (.html); its path. UsageError if something else is there."""
        target = files.path_of(path, "path")
        files.check_ours("path", target, ".html", self.mark)
        files.replace_bytes(target, self.text.encode())
        return target

    def _repr_html_(self) -> str:
        frame = 'style="width: 100%; height: 40em; border: 1px solid #ccc"'
        return f'<iframe {frame} srcdoc="{html.escape(self.text)}"></iframe>'


def read(path: Path, backend: Backend, go_on: Callable[..., Run] | None = None) -> Run:
    """The finished run in a directory; DataError if its files are missing or damaged."""
    trained = model.load(path)
    rows = run_directory.read_rows(path / "history.csv")
    results = run_directory.read_results(path / "results.json")
    settings = from_dict(trained.settings, str(path))
    return Run(Model(trained, backend, path), rows, results, settings, path, go_on=go_on)
