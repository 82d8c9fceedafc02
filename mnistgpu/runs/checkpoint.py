"""checkpoint.safetensors: all of a run between two steps, so that it continues bit for bit.

Batches, noise and deformations are functions of seed and step (`counter_rng`) and need not be
saved. The file says which data, and holds the settings and what was computed so far: parameters,
the optimiser's state, running statistics, the epoch's sums, the history, the best parameters.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu import network, settings
from mnistgpu.backend import Backend
from mnistgpu.engine import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DataError, UsageError
from mnistgpu.maths import optimizers, regularize
from mnistgpu.maths.denoising import decoder_count
from mnistgpu.runs import events, health
from mnistgpu.runs.events import Event, Events
from mnistgpu.runs.history import COLUMNS, MOST_ROWS, Progress, Row
from mnistgpu.settings import Settings
from mnistgpu.storage import files, tensor_file
from mnistgpu.storage.tensor_file import Expected

FILE = "checkpoint.safetensors"
# 2: noise, dropout and deformations are those of an image's place in its batch; 1 (mnistgpu 0.1.0):
# they depended on where a batch was cut. The same arrays and texts in both. 3: has events, and is
# written only for a run that has them.
FORMAT, FORMAT_VERSION, NEWEST = "mnistgpu-checkpoint", 2, 3
COUNTS = ("taken", "followed", "workers", "pixels", "rows", "seen", "images_seen")
NUMBERS = ("loss", "right", "seconds", "best_epoch")
START = "start"  # the vector of the network that a run with --from has begun with
# Entries of Backend.describe, and whether processes share the steps: these decide the bits
MACHINE = ("backend", "device", "numpy", "cupy", "steps")


@dataclass(frozen=True)
class Checkpoint:
    """A run between two steps, on the host. `settings` are those that it began with."""

    settings: Settings
    data: str | None  # the path of the data; None for the embedded MNIST
    data_digest: str
    machine: dict[str, str]  # what computed it
    workers: int  # threads or processes that shared a step
    pixels: int  # inputs of the network, after min_ink has left some out
    taken: int  # steps so far
    vectors: dict[str, np.ndarray]  # as in Trainer.vectors
    progress: Progress
    format: int = FORMAT_VERSION


def of(trainer: Trainer, progress: Progress, data: str | None, data_digest: str) -> Checkpoint:
    """The state of a run as a checkpoint. A sync point: everything is copied to the host.

    DivergedError if a number has left the range of the arithmetic.
    """
    vectors = trainer.vectors()
    health.check_range(trainer)
    ranks = None if trainer.communicator is None else trainer.communicator.size
    if trainer.start is not None:
        vectors[START] = trainer.start
    return Checkpoint(
        progress.events.begun,
        data,
        data_digest,
        machine(trainer.backend, ranks),
        max(len(trainer.engine.shards), trainer.processes),
        trainer.engine.sizes[0],
        trainer.taken,
        vectors,
        progress,
    )


def machine(backend: Backend, ranks: int | None = None) -> dict[str, str]:
    """What decides how numbers are rounded: equal machines give equal bits.

    ranks: how many share the steps; None without a communicator, whose one rank steps otherwise.
    """
    facts = backend.describe()
    if ranks is not None:
        facts["steps"] = "steps on 1 rank" if ranks == 1 else f"steps on {ranks} ranks"
    elif backend.name == "numpy":
        facts["steps"] = (
            "steps in processes" if stepping.processes_possible() else "steps in threads"
        )
    return {name: facts[name] for name in MACHINE if name in facts}


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint file, atomically. DivergedError if a number in it is not finite.

    The content is checked as `load` checks it, before it replaces the old file, which stays if that
    fails.
    """
    check_finite(checkpoint)
    texts, tensors = parts(checkpoint)
    tensor_file.check_arrays(tensors, expected(texts, str(path)), str(path))
    from_parts(texts, tensors, str(path))
    version = NEWEST if checkpoint.progress.events else FORMAT_VERSION
    tensor_file.write(path, FORMAT, version, texts, tensors)


def check_finite(checkpoint: Checkpoint) -> None:
    """DivergedError if a number that a resumed run would begin with is not finite."""
    progress = checkpoint.progress
    numbers: dict[str, Any] = {**checkpoint.vectors, "the loss": float(progress.loss)}
    if progress.best_theta is not None:
        numbers |= {"the best network": progress.best_theta, "its score": progress.best_score}
    for name, values in numbers.items():
        if not np.isfinite(values).all():
            raise health.diverged(
                f"{name} is no longer finite", checkpoint.taken, checkpoint.settings
            )


def parts(checkpoint: Checkpoint) -> tuple[tensor_file.Texts, tensor_file.Tensors]:
    """The texts and arrays of a checkpoint file.

    The sums go through JSON, which keeps every bit of a float.
    """
    progress = checkpoint.progress
    record = {
        "taken": checkpoint.taken,
        "followed": steps_followed(checkpoint.settings, checkpoint.taken),
        "workers": checkpoint.workers,
        "pixels": checkpoint.pixels,
        "rows": len(progress.history),
        "seen": progress.seen,
        "images_seen": progress.images_seen,
        "loss": float(progress.loss),
        "right": float(progress.right),
        "seconds": progress.seconds,
        "best_epoch": progress.best_epoch,
        "best_score": None if progress.best_theta is None else list(progress.best_score),
        "finished": progress.finished,
    }
    tensors = dict(checkpoint.vectors)
    if progress.best_theta is not None:
        tensors["best"] = progress.best_theta
    rows = [[getattr(row, column) for column in COLUMNS] for row in progress.history]
    tensors["history"] = np.array(rows, dtype=np.float64).reshape(len(rows), len(COLUMNS))
    texts = {
        "settings": json.dumps(checkpoint.settings.as_dict(), sort_keys=True),
        "data": json.dumps(checkpoint.data),
        "data_digest": checkpoint.data_digest,
        "machine": json.dumps(checkpoint.machine, sort_keys=True),
        "record": json.dumps(record, sort_keys=True),
    }
    if checkpoint.settings.is_exact:
        texts["digests"] = json.dumps(list(progress.digests.items()))
    if progress.events:
        texts["events"] = json.dumps(progress.events.records())
        texts["events_workers"] = json.dumps(list(progress.events.workers.items()))
    return texts, tensors


def find(directory: Path) -> Path:
    """The checkpoint file of a run directory; DataError if there is none."""
    path = Path(directory) / FILE
    if not files.is_file(path):
        raise DataError(
            f"{path}: no checkpoint is there, so there is nothing to resume; give the directory of "
            "a run that `mnistgpu train` began, or train anew"
        )
    return path


def load(directory: Path) -> Checkpoint:
    """The checkpoint of a run directory; DataError if its parts contradict each other."""
    path = find(directory)
    where = str(path)
    texts, tensors = tensor_file.read_file(
        path, FORMAT, NEWEST, lambda texts: expected(texts, where)
    )
    return from_parts(texts, tensors, where)


def from_parts(
    texts: Mapping[str, str], tensors: Mapping[str, np.ndarray], where: str
) -> Checkpoint:
    """The checkpoint of texts and arrays that `expected` found to agree; DataError otherwise."""
    used, record = settings_of(texts, where), record_of(texts, where)
    vectors = {name: array for name, array in tensors.items() if name not in ("best", "history")}
    score = record["best_score"]
    return Checkpoint(
        used,
        data_of(texts, where),
        texts["data_digest"],
        machine_of(texts, where),
        record["workers"],
        record["pixels"],
        record["taken"],
        vectors,
        Progress(
            record["loss"],
            record["right"],
            record["seen"],
            record["images_seen"],
            record["seconds"],
            rows_of(tensors["history"], record, where),
            Progress.best_score if score is None else (score[0], score[1]),
            record["best_epoch"],
            tensors.get("best"),
            digests_of(texts, used, where),
            record["finished"],
            events_of(texts, used, where),
        ),
        int(texts.get("format_version", FORMAT_VERSION)),  # there if the texts are a file's
    )


# What the texts of a checkpoint must say, and which arrays must be there then


def expected(texts: Mapping[str, str], where: str) -> dict[str, Expected]:
    """The arrays of a checkpoint with these texts; DataError if they contradict each other."""
    used, record = settings_of(texts, where), record_of(texts, where)
    data_of(texts, where)
    machine_of(texts, where)
    digests_of(texts, used, where)
    events_of(texts, used, where)
    if not re.fullmatch("[0-9a-f]{64}", texts.get("data_digest", "")):
        raise wrong(where, "data_digest")
    if (
        not 1 <= record["pixels"] <= used.sizes[0]
        or record["workers"] < 1
        or record["followed"] != steps_followed(used, record["taken"])
    ):
        raise wrong(where, "record")
    sizes = (record["pixels"], *used.sizes[1:])
    count = network.parameter_count(sizes) + decoder_count(sizes, used.denoising)
    vector = Expected((count,), (used.dtype,))
    arrays = {"theta": vector}
    for name in optimizers.OPTIMIZERS[used.optimizer].remembers:
        arrays[name] = vector
    if "second" in arrays:  # the mean of squares, whose root is taken
        arrays["second"] = replace(vector, least=0.0)
    if used.ema is not None:
        arrays["average"] = vector
    if used.from_run is not None:
        arrays[START] = Expected((network.parameter_count(used.sizes),), (used.dtype,))
    if used.batch_norm:
        for layer, n in enumerate(sizes[1:-1]):
            arrays[f"mean.{layer}"] = Expected((n, 1), (used.dtype,))
            arrays[f"variance.{layer}"] = Expected(
                (n, 1), (used.dtype,), least=regularize.VARIANCE_FLOOR / 2
            )
    if record["best_score"] is not None:
        arrays["best"] = Expected((network.parameter_count(used.sizes),), (used.dtype,))
    arrays["history"] = Expected((record["rows"], len(COLUMNS)), ("float64",), finite=False)
    return arrays


def steps_followed(used: Settings, taken: int) -> int:
    """How many steps the running statistics have followed; 0 without batch normalisation."""
    return taken if used.batch_norm else 0


def settings_of(texts: Mapping[str, str], where: str) -> Settings:
    """The settings in a checkpoint's texts."""
    return settings.from_dict(json_of(texts, "settings", where), f"{where}, settings")


def data_of(texts: Mapping[str, str], where: str) -> str | None:
    """The path of the data, or None for the embedded MNIST."""
    data = json_of(texts, "data", where)
    if data is not None and not isinstance(data, str):
        raise wrong(where, "data")
    return data


def digests_of(texts: Mapping[str, str], used: Settings, where: str) -> dict[int, str]:
    """The digests of an exact run by their steps; none of another run."""
    if not used.is_exact:
        return {}
    pairs = json_of(texts, "digests", where)
    good = isinstance(pairs, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and type(pair[0]) is int
        and isinstance(pair[1], str)
        and re.fullmatch("[0-9a-f]{64}", pair[1])
        for pair in pairs
    )
    if not good:
        raise wrong(where, "digests")
    return dict(pairs)


def events_of(texts: Mapping[str, str], used: Settings, where: str) -> Events:
    """The events of a run with these settings; none if the checkpoint has none."""
    if "events" not in texts:
        return Events(used)
    given, pairs = json_of(texts, "events", where), json_of(texts, "events_workers", where)
    if not isinstance(given, list) or not isinstance(pairs, list):
        raise wrong(where, "events")
    found = Events(used)
    for record in given:
        event = events.record_of(record, where)
        try:
            events.check_change(found.settings(event["step"]), event["name"], event["new"])
        except UsageError:
            raise wrong(where, "events") from None
        found.all.append(Event(event["step"], event["name"], event.get("old"), event["new"]))
    for pair in pairs:
        counts = isinstance(pair, list) and len(pair) == 2
        if not counts or not all(type(each) is int and 0 <= each < 2**63 for each in pair):
            raise wrong(where, "events_workers")
        found.workers[pair[0]] = max(1, pair[1])
    return found


def machine_of(texts: Mapping[str, str], where: str) -> dict[str, str]:
    """What computed the checkpoint."""
    found = json_of(texts, "machine", where)
    if (
        not isinstance(found, dict)
        or not set(found) <= set(MACHINE)
        or not all(isinstance(fact, str) and len(fact) < 1000 for fact in found.values())
        or not re.fullmatch("[a-z-]{1,40}", found.get("backend", "numpy"))
    ):
        raise wrong(where, "machine")
    return found


def record_of(texts: Mapping[str, str], where: str) -> dict[str, Any]:
    """The counts, sums and marks of a checkpoint, each of the type that `save` writes."""
    record = json_of(texts, "record", where)
    names = {*COUNTS, *NUMBERS, "best_score", "finished"}
    if not isinstance(record, dict) or set(record) != names:
        raise wrong(where, "record")
    score = record["best_score"]
    counted = all(type(record[name]) is int and 0 <= record[name] < 2**63 for name in COUNTS)
    measured = all(is_number(record[name]) for name in NUMBERS)
    scored = score is None or (
        isinstance(score, list) and len(score) == 2 and all(is_number(value) for value in score)
    )
    if not (counted and measured and scored and type(record["finished"]) is bool):
        raise wrong(where, "record")
    if record["rows"] > MOST_ROWS:
        raise wrong(where, "rows")
    return record


def rows_of(history: np.ndarray, record: Mapping[str, Any], where: str) -> list[Row]:
    """The rows of history in a checkpoint; DataError if `training.train` cannot have made them.

    The first is of iteration 1, the last of a step that was taken. Only figures of validation may
    be nan, for runs without held-out images.
    """
    measured = [not name.startswith("validation") for name in COLUMNS]
    iterations = history[:, COLUMNS.index("iteration")]
    if (
        len(history) == 0
        or not np.isfinite(history[:, measured]).all()
        or iterations[0] != 1
        or not (np.diff(iterations) > 0).all()
        or not iterations[-1] <= record["taken"]
        or not (iterations == np.floor(iterations)).all()
    ):
        raise wrong(where, "history")
    return [Row(int(row[0]), *row[1:]) for row in history.tolist()]


def is_number(value: object) -> bool:
    """Whether this is a finite float."""
    return type(value) is float and math.isfinite(value)


def json_of(texts: Mapping[str, str], name: str, where: str) -> Any:
    """A text of the checkpoint that is JSON."""
    try:
        return json.loads(texts.get(name, ""))
    except (ValueError, RecursionError):
        raise wrong(where, name) from None


def wrong(where: str, name: str) -> DataError:
    """A checkpoint with a text or a row of history that `save` would not write."""
    return DataError(
        f"{where}: what it says under {name!r} is not what mnistgpu writes; copy it again, or "
        "train again"
    )
