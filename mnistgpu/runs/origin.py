"""What a network was trained on: recorded beside it, read again, and compared with what it was."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnistgpu import data
from mnistgpu.data import Dataset, Digits, finding
from mnistgpu.data.naming import EMBEDDED
from mnistgpu.errors import DataError
from mnistgpu.settings import Settings
from mnistgpu.storage import files

ARRAYS = "arrays"  # what the settings say of images without labels that were no path
UNSAVED = "not saved"  # and of a teacher without a file
WITH_DIGEST = re.compile(r"(.*) \(digest ([0-9a-f]{12}(?:-[0-9a-f]{12})*)\)", re.DOTALL)  # teacher
MEND = "give labelled digits with --data (in Python as X and y)"


@dataclass(frozen=True)
class Origin:
    """The data of a run: what messages call them, where they were, and what they were.

    path: absolute; None for the embedded MNIST and for arrays, which only `source` tells apart.
    digest: as of `Dataset.digest`.
    """

    source: str
    path: str | None
    digest: str

    @classmethod
    def of(cls, dataset: Dataset) -> Origin:
        """That of a run on these data."""
        return cls(dataset.source, dataset.path, dataset.digest)

    def record(self) -> dict[str, str | None]:
        """It as JSON types; `of_record` is the inverse."""
        return {"data": self.source, "data_path": self.path, "data_digest": self.digest}

    def dataset(self, who: str, read: Callable[[str | None], Dataset] = data.load) -> Dataset:
        """The data, read again from where they were; `who` was trained on them, for messages.

        DataError if they cannot be read again, or are not the same any more.
        """
        if self.path is None and self.source != EMBEDDED:
            raise DataError(
                f"{who}: was trained on arrays ({self.source}), which are not saved with it; {MEND}"
            )
        if self.path is not None and not finding.is_there(self.path):
            raise DataError(
                f"{self.path}: is not there any more, and {who} was trained on it; {MEND}"
            )
        found = read(self.path)
        if found.digest != self.digest:
            raise DataError(
                f"{found.source}: is not what {who} was trained on (its digest is "
                f"{found.digest[:16]}, not {self.digest[:16]}); {MEND}"
            )
        return found


def of_record(record: Mapping[str, Any], digest: str) -> Origin | None:
    """The origin in a settings.json or committee.json; None if it is of data with another digest.

    Version 0.1.0 saved no path of its own, but the source is the path as it was given.
    """
    source, path = record.get("data"), record.get("data_path")
    if record.get("data_digest") != digest or not isinstance(source, str):
        return None
    if "data_path" not in record and source not in (EMBEDDED, "arrays"):
        path = os.path.abspath(source)
    return Origin(source, path if isinstance(path, str) else None, digest)


def beside(path: Path, digest: str, names: tuple[str, ...]) -> Origin | None:
    """The origin that a record in this directory, or beside this file, gives for the digest."""
    folder = path if os.path.isdir(path) else path.parent
    for name in names:
        if files.is_file(folder / name):
            found = of_record(files.read_json(folder / name), digest)
            if found is not None:
                return found
    return None


def to_judge(dataset: Dataset, settings: Settings | None) -> Digits | None:
    """The digits that tell how good a network is that was trained on these data with the settings.

    They are those of the test, or else those of the validation: given ones, or the images that were
    held out. None if every image was trained on.
    """
    if dataset.test is not None:
        return dataset.test
    if dataset.validation is not None or settings is None:
        return dataset.validation
    return data.split(dataset.train, settings.validation, settings.seed)[1]
