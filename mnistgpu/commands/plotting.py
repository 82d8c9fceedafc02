"""`mnistgpu plot`: pictures of a finished run."""

from __future__ import annotations

from pathlib import Path

from mnistgpu import data as readers
from mnistgpu.commands.networks import labelled_digits
from mnistgpu.errors import UsageError
from mnistgpu.models import model
from mnistgpu.runs import run_directory, watching
from mnistgpu.settings import from_dict
from mnistgpu.storage import files


def plot(run: Path, data: Path | None, out: Path | None, deformations: bool, animate: bool) -> None:
    """Draw the report of a run again, or some digits as it deforms them, or an animation of it."""
    if animate and deformations:
        raise UsageError("give --animate or --deformations, one of them")
    if not run.is_dir():
        raise UsageError(f"{run}: plot needs a run directory, as `mnistgpu train` leaves it")
    if out is not None:
        files.check_folder("--out", out)
    if animate:
        print(animation(run, out or run / "training.gif"))
    elif deformations:
        print(deformed(run, data, out or run / "deformations.png"))
    else:
        print(report(run, data, out or run / "report.png"))


def report(run: Path, data: Path | None, path: Path) -> Path:
    """Draw the report of a run again, on the digits at `data`."""
    from mnistgpu.reports import plots, run_report

    trained = model.load(run)
    columns = run_directory.read_history(run / "history.csv")
    digits = labelled_digits(data, trained.sizes[-1])
    layers = "-".join(map(str, trained.sizes))
    plots.save(run_report.figure(trained, columns, digits, f"{layers}, {run.name}"), path)
    return path


def deformed(run: Path, data: Path | None, path: Path) -> Path:
    """Draw the first digits at `data`, deformed as the run deforms them."""
    from mnistgpu.reports import plots, study_plots

    trained = model.load(run)
    settings = from_dict(trained.settings, str(run))
    images = readers.load(data, classes=trained.sizes[-1]).train.images[:5]
    plots.save(study_plots.deformations(images, settings, trained.image_shape), path)
    return path


def animation(run: Path, path: Path) -> Path:
    """Draw an animated picture of a run with snapshots."""
    from mnistgpu.reports import animation as animations

    snapshots = watching.load(run / watching.FILE)
    settings, _ = run_directory.read_record(run / "settings.json")
    animations.save(snapshots, path, settings.layers)
    return path
