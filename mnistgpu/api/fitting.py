"""Train a network (`fit`), or go on with a run that was stopped (`resume`)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistgpu import backend as backends
from mnistgpu.api import run as runs_of
from mnistgpu.api import teaching
from mnistgpu.api.given_events import events_of, introduced, with_settings_of
from mnistgpu.api.inputs import (
    AnyPath,
    backend_of,
    check_callers,
    check_switches,
    data_of_run,
    directory_of,
    settings_and_data,
    start_of,
    with_validation,
)
from mnistgpu.api.job import (
    Job,
    check_alike,
    check_shared,
    check_steered,
    described,
    device_of,
    display_of,
    in_front,
    new_directory,
    ranks_of,
)
from mnistgpu.api.run import Run
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset
from mnistgpu.engine.stepping import check_backend
from mnistgpu.errors import UsageError
from mnistgpu.models.model import Model
from mnistgpu.recipes import with_preset
from mnistgpu.runs import checkpoint, checks, run_directory
from mnistgpu.runs import resume as resuming
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.checkpointing import Checkpointing, parse_every
from mnistgpu.runs.progress import Display
from mnistgpu.runs.steering import Steering
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings, renamed
from mnistgpu.storage import files

if TYPE_CHECKING:
    from mnistgpu.interop.mpi_ranks import Ranks


def fit(
    X: Any = None,
    y: Any = None,
    *,
    recipe: str | None = None,
    deform: str | None = None,
    test: Any = None,
    validation: Any = None,
    sample_weight: Any = None,
    unlabeled: Any = None,
    teacher: Any = None,
    backend: str | Backend | None = None,
    out: AnyPath | None = None,
    progress: bool | Display | None = None,
    callbacks: Sequence[Callback] = (),
    stop: Stop | None = None,
    on_interrupt: str | None = None,
    checkpoint_every: str = "60s",
    force: bool = False,
    snapshots: bool = False,
    watch: bool | Mapping[str, Any] = False,
    ranks: str | Ranks | None = None,
    events: AnyPath | Sequence[Any] | None = None,
    steering: Steering | None = None,
    **settings: Any,
) -> Run:
    """Train a network, evaluate it once on the test images, and return the run.

    X, y: images (N, pixels), (N, H, W) or with colours, of any numeric type, and labels (N,),
        numbers or names, in arrays of any library, lists or tables, see `data.arrays`; or X alone
        is a path (a folder of IDX files, an IDX, CSV or npz file) or a Dataset. Without them: the
        embedded MNIST. Of 100 images or more the grey levels are recognised: what is brightest is
        ink, or paper where most pixels are bright.
    recipe: named settings to begin with, see `mnistgpu.RECIPES`; "classic" by default.
    deform: named deformations to begin with: "strong" or "ciresan".
    test: a pair (images, labels) to evaluate the trained network on.
    validation: how many training images to hold out, or which share of them, or a pair (images,
        labels). By default as many as the recipe says, but at most a tenth.
    sample_weight: how much each training image counts, (N,) of at least 0: losses are a weighted
        mean, divided by the sum of the weights of the batch. Times the weights of `class_weight`.
    unlabeled: images without labels, to learn from by `consistency`, `denoising`, `adversarial` or
        `information`: an array as X, Digits, or a path. An epoch is a pass through them; each step
        has labelled images besides.
    teacher: a network or committee (Model, Run or path) whose answers are learnt in place of the
        labels, see `distill`.
    backend: "numpy", "cupy", "cupy:1" or "auto"; by default what MNISTGPU_BACKEND says, or NumPy.
    out: the directory to save the run in. Without it nothing is written.
    progress: True prints what the command line prints (a bar on a terminal, else lines), False
        nothing; by default True on a terminal. Where nothing is printed, warnings go to `warnings`.
    callbacks: called for each step and row of history, see `mnistgpu.Callback`.
    stop: lets another thread end the run, see `mnistgpu.Stop`.
    on_interrupt: what Ctrl-C or a notebook's stop button does, after the step: "raise" raises
        KeyboardInterrupt, "return" returns the run with what was learnt and `run.stopped` True. By
        default a notebook returns, and a script raises, so that its loop over settings ends.
    checkpoint_every, force, snapshots: as the flags of `mnistgpu train`; they need `out`.
    watch: open a page that shows the network while it learns; needs the extra `web`. Instead of
        True a dictionary may say where: {"host": "0.0.0.0", "port": 8029, "allow_hosts": [...]}.
    ranks: shares every step with the other processes that mpiexec has started, which must make the
        same call; "mpi", or "self" for this process alone. Rank 0 alone writes and prints.
    events: changes of settings on the way, which repeat a run that was steered by hand: the path of
        its events.json, or a list such as [{"step": 120, "name": "learning_rate", "new": 0.1}].
        Without other settings and data, those that the file names are meant.
    steering: lets another thread change the run on the way, see `mnistgpu.Steering`.
    settings: any field of `mnistgpu.Settings`, such as layers="784-64-10", epochs=5, alpha=0.1.
        Without layers, the first and the last layer of the recipe follow the data. from_run may
        also be a Model or a Run: the network to begin with, of which `freeze` layers stay.

    With `out`, Ctrl-C saves the run before KeyboardInterrupt is raised; `resume` goes on with it.
    Outside the main thread of a program (also in the workers of joblib and process pools) no signal
    is handled and no process is started.

    Raises UsageError for a wrong call, DataError for data that cannot be used, BackendError if the
    backend cannot compute here, RunError (DivergedError, OutOfMemoryError) if the run fails.
    """
    check_switches(force=force, snapshots=snapshots)
    check_callers(callbacks, stop, steering)
    check_watch(watch)
    if snapshots and out is None:
        raise UsageError("snapshots are kept in the directory of the run: give out as well")
    shared = ranks_of(ranks)
    every, display = parse_every(checkpoint_every), display_of(progress, shared)
    check_steered(steering, shared)
    given = in_front(shared, lambda: events_of(events))
    if teacher is not None:
        settings = {**settings, "teacher": in_front(shared, lambda: teaching.setting_of(teacher))}
    if given.settings is not None:
        settings = with_settings_of(given, recipe, deform, settings)
    if X is None and y is None:
        X = given.data_path
    start = in_front(shared, lambda: start_of(renamed(settings).get("from_run")))
    if start is not None:
        settings = {**renamed(settings), "from_run": start}
    same = settings | {"recipe": recipe, "deform": deform, "from_run": start and start.name}
    same |= {"unlabeled": None if unlabeled is None else described(unlabeled)}
    check_alike(shared, X, y, settings=same, backends=getattr(backend, "name", backend))
    bar = display.shows_bars
    made, dataset = in_front(
        shared,
        lambda: settings_and_data(
            X, y, recipe, deform, settings, test, validation, bar, sample_weight, unlabeled
        ),
    )
    chosen = backend_of(device_of(shared, backend))
    checks.check_fit(made, dataset)
    check_backend(made, chosen)
    check_shared(made, chosen, shared)
    teachers = taught_by(made, dataset, teacher, shared)
    machine = checkpoint.machine(chosen, None if shared is None else shared.size)
    changes = given.events(made, dataset, machine)
    parameters = None if start is None else start.parameters(made, dataset)
    notes = [] if start is None else [start.line(made)]
    notes += introduced(given, changes, machine)
    job = Job(
        made,
        dataset,
        chosen,
        display,
        callbacks,
        stop,
        on_interrupt,
        snapshots,
        watch,
        shared,
        start=parameters,
        teachers=teachers,
        events=changes,
        steering=steering,
    )
    if out is None:
        return job.run(notes=notes)
    path = directory_of(out)
    with contextlib.ExitStack() as held:
        in_front(shared, lambda: new_directory(held, path, made, dataset, force))
        saving = Checkpointing(path, dataset.path, dataset.digest, every)
        done = job.run(path, saving, notes=notes)
    return replace(done, go_on=partial(resume, path, dataset))


def resume(
    run: AnyPath,
    X: Any = None,
    y: Any = None,
    *,
    deform: str | None = None,
    test: Any = None,
    validation: Any = None,
    sample_weight: Any = None,
    unlabeled: Any = None,
    teacher: Any = None,
    backend: str | Backend | None = None,
    out: AnyPath | None = None,
    progress: bool | Display | None = None,
    callbacks: Sequence[Callback] = (),
    stop: Stop | None = None,
    on_interrupt: str | None = None,
    checkpoint_every: str = "60s",
    force: bool = False,
    snapshots: bool = False,
    watch: bool | Mapping[str, Any] = False,
    ranks: str | Ranks | None = None,
    steering: Steering | None = None,
    **settings: Any,
) -> Run:
    """Go on with the run in a directory, bit for bit as if it had never stopped.

    run: the directory. X, y, test, validation, sample_weight, unlabeled: the data of the run, if it
        was begun with arrays; otherwise they are read from where they were. teacher: the network
        whose answers it learns, likewise. Of the settings only `iterations` or `epochs` may change.
        out: another directory to go on in. The rest is as for `fit`, and the backend is that of the
        run by default.

    Raises what `fit` raises, and DataError if there is no checkpoint or the data are not the same.
    """
    if settings.pop("recipe", None) is not None:
        raise UsageError(f"--recipe cannot be given with --resume: {run} has its settings")
    check_switches(force=force, snapshots=snapshots)
    check_callers(callbacks, stop, steering)
    check_watch(watch)
    shared = ranks_of(ranks)
    every, display = parse_every(checkpoint_every), display_of(progress, shared)
    check_steered(steering, shared)
    changes, pair = with_validation(with_preset(deform, settings), validation)
    directory = files.path_of(run, "run")
    path = directory if out is None else directory_of(out)
    check_alike(shared, X, y, settings=settings, runs=str(directory))
    with contextlib.ExitStack() as held:
        saved, in_place = in_front(shared, lambda: begun_run(held, directory, path))
        made = resuming.changed_settings(saved, renamed(changes), str(directory))
        variable = os.environ.get(backends.ENVIRONMENT_VARIABLE)
        if in_place and in_front(shared, lambda: finished_already(path, saved, made, force)):
            display.note(f"{path}: finished, after iteration {saved.taken:,}; nothing to do")
            return runs_of.read(path, backend_of(backend), partial(resume, path, X, y))
        named = backend or variable or saved.machine.get("backend")
        chosen = backend_of(device_of(shared, named))
        check_backend(made, chosen)
        check_shared(made, chosen, shared)
        bar = display.shows_bars
        dataset = in_front(
            shared,
            lambda: data_of_run(saved, directory, X, y, test, pair, bar, sample_weight, unlabeled),
        )
        if not in_place:
            in_front(shared, lambda: new_directory(held, path, made, dataset, force))
        saving = Checkpointing(path, dataset.path, dataset.digest, every, saved.taken)
        notes = [f"resumed   {directory}, after iteration {saved.taken:,}"]
        here = checkpoint.machine(chosen, None if shared is None else shared.size)
        if here != saved.machine and made.is_exact:
            notes.append("rounding  none that depends on the machine: the digest stays the same")
        elif here != saved.machine:
            then, now = (", ".join(facts.values()) for facts in (saved.machine, here))
            notes.append(f"rounding  from here on as on {now}; the run was begun on {then}")
        job = Job(
            made,
            dataset,
            chosen,
            display,
            callbacks,
            stop,
            on_interrupt,
            snapshots,
            watch,
            shared,
            teachers=taught_by(made, dataset, teacher, shared),
            steering=steering,
        )
        done = job.run(path, saving, saved, notes)
    return replace(done, go_on=partial(resume, path, dataset))


def taught_by(
    settings: Settings, dataset: Dataset, given: Any, ranks: Ranks | None
) -> tuple[Model, ...]:
    """The networks whose answers a run with these settings learns; none without a teacher."""
    if settings.teacher is None:
        if given is not None:
            raise UsageError(
                "--teacher: the run was begun without one, and its steps so far would have been "
                "others; train anew, or leave --teacher out"
            )
        return ()
    where = settings.teacher
    teachers = in_front(ranks, lambda: teaching.teachers_of(where, given))
    teaching.check(teachers, settings, dataset)
    return teachers


def begun_run(
    held: contextlib.ExitStack, directory: Path, path: Path
) -> tuple[checkpoint.Checkpoint, bool]:
    """The checkpoint of a run, and whether it goes on where it is; then its directory is locked."""
    checkpoint.find(directory)
    in_place = os.path.exists(path) and os.path.samefile(path, directory)
    if in_place:
        held.enter_context(run_directory.writing(path))
    return checkpoint.load(directory), in_place


def finished_already(
    path: Path, saved: checkpoint.Checkpoint, settings: Settings, force: bool
) -> bool:
    """Whether the run in its directory is finished and whole, so that nothing is left to do.

    UsageError if it is finished and would be replaced by a longer one without `force`.
    """
    if not saved.progress.finished:
        return False
    if not run_directory.is_finished(path, saved.settings, saved.data_digest):
        return False
    if settings != saved.settings and not force:
        raise UsageError(
            f"--resume {path}: a finished run is there; give --out another directory "
            "for the longer run, or --force to replace this one once that is finished"
        )
    return settings == saved.settings and run_directory.is_whole(path)


def check_watch(watch: bool | Mapping[str, Any]) -> None:
    """UsageError for a wrong value; RunError if what the page needs is not installed."""
    names = ("host", "port", "allow_hosts")
    if not isinstance(watch, Mapping):
        check_switches(watch=watch)
    elif unknown := [name for name in watch if name not in names]:
        raise UsageError(f"watch: {unknown[0]!r} is none of {', '.join(names)}")
    if watch:
        from mnistgpu.web import server

        server.require_extra()
