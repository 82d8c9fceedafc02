"""The `mnistgpu` command: its subcommands and their flags; `commands/` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mnistgpu.commands import learning, pages
from mnistgpu.commands.flags import (
    CHECKPOINT_EVERY,
    CONTEXT,
    DEFORM,
    RECIPE,
    BackendOption,
    JsonOption,
    VersionOption,
    command_from_settings,
    option,
)
from mnistgpu.commands.making import make_data
from mnistgpu.commands.quick import QuickCommand
from mnistgpu.errors import UsageError
from mnistgpu.train import chosen_ranks, start, train_command

app = typer.Typer(
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings=CONTEXT,
    help="A dense neural network for handwritten digits, from scratch, on NumPy and CuPy.",
)
app.command("train", cls=QuickCommand)(train_command)
app.command()(make_data)

RunArgument = Annotated[
    Path, typer.Argument(help='Run directory, model file, or "shipped": the package\'s model.')
]
DATA = "Digits: a folder of files or of pictures, or an IDX, CSV or npz file."
DataOption = Annotated[
    Path | None,
    option("--data", help=DATA, default="the test part of what the run was trained on"),
]
TrainingDataOption = Annotated[
    Path | None, option("--data", help=DATA, default="the embedded MNIST")
]


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(help="Directory of a run with --precision exact.")],
    steps: Annotated[
        int | None, option(min=1, help="Only the first so many steps.", default="all")
    ] = None,
    data: DataOption = None,
    backend: BackendOption = None,
    quiet: Annotated[bool, option("--quiet", help="Print the result alone.")] = False,
    version: VersionOption = False,
) -> None:
    """Train an exact run again, here, and say whether its digest is the same.

    Exit status 0 if it is, 1 if it is not. Nothing in the run's directory is changed.
    """
    from mnistgpu.commands import training

    if not training.verify(run, steps, data, backend, quiet):
        raise typer.Exit(1)


@app.command()
def evaluate(
    run: RunArgument,
    data: DataOption = None,
    report: Annotated[
        Path | None,
        option(
            help="Where to write the page (HTML).",
            default="report.html in the run directory, or in the current one for a model file",
        ),
    ] = None,
    backend: BackendOption = None,
    json: JsonOption = False,
    version: VersionOption = False,
) -> None:
    """Measure a trained network on labelled digits: accuracy, calibration, robustness, mistakes.

    Prints tables, and writes a page with all of it and the pictures of the worst mistakes. Without
    --data the digits are the test part of what the run was trained on, or the images that it held
    out for validation.
    """
    from mnistgpu.commands import judging
    from mnistgpu.storage.terminal import command_line

    judging.evaluate(run, data, report, backend, json, command_line())


@app.command()
def predict(
    run: RunArgument,
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Pictures (PNG, JPEG, WebP, ...), folders of them, or digits as CSV, IDX or npz."
        ),
    ],
    many: Annotated[
        bool, option("--many", help="Read several digits in a picture, line by line.")
    ] = False,
    as_is: Annotated[
        bool, option("--as-is", help="Use pictures unchanged: they look like the network's data.")
    ] = False,
    explain: Annotated[
        Path | None, option(help="Draw (PNG) which pixels were evidence for each answer.")
    ] = None,
    json: JsonOption = False,
    backend: BackendOption = None,
    version: VersionOption = False,
) -> None:
    """Say which digit each image shows, with its probability and the runner-up.

    If a file cannot be read, an error is printed and the others are still read.
    """
    from mnistgpu.commands import answering

    if not answering.predict(run, images, many, as_is, explain, json, backend):
        raise typer.Exit(1)


@app.command()
def submit(
    run: RunArgument,
    test: Annotated[Path, typer.Argument(help="Kaggle's test.csv.")],
    out: Annotated[
        Path, option(help="The file to send to Kaggle.", default="submission.csv")
    ] = Path("submission.csv"),
    force: Annotated[bool, option("--force", help="Replace an older submission.")] = False,
    backend: BackendOption = None,
    version: VersionOption = False,
) -> None:
    """Write a submission to Kaggle's "Digit Recognizer", or a competition of the same form.

    Its columns and ids are those of sample_submission.csv beside test.csv or of the id column of
    test.csv, else ImageId,Label and 1, 2, 3, ...
    """
    from mnistgpu.commands import answering

    answering.submit(run, test, out, force, backend)


pages.add_to(app)


@app.command()
def plot(
    run: Annotated[Path, typer.Argument(help="Run directory, with the history of a run.")],
    data: DataOption = None,
    out: Annotated[
        Path | None, option(help="The picture.", default="report.png in the run directory")
    ] = None,
    deformations: Annotated[
        bool, option("--deformations", help="Draw deformations.png instead.")
    ] = False,
    animate: Annotated[
        bool,
        option(
            "--animate", help="Draw training.gif instead, from a run with --snapshots or --watch."
        ),
    ] = False,
    version: VersionOption = False,
) -> None:
    """Draw the report of a run again: curves, confusion, predictions, first-layer weights.

    With --deformations: some digits, deformed as the run deformed them. With --animate: an animated
    picture of the run.
    """
    from mnistgpu.api import studies

    if animate and deformations:
        raise UsageError("give --animate or --deformations, one of them")
    kind = "animation" if animate else "deformations" if deformations else "report"
    print(studies.plot(run, data, kind=kind, out=out))


@app.command()
def runs(
    folder: Annotated[
        Path, typer.Argument(help="Folder that holds run directories.", show_default=False)
    ] = Path("runs"),
    json: JsonOption = False,
    version: VersionOption = False,
) -> None:
    """List the runs in a folder (runs/ without one), the most accurate first.

    Shows the settings in which they differ, accuracy, seconds, and how far an unfinished one is.
    """
    from mnistgpu.commands import listing

    if not listing.show(folder, json):
        raise typer.Exit(1)


@app.command()
def recipes(json: JsonOption = False, version: VersionOption = False) -> None:
    """List the named recipes, with the purpose of each and the accuracy to expect."""
    from mnistgpu.commands import describing

    describing.recipes(json)


def lr_find(
    changes: dict[str, Any],
    recipe: Annotated[str | None, RECIPE] = None,
    deform: Annotated[str | None, DEFORM] = None,
    data: TrainingDataOption = None,
    backend: BackendOption = None,
    steps: Annotated[int, option(min=10, help="Steps of the search.", default="100")] = 100,
    out: Annotated[Path, option(help="The picture (PNG).", default="learning-rates.png")] = Path(
        "learning-rates.png"
    ),
    force: Annotated[bool, option("--force", help="Replace an existing picture.")] = False,
    version: VersionOption = False,
) -> None:
    """Find a good learning rate: train while it grows, suggest one, and draw the losses.

    Takes the settings of `train`, but ignores the length of a run and the schedule of its rate.
    """
    from mnistgpu.api import studies

    curve = studies.lr_find(
        data,
        recipe=recipe,
        deform=deform,
        backend=backend,
        steps=steps,
        out=out,
        force=force,
        **changes,
    )
    print(f"suggested --alpha {curve.suggestion:.2g}; the curve is in {out}")


app.command("lr-find")(command_from_settings(lr_find))


def sweep(
    lists: dict[str, str],
    out: Annotated[
        Path, option(help="Directory for the runs, each in a directory named by what differs.")
    ],
    recipe: Annotated[str | None, RECIPE] = None,
    deform: Annotated[str | None, DEFORM] = None,
    data: TrainingDataOption = None,
    backend: BackendOption = None,
    checkpoint_every: Annotated[str, CHECKPOINT_EVERY] = "60s",
    yes: Annotated[bool, option("--yes", help="Train more than 1,000 runs.")] = False,
    version: VersionOption = False,
) -> None:
    """Train a run for each combination of lists of settings: --alpha 0.1,0.5 --seed 0,1,2.

    Each flag of a setting takes values with commas between them (yes and no for a switch, none for
    no value). A line is printed for each finished run. Ctrl-C saves the current run; the same
    command goes on with it, and does not train finished ones again. Under mpiexec each rank trains
    its share of the runs, each of them alone.
    """
    from mnistgpu.commands import sweeping

    ranks = chosen_ranks()
    if not sweeping.sweep(lists, recipe, deform, data, backend, out, checkpoint_every, yes, ranks):
        raise typer.Exit(1)


app.command("sweep", cls=QuickCommand)(command_from_settings(sweep, lists=True))


@app.command()
def doctor(
    backend: BackendOption = None, json: JsonOption = False, version: VersionOption = False
) -> None:
    """Check this machine: versions, devices, gradients, agreement of backends, speed."""
    from mnistgpu.commands import doctor as checks

    if not checks.print_findings(backend, json):
        raise typer.Exit(1)


@app.command()
def committee(
    runs: Annotated[list[Path], typer.Argument(help="Run directories or model files.")],
    out: Annotated[Path, option(help="Directory to save the committee in.")],
    maps: Annotated[
        int,
        option(min=0, max=1024, help="Average over this many deformed copies.", default="0"),
    ] = 0,
    data: DataOption = None,
    backend: BackendOption = None,
    force: Annotated[bool, option("--force", help="Replace a committee in --out.")] = False,
    version: VersionOption = False,
) -> None:
    """Average the probabilities of several trained networks; save and evaluate this committee."""
    from mnistgpu.commands import judging

    judging.committee(runs, out, maps, data, backend, force)


@app.command()
def export(
    run: RunArgument,
    path: Annotated[
        Path,
        typer.Argument(help="File that ends in .onnx, .npz, .json, .h or .html; or a folder."),
    ],
    hub: Annotated[
        bool, option("--hub", help="Write a folder as the Hugging Face Hub has it.")
    ] = False,
    input: Annotated[
        str | None,
        option(
            help="Of .onnx: uint8, for images as those of the training, or float, from 0 to 1.",
            default="uint8",
        ),
    ] = None,
    data: DataOption = None,
    force: Annotated[bool, option("--force", help="Replace an older export.")] = False,
    version: VersionOption = False,
) -> None:
    """Write a trained network for other programs: ONNX, arrays, C, a page, a folder for the Hub.

    An .html file is a page on which one draws a digit and which answers without internet. With
    --hub, --data is what the accuracy in the model card is measured on.
    """
    from mnistgpu.commands import exporting

    exporting.export(run, path, hub, input, data, force)


@app.command()
def compare(
    first: RunArgument,
    second: RunArgument,
    data: DataOption = None,
    backend: BackendOption = None,
    json: JsonOption = False,
    version: VersionOption = False,
) -> None:
    """Compare two networks on the same images: is the difference significant? McNemar's test."""
    from mnistgpu.commands import judging

    judging.compare(first, second, data, backend, json)


learning.add_to(app)


@app.callback()
def root(version: VersionOption = False) -> None:
    """A dense neural network for handwritten digits, from scratch, on NumPy and CuPy."""


def main() -> None:
    """Entry point of the `mnistgpu` command."""
    start(app, shared=("train", "sweep"))


if __name__ == "__main__":
    main()
