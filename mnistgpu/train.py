"""`python -m mnistgpu.train`: train a network from the command line (also `mnistgpu train`)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from mnistgpu.commands.app import run_app
from mnistgpu.commands.flags import BACKEND, DEFORM, RECIPE, command_from_settings, option
from mnistgpu.commands.quick import QuickCommand
from mnistgpu.errors import UsageError


def train(
    changes: dict[str, Any],
    recipe: Annotated[str | None, RECIPE] = None,
    deform: Annotated[str | None, DEFORM] = None,
    data: Annotated[
        Path | None,
        option(
            help="Digits to train on: a folder of IDX files, an IDX file, a CSV file such as "
            "Kaggle's, or an npz file.",
            default="the embedded MNIST",
        ),
    ] = None,
    backend: Annotated[str | None, BACKEND] = None,
    out: Annotated[Path | None, option(help="Run directory.", default="runs/DATE-TIME")] = None,
    resume: Annotated[
        Path | None,
        option(
            help="Continue the run in this directory, bit for bit as if it had never stopped; "
            "of its settings only --iterations or --epochs may change."
        ),
    ] = None,
    checkpoint_every: Annotated[
        str,
        option(
            help="How often to save what --resume needs: a time (60s, 5m, 1h), a number of epochs "
            "(2epochs), or never.",
            default="60s",
        ),
    ] = "60s",
    force: Annotated[
        bool, option("--force", help="Replace the run in --out when the new one is finished.")
    ] = False,
    quiet: Annotated[bool, option("--quiet", "-q", help="Print nothing but errors.")] = False,
    watch: Annotated[
        bool,
        option("--watch", help="Open a page with curves, weights and some digits as they change."),
    ] = False,
    snapshots: Annotated[
        bool,
        option(
            "--snapshots",
            help="Keep what `mnistgpu plot RUN --animate` needs; --watch does that too.",
        ),
    ] = False,
) -> None:
    """Train a dense network on handwritten digits, and save it in a run directory.

    Without flags: the tutorial's network, 784-10-10 with full batches, on the embedded MNIST.
    """
    from mnistgpu.commands import beginning
    from mnistgpu.runs.signals import stop_on_signals
    from mnistgpu.runs.stop import Stop

    if out is not None and str(out) in ("", "."):
        raise UsageError("--out must name a directory of its own for the run, such as runs/first")
    if resume is not None and recipe is not None:
        raise UsageError(f"--recipe cannot be given with --resume: {resume} has its settings")
    if watch:
        from mnistgpu.web import server

        server.require_extra()  # before anything is begun
    keeping = (checkpoint_every, force, quiet, snapshots, page_to_watch if watch else None)
    stop = Stop()
    with stop_on_signals(stop):
        if resume is not None:
            from mnistgpu.commands import training

            changes, options = beginning.with_preset(deform, changes), training.Options(*keeping)
            training.go_on(resume, changes, data, backend, out, options, stop)
            return
        from mnistgpu.backend import select

        settings = beginning.settings_of(recipe, deform, changes)
        chosen = select(backend)
        with ThreadPoolExecutor(1) as pool:  # reads and hashes the digits during the imports
            reading = pool.submit(beginning.dataset_for, settings, data)
            from mnistgpu.commands import training

            options = training.Options(*keeping)
            dataset = reading.result()
        training.begin(settings, dataset, data, chosen, out, options, stop)


def page_to_watch(title: str, snapshots: Any, note: Any) -> Any:
    """The page of --watch, whose address is printed."""
    from mnistgpu.web.watch import WatchPage

    page = WatchPage(title, snapshots, note)
    note(f"watch     {page.address}")
    return page


train_command = command_from_settings(train)


def main() -> None:
    """Entry point of `python -m mnistgpu.train`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command("train", cls=QuickCommand)(train_command)
    run_app(app)


if __name__ == "__main__":
    main()
