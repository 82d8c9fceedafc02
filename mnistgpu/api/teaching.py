"""Learn from the answers of a trained network or committee: `distill`, and `--teacher`."""

from __future__ import annotations

import os
from typing import Any

from mnistgpu.api.inputs import is_path, network_of
from mnistgpu.api.own_data import members_of, name_of
from mnistgpu.data import Dataset
from mnistgpu.data.classes import shown
from mnistgpu.errors import DataError, UsageError
from mnistgpu.models.committee import Committee
from mnistgpu.models.committee import digest as digest_of
from mnistgpu.models.model import Model
from mnistgpu.runs.origin import UNSAVED, WITH_DIGEST
from mnistgpu.settings import Settings


def digest(teacher: Model | Committee) -> str:
    """What tells a teacher apart from others: the first digits of its members' digests."""
    return "-".join(digest_of(member) for member in members_of(teacher))


def setting_of(given: Any) -> str:
    """What `Settings.teacher` says: the absolute path of the network, and its digest."""
    if isinstance(given, str) and WITH_DIGEST.fullmatch(given):
        return given
    directory = given if is_path(given) else getattr(given, "directory", None)
    place = UNSAVED if directory is None else os.path.abspath(directory)
    if str(given) == "shipped":
        place = "shipped"
    return f"{place} (digest {digest(network_of(given))})"


def teachers_of(setting: str, given: Any = None) -> tuple[Model, ...]:
    """The networks that a run with this setting learns from.

    given: the network itself, if it is at hand. DataError if it is not the one of the setting, or
    not where it was.
    """
    if isinstance(given, str) and given == setting:  # as a file of events, or a sweep, has it
        given = None
    found = WITH_DIGEST.fullmatch(setting)
    where, expected = (setting, "") if found is None else found.groups()
    if given is None:
        if where == UNSAVED:
            raise UsageError(
                "teacher: this run learns from a network that was not saved; give it again as "
                "teacher=..."
            )
        if where != "shipped" and not os.path.exists(where):
            raise DataError(
                f"{where}: is not there any more, and the run learns from its answers; give it "
                "with --teacher"
            )
        given = where
    teacher = network_of(given)
    if expected and digest(teacher) != expected:
        raise DataError(
            f"{name_of(given)}: is not the network that the run learns from (its digest is "
            f"{digest(teacher)[:12]}, not {expected[:12]}); give that one with --teacher"
        )
    return members_of(teacher)


def check(members: tuple[Model, ...], settings: Settings, dataset: Dataset) -> None:
    """UsageError if the answers of these networks are none for this set."""
    first, train = members[0], dataset.train
    if first.image_shape != train.image_shape:
        here, there = (
            f"{height}x{width}" for height, width in (train.image_shape, first.image_shape)
        )
        raise UsageError(
            f"--teacher: reads images of {there} pixels, but those of {dataset.source} have {here}"
        )
    if first.classes != train.classes or first.sizes[-1] != settings.sizes[-1]:
        known, own = (
            shown(names or range(count))
            for names, count in (
                (first.classes, first.sizes[-1]),
                (train.classes, settings.sizes[-1]),
            )
        )
        raise UsageError(
            f"--teacher: knows the classes {known}, but those of {dataset.source} are {own}; a "
            "network learns from one with the same classes"
        )
