"""Bounds on any program's speed: the products alone, reading the data once, the sgemm peak."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import pairwise

import numpy as np

from mnistgpu.engine.products import small
from mnistgpu.engine.shard import is_narrow
from mnistgpu.engine.threads import one_blas_thread, workers
from mnistgpu.storage.system import cores
from speed.tasks import Task, floats

CHUNK = 1000  # images of a full batch that are multiplied at once


class Products:
    """The matrix products of one step of a network of `sizes`, into buffers, and nothing else.

    Without a product for the gradient of the pixels, which no step needs. The images are float32
    rows, of which a full batch reads all; a smaller batch is in memory already. `matmul` is
    NumPy's, or the one that cuts products into pieces.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        chunk: int,
        matmul: Callable[..., np.ndarray] = np.matmul,
    ):
        self.matmul = matmul
        random = np.random.default_rng(0)
        self.weights = [
            random.random((n_out, n_in), dtype=np.float32) for n_in, n_out in pairwise(sizes)
        ]
        self.gradients = [np.empty_like(W) for W in self.weights]
        self.A = [random.random((n, chunk), dtype=np.float32) for n in sizes[1:]]
        self.dZ = [random.random((n, chunk), dtype=np.float32) for n in sizes[1:]]
        if is_narrow(sizes[1], chunk):  # the faster of the two orders in memory
            self.A[0] = np.empty((chunk, sizes[1]), dtype=np.float32).T

    def step(self, X: np.ndarray) -> None:
        """The products for images X (m, pixels) float32, m at most the size of a chunk."""
        m, last = len(X), len(self.weights) - 1
        A = [X.T, *(array[:, :m] for array in self.A)]
        dZ = [array[:, :m] for array in self.dZ]
        for layer, W in enumerate(self.weights):
            self.matmul(W, A[layer], out=A[layer + 1])
        for layer in range(last, -1, -1):
            self.matmul(dZ[layer], A[layer].T, out=self.gradients[layer])
            if layer > 0:
                self.matmul(self.weights[layer].T, dZ[layer], out=dZ[layer - 1])


def products(task: Task) -> dict[str, Callable[[int], None]]:
    """Functions that compute the products of `count` steps: with 1 and with all BLAS threads.

    A full batch is cut into chunks, which are computed by one thread or by a thread for each core.
    "In pieces" are the products as `engine/products/small.py` cuts them, if it does for this BLAS.
    """
    one, every = "products, 1 thread", "products, all threads"
    in_pieces = {}
    if task.batch is None:
        works = {
            one: lambda count: chunked(task, count, 1),
            every: lambda count: chunked(task, count, cores()),
        }
        if small.pays():
            in_pieces = {
                "products in pieces, all threads": lambda count: chunked(
                    task, count, cores(), small.matmul
                )
            }
        return works | in_pieces
    X = floats(task.images)[: task.batch].copy()
    bound, cut = (Products(task.sizes, task.batch, each) for each in (np.matmul, small.matmul))

    def repeat(
        bound: Products, count: int, limit: contextlib.AbstractContextManager[object]
    ) -> None:
        with limit:
            for _ in range(count):
                bound.step(X)

    works = {
        one: lambda count: repeat(bound, count, one_blas_thread()),
        every: lambda count: repeat(bound, count, contextlib.nullcontext()),
    }
    if small.pays():
        in_pieces = {
            "products in pieces, 1 thread": lambda count: repeat(cut, count, one_blas_thread())
        }
    return works | in_pieces


def chunked(
    task: Task, count: int, threads: int, matmul: Callable[..., np.ndarray] = np.matmul
) -> None:
    """The products of full batches, chunk by chunk, by threads with one BLAS thread each."""
    X = floats(task.images)
    starts = range(0, len(X), CHUNK)
    share = -(-len(starts) // threads)
    shares = [starts[i : i + share] for i in range(0, len(starts), share)]
    bounds = [Products(task.sizes, CHUNK, matmul) for _ in shares]

    def work(bound: Products, own: range) -> None:
        for start in own:
            bound.step(X[start : start + CHUNK])

    with one_blas_thread(), workers(threads) as pool:
        for _ in range(count):
            in_threads(pool, work, bounds, shares)


def in_threads(pool: Executor | None, work: Callable[..., None], *arguments: list) -> None:
    """work(a, b) for each pair of arguments, in the threads of the pool if there is one."""
    list(pool.map(work, *arguments) if pool else map(work, *arguments))


def reading(task: Task) -> Callable[[int], None]:
    """Read all images once, as float32, by all cores: a full batch must do at least that."""
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
