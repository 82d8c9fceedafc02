"""What products in pieces gain, and what two threads lose by waiting for each other.

Run:  python benchmarks/pieces.py [--repeats 9]

Measured are products of 784-n-10, whole and as `engine/products/small.py` cuts them, and a full
batch of 784-10-10, by one worker and by two. Writes benchmarks/results/pieces.md.
"""

from __future__ import annotations

import argparse
import contextlib
from functools import partial
from pathlib import Path

import numpy as np
from speed import clock
from speed.tasks import Task

from mnistgpu.backend import NUMPY
from mnistgpu.engine.cpu.bound_calls import bind_calls
from mnistgpu.engine.gradient import Engine
from mnistgpu.engine.inputs import Inputs
from mnistgpu.engine.products import small
from mnistgpu.engine.threads import blas_architecture, one_blas_thread
from mnistgpu.settings import Settings

SHAPES = [(10, 512), (10, 1000), (64, 512), (128, 32), (128, 64), (128, 128)]  # units, images
CALLS = 200

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--repeats", type=int, default=9, help="measurements of each (9)")
arguments = parser.parse_args()


def product_times(units: int, images: int) -> list[str]:
    """Of W_1 X, and of dZ_1 X^T: whole with all BLAS threads and with one, and in pieces."""
    random = np.random.default_rng(0)
    W, X = (random.random((n, 784), dtype=np.float32) for n in (units, images))
    dZ = random.random((units, images), dtype=np.float32)
    cells = []
    for A, B in ((W, X.T), (dZ, X)):
        out = np.empty((A.shape[0], B.shape[1]), np.float32)

        def repeat(matmul, limit, A=A, B=B, out=out):
            with limit():
                for _ in range(CALLS):
                    matmul(A, B, out=out)

        works = {
            "all": partial(repeat, np.matmul, contextlib.nullcontext),
            "one": partial(repeat, np.matmul, one_blas_thread),
            "pieces": partial(repeat, small.matmul, one_blas_thread),
        }
        found = clock.interleaved(works, arguments.repeats, CALLS)
        cells += [f"{1e6 * times.median:.0f}" for times in found.values()]
    return [str(units), str(images), *cells]


def full_batches() -> str:
    """Milliseconds of one worker with half of the images, and of two with all of them."""
    task, settings = Task("784-10-10", None), Settings(iterations=10**9, validation=0)
    inputs = Inputs(task.rows, settings, (28, 28), task.start)
    works = {}
    for workers, count in ((1, 30_000), (2, 60_000)):
        engine = Engine(
            task.start, settings, task.rows, task.labels, inputs, 60_000, workers=workers
        )
        bind_calls(engine)

        def repeat(engine=engine, count=count):
            with engine.running():
                for _ in range(20):
                    engine.gradient(slice(0, count))

        works[f"{workers}"] = repeat
    alone, both = clock.interleaved(works, arguments.repeats, 20).values()
    return (
        f"A gradient of 784-10-10 over 30,000 images takes one worker {1e3 * alone.median:.1f} ms "
        f"({1e3 * alone.low:.1f} to {1e3 * alone.high:.1f}), over 60,000 two workers "
        f"{1e3 * both.median:.1f} ms ({1e3 * both.low:.1f} to {1e3 * both.high:.1f}): what they "
        "lose is the wait for Python's interpreter lock."
    )


head = ["units", "images"]
for product in ("W X", "dZ X^T"):
    head += [f"{product}: all threads", "one thread", "one thread, in pieces"]
rows = [head, ["---"] * len(head), *(product_times(*shape) for shape in SHAPES)]
table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
text = (
    f"Microseconds, {NUMPY.describe()['device']}, OpenBLAS for {blas_architecture()}, medians of "
    f"{arguments.repeats} in turn.\n\n{table}\n\n{full_batches()}\n"
)
(Path(__file__).parent / "results" / "pieces.md").write_text(text)
print(text)
