"""The `mnistgpu` command and its subcommands."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnistgpu import __version__
from mnistgpu.errors import DataError, MnistGpuError, UsageError
from mnistgpu.storage import files
from mnistgpu.train import command_from_settings, train_command

if TYPE_CHECKING:
    from mnistgpu.backend import Backend
    from mnistgpu.data import Digits
    from mnistgpu.models.committee import Committee
    from mnistgpu.models.model import Model

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="A dense neural network for handwritten digits, from scratch, on NumPy and CuPy.",
)
app.command("train")(train_command)

RunArgument = Annotated[
    Path,
    typer.Argument(
        help='Run directory, a model.safetensors, or "shipped" for the model of the package.'
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        help="numpy, cupy, cupy:1 or auto.",
        show_default="MNISTGPU_BACKEND, or numpy",
    ),
]


DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Folder, IDX, CSV or npz of digits.", show_default="the embedded MNIST"
    ),
]


@app.command()
def evaluate(
    run: RunArgument,
    data: DataOption = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="The page with everything.",
            show_default="report.html in the run, or here for a file",
        ),
    ] = None,
    backend: BackendOption = None,
) -> None:
    """Measure a trained network on labelled digits: how right, how sure, how robust, where wrong.

    Prints tables, and writes a page with all of it and the pictures of the worst mistakes.
    """
    import shlex

    from mnistgpu import backend as backends
    from mnistgpu.reports import evaluation, html_report

    path = report or (run if run.is_dir() else Path()) / "report.html"
    files.check_ours("--report", path, ".html", html_report.MARK)
    trained = load(run)
    digits = labelled_digits(data, trained.sizes[-1])
    found = evaluation.evaluate(trained, digits, backends.select(backend))
    evaluation.print_lines(found)
    command = shlex.join(["mnistgpu", *sys.argv[1:]])
    files.replace_bytes(path, html_report.page(found, trained, str(run), command).encode())
    print(f"report in {path}")


@app.command()
def predict(
    run: RunArgument,
    images: Annotated[
        list[Path],
        typer.Argument(help="Pictures (PNG, JPEG, WebP, ...), or digits as CSV, IDX or npz."),
    ],
    many: Annotated[
        bool, typer.Option("--many", help="Read several digits in a picture, left to right.")
    ] = False,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="The pictures already look like the network's data.")
    ] = False,
    explain: Annotated[
        Path | None, typer.Option(help="Write a picture (PNG) of what spoke for each answer.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    backend: BackendOption = None,
) -> None:
    """Say which digit each image shows, with its probability and the runner-up.

    A file that cannot be read is said so, after which the others are read all the same.
    """
    from mnistgpu import backend as backends
    from mnistgpu.pictures import answers

    if explain is not None:
        from mnistgpu.reports import plots

        files.check_ours("--explain", explain, ".png", plots.MARK)
    trained, chosen = load(run), backends.select(backend)
    given: list[answers.Answer] = []
    failed = False
    for path in images:
        try:
            given += answers.answers(trained, [path], chosen, many, as_is)
        except DataError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
    if explain is not None and given:
        from mnistgpu.pictures import explain as explanation

        shown = given[: explanation.MOST]
        plots.save(explanation.figure(trained, shown), explain)
        if len(shown) < len(given):
            print(f"note: {explain} has the first {len(shown)} of {len(given)}", file=sys.stderr)
    if json:
        print(answers.as_json(given))
    else:
        for answer in given:
            print(answer.sentence())
    if failed:
        raise typer.Exit(1)


@app.command()
def submit(
    run: RunArgument,
    test: Annotated[Path, typer.Argument(help="Kaggle's test.csv.")],
    out: Annotated[Path, typer.Option(help="The file to send in.")] = Path("submission.csv"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    backend: BackendOption = None,
) -> None:
    """Write a submission to Kaggle's "Digit Recognizer": ImageId,Label for every image."""
    from mnistgpu import backend as backends
    from mnistgpu import data
    from mnistgpu.reports import submission

    trained = load(run)
    if out.exists() and not force:  # before the work, not after it
        raise UsageError(f"--out {out}: the file exists; choose another or add --force")
    files.check_folder("--out", out)
    submission.check_apart(out, (run, test))
    digits = data.load_digits(test, trained.sizes[-1])
    if digits.labels is not None:
        print(f"note: {test} has labels, unlike Kaggle's; nobody looks at them", file=sys.stderr)
    submission.write(out, trained.predict(digits.images, backends.select(backend)), force)
    print(f"{len(digits):,} answers in {out}")


@app.command()
def draw(
    run: Annotated[
        Path,
        typer.Argument(help="Run directory or model.", show_default="the model of the package"),
    ] = Path("shipped"),
    keep: Annotated[
        Path | None,
        typer.Option(help="Folder to keep corrected drawings in; train on it with --data."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to serve on; others than this machine's can reach it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port, or 0 for any free one.")] = 8028,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Draw digits in a browser and see what the network makes of them, until Ctrl-C."""
    from mnistgpu.web import server

    server.require_extra()
    from mnistgpu.web import draw as drawing
    from mnistgpu.web.keep import Kept

    trained = load(run)
    kept = None if keep is None else Kept(keep, trained.image_shape, trained.sizes[-1])
    bound = server.listen(host, port)
    local = server.is_loopback(bound)
    address = server.address_of(bound)
    print(f"draw at {address} (Ctrl-C ends it)", flush=True)
    for other in server.addresses_for_others(bound):
        print(f"from a phone or another machine in the same network: {other}", flush=True)
    if not local:
        print("note: other machines can reach this page, and it asks for no password", flush=True)
    if browser:
        server.open_browser(address)
    name = "the model of the package" if str(run) == "shipped" else str(run)
    server.serve(drawing.make_app(trained, name, kept, local, host), bound)


@app.command()
def plot(
    run: Annotated[Path, typer.Argument(help="Run directory, with the history of a run.")],
    data: DataOption = None,
    out: Annotated[
        Path | None, typer.Option(help="The picture.", show_default="report.png in the run")
    ] = None,
    deformations: Annotated[
        bool, typer.Option("--deformations", help="Draw deformed digits instead.")
    ] = False,
    animate: Annotated[
        bool,
        typer.Option(
            "--animate", help="Draw training.gif instead, from a run with --snapshots or --watch."
        ),
    ] = False,
) -> None:
    """Draw the report of a run again: curves, confusion, predictions, first-layer weights.

    With --deformations: some digits, deformed as the run deformed them. With --animate: the run as
    it went, an animated picture.
    """
    if animate and deformations:
        raise UsageError("give --animate or --deformations, one of them")
    if not run.is_dir():
        raise UsageError(f"{run}: plot needs a run directory, as `mnistgpu train` leaves it")
    if out is not None:
        files.check_folder("--out", out)
    if animate:
        animate_run(run, out or run / "training.gif")
        return
    from mnistgpu import data as readers
    from mnistgpu.models import model
    from mnistgpu.reports import plots, study_plots
    from mnistgpu.runs import run_directory
    from mnistgpu.settings import from_dict

    trained = model.load(run)
    if deformations:
        settings = from_dict(trained.settings, str(run))
        images = readers.load(data, classes=trained.sizes[-1]).train.images[:5]
        path = out or run / "deformations.png"
        plots.save(study_plots.deformations(images, settings, trained.image_shape), path)
        print(path)
        return
    history = run_directory.read_history(run / "history.csv")
    digits = labelled_digits(data, trained.sizes[-1])
    layers = "-".join(map(str, trained.sizes))
    figure = run_directory.report_figure(trained, history, digits, f"{layers}, {run.name}")
    path = out or run / "report.png"
    plots.save(figure, path)
    print(path)


@app.command()
def recipes() -> None:
    """List the named recipes, with what each is for and what to expect of it."""
    from mnistgpu import recipes as known

    for name, recipe in known.RECIPES.items():
        print(f"{name:<9} {recipe.purpose}")
        print(f"{'':<9} {recipe.settings.layers}; {recipe.expect}")


def lr_find(
    changes: dict[str, Any],
    recipe: str | None,
    deform: str | None,
    data: Path | None,
    backend: str | None,
    steps: Annotated[int, typer.Option(min=10, help="Steps of the search.")] = 100,
    out: Annotated[Path, typer.Option(help="The picture (PNG).")] = Path("learning-rates.png"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing picture.")] = False,
) -> None:
    """Search a good learning rate: train while it grows, and suggest one, with a picture.

    Takes the settings of `train`; the length of a run and the schedule of its rate do not matter.
    """
    from mnistgpu import backend as backends
    from mnistgpu import data as readers
    from mnistgpu import recipes as known
    from mnistgpu.maths import augment
    from mnistgpu.reports import plots, study_plots
    from mnistgpu.runs import lr_finder

    if out.exists() and not force:
        raise UsageError(f"--out {out}: the file exists; choose another or add --force")
    if deform is not None:
        changes = augment.preset(deform) | changes
    settings = known.named(recipe or "classic").settings.changed(**changes)
    dataset = readers.load(data, classes=max(10, settings.sizes[-1]))
    curve = lr_finder.find(settings, dataset, backends.select(backend), steps=steps)
    plots.save(study_plots.learning_rates(curve.rates, curve.losses, curve.suggestion), out)
    print(f"suggested --alpha {curve.suggestion:.2g}; the curve is in {out}")


app.command("lr-find")(command_from_settings(lr_find))


@app.command()
def doctor(backend: BackendOption = None) -> None:
    """Check this machine: versions, devices, gradients, equality of backends, speed."""
    from mnistgpu.commands import doctor as checks

    good = True
    for finding in checks.examine(backend):
        good = good and finding.good
        for line in checks.lines_of(finding):
            print(line, flush=True)
    raise typer.Exit(0 if good else 1)


@app.command("committee")
def committee_command(
    runs: Annotated[list[Path], typer.Argument(help="Run directories of the members.")],
    out: Annotated[Path, typer.Option(help="Directory to save the committee in.")],
    maps: Annotated[
        int, typer.Option(min=0, max=1024, help="Also average over so many deformed copies.")
    ] = 0,
    data: DataOption = None,
    backend: BackendOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a committee in --out.")] = False,
) -> None:
    """Let several trained networks vote with their mean probabilities; save and evaluate that."""
    from mnistgpu import backend as backends
    from mnistgpu.models import committee

    committee.check_free(out, force)
    joined = committee.Committee(tuple(member(run) for run in runs), maps)
    committee.save(joined, out, [str(run) for run in runs], force)
    print_evaluation(joined, data, backends.select(backend))
    print(f"saved in {out}")


@app.command()
def compare(
    first: RunArgument,
    second: RunArgument,
    data: DataOption = None,
    backend: BackendOption = None,
) -> None:
    """Is one network better than another, or was it luck? McNemar's test on the same images."""
    import numpy as np

    from mnistgpu import backend as backends
    from mnistgpu.reports import metrics

    chosen, networks = backends.select(backend), [load(first), load(second)]
    if networks[0].sizes[-1] != networks[1].sizes[-1]:
        raise UsageError(
            f"{first} knows {networks[0].sizes[-1]} classes and {second} {networks[1].sizes[-1]}: "
            "they cannot be compared"
        )
    digits = labelled_digits(data, networks[0].sizes[-1])
    labels = np.asarray(digits.labels)
    right = [network.predict(digits.images, chosen) == labels for network in networks]
    for run, of_run in zip((first, second), right, strict=True):
        low, high = metrics.wilson_interval(int(of_run.sum()), len(labels))
        print(f"{run}: {of_run.mean():.4f} (95% interval {low:.4f} to {high:.4f})")
    test = metrics.mcnemar(*right)
    print(f"right by the first alone {test.only_a}, by the second alone {test.only_b}")
    better = first if test.only_a > test.only_b else second
    verdict = f"{better} is better" if test.p_value < 0.05 else "no difference beyond chance"
    print(f"McNemar's exact test: p = {test.p_value:.3g}; {verdict} at the 5% level")


def print_evaluation(trained: Model | Committee, path: Path | None, backend: Backend) -> None:
    """How right a network is on labelled digits, for a terminal."""
    from mnistgpu.reports import evaluation

    digits = labelled_digits(path, trained.sizes[-1])
    found = evaluation.evaluate(trained, digits, backend, robustness=False)
    evaluation.print_lines(found)


def animate_run(run: Path, path: Path) -> None:
    """Draw a run as an animated picture."""
    from mnistgpu.reports import animation
    from mnistgpu.runs import run_directory, watching

    snapshots = watching.load(run / watching.FILE)
    settings, _ = run_directory.read_record(run / "settings.json")
    animation.save(snapshots, path, settings.layers)
    print(path)


def load(run: Path) -> Model | Committee:
    """The trained network a RUN argument names."""
    from mnistgpu import models
    from mnistgpu.models import committee

    return committee.load(models.SHIPPED if str(run) == "shipped" else run)


def member(run: Path) -> Model:
    """The one network a RUN argument names; UsageError for a committee."""
    from mnistgpu.models import model

    found = load(run)
    if not isinstance(found, model.Model):
        raise UsageError(f"{run}: a committee cannot join another; name its members")
    return found


def labelled_digits(path: Path | None, classes: int) -> Digits:
    """The digits at path with their labels, or the embedded test set; UsageError without labels."""
    from mnistgpu import data

    digits = data.load().test if path is None else data.load_digits(path, classes)
    if digits is None or digits.labels is None:
        raise UsageError(f"{path}: these images have no labels to compare with; use predict")
    return digits


def version(show: bool) -> None:
    """Print the version and stop."""
    if show:
        print(f"mnistgpu {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A dense neural network for handwritten digits, from scratch, on NumPy and CuPy."""


def run_app(app: typer.Typer) -> None:
    """Run a typer app; every error a person can meet becomes one sentence and an exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that its encoding lacks ends no run
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(app(standalone_mode=False))
    except MnistGpuError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # what the system says of a path before it was ours to say
        print(f"error: {MnistGpuError(str(error))}; check the path", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's own, of a wrong call
            raise
        said = error.format_message().rstrip(".")
        if "Usage:" in said:  # a command without its arguments
            print(said)
        else:
            print(f"error: {MnistGpuError(said)}; --help shows what there is", file=sys.stderr)
        sys.exit(2)


def main() -> None:
    """Entry point of the `mnistgpu` command."""
    run_app(app)


if __name__ == "__main__":
    main()
