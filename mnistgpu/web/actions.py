"""What a browser may do to the run of the lab's page: each action, by its name in a request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from mnistgpu import __version__
from mnistgpu.errors import DataError
from mnistgpu.recipes import RECIPES
from mnistgpu.runs.events_file import EventsFile
from mnistgpu.settings import Settings
from mnistgpu.web import controls
from mnistgpu.web.lab_run import PATIENCE, LabRun, Plan
from mnistgpu.web.link import Link, decode
from mnistgpu.web.refusals import choice, refusal, text, whole

PACES = {"full": None, "5": 5.0, "1": 1.0}  # steps in a second


def do(run: LabRun, body: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out an action of a browser; RefusedError, with a sentence, if it cannot be."""
    name = choice(dict(body), "action", ACTIONS)
    by = text(dict(body), "browser", 60)
    answer = ACTIONS[name](run, dict(body), by)
    return {} if answer is None else answer


def start(run: LabRun, body: dict[str, Any], by: str) -> None:
    """Go on with the run."""
    run.steering.start(by)


def pause(run: LabRun, body: dict[str, Any], by: str) -> None:
    """Rest after this step."""
    run.steering.pause(by)


def one_step(run: LabRun, body: dict[str, Any], by: str) -> None:
    """Take one step, and rest."""
    run.steering.one_step(by)


def one_epoch(run: LabRun, body: dict[str, Any], by: str) -> None:
    """Take the steps of one epoch more, and rest."""
    run.steering.one_epoch(by)


def slow(run: LabRun, body: dict[str, Any], by: str) -> None:
    """Set how many steps are taken in a second."""
    run.pace = choice(body, "pace", PACES)
    run.steering.slow(PACES[run.pace], by)


def change(run: LabRun, body: dict[str, Any], by: str) -> None:
    """Change a setting while it learns."""
    name, before = choice(body, "name", controls.names()), run.steering.state()
    if name in controls.GROUPS["network"][2] and name not in before.get("changeable", ()):
        return anew(run, body, by)  # the page did not know yet that another run had begun
    run.steering.change(name, body.get("value"), by)
    values = {"name": name, "from": before["settings"][name], "to": body.get("value")}
    seen = whole(body, "seen", 0, 2**53) if "seen" in body else before["version"]
    other, version = run.changes.get(name, (by, 0))
    overruled = other != by and seen < version  # it was changed, and this browser did not know
    run.changes[name] = by, before["version"] + 1
    run.notice(by, "run.overruled" if overruled else "run.changed", **values)


def anew(run: LabRun, body: dict[str, Any], by: str) -> None:
    """Begin again with a setting that cannot change in the middle."""
    name = choice(body, "name", controls.names())
    now, runs = run.settings(), run.runs()
    made = now.changed(**{name: body.get("value")})
    run.begin(Plan(made, run.new_path(), paused=not runs))
    values = {"name": name, "from": getattr(now, name), "to": body.get("value")}
    run.notice(by, "run.begun_anew", **values)


def recipe(run: LabRun, body: dict[str, Any], by: str) -> None:
    """Begin again with the settings of a recipe."""
    name = choice(body, "recipe", RECIPES)
    run.begin(Plan(RECIPES[name].settings, run.new_path(), paused=not run.runs()))
    run.notice(by, "run.recipe", name=name)


def again(run: LabRun, body: dict[str, Any], by: str) -> None:
    """Begin again with the settings that the run began with, and its seed or the next one."""
    begun = run.settings("begun")
    if body.get("other_seed") is True:
        begun = begun.changed(seed=begun.seed + 1)
    run.begin(Plan(begun, run.new_path(), paused=not run.runs()))
    run.notice(by, "run.again", seed=begun.seed)


def undo(run: LabRun, body: dict[str, Any], by: str) -> None:
    """Go back to before the newest change, or else to the newest earlier point."""
    state = run.steering.state()
    done, points = state["events"], state["points"]
    before = [point for point in points if point < state["taken"]]
    if done:
        before = [point for point in points if point <= done[-1]["step"]] or before
    if not before:
        raise refusal(409, "run.no_point")
    go_back(run, max(before), by)


def back(run: LabRun, body: dict[str, Any], by: str) -> None:
    """Go back to an earlier point of the run."""
    go_back(run, whole(body, "step", 0, 10**12), by)


def go_back(run: LabRun, step: int, by: str) -> None:
    """Put the run into the state of a kept step, and say so."""
    run.steering.undo(step, by)
    run.notice(by, "run.back", step=step)


def choose(run: LabRun, body: dict[str, Any], by: str) -> None:
    """Choose what happens when the last browser is closed."""
    run.closed = choice(body, "closed", ("goes-on", "stops"))


def keep(run: LabRun, body: dict[str, Any], by: str) -> dict[str, Any]:
    """Save the run as it is, so that it can be resumed."""
    run.save()
    return {"path": str(run.plan.path)}


def open_address(run: LabRun, body: dict[str, Any], by: str) -> dict[str, Any]:
    """Repeat the run of an address, up to its step; says if its version was another one."""
    link, number = address_of(run, body), run.number
    run.begin(Plan(link.settings, run.new_path(), link.events, link.taken))
    run.notice(by, "run.opened")
    go_on_to(run, link.taken, number, by)
    other = link.version != __version__
    return {"version": link.version, "own": __version__} if other else {}


def read_address(run: LabRun, body: dict[str, Any]) -> dict[str, Any]:
    """What an address would train, for the one who decides whether it is trained; changes nothing.

    settings: those that are not the defaults, in pairs of name and value.
    """
    link = address_of(run, body)
    plain, settings = Settings().as_dict(), link.settings.as_dict()
    if settings["iterations"] is None:  # the number of epochs says it
        del settings["iterations"]
    return {
        "settings": [[name, value] for name, value in settings.items() if plain[name] != value],
        "events": len(link.events),
        "taken": link.taken,
    }


def address_of(run: LabRun, body: dict[str, Any]) -> Link:
    """What an address in a request says; RefusedError if its run cannot be repeated here."""
    link = decode(text(body, "link", 200_000))
    if link.digest != run.dataset.digest:
        raise refusal(409, "link.other_data", source=run.dataset.source)
    run.check(link.settings)
    try:
        EventsFile(list(link.events), "this address").events(link.settings, run.dataset, {})
    except DataError as error:
        raise refusal(422, "link.events", why=str(error)) from None
    return link


def go_on_to(run: LabRun, step: int, before: int, by: str) -> None:
    """Once the run after number `before` has begun, let it go on to a step."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if run.number > before and "taken" in run.steering.state():
            if step:
                run.steering.steps(step, by)
            return
        time.sleep(0.02)


ACTIONS: dict[str, Callable[[LabRun, dict[str, Any], str], dict[str, Any] | None]] = {
    "start": start,
    "pause": pause,
    "step": one_step,
    "epoch": one_epoch,
    "pace": slow,
    "change": change,
    "anew": anew,
    "recipe": recipe,
    "again": again,
    "undo": undo,
    "back": back,
    "closed": choose,
    "save": keep,
    "open": open_address,
}
