"""The runs that the lab's page steers: one after the other, each with what was done to it.

The page's server calls this from its own threads; the runs themselves are trained by the caller of
`LabRun.next`, in the main thread of the program.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistgpu import __version__, data, network
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset
from mnistgpu.errors import DataError, MnistGpuError
from mnistgpu.recipes import RECIPES
from mnistgpu.runs import events
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.checkpointing import Checkpointing, Every
from mnistgpu.runs.checks import check_fit
from mnistgpu.runs.steered import Moment
from mnistgpu.runs.steering import Steering
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings
from mnistgpu.web import controls
from mnistgpu.web.lab_view import View
from mnistgpu.web.link import Link, decode, encode
from mnistgpu.web.refusals import choice, refusal, text, whole

if TYPE_CHECKING:
    from mnistgpu.engine.trainer import Trainer
    from mnistgpu.runs.history import Progress

MOST_NOTICES = 100
MOST_PARAMETERS = 10_000_000  # of a network that a page begins: four times those of `strong`
PACES = {"full": None, "5": 5.0, "1": 1.0}  # steps in a second
PATIENCE = 5.0  # seconds in which a run that rests or steps must have answered
GONE = 150.0  # seconds without a request after which a browser is taken to be closed
GRACE = 3.0  # seconds after the last one left: it may only have been loaded again


@dataclass(frozen=True)
class Plan:
    """A run to train: its settings, its directory, and what repeats an earlier one.

    events: those of the run that is repeated. until: the step after which it then rests.
    resume: the directory of a run to go on with, in place of its settings.
    paused: whether it rests before its first step. own: whether the directory was made for it.
    """

    settings: Settings
    path: Path
    events: tuple[dict[str, Any], ...] = ()
    until: int = 0
    resume: Path | None = None
    paused: bool = True
    own: bool = True


class Beginning(Callback):
    """Tells the page that a run has begun, before its first step."""

    def __init__(self, run: LabRun, plan: Plan, steering: Steering):
        self.run, self.plan, self.steering = run, plan, steering

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        self.run.begun(self.plan, self.steering)


class LabRun:
    """The run of the page, and what its browsers do to it.

    new_path: makes the directory of another run. Every method may be called by any thread.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: Dataset,
        backend: Backend,
        new_path: Callable[[], Path],
    ):
        self.dataset, self.backend, self.new_path = dataset, backend, new_path
        self.view = View(dataset, backend)
        self.lock = threading.RLock()
        self.number, self.pace, self.closed = 0, "full", "goes-on"
        self.notices: deque[dict[str, Any]] = deque(maxlen=MOST_NOTICES)
        self.told = 0  # notices so far
        self.said = 0  # sentences of the run itself that are among them
        self.changes: dict[str, tuple[str, int]] = {}  # of a setting: by whom, and at which version
        self.browsers: dict[str, float] = {}  # when each asked last
        self.plan = plan  # of the run that goes on
        self.waits: Plan | None = plan  # the one that waits to begin
        self.steering = Steering(self.view, paused=True, hold=True)
        self.stop = Stop()  # of the run that goes on, or is about to
        self.starting = True  # the run that is planned has not begun yet
        self.ended = False

    # --- the main thread

    def next(self) -> tuple[Plan, Steering, Stop, Beginning] | None:
        """The run to train now; None if nothing is to be trained any more."""
        with self.lock:
            plan, self.waits = self.waits, None
            if plan is None:
                return None
            self.stop = Stop()
        steering = Steering(self.view, paused=plan.paused, hold=True)
        return plan, steering, self.stop, Beginning(self, plan, steering)

    def begun(self, plan: Plan, steering: Steering) -> None:
        """Take over a run that begins."""
        with self.lock:
            self.plan, self.steering, self.said = plan, steering, 0
            self.number += 1
            self.changes.clear()
            self.view.forget()
            self.starting = False

    def failed(self, error: MnistGpuError) -> None:
        """Say why a run could not begin or go on, and plan it again as it had begun, resting."""
        with self.lock:
            if self.ended:
                return
            self.notice("", "run.failed", True, why=str(error).rstrip("."))
            self.starting = True
            if self.waits is None:
                self.waits = Plan(self.plan.settings, self.new_path())

    def end(self) -> None:
        """End the run, which is saved, and plan no other."""
        with self.lock:
            self.waits, self.ended = None, True
            self.stop.interrupt("the page")

    # --- the browsers

    def notice(self, browser: str, words: str, bad: bool = False, **values: Any) -> None:
        """Keep a sentence for all browsers but the one that caused it."""
        with self.lock:
            self.told += 1
            self.notices.append(
                {
                    "number": self.told,
                    "browser": browser,
                    "words": words,
                    "values": values,
                    "bad": bad,
                }
            )

    def seen(self, browser: str) -> None:
        """Note that a browser looks."""
        now = time.monotonic()
        with self.lock:
            self.browsers[browser] = now
            for other in [each for each, at in self.browsers.items() if now - at > GONE]:
                del self.browsers[other]

    def leave(self, browser: str) -> None:
        """Note that a browser was closed, and do what was chosen for the last one of them."""
        with self.lock:
            self.browsers.pop(browser, None)
            if self.browsers:
                return
        timer = threading.Timer(GRACE, self.nobody)
        timer.daemon = True
        timer.start()

    def nobody(self) -> None:
        """Rest and save if no browser has come back and this was chosen."""
        with self.lock:
            alone = not self.browsers and self.closed == "stops"
        if alone and self.steering.state().get("taken", 0) > 0:
            self.steering.pause()
            self.save()
            self.notice("", "run.saved_alone", path=str(self.plan.path))

    # --- what the page shows

    def state(self, run: str, after: int, brief: bool, view: int = 0) -> dict[str, Any]:
        """The state for a browser that has the first `after` rows of `run`, as JSON types.

        brief: without pictures, for a page that nobody sees. view: the number of those that it has;
        what does not change comes with the first ones alone.
        """
        with self.lock:
            steering, number, starting = self.steering, self.number, self.starting
        steered = steering.state()
        if starting or "taken" not in steered:
            return {"starting": True, "rows": [], "notices": list(self.notices)}
        steering.look()
        self.tell(steered["said"])
        seen, name = self.view.seen, f"{number}.{self.view.branch}"
        settings = steered["settings"]
        found: dict[str, Any] = {
            "title": f"{settings['layers']}: {self.dataset.source}",
            "run": name,
            "steps": steered["steps"],
            "rows": self.view.rows(after if run == name else 0),
            "running": RUNNING[steered["status"]],
            "finished": steered["status"] in ("holding", "ended"),
            "step": steered["taken"],
            "epoch": steered["epoch"],
            "loss": steered["loss"],
            "pace": self.pace,
            "closed": self.closed,
            "revision": steered["version"],
            "settings": {name: settings[name] for name in controls.names()},
            "changeable": steered["changeable"],
            "events": [{"number": i, **each} for i, each in enumerate(steered["events"], 1)],
            "points": steered["points"],
            "notices": list(self.notices),
            "path": str(self.plan.path),
        }
        if seen is not None and not brief and seen.number != view:
            once = ("digits",) if view else ()
            new = {name: each for name, each in seen.pictures.items() if name not in once}
            found |= {"view": seen.number, **new}
        return found

    def tell(self, said: list[dict[str, Any]]) -> None:
        """Make notices of what the run itself has said: a change is taken back, and why."""
        with self.lock:
            for each in said:
                if each["number"] > self.said:
                    self.said = each["number"]
                    if not each["by"]:
                        self.notice("", "run.said", True, text=each["text"])

    def link(self) -> dict[str, Any]:
        """The text that an address takes to another machine."""
        steered = self.steering.state()
        if "taken" not in steered:
            raise refusal(409, "run.starting")
        digest, taken = self.dataset.digest, steered["taken"]
        return {"link": encode(steered["begun"], steered["events"], digest, taken)}

    # --- what the page does

    def do(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out an action of a browser; RefusedError, with a sentence, if it cannot be."""
        name = choice(dict(body), "action", ACTIONS)
        by = text(dict(body), "browser", 60)
        answer = ACTIONS[name](self, dict(body), by)
        return {} if answer is None else answer

    def begin(self, plan: Plan) -> None:
        """End the run that goes on, and begin another in its place."""
        sizes = plan.settings.sizes
        if network.parameter_count(sizes) > MOST_PARAMETERS:
            raise refusal(422, "run.too_large", most=MOST_PARAMETERS)
        check_fit(plan.settings, self.dataset)
        with self.lock:
            self.waits, self.starting = plan, True
            self.stop.interrupt("the page")

    def start(self, body: dict[str, Any], by: str) -> None:
        """Go on with the run."""
        self.steering.start(by)

    def pause(self, body: dict[str, Any], by: str) -> None:
        """Rest after this step."""
        self.steering.pause(by)

    def one_step(self, body: dict[str, Any], by: str) -> None:
        """Take one step, and rest."""
        self.steering.one_step(by)

    def one_epoch(self, body: dict[str, Any], by: str) -> None:
        """Take the steps of one epoch more, and rest."""
        self.steering.one_epoch(by)

    def slow(self, body: dict[str, Any], by: str) -> None:
        """Set how many steps are taken in a second."""
        self.pace = choice(body, "pace", PACES)
        self.steering.slow(PACES[self.pace], by)

    def change(self, body: dict[str, Any], by: str) -> None:
        """Change a setting while it learns."""
        name, before = choice(body, "name", controls.names()), self.steering.state()
        if name in controls.GROUPS["network"][2] and name not in before.get("changeable", ()):
            return self.anew(body, by)  # the page did not know yet that another run had begun
        self.steering.change(name, body.get("value"), by)
        values = {"name": name, "from": before["settings"][name], "to": body.get("value")}
        seen = whole(body, "seen", 0, 2**53) if "seen" in body else before["version"]
        other, version = self.changes.get(name, (by, 0))
        overruled = other != by and seen < version  # it was changed, and this browser did not know
        self.changes[name] = by, before["version"] + 1
        self.notice(by, "run.overruled" if overruled else "run.changed", **values)

    def anew(self, body: dict[str, Any], by: str) -> None:
        """Begin again with a setting that cannot change in the middle."""
        name = choice(body, "name", controls.names())
        now, runs = self.settings(), self.runs()
        made = now.changed(**{name: body.get("value")})
        self.begin(Plan(made, self.new_path(), paused=not runs))
        values = {"name": name, "from": getattr(now, name), "to": body.get("value")}
        self.notice(by, "run.begun_anew", **values)

    def recipe(self, body: dict[str, Any], by: str) -> None:
        """Begin again with the settings of a recipe."""
        name = choice(body, "recipe", RECIPES)
        self.begin(Plan(RECIPES[name].settings, self.new_path(), paused=not self.runs()))
        self.notice(by, "run.recipe", name=name)

    def again(self, body: dict[str, Any], by: str) -> None:
        """Begin again with the settings that the run began with, and its seed or the next one."""
        begun = self.settings("begun")
        if body.get("other_seed") is True:
            begun = begun.changed(seed=begun.seed + 1)
        self.begin(Plan(begun, self.new_path(), paused=not self.runs()))
        self.notice(by, "run.again", seed=begun.seed)

    def undo(self, body: dict[str, Any], by: str) -> None:
        """Go back to before the newest change, or else to the newest earlier point."""
        state = self.steering.state()
        done, points = state["events"], state["points"]
        before = [point for point in points if point < state["taken"]]
        if done:
            before = [point for point in points if point <= done[-1]["step"]] or before
        if not before:
            raise refusal(409, "run.no_point")
        self.go_back(max(before), by)

    def back(self, body: dict[str, Any], by: str) -> None:
        """Go back to an earlier point of the run."""
        self.go_back(whole(body, "step", 0, 10**12), by)

    def go_back(self, step: int, by: str) -> None:
        self.steering.undo(step, by)
        self.notice(by, "run.back", step=step)

    def choose(self, body: dict[str, Any], by: str) -> None:
        """Choose what happens when the last browser is closed."""
        self.closed = choice(body, "closed", ("goes-on", "stops"))

    def keep(self, body: dict[str, Any], by: str) -> dict[str, Any]:
        """Save the run as it is, so that it can be resumed."""
        self.save()
        return {"path": str(self.plan.path)}

    def save(self) -> None:
        """Write the checkpoint of the run into its directory, between two steps."""
        path, dataset = self.plan.path, self.dataset

        def write(moment: Moment) -> None:
            if moment.taken == 0:
                raise refusal(409, "link.nothing")
            saving = Checkpointing(path, dataset.path, dataset.digest, Every())
            saving.save(moment.trainer, moment.progress)

        self.steering.during(write, PATIENCE)

    def open(self, body: dict[str, Any], by: str) -> dict[str, Any]:
        """Repeat the run of an address, up to its step; says if its version was another one."""
        link: Link = decode(text(body, "link", 200_000))
        if link.digest != self.dataset.digest:
            raise refusal(409, "link.other_data", source=self.dataset.source)
        self.check_events(link)
        number = self.number
        self.begin(Plan(link.settings, self.new_path(), link.events, link.taken))
        self.notice(by, "run.opened")
        self.go_on_to(link.taken, number, by)
        other = link.version != __version__
        return {"version": link.version, "own": __version__} if other else {}

    def check_events(self, link: Link) -> None:
        """RefusedError if the events of an address are none of a run with its settings."""
        settings, dataset = link.settings, self.dataset

        def fits(made: Settings) -> None:
            check_fit(made, dataset)

        fits(settings)
        training, _ = data.split(dataset.train, settings.validation, settings.seed)
        try:
            events.checked(link.events, settings, len(training), fits, "this address")
        except DataError as error:
            raise refusal(422, "link.events", why=str(error)) from None

    def go_on_to(self, step: int, before: int, by: str) -> None:
        """Once the run after number `before` has begun, let it go on to a step."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.number > before and "taken" in self.steering.state():
                if step:
                    self.steering.steps(step, by)
                return
            time.sleep(0.02)

    def runs(self) -> bool:
        """Whether the run goes on, and does not rest."""
        return bool(self.steering.state()["status"] == "running")

    def settings(self, which: str = "settings") -> Settings:
        """The settings as they are now, or those that the run has begun with ("begun")."""
        state = self.steering.state()
        if which not in state:  # it has not begun yet
            return self.plan.settings
        known = {knob.name for knob in fields(Settings)}
        return Settings(**{name: value for name, value in state[which].items() if name in known})


RUNNING = {
    "waiting": "paused",
    "running": "running",
    "paused": "paused",
    "holding": "finished",
    "ended": "finished",
}
ACTIONS: dict[str, Callable[[LabRun, dict[str, Any], str], dict[str, Any] | None]] = {
    "start": LabRun.start,
    "pause": LabRun.pause,
    "step": LabRun.one_step,
    "epoch": LabRun.one_epoch,
    "pace": LabRun.slow,
    "change": LabRun.change,
    "anew": LabRun.anew,
    "recipe": LabRun.recipe,
    "again": LabRun.again,
    "undo": LabRun.undo,
    "back": LabRun.back,
    "closed": LabRun.choose,
    "save": LabRun.keep,
    "open": LabRun.open,
}
