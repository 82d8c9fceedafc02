"""The lab's page: its server, which says what a run is like and does to it what browsers ask for.

`page/lab.html` is the page, with scripts beside it; `lab_run.py` has the runs, `actions.py`
what browsers do to them, `at_hand.py` opens the network for an image, `trials.py` runs experiments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mnistgpu import data
from mnistgpu.data import Dataset
from mnistgpu.data.naming import EMBEDDED
from mnistgpu.errors import MnistGpuError
from mnistgpu.recipes import RECIPES
from mnistgpu.runs.stop import Stop
from mnistgpu.web import actions, controls, experiments, lab_view, server
from mnistgpu.web.at_hand import MOST_PHOTO, AtHand
from mnistgpu.web.encoded import finite
from mnistgpu.web.experiments import Experiment, Result
from mnistgpu.web.guard import RefusedError, file_body, json_body
from mnistgpu.web.lab_run import PATIENCE, LabRun
from mnistgpu.web.pages import guarded, page_of, page_routes, rows_seen
from mnistgpu.web.pair import DIFFERENCES, differences, pair_of, trained
from mnistgpu.web.refusals import body_of, choice, refusal, text, whole
from mnistgpu.web.trials import Callbacks, Trials

Answer = Callable[[dict[str, Any]], dict[str, Any]]
Found = tuple[list[Experiment], list[str]]


class LabPage:
    """The page of the lab, served by a thread for as long as the `with` lasts."""

    def __init__(self, run: LabRun, place: server.Place, language: str, found: Found):
        """found: the experiments of the page, see `experiments_of`."""
        self.run, self.place, self.language = run, place, language
        self.at_hand, self.trials = AtHand(run), Trials()
        self.experiments, self.left_out = found
        self.background = server.Background(self.app(), place.bound)

    def __enter__(self) -> LabPage:
        self.background.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.trials.end()
        self.background.__exit__()

    def app(self) -> Starlette:
        """The application: the page, what it asks for, and what it does."""
        html = page_of("lab", self.language)

        async def state(request: Request) -> JSONResponse:
            asked = request.query_params
            after = rows_seen(request)
            browser = asked.get("browser", "")[:60]
            if browser:
                self.run.seen(browser)
            run, brief, view = asked.get("run", ""), "brief" in asked, asked.get("view", "0")[:9]
            seen = int(view) if view.isascii() and view.isdecimal() else 0
            return await answered(self.run.state, run, after, brief, seen)

        async def photo(request: Request) -> JSONResponse:
            content = await file_body(request, MOST_PHOTO)
            return await answered(self.at_hand.photo, content)

        asks: dict[str, Callable[[], dict[str, Any]]] = {
            "/about": self.about,
            "/link": self.run.link,
            "/trial": self.trials.state,
            "/edits": self.edits,
        }
        does: dict[str, Answer] = {
            "/do": partial(actions.do, self.run),
            "/address": partial(actions.read_address, self.run),
            "/leave": self.leave,
            "/image": self.at_hand.image,
            "/mistake": self.at_hand.mistake,
            "/activations": self.at_hand.activations,
            "/unit": self.at_hand.unit,
            "/responds": self.at_hand.responds,
            "/edit": self.at_hand.edit,
            "/edit/rest": self.at_hand.rest,
            "/edit/save": self.at_hand.save,
            "/layers": self.layers,
            "/trial/beside": self.beside,
            "/trial/experiment": self.experiment,
            "/trial/stop": self.stop_trial,
        }
        return guarded(
            [
                *page_routes(html),
                Route("/state", state),
                Route("/photo", photo, methods=["POST"]),
                *(Route(path, asked_by(function)) for path, function in asks.items()),
                *(
                    Route(path, done_by(function), methods=["POST"])
                    for path, function in does.items()
                ),
            ],
            self.place.door,
            html,
        )

    def about(self) -> dict[str, Any]:
        """What the page is made from: its controls, and what there is to choose."""
        return {
            "groups": controls.groups(),
            "recipes": list(RECIPES),
            "images": len(self.run.view.digits),
            "differences": differences(self.run.settings()),
            "experiments": [each.as_dict() for each in self.experiments],
            "experiments_left_out": self.left_out,
        }

    def leave(self, body: dict[str, Any]) -> dict[str, Any]:
        """A browser says that it is closed."""
        self.run.leave(text(body, "browser", 60))
        return {}

    def edits(self) -> dict[str, Any]:
        """What is edited."""
        with self.at_hand.lock:
            self.at_hand.current()
            return self.at_hand.edited()

    def layers(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the layers see: of the newest step that was looked at.

        known: the number of what the browser has already; then of the same only that.
        """
        count = len(self.run.settings().sizes) - 1
        view, methods = self.run.view, lab_view.methods()
        layer = whole(body, "layer", 1, count)
        method = choice(body, "method", methods) if "method" in body else "pca"
        view.want_layers(layer)
        self.run.steering.look()
        seen = view.seen
        made = seen is not None and seen.layers is not None and seen.layers["layer"] == layer
        if not made or view.behind:
            seen = self.run.steering.during(view, PATIENCE)  # asked for the first time
        if seen is None or seen.layers is None:
            return {"step": None}
        number = f"{self.run.number}.{seen.number}"
        if body.get("known") == number:
            return {"step": seen.taken, "number": number}
        found = {"step": seen.taken, "method": method, "methods": methods, **seen.layers}
        found["number"] = number
        if method == "tsne":
            found["points"] = view.neighbours(seen, layer)
        return found

    def beside(self, body: dict[str, Any]) -> dict[str, Any]:
        """Train two networks that differ in one thing."""
        difference = choice(body, "difference", DIFFERENCES)
        settings = self.run.settings()
        images = len(self.run.dataset.train)
        value = text(body, "value", 40)
        pair = pair_of(settings, difference, value, self.language, images)
        self.trials.begin("beside", pair, partial(trained, pair, self.run.dataset))
        return {}

    def experiment(self, body: dict[str, Any]) -> dict[str, Any]:
        """Run an experiment."""
        name, seed = text(body, "name", 100), whole(body, "seed", 0, 2**53)
        chosen = next((each for each in self.experiments if each.name == name), None)
        if chosen is None:
            raise refusal(404, "experiments.unknown", name=name)

        def train(callbacks: Callbacks, stop: Stop) -> Result:
            return experiments.run(chosen, seed, self.mnist, callbacks, stop)

        self.trials.begin("experiment", chosen, train)
        return {}

    @cached_property
    def mnist(self) -> Dataset:
        """The images of the experiments: those of the run if these are MNIST's, else read once."""
        own = self.run.dataset
        return own if own.path is None and own.source == EMBEDDED else data.load()

    def stop_trial(self, body: dict[str, Any]) -> dict[str, Any]:
        """Stop an experiment, or the two that are trained side by side."""
        self.trials.end()
        return {}


def experiments_of(folder: Path | None, language: str) -> Found:
    """The experiments of the package and those in a folder, and a sentence for each bad file.

    DataError if the folder is not there.
    """
    found, problems = experiments.found(None, language)
    if folder is not None:
        own, more = experiments.found(folder, language)
        found, problems = [*found, *own], [*problems, *more]
    return found, problems


async def answered(function: Callable[..., dict[str, Any]], *given: Any) -> JSONResponse:
    """What a function answers, called in a thread; what it raises is refused with its sentence."""
    try:
        found = await run_in_threadpool(function, *given)
    except MnistGpuError as error:
        raise RefusedError(422, str(error)) from None
    try:
        return JSONResponse(found)
    except ValueError:  # a number that is not finite: to look for them takes time
        return JSONResponse(finite(found))


def asked_by(function: Callable[[], dict[str, Any]]) -> Callable[[Request], Any]:
    """The endpoint of a function that answers without changing anything."""

    async def endpoint(request: Request) -> JSONResponse:
        return await answered(function)

    return endpoint


def done_by(function: Answer) -> Callable[[Request], Any]:
    """The endpoint of a function that takes the object in a request."""

    async def endpoint(request: Request) -> JSONResponse:
        return await answered(function, body_of(await json_body(request)))

    return endpoint
