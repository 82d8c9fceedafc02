"""The peers of benchmarks/gpu.py: each prepares a work on "cuda" or "cpu", and raises if it cannot.

Each imports what it needs when it is asked for, since every peer runs in a process of its own.
"""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from speed.gpu_works import Sizes, Work

Step = Callable[[], Any]
Prepared = tuple[Step, Callable[[], None], int]  # a call, how to wait for it, steps in a call
Measured = dict[str, Any]
Peer = Callable[[Work, str, float, Sizes], Measured]
CHUNKS = 7


def digits(sizes: Sizes) -> Any:
    """The embedded MNIST: as many training images, and 1,000 of the others for rows of history."""
    from mnistgpu import data

    whole = data.load()
    train, test = whole.train, whole.test
    return data.Dataset(
        data.Digits(train.images[: sizes.images], train.labels[: sizes.images], train.source),
        None,
        whole.source,
        data.Digits(test.images[:1000], test.labels[:1000], test.source),
    )


def images_and_labels(sizes: Sizes) -> tuple[Any, Any]:
    """The training set: (N, 784) uint8 and (N,) uint8."""
    train = digits(sizes).train
    return train.images, train.labels


def summary(times: list[float]) -> Measured:
    """Median, least and greatest of these milliseconds a step."""
    return {
        "ms": statistics.median(times), "low": min(times), "high": max(times), "calls": len(times)
    }  # fmt: skip


def time_of(prepared: Prepared, seconds: float) -> Measured:
    """Milliseconds a step, over chunks of about `seconds`."""
    step, wait, steps_in_a_call = prepared
    for _ in range(5):
        step()
    wait()
    started = time.perf_counter()
    step()
    wait()
    calls = max(1, min(2000, int(seconds / max(time.perf_counter() - started, 1e-6))))
    times = []
    for _ in range(CHUNKS):
        started = time.perf_counter()
        for _ in range(calls):
            step()
        wait()
        times.append(1e3 * (time.perf_counter() - started) / (calls * steps_in_a_call))
    return summary(times)


def ours(backend: str, graph: bool = False, in_bytes: bool = False) -> Peer:
    """This package as people run it: the training loop, with a row of history and its evaluation.

    `in_bytes` multiplies uint8 images without a copy as numbers, for the works that can.

    Times are those between two rows; those of the first epoch, in which kernels are compiled and
    steps captured, do not count. On NumPy, where steps of a wide network take long, times are those
    between two steps. Falling back to eager steps is an error.
    """

    def measured(work: Work, device: str, seconds: float, sizes: Sizes) -> Measured:
        from mnistgpu import backend as backends
        from mnistgpu.engine import inputs
        from mnistgpu.runs import training
        from mnistgpu.settings import Settings

        if in_bytes and (work.sizes[1] > inputs.BYTE_UNITS or work.precision != "float32"):
            return {}
        inputs.BYTE_PRODUCTS = in_bytes
        chosen, clock = backends.select(backend), Clock(CHUNKS * seconds, backend == "numpy")
        length = {"iterations": sizes.iterations, "epochs": None}
        if work.batch is not None:
            length = {"iterations": None, "epochs": sizes.epochs}
        settings = Settings(layers=work.layers, precision=work.precision).changed(
            batch_size=work.batch,
            learning_rate=0.01,
            init="he",
            validation=0,
            graph=graph,
            **length,
        )
        dataset = digits(sizes)
        with contextlib.suppress(EnoughError):
            while True:
                training.train(settings, dataset, chosen, [clock])
        return summary(clock.times)

    return measured


class EnoughError(Exception):
    """Ends a run whose times are known."""


class Clock:
    """A callback of `training.train` that notes the milliseconds a step until it has enough."""

    def __init__(self, seconds: float, every_step: bool):
        self.times: list[float] = []
        self.seconds, self.every_step = seconds, every_step
        self.ends = math.inf

    def begin(self, trainer: Any, progress: Any, stop: Any) -> None:
        self.trainer, self.before = trainer, (0, 0.0)

    def step(self, trainer: Any, progress: Any) -> None:
        if self.every_step:
            self.note(1)

    def row(self, row: Any, theta: Any) -> None:
        if not self.every_step:
            self.note(self.trainer.row_every)

    def note(self, first: int) -> None:
        """Note the time since the last call, if the steps before it were not among the first."""
        taken, now = self.trainer.taken, time.perf_counter()
        steps, then = self.before
        if steps >= first:
            self.times.append(1e3 * (now - then) / (taken - steps))
        if taken >= first:
            self.ends = min(self.ends, now + self.seconds)
            self.before = taken, now
        if now >= self.ends and len(self.times) >= 3:
            raise EnoughError

    def warning(self, sentence: str) -> None:
        if "not replayed" in sentence or "plain form" in sentence:
            raise RuntimeError(sentence)

    def interrupted(self, trainer: Any, progress: Any) -> None:
        pass

    def end(self, outcome: Any) -> None:
        pass


def stepwise(peer: Callable[[Work, str, Sizes], Any]) -> Peer:
    """A peer of which a step is prepared, and timed in chunks."""

    def measured(work: Work, device: str, seconds: float, sizes: Sizes) -> Measured:
        with peer(work, device, sizes) as prepared:
            return time_of(prepared, seconds)

    return measured


def torch_parts(work: Work, device: str, sizes: Sizes) -> tuple[Any, ...]:
    """Images, labels, model and optimiser as a PyTorch user writes them."""
    import torch

    precisions = {"float32": "highest", "tf32": "high", "bf16": "high"}
    torch.set_float32_matmul_precision(precisions[work.precision])
    images, labels = images_and_labels(sizes)
    parts: list[Any] = []
    for n_in, n_out in zip(work.sizes, work.sizes[1:], strict=False):
        parts += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    model = torch.nn.Sequential(*parts[:-1]).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    there = torch.tensor(images, device=device), torch.tensor(labels, device=device).long()
    return torch, *there, model, optimizer


def torch_sync(torch: Any, device: str) -> Callable[[], None]:
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def torch_batches(torch: Any, work: Work, device: str, images: int) -> Callable[[], Any]:
    """Indices of the next batch, from a permutation made anew every epoch on the device."""
    order, position = torch.randperm(images, device=device), 0

    def following() -> Any:
        nonlocal order, position
        if position + work.batch > images:
            order, position = torch.randperm(images, device=device), 0
        position += work.batch
        return order[position - work.batch : position]

    return following


def torch_loss(torch: Any, work: Work, model: Any, device: str) -> Callable[..., Any]:
    """Scale, forward and loss; bfloat16 as autocast does it."""

    def loss(X: Any, y: Any) -> Any:
        with torch.autocast(device, torch.bfloat16, enabled=work.precision == "bf16"):
            return torch.nn.functional.cross_entropy(model(X.float() / 255.0), y)

    return loss


@contextlib.contextmanager
def torch_eager(
    work: Work, device: str, sizes: Sizes, compiled: bool = False
) -> Iterator[Prepared]:
    """A usual training step; with `compiled`, through torch.compile."""
    torch, images, labels, model, optimizer = torch_parts(work, device, sizes)
    loss = torch_loss(torch, work, model, device)
    if compiled:
        torch._dynamo.reset()  # or it would compile the next work for changing shapes
        loss = torch.compile(loss, mode="reduce-overhead", dynamic=False)
    batches = None if work.batch is None else torch_batches(torch, work, device, sizes.images)

    def step() -> None:
        X, y = images, labels
        if batches is not None:
            rows = batches()
            X, y = images[rows], labels[rows]
        optimizer.zero_grad(set_to_none=True)
        loss(X, y).backward()
        optimizer.step()

    yield step, torch_sync(torch, device), 1


@contextlib.contextmanager
def torch_compile(work: Work, device: str, sizes: Sizes) -> Iterator[Prepared]:
    """torch.compile(mode="reduce-overhead") of forward and loss."""
    with torch_eager(work, device, sizes, compiled=True) as prepared:
        yield prepared


@contextlib.contextmanager
def torch_graph(work: Work, device: str, sizes: Sizes) -> Iterator[Prepared]:
    """The whole step captured by hand in a CUDA graph."""
    if device != "cuda":
        raise RuntimeError("CUDA graphs need a GPU")
    torch, images, labels, model, optimizer = torch_parts(work, device, sizes)
    loss = torch_loss(torch, work, model, device)
    rows = None if work.batch is None else torch.zeros(work.batch, dtype=torch.long, device=device)
    batches = None if work.batch is None else torch_batches(torch, work, device, sizes.images)

    def body() -> None:
        X, y = (images, labels) if rows is None else (images[rows], labels[rows])
        optimizer.zero_grad(set_to_none=False)
        loss(X, y).backward()
        optimizer.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            body()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()

    def step() -> None:
        if batches is not None:
            rows.copy_(batches())
        graph.replay()

    yield step, torch.cuda.synchronize, 1


@contextlib.contextmanager
def jax_scan(work: Work, device: str, sizes: Sizes) -> Iterator[Prepared]:
    """Steps of an epoch (50 of a full batch) in one jit of lax.scan."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    import jax
    import jax.numpy as jnp

    if device == "cuda" and jax.default_backend() != "gpu":
        raise RuntimeError("this JAX has no GPU")
    precision = {"float32": "highest", "tf32": "tensorfloat32", "bf16": "bfloat16"}[work.precision]
    jax.config.update("jax_default_matmul_precision", precision)
    images, labels = (jax.device_put(each) for each in images_and_labels(sizes))
    key = jax.random.key(0)
    params = []
    for n_in, n_out in zip(work.sizes, work.sizes[1:], strict=False):
        key, own = jax.random.split(key)
        W = jax.random.normal(own, (n_in, n_out)) * (2.0 / n_in) ** 0.5
        params.append((W, jnp.zeros(n_out)))

    def loss(params: Any, X: Any, y: Any) -> Any:
        A = X.astype(jnp.float32) / 255.0
        for W, b in params[:-1]:
            A = jax.nn.relu(A @ W + b)
        W, b = params[-1]
        log_p = jax.nn.log_softmax(A @ W + b)
        return -jnp.mean(jnp.take_along_axis(log_p, y[:, None], axis=1))

    def step(params: Any, rows: Any) -> tuple[Any, Any]:
        X, y = (images, labels) if work.batch is None else (images[rows], labels[rows])
        value, slope = jax.value_and_grad(loss)(params, X, y.astype(jnp.int32))
        return jax.tree.map(lambda p, g: p - 0.01 * g, params, slope), value

    steps = 50 if work.batch is None else sizes.images // work.batch

    @jax.jit
    def epoch(params: Any, key: Any) -> Any:
        rows = jnp.zeros((steps, 1), dtype=jnp.int32)
        if work.batch is not None:
            order = jax.random.permutation(key, sizes.images)
            rows = order[: steps * work.batch].reshape(steps, work.batch)
        return jax.lax.scan(step, params, rows)

    def call() -> None:
        nonlocal params, key
        key, own = jax.random.split(key)
        params, _ = epoch(params, own)

    yield call, lambda: jax.block_until_ready(params), steps


PEERS: dict[str, Peer] = {
    "mnistgpu cupy": ours("cupy"),
    "mnistgpu graph": ours("cupy", graph=True),
    "mnistgpu bytes": ours("cupy", graph=True, in_bytes=True),
    "torch eager": stepwise(torch_eager),
    "torch graph": stepwise(torch_graph),
    "jax scan": stepwise(jax_scan),
    "mnistgpu numpy": ours("numpy"),
    "torch compile": stepwise(torch_compile),
}
