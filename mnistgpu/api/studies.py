"""What one does with trained networks: measure, compare, average, draw, and answer Kaggle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnistgpu.api import reading, unlabeled
from mnistgpu.api.inputs import (
    AnyPath,
    backend_of,
    check_switches,
    digits_at,
    directory_of,
    is_count,
    is_path,
    network_of,
    settings_and_data,
    start_of,
    warn_of,
)
from mnistgpu.api.model import Model
from mnistgpu.api.own_data import dataset_of, digits_to_judge, name_of, origin_of
from mnistgpu.api.run import Run
from mnistgpu.backend import Backend
from mnistgpu.data import arrays
from mnistgpu.data.classes import names_of
from mnistgpu.errors import UsageError, warn
from mnistgpu.models import committee as committees
from mnistgpu.models import model as models
from mnistgpu.reports import comparison, evaluation, html_report, submission
from mnistgpu.runs import history, lr_finder, run_directory, stopped, watching
from mnistgpu.settings import from_dict, renamed
from mnistgpu.storage import files


def evaluate(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    report: AnyPath | None = None,
    robustness: bool = True,
    backend: str | Backend | None = None,
    made_by: str = "mnistgpu.evaluate(...)",
) -> evaluation.Evaluation:
    """How good a trained network is on labelled digits.

    model: a Model, a Run, or the path of one; "shipped" is the package's own.
    X, y: images and labels, or X alone is a path; by default the test part of what it was trained
        on, or the images held out for validation where there is none.
    report: where to write a page (HTML) with all figures and the worst mistakes, if anywhere.
    robustness: also measure it on noisy, shifted, rotated and thickened copies.
    made_by: the command that the page says it was made by.
    """
    check_switches(robustness=robustness)
    if report is not None:
        path = files.path_of(report, "--report")
        files.check_ours("--report", path, ".html", html_report.MARK)
    trained = network_of(model)
    digits = digits_to_judge([model], X, y, [trained])
    found = evaluation.evaluate(trained, digits, backend_of(backend), robustness)
    if report is not None:
        page = html_report.page(found, trained, name_of(model), made_by)
        files.replace_bytes(path, page.encode())
    return found


def compare(
    first: Any,
    second: Any,
    X: Any = None,
    y: Any = None,
    *,
    backend: str | Backend | None = None,
) -> comparison.Comparison:
    """Whether one network is better than another on the same images: McNemar's exact test.

    first, second: Models, Runs or their paths. X, y: as for `evaluate`.
    """
    networks = [network_of(each) for each in (first, second)]
    digits = digits_to_judge([first, second], X, y, networks)
    return comparison.compare(networks, digits, backend_of(backend))


def committee(
    models: Sequence[Any],
    *,
    maps: int = 0,
    out: AnyPath | None = None,
    force: bool = False,
    backend: str | Backend | None = None,
) -> Model:
    """Several networks as one Model, which answers with the mean of their probabilities.

    models: Models, Runs or their paths. maps: how many deformed copies of an image each averages
    over. out: a directory to save the committee in, if it is to be saved.
    """
    check_switches(force=force)
    if not isinstance(models, (list, tuple)):
        raise UsageError(
            "models: must be a list of models, runs or their paths, such as "
            f"[run, other], not {type(models).__name__}"
        )
    if not is_count(maps) or not 0 <= maps <= committees.MOST_MAPS:
        raise UsageError(f"maps: must be 0 to {committees.MOST_MAPS}, not {maps!r}")
    if out is not None:
        path = directory_of(out)
        committees.check_free(path, force)
    members = members_of(models)
    joined = committees.Committee(tuple(members), int(maps))
    digests = {member.data_digest for member in members}
    origin = origin_of(models[0], *digests) if len(digests) == 1 else None
    if out is not None:
        record = None if origin is None else origin.record()
        committees.save(joined, path, [name_of(each) for each in models], force, record)
    return Model(joined, backend_of(backend), origin)


def members_of(given: Sequence[Any]) -> list[models.Model]:
    """The networks of a new committee; UsageError if one is a committee itself."""
    members = []
    for each in given:
        member = network_of(each)
        if isinstance(member, committees.Committee):
            raise UsageError(f"{each}: a committee cannot join another; name its members")
        members.append(member)
    return members


def lr_find(
    X: Any = None,
    y: Any = None,
    *,
    recipe: str | None = None,
    deform: str | None = None,
    validation: Any = None,
    sample_weight: Any = None,
    backend: str | Backend | None = None,
    steps: int = 100,
    out: AnyPath | None = None,
    force: bool = False,
    **settings: Any,
) -> lr_finder.Curve:
    """Find a good learning rate: a short run in which it grows; `.suggestion` is the rate.

    The data and the settings are those of `fit`; the length of a run and the schedule of its rate
    are ignored. steps: of the search, at least 10. out: where to draw the losses at all rates
    (PNG), if anywhere.
    """
    check_switches(force=force)
    if not is_count(steps) or steps < lr_finder.FEWEST:
        raise UsageError(
            f"steps: must be a whole number of at least {lr_finder.FEWEST}, not {steps!r}"
        )
    if out is not None:
        path = files.path_of(out, "--out")
        if path.exists() and not force:
            raise UsageError(f"--out {out}: the file exists; choose another or add --force")
        files.check_ours("--out", path, ".png", files.PNG_MARK)
    start = start_of(renamed(settings).get("from_run"))
    if start is not None:
        settings = {**renamed(settings), "from_run": start}
    made, dataset = settings_and_data(
        X, y, recipe, deform, settings, None, validation, sample_weight=sample_weight
    )
    if made.teacher is not None:
        raise UsageError(
            "--teacher: the search for a learning rate learns from labels; leave it out"
        )
    parameters = None if start is None else start.parameters(made, dataset)
    chosen = backend_of(backend)
    curve = lr_finder.find(made, dataset, chosen, steps=int(steps), start=parameters)
    if out is not None:
        from mnistgpu.reports import plots, study_plots

        picture = study_plots.learning_rates(curve.rates, curve.losses, curve.suggestion)
        plots.save(picture, path)
    return curve


PICTURES = {
    "report": "report.png",
    "deformations": "deformations.png",
    "animation": "training.gif",
}


def plot(
    run: Run | AnyPath,
    X: Any = None,
    y: Any = None,
    *,
    kind: str = "report",
    out: AnyPath | None = None,
) -> Path:
    """Draw a picture of a run; its path.

    run: the run directory, or a Run that is saved. X, y: labelled digits, or a path; by default
    those of `evaluate`. kind: "report" is report.png again (curves, confusion, weights, answers);
    "deformations" some digits as the run deformed them; "animation" the run as it learned, if it
    was trained with snapshots. out: the file; by default it is in the run directory. UsageError if
    a file is there that is not such a picture.
    """
    if not isinstance(kind, str) or kind not in PICTURES:
        raise UsageError(f"kind must be one of {', '.join(PICTURES)}, not {kind!r}")
    where = run.directory if isinstance(run, Run) else run
    if where is None:
        raise UsageError(f"{run}: is not saved; give its directory, or draw it with run.plot()")
    directory = files.path_of(where, "run")
    if not directory.is_dir():
        raise UsageError(f"{run}: plot needs a run directory, as `mnistgpu train` leaves it")
    path = directory / PICTURES[kind] if out is None else files.path_of(out, "--out")
    mark = files.GIF_MARK if kind == "animation" else files.PNG_MARK
    files.check_ours("--out", path, Path(PICTURES[kind]).suffix, mark)
    if kind == "animation":
        from mnistgpu.reports import animation

        snapshots = watching.load(directory / watching.FILE)
        made, _ = run_directory.read_record(directory / "settings.json")
        animation.save(snapshots, path, made.layers)
        return path
    from mnistgpu.reports import plots, run_report, study_plots

    if stopped.is_stopped(directory):
        trained, rows, how_far = stopped.read(directory, reading.load_data, unlabeled.complete)
        warn(stopped.sentence(directory, how_far))
        columns = history.as_columns(rows)
    else:
        trained = models.load(directory)
        columns = None
    if kind == "deformations":
        settings = from_dict(trained.settings, str(directory))
        if X is None:
            images = dataset_of(directory, trained).train.images
        elif is_path(X):
            found = reading.load_data(X, settings.orientation).train
            images = arrays.images_of(found, str(X), trained)
        else:
            images, _ = arrays.as_images(X, trained)
        plots.save(study_plots.deformations(images[:5], settings, trained.image_shape), path)
        return path
    if columns is None:
        columns = run_directory.read_history(directory / "history.csv")
    digits = digits_to_judge([directory], X, y, [trained])
    title = f"{'-'.join(map(str, trained.sizes))}, {directory.name}"
    plots.save(run_report.figure(trained, columns, digits, title), path)
    return path


def submit(
    model: Any,
    test: AnyPath,
    out: AnyPath = "submission.csv",
    *,
    force: bool = False,
    backend: str | Backend | None = None,
) -> int:
    """Write the answers to a test.csv of Kaggle as a submission; how many they are.

    The answers are the names of the classes. The names of the columns and the ids are those of
    sample_submission.csv beside test.csv, or of the id column of test.csv; without either they are
    ImageId,Label and 1 ... N. model: a Model, a Run or its path. force: replace an older
    submission; UsageError if another file is there.
    """
    check_switches(force=force)
    trained = network_of(model)
    path, source = files.path_of(out, "--out"), files.path_of(test, "test")
    if path.exists() and not force:  # before the work, not after it
        raise UsageError(f"--out {path}: the file exists; choose another or add --force")
    files.check_folder("--out", path)
    given = [Path(model)] if is_path(model) else []
    example = submission.sample_of(source)
    submission.check_replaceable(path, [*given, source, *([example] if example else [])])
    digits = digits_at(source, trained)
    warn_of(digits.notes)
    if digits.labels is not None:
        warn(f"{test} has labels, unlike Kaggle's; they are not used")
    columns, ids = submission.form_of(source, digits)
    answers = names_of(trained.classes, trained.predict(digits.images, backend_of(backend)))
    submission.write(path, answers, force, columns, ids)
    return len(digits)


def draw(
    model: Any = "shipped",
    *,
    keep: AnyPath | None = None,
    host: str = "127.0.0.1",
    port: int = 8028,
    allow_hosts: Sequence[str] = (),
    browser: bool = True,
) -> None:
    """Serve a page on which one draws digits and sees the network's answers, until Ctrl-C.

    model: a Model, a Run or its path. keep: a folder to keep corrected drawings in, which `fit`
    takes as data. host, port: where to serve; port 0 takes any free one. allow_hosts: further names
    that it answers to, as those of a proxy of Colab, Codespaces or a hub. browser: open the page.
    RunError if the extra `web` is not installed, UsageError if nothing can be served there.
    """
    from mnistgpu.web import server

    check_switches(browser=browser)
    server.require_extra()
    from mnistgpu.web import draw as drawing
    from mnistgpu.web.keep import Kept

    trained = network_of(model)
    kept = None
    if keep is not None:
        folder = files.path_of(keep, "--keep")
        kept = Kept(folder, trained.image_shape)
    place = server.open_door(host, port, allow_hosts)
    print(f"draw at {place.address} (Ctrl-C ends it)", flush=True)
    for line in place.lines():
        print(line, flush=True)
    if browser:
        server.open_browser(place.address)
    name = "the model of the package" if str(model) == "shipped" else name_of(model)
    server.serve(drawing.make_app(trained, name, kept, place.door), place.bound)
