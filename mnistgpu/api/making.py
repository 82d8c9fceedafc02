"""Make a large set of deformed digits, for trainings that no set of originals is large enough for.

Image i of the set is a function of the recipe and of i alone, computed in exact arithmetic: so the
work may stop and go on anywhere, and the set has the same digest wherever it is made (InfiMNIST of
Loosli, Canu and Bottou 2007 is the model). What is written is complete: a shard becomes a file of
the set when all of it is there and the manifest has its digest.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu import counter_rng, data
from mnistgpu.api.inputs import AnyPath, directory_of, is_count
from mnistgpu.counter_rng import MAKE
from mnistgpu.data import Digits, made
from mnistgpu.data.made import Manifest
from mnistgpu.data.naming import EMBEDDED
from mnistgpu.errors import DataError, RunError, StoppedError, UsageError
from mnistgpu.maths import augment
from mnistgpu.runs.stop import Stop
from mnistgpu.storage import files, lock, system

IMAGES, VALIDATION = 8_000_000, 5_000
SHARD = 2**20  # images of a file: 0.8 GB
UNIT = 2**13  # images that are written, and flushed to the disk, together
CHUNK = 2**11  # images that a thread deforms together
MOST = 2**31 - 1  # images
KEPT_FREE = 2**26  # bytes of the disk


def make_data(
    out: AnyPath,
    images: int = IMAGES,
    *,
    deform: str = "strong",
    seed: int = 0,
    validation: int = VALIDATION,
    shard_images: int = SHARD,
    stop: Stop | None = None,
    on_progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Make so many deformed digits of the embedded MNIST in the folder `out`, and return it.

    The folder can be trained on like any other data; its images stay in their files. Of the 60,000
    training images those that `seed` and `validation` hold out, which are the ones that a run with
    both would, are its validation part, and not deformed; its test part are the 10,000 test images.
    Each other image is deformed equally often, each time differently, in a random order.

    deform: named deformations. shard_images: how many images a file has. on_progress: called with
    the number of images that are there, and of all. If the work was stopped or killed, the same
    call goes on; if it was finished, its files are compared with their digests.

    UsageError for a wrong call, or if the folder holds something else. DataError if a file has
    changed. RunError if the disk has not enough space or refuses to write. StoppedError if `stop`
    has asked for an end.
    """
    for name, value, least in (
        ("images", images, 1),
        ("validation", validation, 0),
        ("seed", seed, 0),
        ("shard_images", shard_images, UNIT),
    ):
        if not is_count(value) or not least <= value <= MOST:
            raise UsageError(f"{name}: must be a whole number from {least} to {MOST:,}")
    if shard_images % UNIT:
        raise UsageError(f"shard_images: must be a multiple of {UNIT}, not {shard_images}")
    preset = augment.Deformation(**augment.preset(deform))
    path = directory_of(out)
    originals = originals_of()
    recipe = {
        "images": int(images),
        "shard_images": int(shard_images),
        "seed": int(seed),
        "validation": int(validation),
        "deformation": asdict(preset),
        "originals": EMBEDDED,
        "originals_digest": originals.digest,
    }
    source, held_out = data.split(originals.train, int(validation), int(seed))
    parts = {"test": originals.test, "validation": held_out}
    check_folder(path, recipe)
    files.make_directory(path)
    with lock.only_writer(path):
        files.remove_leftovers(path, (made.FILE, "*.npy.part"))
        manifest = manifest_for(path, recipe)
        check_space(path, manifest, parts)
        work = Work(path, manifest, source, preset, Stop() if stop is None else stop, on_progress)
        for shard in range(manifest.shards):
            work.finish(made.images_name(shard), functools.partial(work.write_shard, shard))
            labels = functools.partial(work.labels, shard)
            work.finish(made.labels_name(shard), functools.partial(work.write_array, labels))
        for name, digits in parts.items():
            if digits is not None:
                for kind, array in (("images", pictures(digits)), ("labels", digits.labels)):
                    write = functools.partial(
                        work.write_array, functools.partial(np.asarray, array)
                    )
                    work.finish(f"{name}-{kind}.npy", write)
        if manifest.digest is None:
            save(path, Manifest(recipe, manifest.files, made.dataset_of(path, manifest).digest))
    return path


def originals_of() -> data.Dataset:
    """The set whose images are deformed."""
    return data.load()


class Work:
    """The files of one set, made one after the other."""

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        source: Digits,
        deformation: augment.Deformation,
        stop: Stop,
        on_progress: Callable[[int, int], object] | None,
    ):
        self.path, self.manifest, self.source, self.stop = path, manifest, source, stop
        self.count, self.each = manifest.recipe["images"], manifest.recipe["shard_images"]
        self.on_progress = on_progress
        self.deformation, self.image_shape = deformation, source.image_shape
        key = counter_rng.key(manifest.recipe["seed"], like=np.empty(0))
        self.key = counter_rng.fold_in(key, MAKE)
        self.fields = None
        if deformation.elastic > 0:
            like = np.empty(0, np.float32)
            self.fields = augment.ExactFields(like, self.image_shape, deformation.elastic_sigma)
        self.order = functools.lru_cache(maxsize=4)(self._order)

    def finish(self, name: str, write: Callable[[Path], None]) -> None:
        """Make a file of the set, unless it is there and whole.

        write: makes it at another path, where a part of it may be already.
        """
        path, known = self.path / name, self.manifest.files.get(name)
        if os.path.lexists(path):
            if known is None:
                raise UsageError(
                    f"{path}: is there, and this command has not written it; move it elsewhere"
                )
            if made.digest_of(path) != known:
                raise DataError(
                    f"{path}: has changed since it was made; remove it, and the same command makes "
                    "it again"
                )
            self.report(name)
            return
        part = path.with_name(f"{name}.part")
        try:
            write(part)
            digest = made.digest_of(part)
            if known not in (None, digest):
                raise DataError(
                    f"{path}: was made with other bits before; remove the folder, and make the set "
                    "again"
                )
            self.manifest.files[name] = digest
            save(self.path, self.manifest)
            system.replace(part, path)
            system.flush_folder(self.path)
        except OSError as error:
            raise files.cannot_write(path, error) from None
        self.report(name)

    def report(self, name: str, images: int | None = None) -> None:
        """Say how many images are there, after a file or some images of it; stop if that is asked.

        Raises StoppedError.
        """
        if not name.startswith("train-images"):
            return
        shard = int(name.removesuffix(".npy")[-5:])
        own = self.each if images is None else images
        there = min(self.count, shard * self.each + own)
        if self.on_progress is not None:
            self.on_progress(there, self.count)
        if self.stop.interrupting and there < self.count:
            raise StoppedError(
                f"{self.path}: stopped by {self.stop.reason} after {there:,} of {self.count:,} "
                "images",
                self.stop.exit_status,
            )

    def rows(self, shard: int) -> range:
        """Which images of the set are in a shard."""
        return range(shard * self.each, min(self.count, (shard + 1) * self.each))

    def write_shard(self, shard: int, part: Path) -> None:
        """Write a shard's images at `part`, after those that were written there before.

        Each unit is on the disk before the next one is begun, so that only the last one may be
        torn: that one is made again.
        """
        rows, (height, width) = self.rows(shard), self.image_shape
        header, bytes_each = npy_header((len(rows), height, width)), height * width
        begun = 0
        with open(part, "a+b") as file, ThreadPoolExecutor(system.cores()) as pool:
            system.let_others_read(file.fileno())
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if file.read(len(header)) == header:
                begun = max(0, (size - len(header)) // (UNIT * bytes_each) - 1) * UNIT
            file.truncate(0 if begun == 0 else len(header) + begun * bytes_each)
            if begun == 0:
                file.write(header)
            for start in range(rows.start + begun, rows.stop, UNIT):
                unit = range(start, min(start + UNIT, rows.stop))
                for images in pool.map(self.deformed, chunks(unit)):
                    file.write(images.data)
                file.flush()
                system.flush(file.fileno())
                if unit.stop < rows.stop:
                    self.report(made.images_name(shard), unit.stop - rows.start)

    def write_array(self, array: Callable[[], np.ndarray], part: Path) -> None:
        """Write a small file."""
        content = array()
        files.replace_bytes(part, npy_header(content.shape) + content.tobytes())

    def labels(self, shard: int) -> np.ndarray:
        """The labels of a shard."""
        labels: np.ndarray = np.asarray(self.source.labels)[self.originals(self.rows(shard))]
        return labels

    def originals(self, rows: range) -> np.ndarray:
        """Which original each of these images is made of: each of all, in a new order each time."""
        every, count = np.arange(rows.start, rows.stop), len(self.source)
        places = every % count
        found = np.empty(len(rows), np.int64)
        for again in range(rows.start // count, (rows.stop - 1) // count + 1):
            own = every // count == again
            found[own] = self.order(again)[places[own]]
        return found

    def _order(self, again: int) -> np.ndarray:
        order: np.ndarray = counter_rng.permutation(
            counter_rng.fold_in(self.key, 0, again), len(self.source)
        )
        return order

    def deformed(self, rows: range) -> np.ndarray:
        """These images of the set, (m, pixels) uint8."""
        which = self.originals(rows)
        limited = None
        if self.deformation.rotation_1_7 is not None:
            limited = augment.is_1_or_7(np.asarray(self.source.labels)[which])
        columns = augment.deform(
            self.source.images[which],
            augment.keys_of(counter_rng.fold_in(self.key, 1)),
            self.deformation,
            self.image_shape,
            limited,
            fields=self.fields,
            first=rows.start,
            exactly=True,
        )
        return np.ascontiguousarray(np.rint(columns).T.astype(np.uint8))


def chunks(rows: range) -> Iterator[range]:
    """Rows in parts of a CHUNK, whose beginnings are multiples of every preset's images_per_map."""
    return (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))


def pictures(digits: Digits) -> np.ndarray:
    """The images (N, height, width)."""
    images: np.ndarray = digits.images.reshape(-1, *digits.image_shape)
    return images


def npy_header(shape: tuple[int, ...]) -> bytes:
    """The beginning of an npy file of bytes."""
    header = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()


def save(path: Path, manifest: Manifest) -> None:
    """Write the manifest."""
    files.replace_json(path / made.FILE, made.record_of(manifest))


def manifest_for(path: Path, recipe: dict[str, Any]) -> Manifest:
    """The manifest in the folder, or a new one."""
    if files.is_file(path / made.FILE):
        return made.manifest_of(path)
    manifest = Manifest(recipe, {}, None)
    save(path, manifest)
    return manifest


def check_folder(path: Path, recipe: dict[str, Any]) -> None:
    """UsageError if the folder holds something else than a set, or a part of it, of this recipe."""
    if files.is_file(path / made.FILE):
        there = made.manifest_of(path).recipe
        names = [name for name in recipe if there.get(name) != recipe[name]]
        if names or set(there) != set(recipe):
            name = (names or ["recipe"])[0]
            raise UsageError(
                f"{path}: holds a set with other {name} ({there.get(name)}, not "
                f"{recipe.get(name)}); choose another folder with --out"
            )
        return
    missing = FileNotFoundError, NotADirectoryError  # a folder that is still to make
    with contextlib.suppress(*missing):
        others = [name for name in os.listdir(path) if name != lock.NAME]
        if not all(name.startswith(f".{made.FILE}.") for name in others):
            raise UsageError(
                f"{path}: is not empty ({min(others)} is there), and holds no set that this "
                "command made; choose another folder with --out"
            )


def check_space(path: Path, manifest: Manifest, parts: dict[str, Digits | None]) -> None:
    """RunError if the disk has not enough space for what is still to be written."""
    small = sum(each.images.size + len(each) for each in parts.values() if each is not None)
    wanted = manifest.recipe["images"] * (28 * 28 + 1) + small
    there = sum(each.stat().st_size for each in path.iterdir() if ".npy" in each.suffixes)
    free = shutil.disk_usage(path).free
    if wanted - there + KEPT_FREE > free:
        raise RunError(
            f"--out {path}: the set needs {(wanted - there) / 1e9:.2f} GB more, and "
            f"{free / 1e9:.2f} GB are free there; choose another disk, or fewer --images"
        )
