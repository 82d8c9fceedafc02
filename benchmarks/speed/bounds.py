"""What no program can beat by much: the products alone, reading the data once, the sgemm peak."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from itertools import pairwise

import numpy as np

from mnistgpu.shard import is_narrow
from mnistgpu.threads import cores, one_blas_thread, workers
from speed.tasks import Task, floats

CHUNK = 1024  # images of a full batch that are multiplied at once


class Products:
    """The matrix products of one step at the task's shapes, into buffers, and nothing else.

    Without a product for the gradient of the pixels, which no step needs. The images are float32
    rows, of which a full batch reads all; a smaller batch is at hand already.
    """

    def __init__(self, task: Task, chunk: int):
        self.sizes = task.sizes
        self.weights = [W for W, _ in task.layers_of(task.start)]
        self.gradients = [np.empty_like(W) for W in self.weights]
        random = np.random.default_rng(0)
        self.A = [random.random((n, chunk), dtype=np.float32) for n in task.sizes[1:]]
        self.dZ = [random.random((n, chunk), dtype=np.float32) for n in task.sizes[1:]]
        if is_narrow(task.sizes[1], chunk):  # the faster order of the two
            self.A[0] = np.empty((chunk, task.sizes[1]), dtype=np.float32).T

    def step(self, X: np.ndarray) -> None:
        """The products for images X (m, pixels) float32, m at most the size of a chunk."""
        m, last = len(X), len(self.weights) - 1
        A = [X.T, *(array[:, :m] for array in self.A)]
        dZ = [array[:, :m] for array in self.dZ]
        for layer, W in enumerate(self.weights):
            np.matmul(W, A[layer], out=A[layer + 1])
        for layer in range(last, -1, -1):
            np.matmul(dZ[layer], A[layer].T, out=self.gradients[layer])
            if layer > 0:
                np.matmul(self.weights[layer].T, dZ[layer], out=dZ[layer - 1])


def products(task: Task) -> dict[str, Callable[[int], None]]:
    """Functions that compute the products of `count` steps: with 1 and with all BLAS threads.

    A full batch is cut into chunks, which one worker or one for each core goes through.
    """
    if task.batch is None:
        return {
            "products, 1 thread": lambda count: chunked(task, count, 1),
            "products, all threads": lambda count: chunked(task, count, cores()),
        }
    bound, X = Products(task, task.batch), floats(task.images)[: task.batch].copy()

    def repeat(count: int, limit: contextlib.AbstractContextManager[object]) -> None:
        with limit:
            for _ in range(count):
                bound.step(X)

    return {
        "products, 1 thread": lambda count: repeat(count, one_blas_thread()),
        "products, all threads": lambda count: repeat(count, contextlib.nullcontext()),
    }


def chunked(task: Task, count: int, threads: int) -> None:
    """The products of full batches, chunk by chunk, by so many workers with one BLAS thread."""
    X = floats(task.images)
    starts = range(0, len(X), CHUNK)
    share = -(-len(starts) // threads)
    shares = [starts[i : i + share] for i in range(0, len(starts), share)]
    bounds = [Products(task, CHUNK) for _ in shares]

    def work(bound: Products, own: range) -> None:
        for start in own:
            bound.step(X[start : start + CHUNK])

    with one_blas_thread(), workers(threads) as pool:
        for _ in range(count):
            in_threads(pool, work, bounds, shares)


def in_threads(pool: Executor | None, work: Callable[..., None], *arguments: list) -> None:
    """work(a, b) for each pair of arguments, by the pool if there is one."""
    list(pool.map(work, *arguments) if pool else map(work, *arguments))


def reading(task: Task) -> Callable[[int], None]:
    """Read all images once, as float32, by all cores: what a full batch must do at least."""
    X = floats(task.images).reshape(-1)
    parts = np.array_split(X, 64)

    def read(count: int) -> None:
        with workers(cores()) as pool:
            for _ in range(count):
                in_threads(pool, lambda part: part.max(), parts)

    return read


def sgemm(size: int = 2048) -> Callable[[], None]:
    """One large product: 2 size^3 floating-point operations."""
    A = np.random.default_rng(0).random((size, size), dtype=np.float32)
    out = np.empty_like(A)
    return lambda: np.matmul(A, A, out=out)


def sgemm_work(size: int = 2048) -> float:
    """Floating-point operations of `sgemm`."""
    return 2.0 * size**3


def multiply_adds(task: Task) -> int:
    """Multiplications and additions in the products of one step."""
    pairs = list(pairwise(task.sizes))
    forward_and_weights = 2 * sum(a * b for a, b in pairs)
    backward = sum(a * b for a, b in pairs[1:])
    return (task.batch or task.images) * (forward_and_weights + backward)
