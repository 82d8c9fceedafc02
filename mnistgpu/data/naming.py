"""What names of files and arrays say: images or labels, to train on or for the test, which set.

`train-images-idx3-ubyte.gz`, `emnist-letters-test-labels-idx1-ubyte`, `X_train`, `kmnist-val-imgs`
and `trainLabels` are made of the same few words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

EMBEDDED = "embedded MNIST"  # the source of the set that comes with the package
ORIENTATIONS = ("by-name", "upright", "transposed")  # how a file stores its images
PARTS = {
    "train": ("train", "training", "tr"),
    "test": ("test", "testing", "t10k", "te"),
    "validation": ("validation", "valid", "val", "dev"),
}
KINDS = {
    "images": ("images", "image", "imgs", "img", "x", "data", "pixels", "features", "inputs"),
    "labels": (
        *("labels", "label", "lbls", "y", "targets", "target", "classes", "class", "category"),
        *("digit", "letter", "character", "number", "answers"),
    ),
}
PART_OF = {word: part for part, words in PARTS.items() for word in words}
KIND_OF = {word: kind for kind, words in KINDS.items() for word in words}
FORMAT = re.compile("idx[0-9]?|ubyte|byte|int")  # words of IDX names that say how it is stored
SHARD = re.compile("[0-9]+|of")  # of names such as train-00000-of-00001
MOST_NAMED = 5  # names in a message
ANY_PART = "|".join(word for word in PART_OF if len(word) > 2)
ANY_KIND = "|".join(KIND_OF)
JOINED = re.compile(f"({ANY_PART})({ANY_KIND})|({ANY_KIND})({ANY_PART})")  # trainx, xtest


class Role(NamedTuple):
    """What a name says. part and kind are None where it does not say."""

    family: str  # the other words, such as emnist-letters
    part: str | None  # train, test or validation
    kind: str | None  # images or labels
    stored: bool = False  # whether it has a word of IDX names, such as idx3


def words_of(name: str) -> list[str]:
    """The words of a name in small letters, without what stands between them."""
    words = []
    for word in re.split("[^a-z0-9]+", name.lower()):
        joined = JOINED.fullmatch(word)
        words += [each for each in joined.groups() if each] if joined else [word] if word else []
    return words


def role_of(name: str) -> Role:
    """What the name of a file, without its ending, or of an array says."""
    words = words_of(name)
    parts = [PART_OF[word] for word in words if word in PART_OF]
    kinds = [KIND_OF[word] for word in words if word in KIND_OF]
    family = "-".join(
        word
        for word in words
        if word not in PART_OF
        and word not in KIND_OF
        and not FORMAT.fullmatch(word)
        and not SHARD.fullmatch(word)
    )
    stored = any(FORMAT.fullmatch(word) for word in words)
    return Role(family, parts[0] if parts else None, kinds[-1] if kinds else None, stored)


def listed(names: Sequence[str]) -> str:
    """Names for a message, as far as they are not too many; of a long path its end tells more."""
    shown = ", ".join(
        name if len(name) <= 200 else f"...{name[-197:]}" for name in names[:MOST_NAMED]
    )
    more = len(names) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
