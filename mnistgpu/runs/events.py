"""Events: the changes of settings while a run goes on, so that it can be repeated to the same bits.

A run is a function of its settings, its events, its seed and its data. An event says after how many
steps which setting had another value; from the next step on the run goes as one with that setting
would, with the same parameters and the same state of the optimiser. Schedules go on at the same
share of the run. After a change of the batch size an epoch goes on in its order of images, at the
next place where a batch of the new size begins; a full batch begins with the next epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from mnistgpu.engine.batches import UNSHIFTED, Shift
from mnistgpu.errors import DataError, UsageError, did_you_mean
from mnistgpu.knobs import flags_of
from mnistgpu.settings import LENGTHS, Settings, renamed

KNOBS = {knob.name: knob for knob in fields(Settings)}
CHANGEABLE = (
    "learning_rate",
    "momentum",
    "batch_size",
    "weight_decay",
    "l2",
    "label_smoothing",
    "input_noise",
    "hidden_noise",
    "input_dropout",
    "hidden_dropout",
    "rotation",
    "rotation_1_7",
    "scaling",
    "shear",
    "shift",
    "mirror",
    "elastic",
    "elastic_sigma",
    "images_per_map",
    *LENGTHS,
)
MOST = 5_000  # events of a run
NAMED = 3  # of them at most in a sentence
SPREAD = ("schedule", "warmup", "clean_ending")  # settings that spread over the length of a run


@dataclass(frozen=True)
class Event:
    """After `step` steps of a run the setting `name` was changed from `old` to `new`."""

    step: int
    name: str
    old: Any
    new: Any

    def as_dict(self) -> dict[str, Any]:
        """It as JSON types."""
        return {"step": self.step, "name": self.name, "old": self.old, "new": self.new}

    @property
    def change(self) -> str:
        """What was changed, such as "alpha from 0.25 to 0.1"."""
        return f"{flag_of(self.name)} from {shown(self.old)} to {shown(self.new)}"

    @property
    def sentence(self) -> str:
        """The change and its step, such as "alpha from 0.25 to 0.1 after iteration 120"."""
        return f"{self.change} after iteration {self.step:,}"


def flag_of(name: str) -> str:
    """What messages call a setting: its first flag without dashes."""
    return flags_of(KNOBS[name])[0].removeprefix("--")


def shown(value: Any) -> str:
    """A value in a sentence."""
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass
class Events:
    """The events of a run in their order, and the settings that it began with.

    workers: how many workers shared the steps from each of these steps on, as far as it is known.
    The same number gives the same bits on the same machine.
    """

    begun: Settings
    all: list[Event] = field(default_factory=list)
    workers: dict[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.all)

    def records(self) -> list[dict[str, Any]]:
        """The events as JSON types."""
        return [event.as_dict() for event in self.all]

    def settings(self, taken: int) -> Settings:
        """The settings of the step that follows `taken` steps."""
        changes: dict[str, Any] = {}
        for event in self.all:
            if event.step <= taken:
                if event.name in LENGTHS:  # each replaces the other
                    changes = {name: new for name, new in changes.items() if name not in LENGTHS}
                changes[event.name] = event.new
        return self.begun.changed(**changes) if changes else self.begun

    def after(self, taken: int) -> int | None:
        """The first step after `taken` steps with an event; None without one."""
        return next((event.step for event in self.all if event.step > taken), None)

    def newest(self, taken: int) -> int:
        """After how many steps the newest event was, up to `taken` steps; 0 without one."""
        return max((event.step for event in self.all if event.step <= taken), default=0)

    def shift(self, taken: int, images: int) -> Shift:
        """How steps are counted after so many, with so many training images."""
        size, shift = self.begun.batch_size or images, UNSHIFTED
        for event in self.all:
            if event.name == "batch_size" and event.step <= taken:
                epoch, batch = divmod(event.step + shift.ahead, -(-images // size))
                seen = min(batch * size, images)
                size = event.new or images
                place = epoch * -(-images // size) + -(-seen // size)
                shift = Shift(event.step, place - event.step)
        return shift

    def steps(self, taken: int, images: int) -> int:
        """How many steps the run takes in all, by its settings after `taken` steps."""
        settings = self.settings(taken)
        if settings.iterations is not None:
            return settings.iterations
        per_epoch = -(-images // (settings.batch_size or images))
        return (settings.epochs or 0) * per_epoch - self.shift(taken, images).ahead

    def set(self, step: int, name: str, new: Any) -> Event | None:
        """Change a setting after so many steps, the newest of the run; None if it has that value.

        A second change of a setting after the same step replaces the first. Events of later steps,
        which were planned for the run as it was, are left out. UsageError as `check_change`.
        """
        now = self.settings(step)
        new = getattr(check_change(now, name, new), name)
        if new == getattr(now, name):  # the run stays as it is, and so does what is planned
            return next((e for e in self.all if (e.step, e.name, e.new) == (step, name, new)), None)
        names = LENGTHS if name in LENGTHS else (name,)
        kept = [e for e in self.all if e.step < step or (e.step == step and e.name not in names)]
        old = getattr(Events(self.begun, kept).settings(step), name)
        event = None if new == old else Event(step, name, old, new)
        self.all = kept if event is None else [*kept, event]
        self.workers = {at: count for at, count in self.workers.items() if at <= step}
        return event

    def later(self, step: int) -> list[Event]:
        """The events of steps after this one, which are planned while the run is there."""
        return [event for event in self.all if event.step > step]

    def cut(self, step: int) -> None:
        """Leave out the events after so many steps and later: the run goes back to before them."""
        self.all = [event for event in self.all if event.step < step]
        self.workers = {at: count for at, count in self.workers.items() if at <= step}


def left_out(events: Sequence[Event]) -> str:
    """Which changes a run does not have any more, as the end of a sentence; "" for none."""
    if not events:
        return ""
    named = [event.sentence for event in events[:NAMED]]
    if len(events) > NAMED:
        named.append(f"{len(events) - NAMED:,} more")
    changes = "change" if len(events) == 1 else f"{len(events):,} changes"
    return f"; the run no longer has the {changes} of {' and of '.join(named)}"


def check_change(settings: Settings, name: str, new: Any) -> Settings:
    """The settings with this change; UsageError, which says why, if it cannot be made in a run."""
    if name not in CHANGEABLE:
        known = name in KNOBS
        hint = "" if known else did_you_mean(name, CHANGEABLE, "_")
        what = f"{flag_of(name)} cannot change" if known else f"there is no setting {name!r}{hint}"
        raise UsageError(
            f"{what} while a run goes on; what can: {', '.join(map(flag_of, CHANGEABLE))}; begin "
            "again to change anything else"
        )
    if name in LENGTHS:
        for other in SPREAD:
            if (value := getattr(settings, other)) not in ("constant", 0.0):
                raise UsageError(
                    f"{flag_of(name)} cannot change while a run goes on with {flag_of(other)} "
                    f"{shown(value)}, which spreads over the length of the run; begin again"
                )
    return settings.changed(**{name: new})


def checked(
    given: Sequence[Any],
    begun: Settings,
    images: int,
    check_fit: Callable[[Settings], object],
    where: str,
    workers: Mapping[int, int] | None = None,
) -> Events:
    """The events of a list, of a run with these settings and so many images to train on.

    given: an Event or an object {"step": 120, "name": "learning_rate", "new": 0.1} each, where
    "old" is compared with the value at that step if it is there. check_fit: refuses settings that
    do not fit the data. Raises DataError, which names `where` and the event.
    """
    if len(given) > MOST:
        raise DataError(f"{where}: has {len(given):,} events, and a run may have {MOST:,}")
    records = [
        record_of(event, f"{where}, event {number}") for number, event in enumerate(given, 1)
    ]
    found = Events(begun, workers=dict(workers or {}))
    for number, record in sorted(enumerate(records, 1), key=lambda pair: pair[1]["step"]):
        here, step, name = f"{where}, event {number}", record["step"], record["name"]
        last = found.steps(step - 1, images)
        if step > last - (name not in LENGTHS):
            raise DataError(
                f"{here}: step {step:,} is none of this run, which takes {last:,} steps; was the "
                "file made for other settings?"
            )
        now = getattr(found.settings(step), name, None)
        if name in KNOBS and "old" in record and record["old"] != now:
            raise DataError(
                f"{here}: changes {flag_of(name)} from {shown(record['old'])}, but it is "
                f"{shown(now)} at that step; was the file made for other settings?"
            )
        try:
            found.all.append(Event(step, name, now, plain_value(found.settings(step), record)))
            check_fit(found.settings(step))
        except UsageError as error:
            raise DataError(f"{here}: {error}") from None
        if found.steps(step, images) <= step:
            raise DataError(f"{here}: the run would end before step {step:,}; give more steps")
    return found


def plain_value(settings: Settings, record: Mapping[str, Any]) -> Any:
    """The new value of a record's setting, as settings keep it; UsageError if it is refused."""
    return getattr(check_change(settings, record["name"], record["new"]), record["name"])


def record_of(given: Any, here: str) -> dict[str, Any]:
    """An event as an object with a step, a setting's own name and a new value; DataError if not."""
    if isinstance(given, Event):
        return given.as_dict()
    names = {"step", "name", "new"}
    if not isinstance(given, Mapping) or not names <= set(given) <= names | {"old"}:
        raise DataError(
            f'{here}: must be an object such as {{"step": 120, "name": "learning_rate", "old": '
            '0.25, "new": 0.1}, where "old" may be left out'
        )
    step, name = given["step"], given["name"]
    if type(step) is not int or not 0 <= step < 2**63:
        raise DataError(f"{here}: step must be a whole number of at least 0, not {step!r:.40}")
    if not isinstance(name, str):
        raise DataError(f"{here}: name must be that of a setting, not {name!r:.40}")
    try:
        ((own, _),) = renamed({name: given["new"]}).items()
    except UsageError as error:
        raise DataError(f"{here}: {error}") from None
    return {**given, "name": own}
