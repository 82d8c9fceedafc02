"""The network of a run that was stopped, or is still going: that of its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.data.splitting import number_of
from mnistgpu.errors import DataError
from mnistgpu.models.model import FILE as MODEL
from mnistgpu.models.model import Model
from mnistgpu.runs import checkpoint, resume
from mnistgpu.runs.events import Events
from mnistgpu.runs.history import Row
from mnistgpu.settings import Settings
from mnistgpu.storage import files


def is_stopped(directory: Path) -> bool:
    """Whether a directory has the checkpoint of a run, but no trained network yet."""
    return not files.is_file(directory / MODEL) and files.is_file(directory / checkpoint.FILE)


def read(
    directory: Path,
    load: Callable[[str | None, str], data.Dataset],
    complete: Callable[[data.Dataset, Settings], data.Dataset],
) -> tuple[Model, list[Row], str]:
    """The network of a checkpoint, the history so far, and "after N of M iterations".

    The digits that the run is trained on are read, since they decide which pixels the network sees
    and what is subtracted from them. load: reads those at a path (None: the embedded MNIST).
    complete: adds the images without labels, if the settings name some. DataError if they are not
    where they were.
    """
    saved = checkpoint.load(directory)
    settings = saved.settings
    dataset = load(saved.data, settings.orientation)
    dataset = data.prepared(dataset, settings.sizes[-1], settings.test_share)
    dataset = complete(dataset, settings)
    if dataset.digest != saved.data_digest:
        raise DataError(
            f"{directory}: a run that is not finished, and {dataset.source} is not what it is "
            "trained on; finish it with `mnistgpu train --resume`, or mnistgpu.resume in Python"
        )
    training, _ = data.split(dataset.train, settings.validation, settings.seed)
    trainer, progress = resume.trainer_of(saved, settings, training, NUMPY, workers=1)
    theta = trainer.plain() if progress.best_theta is None else progress.best_theta
    model = Model(
        np.asarray(theta),
        settings.sizes,
        dataset.train.image_shape,
        settings.activation,
        settings.as_dict(),
        dataset.digest,
        dataset.train.classes,
        dataset.train.levels,
        events=tuple(progress.events.records()),
    )
    return model, progress.history, f"after {saved.taken:,} of {trainer.steps:,} iterations"


def sentence(who: object, how_far: str) -> str:
    """What is said of such a network. who: what messages call it; how_far: as `read` gives it."""
    return f"{who}: not finished; its network is that {how_far}"


def of_run(taken: int, events: Events, dataset: data.Dataset | None) -> str:
    """How far a run with these events is that was stopped in this program, after so many steps."""
    known, count = events.settings(taken).iterations is not None, 1
    if dataset is not None:
        known, count = True, len(dataset.train)
        count -= number_of(events.begun.validation, count)
        if dataset.train.unlabeled is not None:  # an epoch is a pass through them
            count = len(dataset.train.unlabeled)
    of = f" of {events.steps(taken, count):,}" if known else ""
    return f"after {taken:,}{of} iterations"
