"""`python -m mnistgpu.train`: train a network from the command line (also `mnistgpu train`)."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from mnistgpu.commands.app import run_app
from mnistgpu.commands.flags import (
    ALLOW_HOST,
    CHECKPOINT_EVERY,
    CONTEXT,
    DEFORM,
    RECIPE,
    BackendOption,
    VersionOption,
    command_from_settings,
    option,
)
from mnistgpu.commands.quick import QuickCommand
from mnistgpu.errors import UsageError

# What launchers tell the processes they start: mpich and Intel MPI, Open MPI, MVAPICH, Slurm's srun
RANK_COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


def train(
    changes: dict[str, Any],
    recipe: Annotated[str | None, RECIPE] = None,
    deform: Annotated[str | None, DEFORM] = None,
    settings: Annotated[
        Path | None,
        option(
            help="File of settings to begin with: settings.json of a run, or TOML such as "
            "alpha = 0.1. Flags win over it."
        ),
    ] = None,
    events: Annotated[
        Path | None,
        option(
            help="Repeat a run that was steered by hand: events.json of its directory, or changes "
            "of settings on the way in a file like it."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        option(
            help="Digits to train on: a folder of IDX files or of pictures, an IDX file, a CSV "
            "file such as Kaggle's, or an npz file.",
            default="the embedded MNIST",
        ),
    ] = None,
    backend: BackendOption = None,
    out: Annotated[Path | None, option(help="Run directory.", default="runs/DATE-TIME")] = None,
    resume: Annotated[
        Path | None,
        option(
            help="Continue the run in this directory, bit for bit as if it had never stopped; "
            "of its settings only --iterations or --epochs may change."
        ),
    ] = None,
    checkpoint_every: Annotated[str, CHECKPOINT_EVERY] = "60s",
    force: Annotated[
        bool, option("--force", help="Replace the run in --out when the new one is finished.")
    ] = False,
    quiet: Annotated[bool, option("--quiet", "-q", help="Print nothing but errors.")] = False,
    log: Annotated[
        Path | None, option(help="Append the lines of the run to this file; --quiet keeps them.")
    ] = None,
    watch: Annotated[
        bool,
        option("--watch", help="Open a page with curves, weights and some digits as they change."),
    ] = False,
    host: Annotated[str, option(help="Address of --watch.", default="127.0.0.1")] = "127.0.0.1",
    port: Annotated[int, option(help="Port of --watch.", default="any free one")] = 0,
    allow_host: Annotated[list[str] | None, ALLOW_HOST] = None,
    communicator: Annotated[
        str | None,
        option(
            help="What adds up the gradients of ranks, the processes that mpiexec or srun starts: "
            "mpi, nccl (between GPUs), or self for one rank.",
            default="nccl where each rank has a GPU, else mpi",
        ),
    ] = None,
    rank_timeout: Annotated[
        float | None,
        option(help="Seconds without a sign of life of a rank that end the job.", default="60"),
    ] = None,
    profile: Annotated[
        bool,
        option("--profile", help="Print which part of the time ranks compute, add up and wait."),
    ] = False,
    snapshots: Annotated[
        bool,
        option(
            "--snapshots",
            help="Keep what `mnistgpu plot RUN --animate` needs; --watch does that too.",
        ),
    ] = False,
    version: VersionOption = False,
) -> None:
    """Train a dense network on handwritten digits, and save it in a run directory.

    Without flags: the tutorial's network, 784-10-10 with full batches, on the embedded MNIST.
    """
    from mnistgpu.runs.signals import stop_on_signals
    from mnistgpu.runs.stop import Stop

    note = ""
    if settings is not None:
        if recipe is not None or resume is not None:
            other = "--recipe" if resume is None else "--resume"
            raise UsageError(f"--settings cannot be given with {other}: each has all settings")
        from mnistgpu.commands.settings_file import merged

        changes, note = merged(settings, deform, changes)
        deform = None  # merged into the changes
    if events is not None:
        from mnistgpu.api.given_events import for_command

        changes, data = for_command(events, resume, recipe, deform, changes, data)
        deform = None  # one of the changes, if they have it

    def shown() -> Any:
        if ranks is not None and ranks.rank > 0:
            return None  # rank 0 prints, also into the file of --log
        from mnistgpu.commands.training import display

        return display(quiet, log, note)

    stop = Stop()
    ranks = chosen_ranks(communicator, rank_timeout, profile)
    options: dict[str, Any] = {
        "ranks": ranks,
        "deform": deform,
        "events": events,
        "stop": stop,
        "checkpoint_every": checkpoint_every,
        "force": force,
        "snapshots": snapshots,
        "watch": {"host": host, "port": port, "allow_hosts": allow_host or ()} if watch else False,
    }
    with stop_on_signals(stop):
        if resume is None:
            begin(recipe, changes, data, backend, out, shown, quiet, options)
        else:
            from mnistgpu.api import fitting
            from mnistgpu.commands.training import carry_out

            del options["events"]  # the checkpoint has those of the run
            options |= {
                "backend": backend,
                "out": out,
                "progress": shown(),
                "recipe": recipe,
            }
            run = functools.partial(fitting.resume, resume, data, **options, **changes)
            carry_out(run, out or resume, stop)


def begin(
    recipe: str | None,
    changes: dict[str, Any],
    data: Path | None,
    backend: str | None,
    out: Path | None,
    shown: Callable[[], Any],
    quiet: bool,
    options: dict[str, Any],
) -> None:
    """Train a network: `mnistgpu.fit`, which gets the options, in a directory with its files.

    shown: makes what is printed, when the imports that it needs are done.
    """
    from mnistgpu.backend import select
    from mnistgpu.recipes import settings_of

    settings = settings_of(recipe, options["deform"], changes)
    if (ranks := options["ranks"]) is not None:
        begin_on_ranks(ranks, recipe, changes, data, out, shown, options | {"backend": backend})
        return
    chosen = select(backend)
    with ThreadPoolExecutor(1) as pool:  # reads and hashes the digits during the imports
        reading = pool.submit(dataset_for, settings.orientation, data, not quiet)
        # what `fit` would import itself, but later, when nothing is done beside it
        import numpy.ma  # noqa: F401
        import portalocker  # noqa: F401

        from mnistgpu.api import fitting
        from mnistgpu.commands.training import carry_out
        from mnistgpu.runs.run_directory import new_path, remove_unused

        dataset = reading.result()
    path = out or new_path()
    options |= {"backend": chosen, "out": path, "progress": shown(), "recipe": recipe}
    run = functools.partial(fitting.fit, dataset, **options, **changes)
    try:
        carry_out(run, path, options["stop"])
    finally:
        if out is None:
            remove_unused(path)


def begin_on_ranks(
    ranks: Any,
    recipe: str | None,
    changes: dict[str, Any],
    data: Path | None,
    out: Path | None,
    shown: Callable[[], Any],
    options: dict[str, Any],
) -> None:
    """As `begin`, on each of the ranks that share the run; rank 0 chooses the directory."""
    from mnistgpu.api import fitting
    from mnistgpu.commands.training import carry_out
    from mnistgpu.runs.run_directory import new_path, remove_unused

    path = out or ranks.first(new_path)
    options |= {"out": path, "progress": shown(), "recipe": recipe}
    run = functools.partial(fitting.fit, data, **options, **changes)
    try:
        carry_out(run, path, options["stop"])
    finally:
        if out is None and ranks.rank == 0:
            remove_unused(path)


def dataset_for(orientation: str, path: Path | None, bar: bool) -> Any:
    """The digits at a path (None: the embedded MNIST), hashed."""
    from mnistgpu.api import reading

    dataset = reading.load_data(path, orientation, bar=bar)
    _ = dataset.digest  # computed here, beside the imports
    return dataset


train_command = command_from_settings(train)


def main() -> None:
    """Entry point of `python -m mnistgpu.train`."""
    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, context_settings=CONTEXT
    )
    app.command("train", cls=QuickCommand)(train_command)
    start(app)


def start(app: typer.Typer, shared: Sequence[str] = ()) -> None:
    """Run a command line, on this process or as one of the ranks that were started together.

    shared: the subcommands that ranks can share, if the command line has any.
    """
    if ranks_started() > 1:
        from mnistgpu.interop import mpi

        mpi.run(functools.partial(run_app, app), shared)
    run_app(app)


def chosen_ranks(
    communicator: str | None = None, timeout: float | None = None, profile: bool = False
) -> Any:
    """The ranks that share the work, see `mpi.chosen`; None for one process, which loads no MPI.

    UsageError for flags that need ranks where there are none.
    """
    if ranks_started() == 1 and communicator is None and timeout is None and not profile:
        return None
    from mnistgpu.interop import mpi

    return mpi.chosen(communicator, timeout, profile)


def ranks_started() -> int:
    """How many processes mpiexec or srun has started together with this one; 1 without them."""
    counts = [os.environ[name] for name in RANK_COUNTS if name in os.environ]
    return max((int(count) for count in counts if count.isdigit()), default=1)


if __name__ == "__main__":
    main()
