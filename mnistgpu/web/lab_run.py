"""The runs that the lab's page steers: one after the other, each with what was done to it.

The page's server calls this from its own threads, mostly through `actions.py`; the runs themselves
are trained by the caller of `LabRun.next`, in the main thread of the program.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistgpu import network
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset
from mnistgpu.errors import MnistGpuError
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.checkpointing import Checkpointing, Every
from mnistgpu.runs.checks import check_fit
from mnistgpu.runs.steered import Moment
from mnistgpu.runs.steering import Steering
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings
from mnistgpu.web import controls
from mnistgpu.web.lab_view import View
from mnistgpu.web.link import encode
from mnistgpu.web.refusals import refusal

if TYPE_CHECKING:
    from mnistgpu.engine.trainer import Trainer
    from mnistgpu.runs.history import Progress

MOST_NOTICES = 100
MOST_PARAMETERS = 10_000_000  # of a network that a page begins: four times those of `strong`
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
        self.begun = False

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        self.begun = True
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

        brief: without pictures, which nobody would see, and which are not made then. view: the
        number of those that it has; what does not change comes with the first ones alone.
        """
        with self.lock:
            steering, number, starting = self.steering, self.number, self.starting
        steered = steering.state()
        if starting or "taken" not in steered:
            return {"starting": True, "rows": [], "notices": list(self.notices)}
        if not brief:
            self.view.want_pictures()
        steering.look(anew=self.view.behind and not brief)
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

    # --- what actions do

    def check(self, settings: Settings) -> None:
        """Refuse, with a sentence, settings that no run of this lab can have."""
        if network.parameter_count(settings.sizes) > MOST_PARAMETERS:
            raise refusal(422, "run.too_large", most=MOST_PARAMETERS)
        check_fit(settings, self.dataset)

    def begin(self, plan: Plan) -> None:
        """End the run that goes on, and begin another in its place."""
        self.check(plan.settings)
        with self.lock:
            self.waits, self.starting = plan, True
            self.stop.interrupt("the page")

    def save(self) -> None:
        """Write the checkpoint of the run into its directory, between two steps."""
        path, dataset = self.plan.path, self.dataset

        def write(moment: Moment) -> None:
            if moment.taken == 0:
                raise refusal(409, "link.nothing")
            saving = Checkpointing(path, dataset.path, dataset.digest, Every())
            saving.save(moment.trainer, moment.progress)

        self.steering.during(write, PATIENCE)

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
