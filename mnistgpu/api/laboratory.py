"""The lab: a page on which one steers a run while it learns, and opens the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistgpu.api import fitting
from mnistgpu.api.inputs import (
    AnyPath,
    backend_of,
    check_switches,
    data_of_run,
    directory_of,
    settings_and_data,
)
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset
from mnistgpu.errors import MnistGpuError, StoppedError, UsageError
from mnistgpu.runs import checkpoint, checks, run_directory
from mnistgpu.runs.progress import Display
from mnistgpu.runs.steering import Steering
from mnistgpu.settings import Settings
from mnistgpu.storage import files

if TYPE_CHECKING:
    from mnistgpu.web.lab_run import LabRun, Plan


def lab(
    X: Any = None,
    y: Any = None,
    *,
    run: AnyPath | None = None,
    recipe: str | None = None,
    deform: str | None = None,
    backend: str | Backend | None = None,
    out: AnyPath | None = None,
    host: str = "127.0.0.1",
    port: int = 8030,
    allow_hosts: Sequence[str] = (),
    language: str = "en",
    experiments: AnyPath | None = None,
    browser: bool = True,
    **settings: Any,
) -> None:
    """Serve the lab's page, on which one steers a run while it learns, until Ctrl-C.

    X, y, recipe, deform, backend, settings: as for `fit`. run: a run directory to go on with, in
    place of settings; it stays as it is, and the lab goes on in `out`. out: the directory of the
    first run; by default, and for each further one, a new one in runs/. host, port, allow_hosts,
    browser: as for `draw`. language: of the page, such as "de". experiments: a folder of your own
    ones, which are shown after those of the package.
    RunError if the extra `web` is not installed, UsageError for a wrong call, or if nothing can be
    served there.
    """
    from mnistgpu.web import server

    check_switches(browser=browser)
    server.require_extra()
    from mnistgpu.web import words
    from mnistgpu.web.lab import LabPage, experiments_of
    from mnistgpu.web.lab_run import LabRun, Plan

    words.read(language)
    folder = None if experiments is None else files.path_of(experiments, "--experiments")
    found = experiments_of(folder, language)
    resumed = None
    if run is None:
        made, dataset = settings_and_data(X, y, recipe, deform, settings, None, None, False, None)
    else:
        resumed = Path(run)
        made, dataset = of_run(resumed, X, y, {"recipe": recipe, "deform": deform, **settings})
    chosen = backend_of(backend)
    checks.check_fit(made, dataset)
    place = server.open_door(host, port, allow_hosts)
    path = run_directory.new_path() if out is None else directory_of(out)
    plan = Plan(made, path, resume=resumed, own=out is None)
    lab_run = LabRun(plan, dataset, chosen, run_directory.new_path)
    with LabPage(lab_run, place, language, found):
        print(f"lab at {place.address} (Ctrl-C ends it)", flush=True)
        for line in place.lines():
            print(line, flush=True)
        if browser:
            server.open_browser(place.address)
        try:
            carry_out(lab_run)
        except KeyboardInterrupt as interruption:
            print(str(interruption) or "ended", flush=True)


def check_experiment(path: AnyPath) -> list[str]:
    """A sentence for everything that an experiment in a file does not show, with three seeds.

    [] if all its claims hold. DataError if it cannot be read.
    """
    from mnistgpu.web import experiments

    return experiments.check(files.path_of(path, "--check"))


def of_run(run: Path, X: Any, y: Any, changes: dict[str, Any]) -> tuple[Settings, Dataset]:
    """The settings and the data of a run to go on with; UsageError if other settings are given."""
    given = [name for name, value in changes.items() if value is not None]
    if given:
        raise UsageError(
            f"{given[0]} cannot be given with --run {run}, which has its settings; change it on "
            "the page"
        )
    saved = checkpoint.load(run)
    return saved.settings, data_of_run(saved, run, X, y, None, None, False, None)


def carry_out(page: LabRun) -> None:
    """Train what the page plans, one run after the other, until it plans no more.

    The error of a run that could not begin is raised if there are no other settings to go on with.
    """
    while (planned := page.next()) is not None:
        plan, steering, stop, beginning = planned
        options: dict[str, Any] = {
            "out": plan.path,
            "backend": page.backend,
            "callbacks": [beginning],
            "steering": steering,
            "stop": stop,
            "progress": Display(),
            "on_interrupt": "raise",
        }
        try:
            if plan.resume is not None:
                fitting.resume(plan.resume, page.dataset, **options)
            else:
                given = vars(plan.settings)
                fitting.fit(page.dataset, events=list(plan.events), **options, **given)
        except StoppedError:
            forget(plan, steering)
        except MnistGpuError as error:
            if not beginning.begun and plan.settings == page.plan.settings:
                raise  # the same run would be planned again, and fail again, without end
            page.failed(error)


def forget(plan: Plan, steering: Steering) -> None:
    """Remove the new directory of a run that took no step, since it has learnt nothing."""
    if plan.own and steering.state().get("taken", 0) == 0:
        for path in plan.path.iterdir():
            if path.name in run_directory.BEGUN:
                path.unlink()
        run_directory.remove_unused(plan.path)  # unless something else is there
