"""`python -m mnistgpu.train`: train a network from the command line (also `mnistgpu train`)."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from mnistgpu.errors import DataError, UsageError, printable
from mnistgpu.settings import Settings, flags_of

if TYPE_CHECKING:
    from mnistgpu.backend import Backend
    from mnistgpu.commands.progress import Silent
    from mnistgpu.data import Dataset
    from mnistgpu.runs.checkpoint import Every, FileKeeper
    from mnistgpu.runs.signals import Stop
    from mnistgpu.runs.watching import Snapshots


def run(
    changes: dict[str, Any],
    recipe: str | None,
    deform: str | None,
    data: Path | None,
    backend: str | None,
    out: Path | None,
    resume: Path | None,
    checkpoint_every: str,
    force: bool,
    quiet: bool,
    watch: bool,
    snapshots: bool,
) -> None:
    """Train a dense network on handwritten digits and leave a run directory.

    Without flags: the tutorial's network, 784-10-10, full-batch gradient descent, on the
    embedded MNIST.
    """
    from mnistgpu.maths import augment
    from mnistgpu.runs import checkpoint
    from mnistgpu.runs.signals import Stop, heard

    if deform is not None:
        changes = augment.preset(deform) | changes
    if watch:
        from mnistgpu.web import server

        server.require_extra()  # before anything is begun
    if out is not None and str(out) in ("", "."):
        raise UsageError("--out must name a directory of its own for the run, such as runs/first")
    every, stop = checkpoint.parse_every(checkpoint_every), Stop()
    show = Show(quiet, watch, snapshots or watch)
    with heard(stop):
        if resume is None:
            begin(changes, recipe or "classic", data, backend, out, every, stop, force, show)
        else:
            go_on(changes, recipe, data, backend, out, resume, every, stop, force, show)


def begin(
    changes: dict[str, Any],
    recipe: str,
    data: Path | None,
    backend: str | None,
    out: Path | None,
    every: Every,
    stop: Stop,
    force: bool,
    show: Show,
) -> None:
    """Begin a new run."""
    from mnistgpu import backend as backends
    from mnistgpu import data as readers
    from mnistgpu import recipes
    from mnistgpu.engine import stepping
    from mnistgpu.runs import checkpoint, run_directory, training

    settings = recipes.named(recipe).settings.changed(**changes)
    chosen = backends.select(backend)
    dataset = readers.load(data, classes=max(10, settings.sizes[-1]))
    training.check_fit(settings, dataset)
    stepping.check_backend(settings, chosen)
    path = out or run_directory.new_path()
    with run_directory.writing(path):
        run_directory.create(path, settings, dataset, force)
        keeper = checkpoint.FileKeeper(path, absolute(data), dataset.digest, every, stop)
        carry_out(settings, dataset, chosen, path, keeper, show, [])


def go_on(
    changes: dict[str, Any],
    recipe: str | None,
    data: Path | None,
    backend: str | None,
    out: Path | None,
    resume: Path,
    every: Every,
    stop: Stop,
    force: bool,
    show: Show,
) -> None:
    """Go on with the run in the directory `resume`, there or in `out`."""
    import os

    from mnistgpu import backend as backends
    from mnistgpu import data as readers
    from mnistgpu.runs import checkpoint, run_directory

    if recipe is not None:
        raise UsageError(f"--recipe cannot be given with --resume: {resume} has its settings")
    checkpoint.find(resume)
    path = out or resume
    in_place = os.path.realpath(path) == os.path.realpath(resume)  # never raises
    with run_directory.writing(path):
        saved = checkpoint.load(resume)
        settings = checkpoint.changed_settings(saved, changes, str(resume))
        if (
            in_place
            and saved.progress.finished
            and run_directory.is_finished(path, saved.settings, saved.data_digest)
        ):
            if settings != saved.settings and not force:
                raise UsageError(
                    f"--resume {path}: a finished run is there; give --out another directory "
                    "for the longer run, or --force to replace this one once that is finished"
                )
            if settings == saved.settings and run_directory.is_whole(path):
                if not show.quiet:
                    done = f"{path}: finished, after iteration {saved.taken:,}; nothing to do"
                    print(printable(done))
                return
        variable = os.environ.get(backends.ENVIRONMENT_VARIABLE)
        chosen = backends.select(backend or variable or saved.machine.get("backend"))
        source = absolute(data) or saved.data
        dataset = readers.load(source, classes=max(10, settings.sizes[-1]))
        if dataset.digest != saved.data_digest:
            raise DataError(
                f"{dataset.source}: not the data that {resume} was trained on (their digest is "
                f"{dataset.digest[:16]}, not {saved.data_digest[:16]}); give those with --data"
            )
        if not in_place:
            run_directory.create(path, settings, dataset, force)
        keeper = checkpoint.FileKeeper(path, source, dataset.digest, every, stop, saved)
        notes = [f"resumed   {resume}, after iteration {saved.taken:,}"]
        here = checkpoint.machine(chosen)
        if here == saved.machine:
            keeper.workers = saved.workers  # also where this process may use fewer cores
        else:
            then, now = (", ".join(facts.values()) for facts in (saved.machine, here))
            notes.append(f"rounding  from here on as of {now}; the run was begun on {then}")
        carry_out(settings, dataset, chosen, path, keeper, show, notes)


def carry_out(
    settings: Settings,
    dataset: Dataset,
    backend: Backend,
    path: Path,
    keeper: FileKeeper,
    show: Show,
    notes: Sequence[str],
) -> None:
    """Train and write the run directory, or stop as asked, or say why not and what is left."""
    from mnistgpu.commands import progress
    from mnistgpu.errors import RunError, StoppedError
    from mnistgpu.runs import run_directory, training, watching
    from mnistgpu.storage import files

    stop, title = keeper.stop, f"{settings.layers} on {dataset.source}"
    display = progress.Guarded(progress.display(show.quiet), stop)
    seen = watching.Snapshots.of(dataset)
    display.begin(settings, dataset, backend)
    for note in notes:
        display.note(note)
    try:
        with shown(show, title, seen, display), display:
            watched = (
                watching.Watcher(keeper, settings, seen, backend) if show.snapshots else keeper
            )
            outcome = training.train(
                settings, dataset, backend, display.step, display.row, display.warn, watched
            )
        run_directory.write(path, outcome, dataset, title)
        files.remove(path / watching.FILE)  # of an older run
        if show.snapshots:
            watching.save(seen, path / watching.FILE)
    except RunError as error:
        raise RunError(f"{error}; {keeper.kept()}") from None
    except StoppedError as interruption:
        leave(str(interruption), interruption.exit_status)
    display.end(outcome, path)
    if stop.asked:
        leave(f"{path}: finished and saved, though stopped by {stop.reason}", stop.exit_status)


@dataclass(frozen=True)
class Show:
    """What of a run is shown, and kept to be shown later."""

    quiet: bool
    watch: bool
    snapshots: bool


def shown(
    show: Show, title: str, seen: Snapshots, display: Silent
) -> contextlib.AbstractContextManager[object]:
    """The page to watch the run on, if one is asked for."""
    if not show.watch:
        return contextlib.nullcontext()
    from mnistgpu.web.watch import WatchPage

    page = WatchPage(title, seen, display.note)
    display.note(f"watch     {page.address}")
    return page


def leave(sentence: str, exit_status: int) -> NoReturn:
    """Say how things stand, if anybody still listens, and end the program."""
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)
    raise SystemExit(exit_status)


def absolute(path: Path | None) -> str | None:
    """The path as it is known from any directory."""
    return None if path is None else str(path.absolute())


def command_from_settings(function: Callable[..., None]) -> Callable[..., None]:
    """A typer command whose flags are the fields of Settings, then the options of `function`.

    The function is given the settings that were, as a dict; an option of its own is annotated, one
    that commands share stands in RUN_OPTIONS. A flag that is not given stays None and leaves the
    setting as it is; the help shows that.
    """

    def command(**values: Any) -> None:
        names = [knob.name for knob in fields(Settings)]
        given = {name: values.pop(name) for name in names}
        changes = {name: value for name, value in given.items() if value is not None}
        function(changes, **values)

    parameters = []
    kinds = {"int": int, "float": float, "str": str, "bool": bool}
    defaults = Settings()
    panel = ""
    for knob in fields(Settings):
        panel = PANELS.get(knob.name, panel)
        default = getattr(defaults, knob.name)
        kind = kinds[str(knob.type).split(" | ")[0]]
        option = typer.Option(
            *(with_negation(flag) if kind is bool else flag for flag in flags_of(knob)),
            help=knob.metadata["help"],
            show_default=False if default is None else str(default),
            rich_help_panel=panel,
        )
        annotation: Any = Annotated[kind | None, option]
        parameters.append(
            inspect.Parameter(
                knob.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )
        )
    _changes, *options = inspect.signature(function, eval_str=True).parameters.values()
    for own in options:
        shared = own.default is inspect.Parameter.empty
        parameters.append(
            inspect.Parameter(
                own.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=DEFAULTS.get(own.name) if shared else own.default,
                annotation=Annotated[own.annotation, RUN_OPTIONS[own.name]]
                if shared
                else own.annotation,
            )
        )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = function.__doc__
    return command


def with_negation(flag: str) -> str:
    """--flag/--no-flag, so that a recipe's choice can be undone."""
    return f"{flag}/--no-{flag.removeprefix('--')}"


PANELS = {  # the setting with which each part of the help begins
    "layers": "Network",
    "iterations": "Run",
    "optimizer": "Optimiser",
    "label_smoothing": "Regularisation",
    "rotation": "Deformation",
}

RUN_OPTIONS = {
    "recipe": typer.Option(
        help="Named settings to start from; `mnistgpu recipes` lists them.", show_default="classic"
    ),
    "deform": typer.Option(
        help="Named deformations to start from: strong, or those of ciresan.", show_default="none"
    ),
    "data": typer.Option(
        help="IDX folder or file, Kaggle CSV or npz to train on.",
        show_default="the embedded MNIST",
    ),
    "backend": typer.Option(
        help="numpy, cupy, cupy:1 (second GPU) or auto.",
        show_default="MNISTGPU_BACKEND, or numpy",
    ),
    "out": typer.Option(help="Run directory.", show_default="runs/DATE-TIME"),
    "resume": typer.Option(
        help="Go on with the run in this directory, bit for bit as if it had never stopped; only "
        "--iterations or --epochs may be more than before."
    ),
    "checkpoint_every": typer.Option(
        help="How often to save what --resume needs: 60s, 5m, 1h, 2epochs or never."
    ),
    "force": typer.Option("--force", help="Replace the run in --out, once there is a newer one."),
    "quiet": typer.Option("--quiet", "-q", help="Print nothing but errors."),
    "watch": typer.Option("--watch", help="Show a page with curves, weights and some digits."),
    "snapshots": typer.Option(
        "--snapshots", help="Keep what `mnistgpu plot RUN --animate` needs (--watch does, too)."
    ),
}

DEFAULTS = {
    "checkpoint_every": "60s",
    "force": False,
    "quiet": False,
    "watch": False,
    "snapshots": False,
}

train_command = command_from_settings(run)


def main() -> None:
    """Entry point of `python -m mnistgpu.train`."""
    from mnistgpu.cli import run_app

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name="train")(train_command)
    run_app(app)


if __name__ == "__main__":
    main()
