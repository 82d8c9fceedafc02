"""EMNIST: its images are stored transposed, and its labels number letters.

Cohen, Afshar, Tapson, van Schaik 2017, "EMNIST: an extension of MNIST to handwritten letters". Both
the IDX files of its authors and the tables on Kaggle are so; they are recognised by their names.
"""

from __future__ import annotations

import string
from dataclasses import replace

import numpy as np

from mnistgpu.data import shapes
from mnistgpu.data.naming import ORIENTATIONS, words_of
from mnistgpu.data.raw import Raw
from mnistgpu.data.streams import Source
from mnistgpu.errors import UsageError

ALL = string.digits + string.ascii_uppercase + string.ascii_lowercase
MERGED = string.digits + string.ascii_uppercase + "abdefghnqrt"  # c, i, j, ... look like C, I, J
NAMES = {"letters": "?" + string.ascii_uppercase, "balanced": MERGED, "bymerge": MERGED}
NAMES |= {"byclass": ALL}


def words_about(source: Source) -> set[str]:
    """The words of the name of a file and of the folder that it is in."""
    return {word for name in (*source.folders[-1:], source.name) for word in words_of(name)}


def oriented(raw: Raw, source: Source, orientation: str, as_published: bool) -> Raw:
    """The images upright and the labels by name, as the name of the file says.

    orientation: "by-name", "upright" or "transposed". as_published: whether the format is one in
    which EMNIST is published; in others its images may have been turned before.
    """
    words = words_about(source)
    known = "emnist" in words
    turn = orientation == "transposed"
    notes = []
    if known and orientation == "by-name":
        turn = as_published
        if turn:
            notes = [f"{raw.source}: EMNIST is stored transposed: its images are turned upright"]
        else:
            notes = [
                f"{raw.source}: EMNIST is taken as it stands in this file; if its letters lie on "
                "their side, add --orientation transposed"
            ]
    elif turn:
        notes = [f"{raw.source}: the images are transposed, as --orientation says"]
    images = raw.images
    if turn:
        images, said = shapes.stack(images, None, raw.source)
        images, notes = np.ascontiguousarray(images.swapaxes(1, 2)), [*said, *notes]
    labels = named(raw.labels, words) if known else raw.labels
    return replace(raw, images=images, labels=labels, notes=(*raw.notes, *notes))


def named(labels: np.ndarray | None, words: set[str]) -> np.ndarray | None:
    """The labels of one of EMNIST's sets as the letters and digits that they number.

    They stay numbers where they are not those of the set that the name says.
    """
    names = next((NAMES[word] for word in NAMES if word in words), "")
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
        return labels
    low = names.startswith("?")
    if not names or labels.min() < low or labels.max() >= len(names):
        return labels
    named: np.ndarray = np.array(list(names))[labels]
    return named


def check_orientation(orientation: object) -> None:
    """UsageError unless it is one of ORIENTATIONS."""
    if orientation not in ORIENTATIONS:
        raise UsageError(
            f"orientation: must be one of {', '.join(ORIENTATIONS)}, not {orientation!r}"
        )
