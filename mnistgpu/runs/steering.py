"""Steering a run from another thread: start, pause, single steps, changes of settings, undo.

A page (or a notebook) calls the methods of a `Steering`; the thread that trains looks at it between
two steps (`steered`). Every change of a setting becomes an event of the run (`events`), so what was
done by hand can be repeated without the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np

from mnistgpu.errors import UsageError
from mnistgpu.maths.optimizers import OPTIMIZERS
from mnistgpu.runs.events import (
    CHANGEABLE,
    KNOBS,
    MOST,
    SPREAD,
    check_change,
    flag_of,
    left_out,
    shown,
)
from mnistgpu.runs.steered import ENDED_EARLY, Moment, Steered
from mnistgpu.settings import LENGTHS, Settings

SLOWEST, FASTEST = 0.01, 1000  # steps a second of slow motion


class Steering(Steered):
    """What a page may do with a run that learns in another thread.

    view: called between two steps, in the thread that trains, and only while somebody calls `look`,
    which returns what it returned. It takes at most the share `share` of the training's time, and
    any time while the run waits. paused: the run waits before its first step. hold: it waits at its
    end, until `finish`.

    `by` names who asks, for what is said. Methods return at once; UsageError for what cannot be.
    When a run has ended, the same object may steer the next one.
    """

    def ready(self, timeout: float = 60.0) -> bool:
        """Wait until a run has begun; whether one has."""
        with self._changed:
            return self._changed.wait_for(lambda: self._trainer is not None, timeout)

    def start(self, by: str = "") -> None:
        """Go on without a pause."""
        self._ask(lambda: self._go(by))

    def pause(self, by: str = "") -> None:
        """Wait before the next step."""
        self._ask(self._wait_again)

    def one_step(self, by: str = "") -> None:
        """Take one step, and wait again."""
        self.steps(1, by)

    def steps(self, count: int, by: str = "") -> None:
        """Take so many steps, and wait again."""
        self._ask(lambda: self._go(by, steps=count))

    def one_epoch(self, by: str = "") -> None:
        """Learn to the end of the epoch, or a whole one at its end, and wait again.

        At the end of the run it becomes one epoch longer, which is an event.
        """

        def begin() -> bool:
            trainer, longer = self._run(), False
            if self._ended_early:
                self._say(by, ENDED_EARLY)
                return False
            batches, settings = trainer.batches, trainer.settings
            epochs = batches.place(trainer.taken) // batches.per_epoch + 1
            if trainer.taken >= trainer.steps:
                name, new = "iterations", trainer.steps + batches.per_epoch
                if settings.epochs is not None:
                    name, new = "epochs", epochs
                longer = self._apply(name, new, by)
                if not longer:
                    return False
            self._paused, self._steps_left = False, 0
            self._to_place = epochs * batches.per_epoch
            return longer

        self._ask(begin)

    def slow(self, steps_per_second: float | None, by: str = "") -> None:
        """Take at most so many steps a second; None: as many as can be."""
        number = steps_per_second
        counts = isinstance(number, (int, float)) and not isinstance(number, bool)
        if number is not None and not (counts and SLOWEST <= number <= FASTEST):
            raise UsageError(
                f"slow motion takes {SLOWEST:g} to {FASTEST:,} steps a second, not {number!r}"
            )

        def set_pace() -> bool:
            self._slow, self._due = number, 0.0
            return False

        self._ask(set_pace)

    def change(self, name: str, value: Any, by: str = "") -> None:
        """Give a setting another value from the next step on. UsageError if it cannot have it."""
        with self._changed:
            trainer = self._run()
            self._check(check_change(trainer.settings, name, value))
            if self._ended_early:
                raise UsageError(ENDED_EARLY)
            if self._taken >= trainer.steps and name not in LENGTHS:
                raise UsageError(
                    "the run is at its end, so no step follows that a change could have an effect "
                    "on; learn one epoch more first, or begin again"
                )
            if len(self._progress.events.all) >= MOST:
                raise UsageError(f"a run may have {MOST:,} changes; begin again with these")
        self._ask(lambda: self._apply(name, value, by))

    def undo(self, step: int, by: str = "") -> None:
        """Go back to a kept point, before any change that was made there; then wait.

        The run has no events after it any more, those that were planned neither.
        """
        with self._changed:
            self._run()
            if step not in self._points.kept:
                raise UsageError(
                    f"no point is kept after step {step}; those after "
                    f"{', '.join(map(str, self._points.kept))} are"
                )

            if self._ended_early and step >= self._taken:
                raise UsageError(ENDED_EARLY)

        def go_back() -> bool:
            point = self._points.before(step)
            if point is None:  # another page went back further before
                return False
            if not self._finishing:
                self._stop.finishing = False  # of the end that is taken back
            taken = self._run().taken
            planned = [event for event in self._go_back(point) if event.step > taken]
            self._say(by, f"the run is back at iteration {point.taken:,}{left_out(planned)}")
            return True

        self._ask(go_back)

    def begin_again(self, changes: Mapping[str, Any] = {}, by: str = "") -> None:
        """End the run, and ask for another with the settings of now and these changes.

        They are in `again`, for whoever trains. UsageError for settings that do not fit.
        """
        with self._changed:
            now = self._run().settings
            made = now.changed(**changes)
            self._check(made)
            self.again = made
            self._say(by, "the run begins again" + differences(now, made))
            self._interrupt()

    def finish(self, by: str = "") -> None:
        """End the run with its results, as if its next step were the last."""
        with self._changed:
            self._run()
            self._finishing = True
            self._stop.finish()
            self._note_change()

    def stop(self, by: str = "") -> None:
        """Interrupt the run: it is saved where it has a directory, and can be resumed."""
        with self._changed:
            self._run()
            self._interrupt()

    def next_run(self, timeout: float) -> Settings | None:
        """What `begin_again` asked for, after the end of a run; None after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.again is not None, timeout)
            return self.again

    def look(self, after: int = 0, timeout: float = 0.0, anew: bool = False) -> tuple[int, Any]:
        """The newest result of the view and its number; asks for a newer one.

        Waits up to `timeout` seconds for one with a number above `after`. anew: the view would now
        return something else of the same step.
        """
        with self._changed:
            self._fresh = self._fresh and not anew
            self._wanted = self._attention = self.view is not None
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._number > after or self._ended, timeout)
            return self._number, self._value

    def during(self, function: Callable[[Moment], Any], timeout: float | None = None) -> Any:
        """Call a function in the thread that trains, between two steps; what it returns."""
        found: Future[Any] = Future()

        def call() -> bool:
            try:
                found.set_result(function(Moment(self._run(), self._progress)))
            except BaseException as error:
                found.set_exception(error)
            return False

        with self._changed:
            if self._ended:  # no other thread changes it any more
                call()
            else:
                error = UsageError("the run has ended meanwhile; ask again")
                self._ask(call, lambda: found.set_exception(error))
        return found.result(timeout)

    def wait(self, version: int, timeout: float) -> dict[str, Any]:
        """The state, once its version is another than this one, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version or self._ended, timeout)
        return self.state()

    def state(self) -> dict[str, Any]:
        """How far the run is, its settings and its events, what can be done, as JSON types."""
        with self._changed:
            trainer = self._trainer
            found = {"version": self._version, "status": self._status(), "said": list(self.said)}
            if trainer is None:
                return found
            events, batches = self._progress.events, trainer.batches
            settings = events.settings(self._taken)  # which the trainer may not have yet
            rate = trainer.learning_rate
            return found | {
                "taken": self._taken,
                "steps": trainer.steps,
                "per_epoch": batches.per_epoch,
                "epoch": batches.place(self._taken) / batches.per_epoch,
                "slow": self._slow,
                "learning_rate": rate if np.isfinite(rate) else None,
                "loss": self._loss,
                "settings": settings.as_dict(),
                "begun": events.begun.as_dict(),
                "changeable": changeable(settings),
                "events": events.records(),
                "points": list(self._points.kept),
            }


def changeable(settings: Settings) -> list[str]:
    """The settings that may change in a run with these settings."""
    fixed = set()
    if not OPTIMIZERS[settings.optimizer].has_momentum:
        fixed.add("momentum")
    if any(getattr(settings, name) not in ("constant", 0.0) for name in SPREAD):
        fixed.update(LENGTHS)
    return [name for name in CHANGEABLE if name not in fixed]


def differences(now: Settings, made: Settings) -> str:
    """What is changed, as the end of a sentence."""
    found = [
        f"{flag_of(name)} {shown(value)}"
        for name, value in made.as_dict().items()
        if name in KNOBS and value != getattr(now, name)
    ]
    return f", with {', '.join(found)}" if found else ""
