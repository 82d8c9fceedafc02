"""How to apply a map to a group of images: four gathers of rows, or a product with a matrix.

Run:  python benchmarks/deformations.py [--backend cupy] [--groups 8 32]

A deformation is linear in the pixels, so a matrix (pixels, 784) does the same as the gathers of
`augment.deform`. Both are measured in turn on a batch of 512 and must give the same images. Both
need maps; the time to make these is measured apart. Writes
benchmarks/results/deformations-BACKEND.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mnistgpu import backend, counter_rng, data
from mnistgpu.backend import Array
from mnistgpu.engine.threads import one_blas_thread
from mnistgpu.maths import augment
from mnistgpu.recipes import RECIPES
from mnistgpu.storage.system import keep_freed_memory

BATCH, REPEATS = 512, 15

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--backend", help="numpy, cupy, cupy:1 or auto")
parser.add_argument(
    "--groups", nargs="+", type=int, default=[1, 8, 32, 128], help="images for one map"
)
arguments = parser.parse_args()
chosen = backend.select(arguments.backend)
xp = chosen.xp
images = chosen.asarray(data.load().train.images[:BATCH])
keys = augment.keys_of(counter_rng.key(0, like=images))


def matrices(rows: Array, columns: Array) -> Array:
    """The maps (groups, 784) of rows and columns as dense matrices (groups, 784, 784)."""
    groups, pixels = rows.shape
    pixel = xp.arange(pixels, dtype=xp.int64)
    total = xp.zeros((groups * pixels, pixels), dtype=xp.float32)
    top, left = xp.floor(rows), xp.floor(columns)
    at = xp.arange(groups * pixels, dtype=xp.int64)
    for below in (0, 1):
        for beside in (0, 1):
            r, c = top + below, left + beside
            down, right = rows - top, columns - left
            weight = (down if below else 1 - down) * (right if beside else 1 - right)
            weight = weight * ((r >= 0) & (r <= 27) & (c >= 0) & (c <= 27))
            source = (xp.clip(r, 0, 27) * 28 + xp.clip(c, 0, 27)).astype(xp.int64).reshape(-1)
            total[at, source] += weight.reshape(-1)
    return total.reshape(groups, pixel.size, pixel.size)


def by_product(rows: Array, columns: Array, group: int) -> Array:
    """Deformed images (784, BATCH), by one product for each group."""
    X = xp.ascontiguousarray(images.T).astype(xp.float32)
    moved = xp.empty_like(X)
    for i, matrix in enumerate(matrices(rows, columns)):
        part = slice(i * group, (i + 1) * group)
        moved[:, part] = matrix @ X[:, part]
    return moved


def seconds(work: Callable[[], object]) -> float:
    """Seconds that the work takes, until the device has finished it."""
    chosen.synchronize()
    started = time.perf_counter()
    work()
    chosen.synchronize()
    return time.perf_counter() - started


lines = [
    "| images a map | making the maps | deforming by gathers | by products | |",
    "|---|---|---|---|---|",
]
keep_freed_memory()
for group in arguments.groups:
    deformation = replace(RECIPES["strong"].settings.deformation, images_per_map=group)
    count = BATCH // group

    def maps(deformation=deformation, count=count):
        return augment.source(keys, range(count), deformation, (28, 28))

    def gathers(deformation=deformation):
        return augment.deform(images, keys, deformation)

    def product(group=group, maps=maps):
        return by_product(*maps(), group)

    apart = float(xp.max(xp.abs(gathers() - product())))
    if apart > 0.05:
        raise AssertionError(f"the two differ by {apart} grey levels")
    times: dict[str, list[float]] = {"maps": [], "gathers": [], "product": []}
    with one_blas_thread():  # as in training, where each core computes a part of the batch
        for _ in range(REPEATS):
            for name, work in (("maps", maps), ("gathers", gathers), ("product", product)):
                times[name].append(seconds(work))
    of_maps, of_gathers, of_product = (1e3 * statistics.median(t) for t in times.values())
    lines.append(
        f"| {group} | {of_maps:.1f} ms | {of_gathers:.1f} ms | {of_product:.1f} ms | gathers take "
        f"{of_gathers / of_product:.2f} of it |"
    )
    print(lines[-1], flush=True)
facts = chosen.describe()
lines += [
    "",
    f"A batch of {BATCH}, medians of {REPEATS}; {facts['device']}, numpy {np.__version__}.",
]
path = Path(__file__).parent / "results" / f"deformations-{chosen.name}.md"
path.write_text("\n".join(lines) + "\n")
