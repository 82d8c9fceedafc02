"""The digits that networks are judged on where the caller gives none: their own test part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mnistgpu import data, models
from mnistgpu.api import reading, unlabeled
from mnistgpu.api.inputs import is_path, labelled_digits, network_of
from mnistgpu.data import Dataset, Digits
from mnistgpu.errors import DataError, UsageError
from mnistgpu.models import committee
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.runs import origin
from mnistgpu.runs.origin import MEND, Origin
from mnistgpu.settings import from_dict

RECORDS = ("settings.json", committee.FILE)  # of a run directory and of a committee


def name_of(given: Any) -> str:
    """What messages and pages call a network: its path, or its layers."""
    return str(given) if is_path(given) else repr(given)


def digits_to_judge(
    networks: Sequence[Any],
    X: Any = None,
    y: Any = None,
    trained: Sequence[Model | Committee] | None = None,
) -> Digits:
    """The labelled digits for one network, or for several that are compared.

    networks: Models, Runs or their paths. X, y: labelled digits, or X alone is a path. Without them
    the digits are the test part of what the networks were trained on, or else the images that were
    held out for validation. trained: the networks themselves, if they are at hand.

    DataError if these data are gone or have changed, or if every image was trained on. UsageError
    if the networks do not share them.
    """
    if trained is None:
        trained = [network_of(each) for each in networks]
    if X is not None or y is not None:
        return labelled_digits(X, y, trained[0])
    known: dict[str, Dataset] = {}
    parts: dict[str, Digits] = {}
    for given, network in zip(networks, trained, strict=True):
        dataset = dataset_of(given, network, known)
        for member in members_of(network):
            settings = from_dict(member.settings, name_of(given)) if member.settings else None
            part = origin.to_judge(dataset, settings)
            if part is None:
                raise DataError(
                    f"{name_of(given)}: was trained on every image of {dataset.source}, so none of "
                    f"them tells how good it is; {MEND}"
                )
            parts[part.digest] = part
    if len(parts) > 1:
        names = ", ".join(map(name_of, networks))
        raise UsageError(
            f"{names}: were not trained on the same data, or held out other images of them, so no "
            f"test part is new to all of them; {MEND}"
        )
    (part,) = parts.values()
    # its notes were said when the run was trained
    return labelled_digits(replace(part, notes=()), None, trained[0])


def members_of(trained: Model | Committee) -> tuple[Model, ...]:
    """The members of a committee, or the network alone."""
    return trained.members if isinstance(trained, Committee) else (trained,)


def dataset_of(
    given: Any, trained: Model | Committee, known: dict[str, Dataset] | None = None
) -> Dataset:
    """The data that a network was trained on, read again; `known` keeps them by their digest.

    given: what the caller called the network by. DataError if they are gone or have changed.
    """
    of_run = getattr(given, "dataset", None)
    if isinstance(of_run, Dataset):
        return of_run
    who = name_of(given)
    digests = {member.data_digest for member in members_of(trained)}
    if len(digests) > 1:
        raise DataError(f"{who}: its members were trained on different data; {MEND}")
    (digest,) = digests
    known = {} if known is None else known
    if digest not in known:
        found = origin_of(given, digest)
        if found is not None:
            known[digest] = found.dataset(who, partial(loaded, trained))
        elif digest and ((mnist := data.load()).digest == digest or digest == models.SHIPPED_DATA):
            known[digest] = mnist
        else:
            raise DataError(
                f"{who}: nothing says where the data are that it was trained on, and they are not "
                f"the embedded MNIST; {MEND}"
            )
    return known[digest]


def loaded(trained: Model | Committee, path: str | None) -> Dataset:
    """The set at a path, read as it was when the network was trained on it."""
    dataset = reading.load_data(path, trained.orientation)
    own = members_of(trained)[0].settings
    dataset = data.prepared(dataset, trained.sizes[-1], own.get("test_share", 0.0))
    if own.get("unlabeled") is not None:
        dataset = unlabeled.as_before(dataset, None, from_dict(own, repr(trained)))
    return dataset


def origin_of(given: Any, digest: str) -> Origin | None:
    """What is recorded about the data of a network; None if nothing is."""
    place = given
    if not is_path(given):
        place = getattr(given, "directory", None) or getattr(
            getattr(given, "model", given), "origin", None
        )
    if isinstance(place, Origin):
        return place if place.digest == digest else None
    if place is None:
        return None
    return origin.beside(
        models.SHIPPED if str(place) == "shipped" else Path(place), digest, RECORDS
    )
