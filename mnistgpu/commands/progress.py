"""What a person sees while a network learns: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from mnistgpu import __version__, data, network
from mnistgpu.backend import Backend
from mnistgpu.engine import products
from mnistgpu.errors import printable
from mnistgpu.runs.run_directory import number
from mnistgpu.runs.signals import Stop
from mnistgpu.runs.training import Outcome, Row
from mnistgpu.settings import Settings

REFRESH_SECONDS = 0.1


class Silent(AbstractContextManager["Silent"]):
    """--quiet: nothing at all. Also the base of the displays that print."""

    def begin(self, settings: Settings, dataset: data.Dataset, backend: Backend) -> None:
        """Called once before training, with what is about to happen."""

    def step(self, iteration: int) -> None:
        """Called after every step, or a few; must cost next to nothing."""

    def row(self, row: Row) -> None:
        """Called for every row of history."""

    def warn(self, sentence: str) -> None:
        """Called where something looks wrong, but need not be."""

    def note(self, line: str) -> None:
        """Called where something is worth knowing, such as where a run goes on."""

    def end(self, outcome: Outcome, path: Path) -> None:
        """Called once, when everything is saved in the run directory `path`."""

    def __exit__(self, *exception: object) -> None:
        pass


class Guarded(Silent):
    """Another display, until it cannot print: then the run is asked to stop, and saved.

    What was still to be printed goes nowhere, or Python would complain about it at its end.
    """

    def __init__(self, display: Silent, stop: Stop):
        self.display, self.stop = display, stop

    def begin(self, settings: Settings, dataset: data.Dataset, backend: Backend) -> None:
        with self.guard():
            self.display.begin(settings, dataset, backend)

    def step(self, iteration: int) -> None:
        try:  # not `guard`, which costs more than a look at the clock
            self.display.step(iteration)
        except OSError as error:
            self.lose(error)

    def row(self, row: Row) -> None:
        with self.guard():
            self.display.row(row)

    def warn(self, sentence: str) -> None:
        with self.guard():
            self.display.warn(sentence)

    def note(self, line: str) -> None:
        with self.guard():
            self.display.note(line)

    def end(self, outcome: Outcome, path: Path) -> None:
        with self.guard():
            self.display.end(outcome, path)

    def __enter__(self) -> Guarded:
        with self.guard():
            self.display.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        with self.guard():
            self.display.__exit__(*exception)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn a failed print into a request to stop."""
        try:
            yield
        except OSError as error:
            self.lose(error)

    def lose(self, error: OSError) -> None:
        """Print nothing from now on."""
        self.stop.ask(f"its output, which cannot be written ({error.strerror or error}),", 1)
        self.display = Silent()
        if sys.stdout is not None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


class Lines(Silent):
    """A line for every row of history, for logs and pipes."""

    def begin(self, settings: Settings, dataset: data.Dataset, backend: Backend) -> None:
        for line in introduction(settings, dataset, backend):
            self.say(line)

    def row(self, row: Row) -> None:
        self.say(f"iteration {row.iteration:>6}  {figures(row)}")

    def warn(self, sentence: str) -> None:
        self.say(f"warning: {sentence}")

    def note(self, line: str) -> None:
        self.say(line)

    def end(self, outcome: Outcome, path: Path) -> None:
        for line in conclusion(outcome, path):
            self.say(line)

    def say(self, line: str) -> None:
        """Print what may quote a file or a path; OSError where the output was closed (>&-)."""
        if sys.stdout is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        print(printable(line), flush=True)


class Bar(Lines):
    """A live bar with the latest figures, for terminals."""

    def begin(self, settings: Settings, dataset: data.Dataset, backend: Backend) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        super().begin(settings, dataset, backend)
        training = len(dataset.train) - settings.validation
        batch = min(settings.batch_size or training, training)
        self._images_per_step = batch
        steps = settings.iterations or (settings.epochs or 0) * -(-training // batch)
        self._progress = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            auto_refresh=False,  # drawn by `step`, so that no thread competes with training
        )
        self._task = self._progress.add_task("", total=steps, figures="")
        self._figures = ""
        self._started = self._drawn = 0.0
        self._first: int | None = None

    def __enter__(self) -> Bar:
        self._progress.start()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.refresh()
        self._progress.stop()

    def step(self, iteration: int) -> None:
        now = time.perf_counter()
        if now - self._drawn > REFRESH_SECONDS:
            self._drawn = now
            if self._first is None:
                self._first = iteration - 1  # not 0 where a run is resumed
            taken = iteration - self._first
            rate = taken * self._images_per_step / max(now - self._started, 1e-9)
            self._progress.update(
                self._task, completed=iteration, figures=f"{self._figures}  {rate:,.0f} images/s"
            )
            self._progress.refresh()

    def row(self, row: Row) -> None:
        self._figures = figures(row)
        self._progress.update(self._task, completed=row.iteration, figures=self._figures)


def display(quiet: bool) -> Silent:
    """The display that fits: silent if asked, a bar on a terminal, lines elsewhere."""
    if quiet:
        return Silent()
    return Bar() if sys.stdout is not None and sys.stdout.isatty() else Lines()


def introduction(settings: Settings, dataset: data.Dataset, backend: Backend) -> list[str]:
    """The first lines of a run: backend, device, precision, data and its digest, network."""
    facts: dict[str, Any] = backend.describe()
    versions = f"numpy {facts['numpy']}" + (f", cupy {facts['cupy']}" if "cupy" in facts else "")
    test = f"{len(dataset.test):,} test" if dataset.test else "no test"
    batch = "full batch" if settings.batch_size is None else f"batches of {settings.batch_size}"
    length = f"{settings.epochs} epochs" if settings.epochs else f"{settings.iterations} iterations"
    schedule = "" if settings.schedule == "constant" else f" {settings.schedule}"
    numbers = products.description(settings.precision, backend.name)
    lines = [
        f"mnistgpu  {__version__} with {versions}",
        f"backend   {backend.name} on {facts['device']}; {numbers}",
        f"data      {dataset.source}: {len(dataset.train) - settings.validation:,} training, "
        f"{settings.validation:,} validation, {test} images; digest {dataset.digest[:16]}",
        f"network   {settings.layers}, {network.parameter_count(settings.sizes):,} parameters",
        f"training  {settings.optimizer}, alpha {settings.learning_rate:g}{schedule}, {batch}, "
        f"{length}, seed {settings.seed}",
    ]
    if backend.chosen_because:
        lines.insert(1, backend.chosen_because)
    return lines


def figures(row: Row) -> str:
    """The figures of a row, for a line or a bar."""
    return (
        f"loss {row.train_loss:.4f}  train {row.train_accuracy:.4f}  "
        f"validation {number(row.validation_accuracy)}"
    )


def conclusion(outcome: Outcome, path: Path) -> list[str]:
    """The last lines of a run: accuracies, time, and where it was saved."""
    results = outcome.results
    return [
        f"accuracy  train {number(results['train_accuracy'])}, "
        f"validation {number(results['validation_accuracy'])}, "
        f"test {number(results['test_accuracy'])}",
        f"time      {results['seconds']:.1f} s, {results['images_per_second']:,.0f} images/s",
        f"saved in  {path}",
    ]
