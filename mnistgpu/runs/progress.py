"""What is printed while a network learns: a live bar on a terminal, lines in pipes and logs."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from mnistgpu import __version__, data, network
from mnistgpu.backend import Array, Backend
from mnistgpu.engine.products.precision import description
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import MnistGpuError, printable, warn
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.events import Event
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.outcome import Outcome
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings
from mnistgpu.storage import files

REFRESH_SECONDS = 0.1
BAR_WIDTH = 24  # characters, where there is room for them


class Display(Callback, AbstractContextManager["Display"]):
    """Prints nothing, as for --quiet. The base of the displays that print."""

    shows_bars = False  # whether it may show how far something is, also before the run

    def note(self, line: str) -> None:
        """Print one more line, such as where a resumed run continues."""

    def __exit__(self, *exception: object) -> None:
        pass


class Warnings(Display):
    """Prints nothing, and gives each warning to `warnings.warn`."""

    def warning(self, sentence: str) -> None:
        warn(sentence)


class Guarded(Display):
    """Shows what another display shows. If that cannot print, the run is interrupted, and so saved.

    The rest of the output then goes to the null device, or Python would print an error at its exit.
    """

    def __init__(self, display: Display, stop: Stop):
        self.display, self.stop = display, stop

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        with self.guard():
            self.display.begin(trainer, progress, stop)

    def step(self, trainer: Trainer, progress: Progress) -> None:
        try:  # `guard` would cost more than the step of the display
            self.display.step(trainer, progress)
        except OSError as error:
            self.lose(error)

    def row(self, row: Row, theta: Array) -> None:
        with self.guard():
            self.display.row(row, theta)

    def changed(self, trainer: Trainer, progress: Progress) -> None:
        with self.guard():
            self.display.changed(trainer, progress)

    def warning(self, sentence: str) -> None:
        with self.guard():
            self.display.warning(sentence)

    def note(self, line: str) -> None:
        with self.guard():
            self.display.note(line)

    def __exit__(self, *exception: object) -> None:
        with self.guard():
            self.display.__exit__(*exception)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Interrupt the run if a print fails."""
        try:
            yield
        except OSError as error:
            self.lose(error)

    def lose(self, error: OSError) -> None:
        """Print nothing from now on."""
        what = f"its output, which cannot be written ({error.strerror or error}),"
        self.stop.interrupt(what, 1)
        self.display = Display()
        if sys.stdout is not None:
            with contextlib.suppress(OSError, ValueError):  # closed, or no file of the system
                output = sys.stdout.fileno()
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, output)
                os.close(nowhere)


class Lines(Display):
    """A line for every row of history, for logs and pipes."""

    _events: tuple[Event, ...] = ()  # that were printed, and are part of the run

    def changed(self, trainer: Trainer, progress: Progress) -> None:
        """A line for each new event, and one for a run that went back to before some."""
        before, now = self._events, tuple(progress.events.all)
        self._events = tuple(event for event in now if event.step <= trainer.taken)
        if not set(before) <= set(now):
            self.note(f"back      to iteration {trainer.taken:,}, before changes that were undone")
        for event in self._events:
            if event not in before and event.step == trainer.taken:
                self.note(f"changed   {event.sentence}")

    def row(self, row: Row, theta: Array) -> None:
        self.note(f"iteration {row.iteration:>6}  {figures(row)}")

    def warning(self, sentence: str) -> None:
        self.note(f"warning: {sentence}")

    def note(self, line: str) -> None:
        """Print what may quote a file or a path; OSError if the output was closed, as by >&-.

        Characters that the encoding of the output lacks are printed as escape sequences.
        """
        if sys.stdout is None or getattr(sys.stdout, "closed", False):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        print(printable(line).encode(encoding, "backslashreplace").decode(encoding), flush=True)


class Log(Lines):
    """Appends a run's lines to a file, and the sentence that ends it early; RunError if it cannot.

    The file is opened for each line, so that it is whole at every moment and may be moved away.
    """

    def __init__(self, path: Path):
        files.check_appendable("--log", path)
        self.path = path

    def note(self, line: str) -> None:
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(printable(line) + "\n")
        except OSError as error:
            raise OSError(error.errno, f"{self.path}: {error.strerror}") from None

    def __exit__(self, *exception: object) -> None:
        error = exception[1]
        if isinstance(error, MnistGpuError):
            self.note(str(error))


class Several(Display):
    """Shows a run on several displays, one after the other."""

    def __init__(self, *displays: Display):
        self.displays = displays
        self.shows_bars = any(display.shows_bars for display in displays)

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        for display in self.displays:
            display.begin(trainer, progress, stop)

    def step(self, trainer: Trainer, progress: Progress) -> None:
        for display in self.displays:
            display.step(trainer, progress)

    def row(self, row: Row, theta: Array) -> None:
        for display in self.displays:
            display.row(row, theta)

    def changed(self, trainer: Trainer, progress: Progress) -> None:
        for display in self.displays:
            display.changed(trainer, progress)

    def warning(self, sentence: str) -> None:
        for display in self.displays:
            display.warning(sentence)

    def note(self, line: str) -> None:
        for display in self.displays:
            display.note(line)

    def __exit__(self, *exception: object) -> None:
        for display in self.displays:
            display.__exit__(*exception)


class Bar(Lines):
    """A live bar with the latest figures, for terminals: one line, however narrow they are."""

    shows_bars = True
    transient = False  # whether the bar is removed when the run ends
    _progress: Any = None  # rich's, from `begin` on

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        from rich import progress as bars

        self._bar, self._figures = bars.BarColumn(), bars.TextColumn("{task.fields[figures]}")
        self._ends: tuple[Any, Any] = bars.MofNCompleteColumn(), bars.TimeRemainingColumn()
        self._progress = bars.Progress(
            auto_refresh=False,  # drawn by `step`, so that no thread competes with training
            transient=self.transient,
        )
        self._task = self._progress.add_task(
            "", total=trainer.steps, completed=trainer.taken, figures=""
        )
        self._parts: list[str] = []
        self._rate = ""
        self.draw()  # not seen yet: it chooses the columns
        self._progress.start()
        self._started = self._drawn = time.perf_counter()
        self._images_before = progress.images_seen

    def step(self, trainer: Trainer, progress: Progress) -> None:
        now = time.perf_counter()
        if now - self._drawn > REFRESH_SECONDS:
            self._drawn = now
            rate = (progress.images_seen - self._images_before) / max(now - self._started, 1e-9)
            self._rate = f"{rate:,.0f} images/s"
            self._progress.update(self._task, completed=trainer.taken)
            self.draw()

    def row(self, row: Row, theta: Array) -> None:
        self._parts = parts(row)
        self._progress.update(self._task, completed=row.iteration)

    def changed(self, trainer: Trainer, progress: Progress) -> None:
        super().changed(trainer, progress)
        self._progress.update(self._task, total=trainer.steps, completed=trainer.taken)

    def draw(self) -> None:
        """Draw the bar, in the width that the terminal has now."""
        task = self._progress.tasks[0]
        count, time_left = self._ends
        others = len(count(task)) + len(time_left(task)) + 3  # with the blanks between
        width, figures = fitted(self._progress.console.width - others, [*self._parts, self._rate])
        self._bar.bar_width = width
        bar = [self._bar] if width else []
        self._progress.columns = (*bar, count, self._figures, time_left)
        self._progress.update(self._task, figures=figures)
        self._progress.refresh()

    def __exit__(self, *exception: object) -> None:
        if self._progress is not None:
            self.draw()
            self._progress.stop()


def fitted(room: int, parts: list[str]) -> tuple[int, str]:
    """The width of the bar, and the figures beside it, in a line with so much room for both.

    parts: figures from the most important, which always stays, to the least. The last ones are left
    out where there is too little room; then the bar becomes shorter, and is left out.
    """
    shown = len(parts)
    while shown > 1 and BAR_WIDTH + len("  ".join(parts[:shown])) > room:
        shown -= 1
    figures = "  ".join(parts[:shown])
    return max(0, min(BAR_WIDTH, room - len(figures))), figures


def display_for_output() -> Display:
    """The display that fits the standard output: a bar on a terminal, lines elsewhere."""
    return Bar() if on_terminal() else Lines()


def on_terminal() -> bool:
    """Whether the standard output is a terminal; False also if it is closed or was replaced."""
    try:
        return sys.stdout is not None and bool(sys.stdout.isatty())
    except (AttributeError, ValueError):  # an object with `write` alone; a closed file
        return False


def introduction(settings: Settings, dataset: data.Dataset, backend: Backend) -> list[str]:
    """The first lines of a run: backend, device, precision, data and its digest, network."""
    facts: dict[str, Any] = backend.describe()
    versions = f"numpy {facts['numpy']}" + (f", cupy {facts['cupy']}" if "cupy" in facts else "")
    test = f"{len(dataset.test):,} test" if dataset.test else "no test"
    held_out = len(dataset.validation) if dataset.validation else settings.validation
    others = dataset.train.unlabeled
    without_labels = "" if others is None else f"{len(others):,} unlabeled, "
    batch = "full batch" if settings.batch_size is None else f"batches of {settings.batch_size}"
    length = f"{settings.epochs} epochs" if settings.epochs else f"{settings.iterations} iterations"
    schedule = "" if settings.schedule == "constant" else f" {settings.schedule}"
    numbers = description(settings.precision, backend.name)
    lines = [
        f"mnistgpu  {__version__} with {versions}",
        f"backend   {backend.name} on {facts['device']}; {numbers}",
        f"data      {dataset.source}: {len(dataset.train) - settings.validation:,} training, "
        f"{without_labels}{held_out:,} validation, {test} images; digest {dataset.digest[:16]}",
        *(f"data      {note}" for note in data_notes(dataset)),
        f"network   {settings.layers}, {network.parameter_count(settings.sizes):,} parameters",
        f"training  {settings.optimizer}, alpha {settings.learning_rate:g}{schedule}, {batch}, "
        f"{length}, seed {settings.seed}",
    ]
    if backend.chosen_because:
        lines.insert(1, backend.chosen_because)
    return lines


def data_notes(dataset: data.Dataset) -> list[str]:
    """What was recognised in the data of a run, turned or left out, each sentence once."""
    parts = (dataset.train, dataset.test, dataset.validation)
    return list(dict.fromkeys(note for part in parts if part is not None for note in part.notes))


def number(value: float | None) -> str:
    """A figure with four decimals, such as 0.9201, or - if there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"


def figures(row: Row) -> str:
    """The figures of a row, for a line."""
    return "  ".join(parts(row))


def parts(row: Row) -> list[str]:
    """The figures of a row, the most important first."""
    return [
        f"loss {row.train_loss:.4f}",
        f"train {row.train_accuracy:.4f}",
        f"validation {number(row.validation_accuracy)}",
    ]


def conclusion(outcome: Outcome, path: Path | None) -> list[str]:
    """The last lines of a run: accuracies, time, and where it was saved, if it was."""
    results = outcome.results
    lines = [
        f"accuracy  train {number(results['train_accuracy'])}, "
        f"validation {number(results['validation_accuracy'])}, "
        f"test {number(results['test_accuracy'])}",
        f"time      {results['seconds']:.1f} s, {results['images_per_second']:,.0f} images/s",
    ]
    if "digest" in results:
        lines.append(f"digest    {results['digest']}")
    return lines if path is None else [*lines, f"saved in  {path}"]
