"""events.json: the events of a run, and what they belong to: its settings, its data, its machine.

It is in the directory of a run that was steered, and `mnistgpu train --events FILE` repeats such a
run. A file made by hand needs nothing but the events.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnistgpu import data
from mnistgpu.data.splitting import number_of
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DataError, UsageError
from mnistgpu.knobs import flags_of
from mnistgpu.runs import checkpoint
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.checks import check_fit
from mnistgpu.runs.events import KNOBS, Events, checked, shown
from mnistgpu.runs.history import Progress
from mnistgpu.runs.origin import Origin
from mnistgpu.runs.outcome import Outcome
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings, from_dict
from mnistgpu.storage import files

FILE = "events.json"  # in a run directory
MARK = b'{\n  "events": ['
NAMES = ("events", "settings", "data", "data_path", "data_digest", "machine", "workers")
STEP = re.compile("[0-9]{1,18}")  # below 2**63, as all counts of a checkpoint


@dataclass(frozen=True)
class EventsFile:
    """What was given as the events of a run, before it is compared with settings and data.

    settings: those that the run began with; None if the file names none.
    digest: of the data; "" if the file names none.
    """

    given: list[Any]
    where: str = "events"
    settings: Settings | None = None
    data_path: str | None = None
    digest: str = ""
    machine: dict[str, str] = field(default_factory=dict)
    workers: dict[int, int] = field(default_factory=dict)

    def events(self, begun: Settings, dataset: data.Dataset, machine: dict[str, str]) -> Events:
        """The events of a run with these settings and data; DataError if they do not fit.

        machine: what will compute it: on the same one as many workers share the steps as did.
        """
        self.check_settings(begun, len(dataset.train))
        if self.digest and dataset.digest != self.digest:
            raise DataError(
                f"{self.where}: was made for data with the digest {self.digest[:16]}, and "
                f"{dataset.source} has {dataset.digest[:16]}; give the data of that run"
            )
        workers = self.workers if machine == self.machine and not begun.is_exact else {}
        if not self.given:
            return Events(begun, workers=dict(workers))
        training, _ = data.split(dataset.train, begun.validation, begun.seed)
        count = len(training if training.unlabeled is None else training.unlabeled)
        return checked(
            self.given, begun, count, lambda made: check_fit(made, dataset), self.where, workers
        )

    def check_settings(self, begun: Settings, count: int) -> None:
        """UsageError if the run begins with other settings than the file names.

        count: images of which some are held out for validation: a share of them is made a number.
        """
        if self.settings is None:
            return
        for name, knob in KNOBS.items():
            then, now = getattr(self.settings, name), getattr(begun, name)
            if name == "validation":
                then, now = number_of(then, count), number_of(now, count)
            if then != now:
                raise UsageError(
                    f"{self.where}: was made for {flags_of(knob)[0]} {shown(then)}, and not for "
                    f"{shown(now)}; leave other settings out, or give other events"
                )


def read(path: Path) -> EventsFile:
    """What a file of events says; DataError if it is damaged."""
    where, record = str(path), files.read_json(path)
    unknown = [name for name in record if name not in NAMES]
    if unknown or not isinstance(record.get("events"), list):
        what = f"{unknown[0][:40]!r} is none of {', '.join(NAMES)}" if unknown else "no events"
        raise DataError(
            f'{where}: expected an object with a list "events", but found {what}; was it edited?'
        )
    settings = record.get("settings")
    begun = None if settings is None else from_dict(settings, f"{where}, settings")
    digest, data_path = record.get("data_digest", ""), record.get("data_path")
    machine, workers = record.get("machine", {}), record.get("workers", {})
    texts = isinstance(machine, dict) and all(isinstance(fact, str) for fact in machine.values())
    counted = isinstance(workers, dict) and all(
        STEP.fullmatch(step) and type(count) is int and 1 <= count < 2**63
        for step, count in workers.items()
    )
    named = isinstance(digest, str) and isinstance(data_path, str | None)
    for name, good in (("machine", texts), ("workers", counted), ("data_digest", named)):
        if not good:
            raise DataError(f"{where}: what it says under {name!r} is not what mnistgpu writes")
    steps = {int(step): count for step, count in workers.items()}
    return EventsFile(record["events"], where, begun, data_path, digest, machine, steps)


def write(path: Path, events: Events, origin: Origin, machine: dict[str, str]) -> None:
    """Write a file of events, which repeats the run on these data."""
    record = {
        "events": events.records(),
        "settings": events.begun.as_dict(),
        **origin.record(),
        "machine": machine,
        "workers": {str(step): count for step, count in events.workers.items()},
    }
    files.replace_json(path, record)


class KeepEvents(Callback):
    """Keeps events.json in the directory of a run, from its first event on.

    Beside the results of an older run, which --force is to replace, it is written at the end.
    """

    def __init__(self, directory: Path, origin: Origin):
        self.directory, self.origin = directory, origin

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        ranks = None if trainer.communicator is None else trainer.communicator.size
        self.machine = checkpoint.machine(trainer.backend, ranks)
        self.events = progress.events
        self.changed(trainer, progress)

    def changed(self, trainer: Trainer, progress: Progress) -> None:
        """Replace the file, unless an older run is finished here."""
        if not (self.directory / "results.json").exists():
            self.write()

    def interrupted(self, trainer: Trainer, progress: Progress) -> None:
        """Replace the file: it says how many workers shared the steps."""
        self.changed(trainer, progress)

    def end(self, outcome: Outcome) -> None:
        """Replace the file."""
        self.write()

    def write(self) -> None:
        """Replace the file; without events there is none."""
        path = self.directory / FILE
        if self.events:
            write(path, self.events, self.origin, self.machine)
        else:
            files.remove(path)
