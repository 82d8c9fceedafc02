"""A run that is about to be trained: who is called meanwhile, and what Ctrl-C does to it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mnistgpu.api.inputs import check_switches, is_path, remember
from mnistgpu.api.model import Model
from mnistgpu.api.run import Run
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset, Digits
from mnistgpu.engine.teacher import Trained
from mnistgpu.errors import Note, RunError, StoppedError, UsageError, warn
from mnistgpu.runs import checkpoint, events_file, run_directory, training, watching
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.checkpointing import Checkpointing
from mnistgpu.runs.events import Events
from mnistgpu.runs.notebook import CellBar, in_notebook
from mnistgpu.runs.origin import Origin
from mnistgpu.runs.outcome import Outcome
from mnistgpu.runs.progress import (
    Display,
    Guarded,
    Warnings,
    conclusion,
    data_notes,
    display_for_output,
    introduction,
    on_terminal,
)
from mnistgpu.runs.signals import stop_on_signals
from mnistgpu.runs.steered import NOT_ON_RANKS
from mnistgpu.runs.steering import Steering
from mnistgpu.runs.stop import Stop
from mnistgpu.runs.watching import Snapshots
from mnistgpu.settings import Settings
from mnistgpu.storage import files
from mnistgpu.storage.system import in_main_thread

if TYPE_CHECKING:
    from mnistgpu.interop.mpi_ranks import Ranks

Made = TypeVar("Made")


class Job:
    """A run that is about to be trained: its settings, its data, and who is called meanwhile."""

    def __init__(
        self,
        settings: Settings,
        dataset: Dataset,
        backend: Backend,
        display: Display,
        callbacks: Sequence[Callback],
        stop: Stop | None,
        on_interrupt: str | None,
        snapshots: bool,
        watch: bool | Mapping[str, Any],
        ranks: Ranks | None = None,
        start: np.ndarray | None = None,  # the parameters to begin with
        teachers: Sequence[Trained] = (),  # whose answers are learnt
        events: Events | None = None,
        steering: Steering | None = None,
    ):
        self.settings, self.dataset, self.backend = settings, dataset, backend
        self.callbacks, self.start, self.teachers = callbacks, start, teachers
        self.events, self.steering = events, steering
        self.stop = Stop() if stop is None else stop
        if on_interrupt not in (None, "raise", "return"):
            raise UsageError(f'on_interrupt must be "raise" or "return", not {on_interrupt!r}')
        self.returns = in_notebook() if on_interrupt is None else on_interrupt == "return"
        self.title = f"{settings.layers} on {dataset.source}"
        self.ranks = ranks  # which share every step, if there are any
        if ranks is not None and ranks.rank > 0:
            snapshots = watch = False  # rank 0 has them
        self.watch, self.seen = watch, Snapshots.of(dataset) if snapshots or watch else None
        self.display = Guarded(display, self.stop)

    def run(
        self,
        path: Path | None = None,
        saving: Checkpointing | None = None,
        resumed: checkpoint.Checkpoint | None = None,
        notes: Sequence[str] = (),
    ) -> Run:
        """Train, and write the run directory if there is one.

        Raises RunError, which says what is left of the run, if it fails. If it is interrupted, its
        checkpoint is written first. Then the run so far is returned or KeyboardInterrupt is raised
        after Ctrl-C, and StoppedError is raised if the caller's Stop asked for it.
        """
        settings, dataset, display = self.settings, self.dataset, self.display
        callbacks: list[Callback] = [display]
        last: list[Callback] = []
        stop, ranks = self.stop, self.ranks
        if ranks is not None:
            stop, first, final = ranks.callbacks(self.stop)
            callbacks, last = [first, display], [final]
            notes = [*ranks.described(), *notes]
            if ranks.rank > 0:
                path = saving = None
        if saving is not None:
            callbacks.append(saving)
            callbacks.append(events_file.KeepEvents(saving.path.parent, Origin.of(dataset)))
            if ranks is not None:
                ranks.kept(saving.kept)
        if self.seen is not None:
            callbacks.append(watching.Watcher(self.seen))
        for line in (*introduction(settings, dataset, self.backend), *notes):
            display.note(line)
        recognised = tuple(data_notes(dataset))
        if isinstance(display.display, Warnings):  # which prints no introduction
            for sentence in recognised:
                warn(sentence, Note)
        remember(recognised)
        try:
            with self.interruptible(path):
                with self.page(), display:
                    outcome = training.train(
                        settings,
                        dataset,
                        self.backend,
                        [*callbacks, *self.callbacks, *last],
                        stop,
                        resumed,
                        ranks,
                        self.start,
                        self.teachers,
                        self.events,
                        self.steering,
                    )
                stopped = stop.stopped_after is not None
                if path is not None and not stopped:
                    write(path, outcome, dataset, self.title, self.seen)
        except RunError as error:
            if saving is None:
                raise
            raise type(error)(f"{error}; {saving.kept()}") from None
        for line in conclusion(outcome, path):
            display.note(line)
        if ranks is not None and ranks.profiling:
            display.note(ranks.profile(outcome.results["seconds"]))
        return Run(
            Model(outcome.model, self.backend, Origin.of(dataset)),
            outcome.history,
            outcome.results,
            settings,
            path,
            dataset,
            outcome.test_probabilities,
            stopped,
        )

    def page(self) -> contextlib.AbstractContextManager[object]:
        """The page of --watch, if it is wanted."""
        if not self.watch or self.seen is None:
            return contextlib.nullcontext()
        from mnistgpu.web.watch import WatchPage

        where = self.watch if isinstance(self.watch, Mapping) else {}
        return WatchPage(self.title, self.seen, self.display.note, **where)

    @contextlib.contextmanager
    def interruptible(self, path: Path | None) -> Iterator[None]:
        """Within it, Ctrl-C ends the run after its step; a second one at once.

        Then the run so far is returned, or KeyboardInterrupt is raised: without a directory there
        is nothing to save, and Python raises it at once. A handler of Ctrl-C that the program has
        set (as the command line does) stays.
        """
        handled = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        if handled or (path is None and not self.returns):
            yield
            return
        first, second = (signal.SIGINT,), signal.default_int_handler
        with stop_on_signals(self.stop, first, second, self.returns) as received:
            try:
                yield
            except StoppedError as interruption:
                if not received:  # a callback has asked for it
                    raise
                how = f"go on with mnistgpu.resume({str(path)!r})"
                raise KeyboardInterrupt(f"{interruption}; {how}") from None
        if received and not self.returns:  # during the last step
            raise KeyboardInterrupt(f"{path}: finished and saved")


def write(
    path: Path,
    outcome: Outcome,
    dataset: Dataset,
    title: str,
    seen: Snapshots | None,
) -> None:
    """Write what a finished run leaves in its directory, with its report and snapshots."""
    run_directory.write(path, outcome, dataset)
    from mnistgpu.reports import run_report  # slow, and not needed before

    run_report.write(path, outcome, dataset, title)
    files.remove(path / watching.FILE)  # of an older run
    if seen is not None:
        watching.save(seen, path / watching.FILE)


def display_of(given: bool | Display | None, ranks: Ranks | None = None) -> Display:
    """The display for the argument `progress`; of several ranks, rank 0 alone shows anything."""
    if ranks is not None and ranks.rank > 0:
        return Display()
    if isinstance(given, Display):
        return given
    if given is None:
        given = in_main_thread() and (on_terminal() or in_notebook())
    check_switches(progress=given)
    if not given:
        return Warnings()
    return CellBar() if in_notebook() else display_for_output()


# What changes where several ranks share a run: rank 0 alone reads and writes


def ranks_of(given: str | Ranks | None) -> Ranks | None:
    """The ranks that share a run: those given, or by the name of their communicator.

    UsageError for an unknown name, or if there are no such ranks.
    """
    if given is None:
        return None
    from mnistgpu.interop import mpi, mpi_ranks

    if isinstance(given, mpi_ranks.Ranks):
        return given
    if given in ("mpi", "nccl"):
        mpi.begin()
    return mpi.chosen(given)


def device_of(ranks: Ranks | None, backend: str | Backend | None) -> str | Backend | None:
    """The backend of this rank: with "cupy" each rank of a machine has a GPU of its own."""
    if ranks is None or isinstance(backend, Backend):
        return backend
    return ranks.device(backend)


def in_front(ranks: Ranks | None, make: Callable[[], Made]) -> Made:
    """What `make` returns on rank 0, on every rank; its error is raised on each."""
    return make() if ranks is None else ranks.first(make)


def new_directory(
    held: contextlib.ExitStack, path: Path, settings: Settings, dataset: Dataset, force: bool
) -> None:
    """Make and lock the directory of a new run, until `held` is closed."""
    held.enter_context(run_directory.writing(path))
    run_directory.create(path, settings, dataset, force)


def check_shared(settings: Settings, backend: Backend, ranks: Ranks | None) -> None:
    """UsageError if ranks cannot share steps with these settings on this backend."""
    if ranks is None:
        return
    if settings.graph:
        raise UsageError(
            "--graph replays a whole step, and ranks must add their gradients within it; leave "
            "--graph out"
        )
    ranks.alike("backends", backend.name)  # which "auto" may choose in another way
    ranks.check(backend)


def check_steered(steering: Steering | None, ranks: Ranks | None) -> None:
    """UsageError if a run is to be steered that several ranks share."""
    if steering is not None and ranks is not None:
        raise UsageError(NOT_ON_RANKS)


def check_alike(ranks: Ranks | None, X: Any, y: Any, **others: object) -> None:
    """UsageError unless all ranks were given the same data, settings and so on."""
    if ranks is None:
        return
    for what, value in others.items():
        ranks.alike(what, sorted(value.items()) if isinstance(value, dict) else value)
    ranks.alike("data", (described(X), described(y)))


def described(X: Any) -> str:
    """What tells data apart: their path or digest; of other things than arrays, their type."""
    if X is None or is_path(X):
        return str(X)
    if isinstance(X, Dataset | Digits):
        return X.digest
    if isinstance(X, np.ndarray):
        import hashlib

        return hashlib.sha256(np.ascontiguousarray(X).data).hexdigest()
    return type(X).__name__
