"""Several trained networks as one, which answers with the mean of their probabilities.

Ciresan, Meier, Gambardella and Schmidhuber 2011, "Better digit recognition with a committee of
simple neural nets". A committee is a directory with its members' models and committee.json; it
predicts and is evaluated like a model. `averaged` also averages over deformed copies of the image
(test-time augmentation).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any, TypeGuard

import numpy as np

from mnistgpu import counter_rng
from mnistgpu.backend import NUMPY, Array, Backend
from mnistgpu.data.classes import shown
from mnistgpu.data.levels import OURS, Levels
from mnistgpu.errors import DataError, UsageError
from mnistgpu.maths import augment
from mnistgpu.models import model
from mnistgpu.models.calibration import MOST_COPIES, Calibration
from mnistgpu.settings import from_dict
from mnistgpu.storage import files, lock

FILE = "committee.json"
MARK = b'{\n  "members": ['  # how it begins
MEMBER = r"member-[0-9]+-[0-9a-f]{12}\.safetensors"
# found only in run directories
RUN_FILES = ("results.json", "checkpoint.safetensors", "model.safetensors")
MOST_MEMBERS = 100
MAPS = 16
MOST_MAPS = MOST_COPIES
STRENGTH = 0.5  # of the deformations in training; at full strength accuracy falls


@dataclass(frozen=True)
class Committee:
    """Members with the same images and classes, which answer with their mean probabilities.

    maps: how many deformed copies of an image each member sees; 0 for the image alone.
    """

    members: tuple[model.Model, ...]
    maps: int = 0

    def __post_init__(self) -> None:
        if not self.members:
            raise UsageError("a committee needs at least one model")
        if len(self.members) > MOST_MEMBERS:
            raise UsageError(
                f"a committee of {len(self.members)} models; give at most {MOST_MEMBERS}"
            )
        first = self.members[0]
        for i, member in enumerate(self.members[1:], 2):
            same = (member.image_shape, member.sizes[-1]) == (first.image_shape, first.sizes[-1])
            if not same:
                raise UsageError(
                    f"model {i} reads {member.image_shape[0]}x{member.image_shape[1]} images of "
                    f"{member.sizes[-1]} classes, model 1 {first.image_shape[0]}x"
                    f"{first.image_shape[1]} of {first.sizes[-1]}: they cannot vote together"
                )
            if member.classes != first.classes:
                raise UsageError(
                    f"model {i} knows the classes {named(member)}, model 1 {named(first)}: they "
                    "cannot vote together"
                )
        for i, member in enumerate(self.members, 1):
            if self.maps and not from_dict(member.settings, f"model {i}").deformation.is_deforming:
                raise UsageError(
                    f"--maps needs models trained with deformations (such as --recipe strong); "
                    f"model {i} was trained without them"
                )

    def __repr__(self) -> str:
        layers = ", ".join("-".join(map(str, member.sizes)) for member in self.members)
        return f"<Committee of {len(self.members)}: {layers}>"

    @property
    def sizes(self) -> tuple[int, ...]:
        """The layer sizes of the first member; all members share the first and the last of them."""
        return self.members[0].sizes

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the images that every member reads."""
        return self.members[0].image_shape

    @property
    def classes(self) -> tuple[str | int, ...]:
        """The name of each output, which all members share; () if its number is its name."""
        return self.members[0].classes

    @property
    def levels(self) -> Levels:
        """The grey levels of the images that the members were trained on; ours if they differ."""
        first = self.members[0].levels
        return first if all(member.levels == first for member in self.members) else OURS

    @property
    def orientation(self) -> str:
        """How files store their images, as they were read for the first member."""
        return self.members[0].orientation

    @property
    def calibration(self) -> Calibration | None:
        """The mean of the members' calibrations; None if a member has none, or they differ in how
        many copies of an image they average over.
        """
        found = [member.calibration for member in self.members]
        known = [each for each in found if each is not None]
        if len(known) < len(found) or len({each.copies for each in known}) > 1:
            return None
        return Calibration(
            float(np.mean([each.temperature for each in known])),
            float(np.mean([each.energy for each in known])),
            known[0].copies,
        )

    def probabilities(self, images: Array, backend: Backend = NUMPY) -> Array:
        """Images (N, pixels) uint8 to mean probabilities (classes, N)."""
        total: Any = 0.0
        for member in self.members:
            total = total + averaged(member, images, backend, self.maps)
        return total / len(self.members)

    def predict(self, images: Array, backend: Backend = NUMPY) -> np.ndarray:
        """The number of the most probable class of each image: (N,) int64 on the host."""
        return backend.to_numpy(backend.xp.argmax(self.probabilities(images, backend), axis=0))


def named(member: model.Model) -> str:
    """The classes of a member for a message."""
    return shown(member.classes or range(member.sizes[-1]))


def averaged(member: model.Model, images: Array, backend: Backend, maps: int) -> Array:
    """Mean probabilities (classes, N) over `maps` gentle deformations of every image.

    The deformations are those of the member's training, at half strength, and map i is the same for
    all images. maps = 0 answers for the images as they are.
    """
    if maps == 0:
        return member.probabilities(images, backend)
    settings = from_dict(member.settings, "model")
    deformation = replace(settings.deformation, images_per_map=2**31)
    images = backend.asarray(images)
    total: Any = 0.0
    seed = counter_rng.key(settings.seed, like=images)
    for i in range(maps):
        key = counter_rng.fold_in(seed, counter_rng.DEFORM, i)
        keys = augment.keys_of(key)
        shape, exactly = member.image_shape, settings.is_exact
        moved = augment.deform(images, keys, deformation, shape, strength=STRENGTH, exactly=exactly)
        grey = backend.xp.astype(backend.xp.round(moved), backend.xp.uint8)
        total = total + member.probabilities(grey.T, backend)
    return total / maps


def save(
    committee: Committee,
    path: Path,
    sources: Sequence[str],
    force: bool = False,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write the members, and after them FILE, into a directory, which is made if it is missing.

    A member's name holds a digest of it: when a committee is replaced, the old one stays complete
    until the new FILE is written. sources, origin: where the members came from, and the record of
    what they were trained on, to be saved with it. UsageError if the directory holds a run, or a
    committee and force is not given.
    """
    check_free(path, force)
    files.make_directory(path)
    with lock.only_writer(path):
        files.remove_leftovers(path, (FILE, "member-*.safetensors"))
        names = [
            f"member-{i}-{digest(member)}.safetensors"
            for i, member in enumerate(committee.members, 1)
        ]
        for member, name in zip(committee.members, names, strict=True):
            model.save(member, path / name)
        record = {"members": names, "sources": list(sources), "maps": committee.maps}
        files.replace_json(path / FILE, record | dict(origin or {}))
        for old in path.glob("member-*.safetensors"):
            if old.name not in names and re.fullmatch(MEMBER, old.name):
                files.remove(old)


def check_free(path: Path, force: bool) -> None:
    """UsageError unless a committee may be written into this directory."""
    if any((path / name).exists() for name in RUN_FILES):
        raise UsageError(f"--out {path}: a run is there; choose another")
    if (path / FILE).exists() and not force:
        raise UsageError(f"--out {path}: a committee is there; choose another or add --force")
    files.check_replaceable("--out", path / FILE, MARK)


def digest(member: model.Model) -> str:
    """The first 12 digits of the SHA-256 of a member."""
    content = hashlib.sha256(np.ascontiguousarray(member.theta).tobytes())
    content.update(json.dumps([member.sizes, member.activation, member.settings]).encode())
    return content.hexdigest()[:12]


def load(path: Path) -> Committee | model.Model:
    """The committee in a directory, or the model of a run directory or file.

    DataError if FILE is not what `save` writes: each member is a file beside it, named once.
    """
    record_path = Path(path) / FILE
    if not files.is_file(record_path):
        return model.load(path)
    record: dict[str, Any] = files.read_json(record_path)
    names, maps = record.get("members"), record.get("maps")
    if not are_file_names(names) or type(maps) is not int or not 0 <= maps <= MOST_MAPS:
        raise DataError(f"{record_path}: not a committee of mnistgpu; make it again")
    return Committee(tuple(model.load(Path(path) / name) for name in names), maps)


def are_file_names(names: object) -> TypeGuard[list[str]]:
    """Whether this is a list of members: names of files in the directory, none twice."""
    return (
        isinstance(names, list)
        and 0 < len(names) <= MOST_MEMBERS
        # on no system a path: PureWindowsPath knows C: and \\ as well as /
        and all(isinstance(name, str) and PureWindowsPath(name).name == name for name in names)
        and {"", ".."}.isdisjoint(names)
        and len(set(names)) == len(names)
    )
