"""When a checkpoint is written: now and then, when a run is interrupted, and at its end."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from pathlib import Path

from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.runs import checkpoint
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.events import Event
from mnistgpu.runs.history import Progress
from mnistgpu.runs.stop import Stop


@dataclass(frozen=True)
class Every:
    """How often to write a checkpoint: after so much time or so many epochs, or never."""

    seconds: float = math.inf
    epochs: int | None = None


UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_every(text: str) -> Every:
    """What --checkpoint-every says: 60s, 5m, 1h, 2epochs or never; UsageError otherwise."""
    if text == "never":
        return Every()
    said = text if isinstance(text, str) else ""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(s|m|h)", said)
    if match:
        return Every(float(match[1]) * UNITS[match[2]])
    match = re.fullmatch(r"([1-9][0-9]{0,8})epochs?", said)
    if match:
        return Every(epochs=int(match[1]))
    raise UsageError(
        f"--checkpoint-every must be a time such as 60s, 5m or 1h, a number of epochs such as "
        f"2epochs, or never; not {text!r}"
    )


class Checkpointing(Callback):
    """Writes checkpoint.safetensors into the run directory.

    data: the path of the data, None for the embedded MNIST.
    taken: the steps of the checkpoint that is in the directory already, if a run is resumed.
    """

    def __init__(
        self,
        directory: Path,
        data: str | None,
        data_digest: str,
        every: Every,
        taken: int | None = None,
    ):
        self.path, self.data, self.data_digest = directory / checkpoint.FILE, data, data_digest
        self.every, self._saved_at, self._due, self._looked_at = every, taken, math.inf, 0
        self._events: list[Event] = []
        self._owed = False  # a checkpoint was due, and this rank has not had all of it yet

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        self._due = time.monotonic() + self.every.seconds
        self._events = list(progress.events.all)  # of the checkpoint that is there
        if self.every.epochs is not None:
            self._looked_at = trainer.batches.place(trainer.taken)

    def step(self, trainer: Trainer, progress: Progress) -> None:
        """Save if it is time, and at the end.

        If each rank has a part of the optimiser's state, ask for it, and save after the next step.
        """
        self._owed = self.is_due(trainer) or progress.finished or self._owed
        if trainer.communicator is not None:
            trainer.communicator.vote[-1] = float(self._owed and not trainer.gathered)
        if self._owed and trainer.gathered:
            self.save(trainer, progress)

    def changed(self, trainer: Trainer, progress: Progress) -> None:
        """Save, if the checkpoint has other events: a change by hand is known nowhere else.

        Also if it is of a step that was undone.
        """
        if self._saved_at is None:
            return
        if self._saved_at > trainer.taken or self._events != progress.events.all:
            self.save(trainer, progress)

    def interrupted(self, trainer: Trainer, progress: Progress) -> None:
        """Save, unless `step` just has."""
        if self._saved_at != trainer.taken:
            self.save(trainer, progress)

    def is_due(self, trainer: Trainer) -> bool:
        """Whether the time or the epochs between two checkpoints have passed."""
        if self.every.epochs is not None:  # steps taken together may pass the end of such epochs
            steps, before = self.every.epochs * trainer.batches.per_epoch, self._looked_at
            self._looked_at = place = trainer.batches.place(trainer.taken)
            return place // steps > before // steps
        return time.monotonic() >= self._due

    def save(self, trainer: Trainer, progress: Progress) -> None:
        """Replace the checkpoint."""
        state = checkpoint.of(trainer, progress, self.data, self.data_digest)
        checkpoint.save(state, self.path)
        self._saved_at, self._events = trainer.taken, list(progress.events.all)
        self._due = time.monotonic() + self.every.seconds
        self._owed = False

    def kept(self) -> str:
        """What is left of the run if it breaks off now, in words."""
        if self._saved_at is None:
            return "no checkpoint of this run was written yet"
        if not self.path.exists():
            return "no checkpoint of it is left"
        return f"{self.path} keeps the run as it was after iteration {self._saved_at:,}"
