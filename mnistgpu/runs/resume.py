"""How a run continues from a checkpoint, and which settings may change when it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from mnistgpu.backend import Backend
from mnistgpu.data import Digits
from mnistgpu.engine.gradient import Communicator, draws
from mnistgpu.engine.teacher import Trained
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DataError, UsageError
from mnistgpu.knobs import flags_of
from mnistgpu.runs.checkpoint import START, Checkpoint, machine
from mnistgpu.runs.events import Events
from mnistgpu.runs.history import Progress
from mnistgpu.settings import LENGTHS, Settings


def workers(saved: Checkpoint | None, backend: Backend, ranks: int | None) -> int | None:
    """How many workers share a step: on the same machine as many as before.

    This holds even if the process may now use fewer cores, since the number of workers decides how
    sums are rounded. None, so that the trainer chooses, for a new run, on another machine, with
    another number of ranks, and for an exact run, whose sums are not rounded.
    """
    if saved is None or saved.settings.is_exact or machine(backend, ranks) != saved.machine:
        return None
    return saved.workers


def trainer_of(
    saved: Checkpoint,
    settings: Settings,
    digits: Digits,
    backend: Backend,
    workers: int | None = None,
    communicator: Communicator | None = None,
    teachers: Sequence[Trained] = (),
) -> tuple[Trainer, Progress]:
    """A trainer in the state of the checkpoint, and the progress to continue with.

    settings: those that the run began with, of another length perhaps.
    """
    events = saved.progress.events
    events = Events(settings, list(events.all), dict(events.workers))
    epoch = len(digits) if digits.unlabeled is None else len(digits.unlabeled)
    if events and settings != saved.settings:
        check_events(events, epoch)
    now, shift = events.settings(saved.taken), events.shift(saved.taken, epoch)
    start = saved.vectors.get(START)
    trainer = Trainer(now, digits, backend, workers, communicator, start, shift, teachers)
    return trainer, restore(saved, trainer, events)


def restore(saved: Checkpoint, trainer: Trainer, events: Events) -> Progress:
    """Put the trainer into the state of the checkpoint; the progress to continue with.

    events: those of the checkpoint, of a run with the settings to go on with.
    Raises DataError if the network sees other pixels than before, UsageError as `check_length`.
    """
    if trainer.engine.sizes[0] != saved.pixels:
        raise DataError(
            f"the checkpoint's network looks at {saved.pixels} pixels, but these settings and "
            f"images leave {trainer.engine.sizes[0]}; train anew"
        )
    same = events.begun == saved.settings
    if not same:
        check_length(saved, trainer.steps)
    trainer.restore(saved.vectors, saved.taken)
    finished = trainer.taken >= trainer.steps or (saved.progress.finished and same)
    return replace(
        saved.progress,
        history=list(saved.progress.history),
        digests=dict(saved.progress.digests),
        events=events,
        finished=finished,
    )


def warnings(saved: Checkpoint) -> list[str]:
    """What a run that goes on from this checkpoint should be told.

    Random numbers of 0.1.0 depended on where batches were cut, and so did batch normalisation.
    """
    if saved.format > 1 or not (draws(saved.settings) or saved.settings.batch_norm):
        return []
    return [
        "the run was begun with mnistgpu 0.1.0; from here on its noise, dropout, deformations and "
        "groups of batch normalisation are others than there"
    ]


def check_events(events: Events, images: int) -> None:
    """Refuse a length at which no step follows the newest event."""
    newest = events.all[-1]
    steps = events.steps(newest.step, images)
    if newest.step >= steps:
        raise UsageError(
            f"the run to resume changes {newest.sentence}, but would take no more than {steps:,} "
            "steps with the length now asked for; give more --iterations or --epochs"
        )


def check_length(saved: Checkpoint, steps: int) -> None:
    """Refuse a length of fewer steps than were taken, or more if early stopping ended the run."""
    if steps < saved.taken:
        raise UsageError(
            f"the run to resume has taken {saved.taken:,} steps, more than the {steps:,} now asked "
            "for; give more --iterations or --epochs, or train anew"
        )
    patience = saved.settings.early_stopping
    if saved.progress.finished and patience is not None:
        if saved.progress.history[-1].epoch - saved.progress.best_epoch >= patience:
            raise UsageError(
                f"the run to resume was ended by --early-stopping {patience}, and would be again; "
                "train anew without it"
            )


def changed_settings(saved: Checkpoint, changes: Mapping[str, Any], where: str) -> Settings:
    """The settings to continue with: the checkpoint's, but for changed --iterations or --epochs.

    These may not change where an event has changed the length, since that event would win.

    A run is a function of its settings, so they may change only where the steps already taken would
    have been the same. UsageError names what may not change, and why.
    """
    begun = saved.settings
    wanted = begun.changed(**changes)  # which refuses values of a wrong type
    for knob in fields(Settings):
        name, flag = knob.name, flags_of(knob)[0]
        if name in LENGTHS or name not in changes:
            continue
        if getattr(wanted, name) != getattr(begun, name):
            raise UsageError(
                f"{flag} {changes[name]} cannot be given with --resume: {where} was trained with "
                f"{getattr(begun, name)} so far, and only --iterations, --epochs, --data, "
                "--backend, --out, --checkpoint-every and --quiet may change; train anew"
            )
    length = [name for name in LENGTHS if name in changes]
    if length and (changed := [e for e in saved.progress.events.all if e.name in LENGTHS]):
        newest = changed[-1]
        if all(changes[name] == (newest.new if name == newest.name else None) for name in length):
            return begun
        raise UsageError(
            f"{' '.join('--' + name for name in length)} cannot be given with --resume: on its way "
            f"{where} changes {newest.sentence}, which decides its length; leave it out"
        )
    if wanted == begun:
        return begun
    for name in ("schedule", "warmup", "clean_ending"):
        value = getattr(begun, name)
        if value not in ("constant", 0.0):
            flag = "--" + name.replace("_", "-")
            raise UsageError(
                f"{' '.join('--' + name for name in length)} cannot change with --resume: {where} "
                f"was trained with {flag} {value}, which spreads over the length of a run, so its "
                "steps so far would have been different in a run of another length; train anew"
            )
    return wanted
