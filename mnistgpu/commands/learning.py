"""`mnistgpu distill`, `suggest` and `tune`: their flags, and what they print."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any

import typer

from mnistgpu.commands.flags import (
    CHECKPOINT_EVERY,
    BackendOption,
    VersionOption,
    command_from_settings,
    option,
)
from mnistgpu.commands.quick import QuickCommand
from mnistgpu.errors import printable

RECIPE_HELP = "Named settings to begin with; `mnistgpu recipes` describes them."
NOT_SEARCHED = (
    "iterations",
    "epochs",
    "early_stopping",
    "teacher",
    "unlabeled",
    "from_run",
    "freeze",
)


def distill(
    changes: dict[str, Any],
    network: Annotated[
        Path,
        typer.Argument(help="Directory of a committee or a run, or a model file: the teacher."),
    ],
    out: Annotated[Path | None, option(help="Run directory.", default="runs/DATE-TIME")] = None,
    data: Annotated[
        Path | None,
        option(help="Images to learn on.", default="those that the teacher was trained on"),
    ] = None,
    recipe: Annotated[
        str | None, option(help=RECIPE_HELP, default="the training of the first member")
    ] = None,
    backend: BackendOption = None,
    checkpoint_every: Annotated[str, CHECKPOINT_EVERY] = "60s",
    force: Annotated[
        bool, option("--force", help="Replace the run in --out when the new one is finished.")
    ] = False,
    quiet: Annotated[bool, option("--quiet", "-q", help="Print nothing but errors.")] = False,
    version: VersionOption = False,
) -> None:
    """Train one plain network on the answers of a committee: one network to deploy, as good.

    Settings that are not given are those of the first member's training, or of --recipe. The labels
    serve for the accuracies alone. `mnistgpu train --resume` goes on with a run that was stopped.
    """
    from mnistgpu.api.distilling import distill as function
    from mnistgpu.commands.training import carry_out, display
    from mnistgpu.runs.run_directory import new_path, remove_unused
    from mnistgpu.runs.signals import stop_on_signals
    from mnistgpu.runs.stop import Stop

    stop, path = Stop(), out or new_path()
    options: dict[str, Any] = {
        "recipe": recipe,
        "backend": backend,
        "out": path,
        "checkpoint_every": checkpoint_every,
        "force": force,
        "progress": display(quiet, None),
        "stop": stop,
    }
    with stop_on_signals(stop):
        try:
            carry_out(functools.partial(function, network, data, **options, **changes), path, stop)
        finally:
            if out is None:
                remove_unused(path)


def suggest(
    run: Annotated[
        Path,
        typer.Argument(help='Run directory, model file, or "shipped": what is to improve.'),
    ],
    images: Annotated[
        Path, typer.Argument(help="Images without labels: a folder or file as --data takes.")
    ],
    count: Annotated[int, option(help="How many images.", default="50")] = 50,
    out: Annotated[
        Path, option(help="Folder for the table and the sheet of pictures.", default="suggestions")
    ] = Path("suggestions"),
    seed: Annotated[int, option(help="Seed of the draw.", default="0")] = 0,
    force: Annotated[bool, option("--force", help="Replace an older table and sheet.")] = False,
    backend: BackendOption = None,
    version: VersionOption = False,
) -> None:
    """Name the images whose labels would help a network most, to be labelled by hand.

    suggestions.png shows them with their ids; suggestions.csv has an empty label for each. Once the
    labels are filled in, --data takes that table.
    """
    from mnistgpu.api.suggesting import suggest as function

    found = function(run, images, count=count, seed=seed, out=out, force=force, backend=backend)
    for name, answer, share in zip(found.ids, found.answers, found.probabilities, strict=True):
        print(printable(f"{name}: {answer}? {share:.0%}"))
    print(f"the pictures are in {found.sheet}; fill in the labels in {found.table}")


def tune(
    changes: dict[str, Any],
    minutes: Annotated[float, option(help="How long the search may take.")],
    out: Annotated[Path, option(help="Directory of the search.", default="tuned")] = Path("tuned"),
    recipe: Annotated[str, option(help=RECIPE_HELP, default="fast")] = "fast",
    data: Annotated[
        Path | None,
        option(help="Digits to train on, as for `train`.", default="the embedded MNIST"),
    ] = None,
    backend: BackendOption = None,
    version: VersionOption = False,
) -> None:
    """Search good settings on held-out images: rate, width, noise, deformations yes or no.

    Many candidates are trained for a few epochs and the best third of them for three times as many,
    until one is left. A setting whose flag is given is not searched. Ctrl-C ends the search, and
    the same command goes on with it. It ends with a table and a file for `train --settings`.
    """
    from mnistgpu.commands.tuning import tune as function

    seed = changes.pop("seed", 0)
    function(changes, minutes, out, recipe, data, backend, seed)


def add_to(app: typer.Typer) -> None:
    """Add the commands to those of `mnistgpu`."""
    distilling = command_from_settings(distill, hidden=("teacher", "unlabeled"))
    app.command("distill", cls=QuickCommand)(distilling)
    app.command("suggest")(suggest)
    tuning = command_from_settings(tune, hidden=NOT_SEARCHED)
    app.command("tune", cls=QuickCommand)(tuning)
