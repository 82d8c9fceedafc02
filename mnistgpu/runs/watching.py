"""Snapshots of a network while it learns: first-layer weights, and its answers to some digits.

A `Watcher` takes a snapshot for every row of history. `mnistgpu train --watch` shows them on a
page, and they are kept in the run directory for `mnistgpu plot RUN --animate`.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnistgpu import data, network
from mnistgpu.backend import Array
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DataError
from mnistgpu.models import model
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.history import COLUMNS, Progress, Row
from mnistgpu.runs.stop import Stop
from mnistgpu.storage import files, tensor_file

FILE = "snapshots.safetensors"
FORMAT, FORMAT_VERSION = "mnistgpu-snapshots", 1
UNITS = 20  # first-layer units that are watched
MOST = 10_000  # snapshots in a file
LARGEST = 1e30  # number in a file that can be drawn


@dataclass(eq=False)
class Snapshots:
    """The snapshots of a run, one for each row of history."""

    image_shape: tuple[int, int]
    images: np.ndarray  # (digits, pixels) uint8: the digits that are watched
    labels: np.ndarray  # (digits,)
    rows: list[Row]
    units: list[np.ndarray]  # of each row: weights (units, pixels) float32
    probabilities: list[np.ndarray]  # of each row: (digits, classes) float32
    steps: int = 0  # that the run will take

    @classmethod
    def of(cls, dataset: data.Dataset) -> Snapshots:
        """No snapshots yet, of the first digit of each class, up to ten."""
        digits = dataset.test or dataset.train
        labels = np.asarray(digits.labels)
        first = np.unique(labels, return_index=True)[1][:10]
        return cls(digits.image_shape, digits.images[first], labels[first], [], [], [])


class Watcher(Callback):
    """Takes the snapshots of a run."""

    def __init__(self, snapshots: Snapshots):
        self.snapshots = snapshots

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        self.settings, self.backend = trainer.settings, trainer.backend
        self.snapshots.steps = trainer.steps
        self.images = self.backend.asarray(self.snapshots.images)

    def row(self, row: Row, theta: Array) -> None:
        """Take a snapshot. A sync point, as the row was."""
        settings, seen = self.settings, self.snapshots
        W, _ = network.layers(theta, settings.sizes)[0]
        watched = model.Model(theta, settings.sizes, seen.image_shape, settings.activation)
        shares = self.backend.to_numpy(watched.probabilities(self.images, self.backend))
        seen.units.append(np.array(self.backend.to_numpy(W[:UNITS, :]), dtype=np.float32))
        seen.probabilities.append(shares.T.astype(np.float32))
        seen.rows.append(row)  # last: for another thread each row has its snapshot

    def changed(self, trainer: Trainer, progress: Progress) -> None:
        """Forget the snapshots of steps that were undone."""
        seen = self.snapshots
        kept = sum(row.iteration <= trainer.taken for row in seen.rows)
        for kind in (seen.rows, seen.probabilities, seen.units):  # the rows first, as they count
            del kind[kept:]
        seen.steps = trainer.steps


def save(snapshots: Snapshots, path: Path) -> None:
    """Write the snapshots of a run; of more than MOST only every second, every third and so on."""
    seen, step = snapshots, -(-len(snapshots.rows) // MOST)
    rows = [[float(value) for value in dataclasses.astuple(row)] for row in seen.rows[::step]]
    tensors: dict[str, np.ndarray] = {
        "images": seen.images.astype(np.float32),
        "labels": seen.labels.astype(np.float32),
        "rows": np.array(rows, dtype=np.float64),
        "units": np.stack(seen.units[::step]),
        "probabilities": np.stack(seen.probabilities[::step]),
    }
    count, units, _ = tensors["units"].shape
    _, digits, classes = tensors["probabilities"].shape
    shape = "x".join(map(str, seen.image_shape))
    texts = {
        "image_shape": shape,
        "counts": " ".join(map(str, (count, units, digits, classes))),
    }
    tensor_file.write(path, FORMAT, FORMAT_VERSION, texts, tensors)


def load(path: Path) -> Snapshots:
    """The snapshots in a file; DataError if it is damaged or missing."""
    if not files.is_file(path):
        raise DataError(
            f"{path}: no snapshots here; train with --snapshots (or --watch) to animate the run"
        )
    texts, tensors = tensor_file.read_file(
        path, FORMAT, FORMAT_VERSION, lambda texts: expected(texts, str(path))
    )
    height, width = shape_of(texts, str(path))
    return Snapshots(
        (height, width),
        tensors["images"].astype(np.uint8),
        tensors["labels"].astype(np.int64),
        rows_of(tensors["rows"], str(path)),
        list(tensors["units"]),
        list(tensors["probabilities"]),
    )


def expected(texts: dict[str, str], where: str) -> dict[str, tensor_file.Expected]:
    """The arrays of a file with these texts."""
    pixels = int(np.prod(shape_of(texts, where)))
    parts = texts.get("counts", "").split(" ")
    if len(parts) != 4 or not all(map(is_count, parts)):
        raise DataError(f"{where}: its counts are not four numbers; train the run again")
    count, units, digits, classes = map(int, parts)
    return {
        "images": tensor_file.Expected((digits, pixels), least=0.0, most=255.0),
        "labels": tensor_file.Expected((digits,), least=0.0, most=classes - 1.0),
        "rows": tensor_file.Expected((count, len(COLUMNS)), finite=False),
        "units": tensor_file.Expected((count, units, pixels), least=-LARGEST, most=LARGEST),
        "probabilities": tensor_file.Expected((count, digits, classes), least=0.0, most=1.001),
    }


def rows_of(rows: np.ndarray, where: str) -> list[Row]:
    """The rows of a file. Only figures of validation may be nan, without held-out images."""
    iterations = rows[:, COLUMNS.index("iteration")]
    may_lack = [name.startswith("validation") for name in COLUMNS]
    known = np.where(np.isnan(rows) & may_lack, 0.0, rows)
    if (
        not (np.abs(known) <= LARGEST).all()
        or not (np.diff(iterations, prepend=0.0) > 0).all()
        or not (iterations == np.floor(iterations)).all()
    ):
        raise DataError(f"{where}: its rows are not those of a run; train the run again")
    return [Row(int(row[0]), *row[1:]) for row in rows.tolist()]


def is_count(text: str) -> bool:
    """Whether this is a whole number from 1 to MOST."""
    return re.fullmatch("[1-9][0-9]{0,4}", text) is not None and int(text) <= MOST


def shape_of(texts: dict[str, str], where: str) -> tuple[int, int]:
    """The image shape in the texts of a file."""
    parts = texts.get("image_shape", "").split("x")
    if len(parts) != 2 or not all(map(is_count, parts)):
        raise DataError(f"{where}: it has no valid image shape; train the run again")
    return int(parts[0]), int(parts[1])
