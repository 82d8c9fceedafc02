"""What the thread that trains does for whoever steers its run, between two steps."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DivergedError, UsageError
from mnistgpu.models.model import Model
from mnistgpu.runs.events import Event, flag_of, left_out, shown
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.points import Point, Points
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings

AT_MOST = 0.1  # seconds after which a waiting run looks whether a signal has come
SAID = 100  # sentences that are kept
NOT_ON_RANKS = (
    "a run that several ranks share cannot be steered, since each rank would have to be; "
    "steer it in one process, and repeat it on the ranks with --events"
)
ENDED_EARLY = "the run was ended early; go back to an earlier step, or begin again"
SHARE = 0.03  # of the training's time that a view may take
PREPARING, WAITING, RUNNING = "preparing", "waiting", "running"
PAUSED, HOLDING, ENDED = "paused", "holding", "ended"


@dataclass(frozen=True)
class Moment:
    """A run between two steps, as a view sees it. Only within the call may it be looked at."""

    trainer: Trainer
    progress: Progress

    @property
    def taken(self) -> int:
        """Steps so far."""
        return self.trainer.taken

    @property
    def history(self) -> list[Row]:
        """The rows of history so far."""
        return self.progress.history

    @property
    def loss(self) -> float | None:
        """Mean loss of the epoch so far; None at its beginning. A sync point."""
        progress = self.progress
        return float(progress.loss) / progress.seen if progress.seen else None

    def model(self) -> Model:
        """The network as it is now, a copy on the host. A sync point."""
        trainer, events = self.trainer, self.progress.events
        return Model(
            np.array(trainer.backend.to_numpy(trainer.plain())),
            trainer.settings.sizes,
            trainer.digits.image_shape,
            trainer.settings.activation,
            events.begun.as_dict(),
            "",
            trainer.digits.classes,
            trainer.digits.levels,
            events=tuple(events.records()),
        )


class Steered:
    """A run that is steered, as the thread that trains sees it; `Steering` is what others see."""

    def __init__(
        self,
        view: Callable[[Moment], Any] | None = None,
        share: float = SHARE,
        paused: bool = False,
        hold: bool = False,
    ):
        self.view, self.share, self.hold = view, share, hold
        self.again: Settings | None = None  # what `begin_again` asks for
        self.said: deque[dict[str, Any]] = deque(maxlen=SAID)
        self._changed = threading.Condition()
        self._version = self._number = 0
        self._paused, self._steps_left = paused, 0  # steps that a paused run may take
        # steps so far: a trainer takes others while the forms of steps are compared
        self._taken = 0
        self._to_place: int | None = None  # at which a run pauses, for `one_epoch`
        self._slow: float | None = None  # steps a second
        self._due = self._look_due = 0.0  # when the next step, the next view may be
        self._wanted = False  # whether somebody looks
        self._fresh = False  # whether the newest view is of the run as it is now
        self._attention = True  # whether the thread that trains has anything to do here
        self._requests: deque[tuple[Callable[[], bool], Callable[[], object]]] = deque()
        self._newest: dict[str, tuple[str, Any]] = {}  # who has changed a setting, and to what
        self._value: Any = None
        self._loss: float | None = None
        self._points = Points()
        self._trainer: Trainer | None = None
        self._ended = self._finishing = False  # finishing: `finish` was called
        self.rested = 0.0  # seconds in which the run has waited

    # What the thread that trains calls

    def begin(
        self, trainer: Trainer, progress: Progress, stop: Stop, check: Callable[[Settings], object]
    ) -> None:
        """Take over a run before its first step. check: refuses settings that its data do not fit.

        UsageError if several ranks share the run.
        """
        if trainer.communicator is not None:
            raise UsageError(NOT_ON_RANKS)
        with self._changed:
            self._trainer, self._progress, self._stop, self._check = trainer, progress, stop, check
            self._points, self._newest, self._requests = Points(), {}, deque()
            self._steps_left, self._to_place, self._loss = 0, None, None
            self._taken = trainer.taken
            self._ended, self._fresh, self._attention, self.again = False, False, True, None
            self._finishing = False
            self._points.keep(trainer, progress)
            self._note_change()

    def end(self) -> None:
        """The run has ended, in any way."""
        with self._changed:
            self._ended = True
            while self._requests:
                _, give_up = self._requests.popleft()
                give_up()
            self._note_change()

    @property
    def one_by_one(self) -> bool:
        """Whether steps are to be taken one by one, and not a few together."""
        return self._paused or self._slow is not None

    def between(self, at_row: bool) -> bool:
        """Do what was asked for, and wait if the run is to wait; whether the run has changed."""
        progress, taken = self._progress, self._run().taken
        stepped, self._taken = taken != self._taken, taken
        if not (self._attention or at_row or progress.finished):
            return False
        changed, self._fresh = False, False
        if stepped:
            self._steps_left = max(0, self._steps_left - 1)
            if self.one_by_one:
                self._note_change()
        with self._changed:
            if at_row:
                self._keep()
        while True:
            with self._changed:
                while self._requests:
                    request, _ = self._requests.popleft()
                    changed = request() or changed
                    self._fresh = False
                    self._note_change()
                if changed:  # the loop must change the trainer first, and then asks again
                    return True
                until = self._rests_until(time.perf_counter())
            self._show(until > 0.0)
            with self._changed:
                seconds = min(AT_MOST, until - time.perf_counter())
                if seconds <= 0.0:
                    self._attention = bool(
                        self._requests
                        or self._wanted
                        or self.one_by_one
                        or self._to_place is not None
                    )
                    return False
                if not self._requests:
                    begun = time.perf_counter()
                    self._changed.wait(seconds)
                    self.rested += time.perf_counter() - begun

    def changed(self) -> None:
        """The trainer has other settings, or is back at an earlier step."""
        self._note_change()

    def roll_back(self, error: DivergedError) -> bool:
        """Undo the newest change, after which the run has diverged; False if there was none."""
        with self._changed:
            trainer, progress = self._run(), self._progress
            events = progress.events
            newest = events.newest(trainer.taken)
            guilty = [event for event in events.all if event.step == newest]
            point = self._points.before(newest)
            if not guilty or point is None:
                return False
            what, _, _ = str(error).partition(", probably because")
            others = [event for event in self._go_back(point) if event not in guilty]
            changes = " and of ".join(event.change for event in guilty)
            self._say(
                "",
                f"{what}, after the change of {changes}: it is taken back, and the run is as it "
                f"was after iteration {point.taken:,}{left_out(others)}",
            )
            return True

    # What happens in the thread that trains, while no other looks

    def _run(self) -> Trainer:
        """The trainer; UsageError before a run has begun."""
        if self._trainer is None:
            raise UsageError("the run has not begun yet; try again in a moment")
        return self._trainer

    @property
    def _ended_early(self) -> bool:
        """Whether the run is at an end before its last step, as by early stopping."""
        return self._progress.finished and self._stop.finishing

    def _ask(
        self, request: Callable[[], bool], give_up: Callable[[], object] = lambda: None
    ) -> None:
        """Let the thread that trains call a function, which says whether the run has changed.

        give_up: what is called instead if the run ends before.
        """
        with self._changed:
            self._run()
            if self._ended:
                raise UsageError("the run has ended; begin again")
            self._requests.append((request, give_up))
            self._attention = True
            self._changed.notify_all()

    def _go(self, by: str, steps: int | None = None) -> bool:
        """Take so many steps and wait again, or go on without a pause."""
        trainer = self._run()
        if self._ended_early:
            self._say(by, ENDED_EARLY)
        elif trainer.taken >= trainer.steps:
            self._say(by, "the run is at its end; learn one epoch more, or begin again")
        else:
            self._paused, self._steps_left, self._to_place = steps is not None, steps or 0, None
        return False

    def _go_back(self, point: Point) -> list[Event]:
        """Put the run into the state of a point, and wait there; events that it leaves out."""
        cut = self._points.go_back(point, self._run(), self._progress)
        self._taken = point.taken
        self._wait_again()
        return cut

    def _wait_again(self) -> bool:
        """Wait from now on."""
        self._paused, self._steps_left, self._to_place = True, 0, None
        return False

    def _interrupt(self) -> None:
        """Ask the run to end."""
        self._stop.interrupt("the one who steers it", 0)
        self._note_change()

    def _apply(self, name: str, value: Any, by: str) -> bool:
        """Change a setting now; whether it has changed."""
        trainer, progress = self._run(), self._progress
        self._keep()
        planned = progress.events.later(trainer.taken)
        try:
            event = progress.events.set(trainer.taken, name, value)
        except UsageError as error:  # another page has changed something since it was checked
            self._say(by, str(error))
            return False
        dropped = left_out(planned[len(progress.events.later(trainer.taken)) :])
        if event is None:
            self._say(by, f"{flag_of(name)} is {shown(value)} as before{dropped}")
            return True
        before, theirs = self._newest.get(name, (by, None))
        self._newest[name] = by, event.new
        instead = "" if before == by else f", in place of {shown(theirs)} that another page had set"
        self._say(by, event.sentence + instead + dropped)
        return True

    def _keep(self) -> None:
        """Keep a point of the run, unless its numbers have overflown."""
        trainer = self._run()
        trainer.collect("theta")
        if bool(np.isfinite(trainer.backend.to_numpy(trainer.theta)).all()):
            self._points.keep(trainer, self._progress)
            self._note_change()

    def _say(self, by: str, text: str) -> None:
        """Keep a sentence for all pages."""
        number = self.said[-1]["number"] + 1 if self.said else 1
        self.said.append({"number": number, "by": by, "text": text})
        self._note_change()

    def _note_change(self) -> None:
        """Wake whoever waits for a change."""
        with self._changed:
            self._version += 1
            self._attention = True
            self._changed.notify_all()

    def _rests_until(self, now: float) -> float:
        """Until when the run waits, infinity for as long as it must; 0 if it goes on."""
        trainer, batches = self._run(), self._run().batches
        if self._stop.interrupting or self._finishing:
            return 0.0
        if self._stop.finishing and not self._progress.finished:  # its last step is to follow
            return 0.0
        if self._to_place is not None and batches.place(trainer.taken) >= self._to_place:
            self._wait_again()
            self._note_change()
        if self._progress.finished:
            return math.inf if self.hold else 0.0
        if self._paused and not self._steps_left:
            return math.inf
        if self._slow is not None and not self._paused:
            if now < self._due:
                return self._due
            self._due = now + 1.0 / self._slow
        return 0.0

    def _show(self, rests: bool) -> None:
        """Call the view if somebody looks, the run has changed, and it is time."""
        now = time.perf_counter()
        if not self._wanted or self._fresh or self.view is None:
            return
        if not rests and now < self._look_due:
            return
        moment = Moment(self._run(), self._progress)
        loss, value = moment.loss, self.view(moment)
        self._look_due = time.perf_counter() + (time.perf_counter() - now) / self.share
        with self._changed:
            self._wanted, self._fresh, self._loss, self._value = False, True, loss, value
            self._number += 1
            self._note_change()

    def _status(self) -> str:
        """What the run does, in a word."""
        if self._trainer is None:
            return PREPARING
        if self._ended:
            return ENDED
        if self._progress.finished:
            return HOLDING
        if self._paused and not self._steps_left:
            return WAITING if self._taken == 0 else PAUSED
        return RUNNING
