"""Sets that `mnistgpu make-data` has made: a folder of npy files with a manifest.

The images to train on lie in shards, which are mapped into memory and never read as a whole. The
validation and the test part are small and hold original images, none of which was deformed to make
the others. The manifest says how the set was made, and the digest of each file and of the set.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu.data import npy
from mnistgpu.data.digits import Dataset, Digits, read_only
from mnistgpu.data.mapped import MappedImages
from mnistgpu.data.streams import Source
from mnistgpu.errors import DataError
from mnistgpu.storage import files

FILE = "mnistgpu-data.json"
FORMAT, VERSION = "mnistgpu-data", 1
MEND = "remove the folder, and call mnistgpu make-data again"
BYTES = 2**22  # of a file that are hashed at once


@dataclass(frozen=True)
class Manifest:
    """recipe: what decides every byte of the set. files: SHA-256 by name, of those that are whole.
    digest: of the whole set, as `Dataset.digest`; None until all files are there.
    """

    recipe: dict[str, Any]
    files: dict[str, str]
    digest: str | None

    @property
    def shards(self) -> int:
        """Into how many files the images to train on are divided."""
        return -(-int(self.recipe["images"]) // int(self.recipe["shard_images"]))


def images_name(shard: int) -> str:
    """The file of a shard's images; those of all shards are in order by their names too."""
    return f"train-images-{shard:05d}.npy"


def labels_name(shard: int) -> str:
    """The file of a shard's labels."""
    return f"train-labels-{shard:05d}.npy"


def is_made(path: str | os.PathLike[str]) -> bool:
    """Whether a folder has a manifest of `make-data`."""
    return files.is_file(Path(path) / FILE)


def manifest_of(folder: Path) -> Manifest:
    """The manifest in a folder; DataError if it is none."""
    where = folder / FILE
    found = files.read_json(where)
    recipe, named, digest = (found.get(name) for name in ("recipe", "files", "digest"))
    whole = found.get("format") == FORMAT and (digest is None or isinstance(digest, str))
    if (
        not whole
        or not isinstance(recipe, dict)
        or not isinstance(named, dict)
        or not all(isinstance(each, str) for each in named.values())
        or not all(is_count(recipe.get(name)) for name in ("images", "shard_images"))
    ):
        raise DataError(f"{where}: is not what mnistgpu writes; {MEND}")
    if found.get("format_version") != VERSION:
        raise DataError(
            f"{where}: has the format version {found.get('format_version')}, and this mnistgpu "
            f"reads {VERSION}; install the mnistgpu that made it"
        )
    return Manifest(recipe, named, digest)


def is_count(value: object) -> bool:
    """Whether this is a whole number of images."""
    return type(value) is int and 0 < value < 2**31


def record_of(manifest: Manifest) -> dict[str, Any]:
    """The manifest as JSON types; `manifest_of` is the inverse."""
    return {
        "format": FORMAT,
        "format_version": VERSION,
        "recipe": manifest.recipe,
        "files": manifest.files,
        "digest": manifest.digest,
    }


def read(path: str | os.PathLike[str]) -> Dataset:
    """The set in a folder. Its files are hashed once, which reads each of them from begin to end.

    DataError if it is not finished, or a file is missing or has changed.
    """
    folder = Path(path)
    manifest = finished(folder)
    dataset = dataset_of(path, manifest)
    if dataset.digest != manifest.digest:
        for name, digest in manifest.files.items():
            if digest_of(folder / name) != digest:
                raise DataError(f"{folder / name}: has changed since it was made; {MEND}")
        raise DataError(f"{folder / FILE}: its digest is not that of its files; {MEND}")
    return dataset


def dataset_of(path: str | os.PathLike[str], manifest: Manifest) -> Dataset:
    """The set of the files in a folder, whatever their digests are."""
    folder, count = Path(path), manifest.recipe["images"]
    images = images_of(os.path.abspath(folder), manifest.digest)
    labels = np.concatenate([array(folder / labels_name(i)) for i in range(manifest.shards)])
    test = part(folder, path, "test")
    if images.shape != (count, test.images.shape[1]) or labels.shape != (count,):
        raise DataError(f"{folder}: its files are not those of {count:,} images; {MEND}")
    note = (
        f"{path}: its {count:,} training images ({images.size / 1e6:,.0f} MB) stay in their files, "
        "and are read as they are needed"
    )
    train = Digits(images, read_only(labels), f"{path}, train", test.image_shape, notes=(note,))
    validation = None
    if (folder / "validation-images.npy").exists():
        validation = part(folder, path, "validation")
    return Dataset(train, test, str(path), validation, os.path.abspath(path))


def test_part(path: str | os.PathLike[str]) -> Digits:
    """The test images of a set, checked; DataError as `read`."""
    folder = Path(path)
    manifest = finished(folder)
    for name in ("test-images.npy", "test-labels.npy"):
        if digest_of(folder / name) != manifest.files.get(name):
            raise DataError(f"{folder / name}: has changed since it was made; {MEND}")
    return part(folder, path, "test")


def finished(folder: Path) -> Manifest:
    """The manifest of a set that is finished; DataError if files are still to be made."""
    manifest = manifest_of(folder)
    if manifest.digest is None:
        raise DataError(
            f"{folder}: is not finished ({len(manifest.files)} of its files are there); call "
            "mnistgpu make-data again with the same flags, and it goes on"
        )
    return manifest


def images_of(folder: str, digest: str | None) -> MappedImages:
    """The training images of the set of this digest, in a process of any machine that has it."""
    manifest = manifest_of(Path(folder))
    if manifest.digest != digest:
        raise DataError(
            f"{folder}: holds another set on this machine ({manifest.digest}, not {digest}); copy "
            "the same folder to all machines"
        )
    paths = [Path(folder) / images_name(i) for i in range(manifest.shards)]
    return MappedImages(paths, (images_of, (folder, digest)))


def part(folder: Path, path: str | os.PathLike[str], name: str) -> Digits:
    """The validation or the test part."""
    images, labels = array(folder / f"{name}-images.npy"), array(folder / f"{name}-labels.npy")
    if images.ndim != 3 or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise DataError(f"{folder}: its {name} part is no set of images and labels; {MEND}")
    rows = read_only(images.reshape(len(images), -1))
    return Digits(rows, read_only(labels), f"{path}, {name}", images.shape[1:])


def array(path: Path) -> np.ndarray:
    """The array in one of the small files."""
    with Source(path).opened() as content:
        return npy.read(content, MEND)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    content = hashlib.sha256()
    with files.opened(path) as stream:
        while piece := stream.read(BYTES):
            content.update(piece)
    return content.hexdigest()
