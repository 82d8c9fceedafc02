"""`mnistgpu train`: begins a run or continues one, and writes its directory."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mnistgpu import backend as backends
from mnistgpu.backend import Backend
from mnistgpu.commands import progress
from mnistgpu.commands.beginning import dataset_for
from mnistgpu.data import Dataset
from mnistgpu.engine.stepping import check_backend
from mnistgpu.errors import DataError, RunError, StoppedError, UsageError, printable
from mnistgpu.runs import checkpoint, checks, resume, run_directory, training, watching
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.checkpointing import Checkpointing, Every, parse_every
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings
from mnistgpu.storage import files

# Serves a page about a run within a `with`: of its title, its snapshots, a function that prints
Page = Callable[
    [str, watching.Snapshots, Callable[[str], None]], contextlib.AbstractContextManager[object]
]


@dataclass(frozen=True)
class Options:
    """How a run is saved and shown. No option changes what it computes."""

    checkpoint_every: str = "60s"  # as `parse_every` reads it
    force: bool = False  # replace a run in its directory
    quiet: bool = False
    snapshots: bool = False  # keep what an animation needs
    page: Page | None = None  # to watch the run on

    @property
    def every(self) -> Every:
        """How often to write a checkpoint."""
        return parse_every(self.checkpoint_every)

    def __post_init__(self) -> None:
        _ = self.every  # a wrong text is refused here


def begin(
    settings: Settings,
    dataset: Dataset,
    data: Path | None,
    backend: Backend,
    out: Path | None,
    options: Options,
    stop: Stop,
) -> None:
    """Train a network on the dataset read from `data`, in the run directory `out`.

    Without `out`, that is a new directory under runs/.
    """
    checks.check_fit(settings, dataset)
    check_backend(settings, backend)
    path = out or run_directory.new_path()
    with run_directory.writing(path):
        run_directory.create(path, settings, dataset, options.force)
        saving = Checkpointing(path, absolute(data), dataset.digest, options.every)
        carry_out(settings, dataset, backend, path, saving, options, stop)


def go_on(
    directory: Path,
    changes: dict[str, object],
    data: Path | None,
    backend: str | None,
    out: Path | None,
    options: Options,
    stop: Stop,
) -> None:
    """Continue the run in a directory, there or in `out`. `changes` may change its length alone.

    Without `data` or `backend`, those of the run are used.
    """
    checkpoint.find(directory)
    path = out or directory
    in_place = os.path.realpath(path) == os.path.realpath(directory)  # never raises
    with run_directory.writing(path):
        saved = checkpoint.load(directory)
        settings = resume.changed_settings(saved, changes, str(directory))
        if (
            in_place
            and saved.progress.finished
            and run_directory.is_finished(path, saved.settings, saved.data_digest)
        ):
            if settings != saved.settings and not options.force:
                raise UsageError(
                    f"--resume {path}: a finished run is there; give --out another directory "
                    "for the longer run, or --force to replace this one once that is finished"
                )
            if settings == saved.settings and run_directory.is_whole(path):
                if not options.quiet:
                    done = f"{path}: finished, after iteration {saved.taken:,}; nothing to do"
                    print(printable(done))
                return
        variable = os.environ.get(backends.ENVIRONMENT_VARIABLE)
        chosen = backends.select(backend or variable or saved.machine.get("backend"))
        source = absolute(data) or saved.data
        dataset = dataset_for(settings, source)
        if dataset.digest != saved.data_digest:
            raise DataError(
                f"{dataset.source}: not the data that {directory} was trained on (their digest is "
                f"{dataset.digest[:16]}, not {saved.data_digest[:16]}); give those with --data"
            )
        if not in_place:
            run_directory.create(path, settings, dataset, options.force)
        saving = Checkpointing(path, source, dataset.digest, options.every, saved.taken)
        notes = [f"resumed   {directory}, after iteration {saved.taken:,}"]
        here = checkpoint.machine(chosen)
        if here != saved.machine:
            then, now = (", ".join(facts.values()) for facts in (saved.machine, here))
            notes.append(f"rounding  from here on as on {now}; the run was begun on {then}")
        carry_out(settings, dataset, chosen, path, saving, options, stop, saved, notes)


def carry_out(
    settings: Settings,
    dataset: Dataset,
    backend: Backend,
    path: Path,
    saving: Checkpointing,
    options: Options,
    stop: Stop,
    resumed: checkpoint.Checkpoint | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Train and write the run directory; end the program, with a sentence, if `stop` says so.

    Raises RunError, which says what is left of the run, if it fails.
    """
    title = f"{settings.layers} on {dataset.source}"
    display = progress.Guarded(progress.display(options.quiet), stop)
    seen = watching.Snapshots.of(dataset)
    callbacks: list[Callback] = [display, saving]
    if options.snapshots or options.page:
        callbacks.append(watching.Watcher(seen))
    for line in (*progress.introduction(settings, dataset, backend), *notes):
        display.note(line)
    try:
        with contextlib.ExitStack() as shown:
            if options.page:
                shown.enter_context(options.page(title, seen, display.note))
            shown.enter_context(display)
            outcome = training.train(settings, dataset, backend, callbacks, stop, resumed)
        run_directory.write(path, outcome, dataset)
        from mnistgpu.reports import run_report  # slow, and not needed before

        run_report.write(path, outcome, dataset, title)
        files.remove(path / watching.FILE)  # of an older run
        if options.snapshots or options.page:
            watching.save(seen, path / watching.FILE)
    except RunError as error:
        raise RunError(f"{error}; {saving.kept()}") from None
    except StoppedError as interruption:
        how = f"go on with: mnistgpu train --resume {path}"
        leave(f"{interruption}; {how}", interruption.exit_status)
    for line in progress.conclusion(outcome, path):
        display.note(line)
    if stop.interrupting:
        leave(f"{path}: finished and saved, though stopped by {stop.reason}", stop.exit_status)


def leave(sentence: str, exit_status: int) -> NoReturn:
    """Print a last sentence, unless the output is closed, and end the program."""
    with contextlib.suppress(OSError):
        print(printable(sentence), file=sys.stderr, flush=True)
    raise SystemExit(exit_status)


def absolute(path: Path | None) -> str | None:
    """The path as it is known from any directory."""
    return None if path is None else str(path.absolute())
