"""Which images a person should label next (`suggest`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu.api import reading
from mnistgpu.api.inputs import (
    AnyPath,
    backend_of,
    check_switches,
    directory_of,
    is_count,
    is_path,
    network_of,
    warn_of,
)
from mnistgpu.api.own_data import members_of
from mnistgpu.backend import Backend
from mnistgpu.data import Digits, arrays
from mnistgpu.data.classes import names_of
from mnistgpu.data.mapped import pieces_of
from mnistgpu.errors import DataError, UsageError
from mnistgpu.reports import suggestions
from mnistgpu.storage import files

TABLE, SHEET = "suggestions.csv", "suggestions.png"


@dataclass(frozen=True, eq=False)
class Suggestions:
    """Images whose labels would help most, the most helpful first.

    places: where they are among the images given, (k,). ids: what the data call them; by default
    their places. answers, probabilities: what the network says of each, and how sure it is.
    table, sheet: the files that were written; None without `out`.
    """

    places: np.ndarray
    ids: list[Any]
    answers: list[Any]
    probabilities: list[float]
    images: np.ndarray = field(repr=False)
    table: Path | None = None
    sheet: Path | None = None

    def __len__(self) -> int:
        return len(self.places)


def suggest(
    model: Any,
    X: Any,
    *,
    count: int = 50,
    seed: int = 0,
    out: AnyPath | None = None,
    force: bool = False,
    backend: str | Backend | None = None,
) -> Suggestions:
    """The images whose labels would help a network most: unsure answers that differ among them.

    model: a Model, a Run, or the path of one. X: images without labels, in arrays or at a path.
    count: how many; all, if there are fewer. seed: of the draw.
    out: a folder for suggestions.csv, a table with an empty label for each image, which `--data`
        takes once they are filled in, and suggestions.png, the images with their ids. force:
        replace older ones.

    Raises UsageError for a wrong call, DataError or ShapeError for images that cannot be read.
    """
    check_switches(force=force)
    if not is_count(count) or count < 1:
        raise UsageError(f"--count must be a whole number of at least 1, not {count!r}")
    folder = None if out is None else directory_of(out)
    if folder is not None:
        check_free(folder, force)
    trained, chosen = network_of(model), backend_of(backend)
    digits = images_of(X, trained)
    warn_of(digits.notes)
    pieces = (trained.probabilities(piece, chosen) for piece in pieces_of(digits.images))
    P = np.concatenate([chosen.to_numpy(each) for each in pieces], axis=1)
    H = suggestions.last_hidden(members_of(trained)[0], digits.images, chosen)
    places = suggestions.choose(P, H, int(count), seed)
    numbers = P[:, places].argmax(axis=0)
    names = np.arange(len(digits)) if digits.ids is None else digits.ids.values
    found = Suggestions(
        places,
        names[places].tolist(),
        names_of(trained.classes, numbers).tolist(),
        P[numbers, places].astype(float).tolist(),
        digits.images[places],
        None if folder is None else folder / TABLE,
        None if folder is None else folder / SHEET,
    )
    if folder is None:
        return found
    from mnistgpu.reports import plots  # slow, and not needed before

    files.make_directory(folder)
    title = f"{len(found)} of {len(digits):,} images of {digits.source} to label"
    picture = suggestions.sheet(
        found.ids, found.images, digits.image_shape, found.answers, found.probabilities, title
    )
    plots.save(picture, folder / SHEET)
    files.replace_bytes(folder / TABLE, suggestions.table(found.ids, found.images))
    return found


def images_of(X: Any, trained: Any) -> Digits:
    """The images at a path, or in arrays, as those of the network."""
    if is_path(X):
        return reading.load_digits(X, trained, trained.orientation, first="train")
    if isinstance(X, Digits):
        return X
    if X is None:
        raise DataError("X: is missing; give images without labels, or their path")
    rows, notes = arrays.as_images(X, trained)
    return Digits(rows, None, "X", trained.image_shape, trained.classes, notes=notes)


def check_free(folder: Path, force: bool) -> None:
    """UsageError if files are there that may not be replaced: labels may be filled in already."""
    for name, mark in ((TABLE, suggestions.MARK), (SHEET, files.PNG_MARK)):
        path = folder / name
        if path.exists() and not force:
            raise UsageError(
                f"{path}: is there already, perhaps with labels filled in; choose another --out, "
                "or add --force"
            )
        files.check_replaceable("--out", path, mark)
