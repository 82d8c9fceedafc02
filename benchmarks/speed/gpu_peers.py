"""The peers of benchmarks/gpu.py: each prepares a work on "cuda" or "cpu", and raises if it cannot.

Each imports what it needs when it is asked for, since every peer runs in a process of its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from speed.gpu_works import IMAGES, Work

Step = Callable[[], Any]
Prepared = tuple[Step, Callable[[], None], int]  # a call, how to wait for it, steps in a call


def images_and_labels() -> tuple[Any, Any]:
    """The embedded training set: (60000, 784) uint8 and (60000,) uint8."""
    from mnistgpu import data

    train = data.load().train
    return train.images, train.labels


@contextlib.contextmanager
def ours(work: Work, backend: str, graph: bool = False) -> Iterator[Prepared]:
    """This package's own step, eager or replayed; falling back to eager steps is an error here."""
    from mnistgpu import backend as backends
    from mnistgpu import data
    from mnistgpu.engine.stepping import stepping
    from mnistgpu.engine.trainer import Trainer
    from mnistgpu.settings import Settings

    def fail(reason: str) -> None:
        raise RuntimeError(reason)

    chosen = backends.select(backend)
    settings = Settings(layers=work.layers, precision=work.precision).changed(
        batch_size=work.batch,
        learning_rate=0.01,
        init="he",
        validation=0,
        iterations=10**9,
        graph=graph,
    )
    trainer = Trainer(settings, data.load().train, chosen)
    with trainer.engine.running(), stepping(trainer, fail) as step:
        yield step, chosen.synchronize, 1


def torch_parts(work: Work, device: str) -> tuple[Any, ...]:
    """Images, labels, model and optimiser as a PyTorch user writes them."""
    import torch

    precisions = {"float32": "highest", "tf32": "high", "bf16": "high"}
    torch.set_float32_matmul_precision(precisions[work.precision])
    images, labels = images_and_labels()
    parts: list[Any] = []
    for n_in, n_out in zip(work.sizes, work.sizes[1:], strict=False):
        parts += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    model = torch.nn.Sequential(*parts[:-1]).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    there = torch.tensor(images, device=device), torch.tensor(labels, device=device).long()
    return torch, *there, model, optimizer


def torch_sync(torch: Any, device: str) -> Callable[[], None]:
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def torch_batches(torch: Any, work: Work, device: str) -> Callable[[], Any]:
    """Indices of the next batch, from a permutation made anew every epoch on the device."""
    order, position = torch.randperm(IMAGES, device=device), 0

    def following() -> Any:
        nonlocal order, position
        if position + work.batch > IMAGES:
            order, position = torch.randperm(IMAGES, device=device), 0
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
def torch_eager(work: Work, device: str, compiled: bool = False) -> Iterator[Prepared]:
    """A usual training step; with `compiled`, through torch.compile."""
    torch, images, labels, model, optimizer = torch_parts(work, device)
    loss = torch_loss(torch, work, model, device)
    if compiled:
        torch._dynamo.reset()  # or it would compile the next work for changing shapes
        loss = torch.compile(loss, mode="reduce-overhead", dynamic=False)
    batches = None if work.batch is None else torch_batches(torch, work, device)

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
def torch_compile(work: Work, device: str) -> Iterator[Prepared]:
    """torch.compile(mode="reduce-overhead") of forward and loss."""
    with torch_eager(work, device, compiled=True) as prepared:
        yield prepared


@contextlib.contextmanager
def torch_graph(work: Work, device: str) -> Iterator[Prepared]:
    """The whole step captured by hand in a CUDA graph."""
    if device != "cuda":
        raise RuntimeError("CUDA graphs need a GPU")
    torch, images, labels, model, optimizer = torch_parts(work, device)
    loss = torch_loss(torch, work, model, device)
    rows = None if work.batch is None else torch.zeros(work.batch, dtype=torch.long, device=device)
    batches = None if work.batch is None else torch_batches(torch, work, device)

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
def jax_scan(work: Work, device: str) -> Iterator[Prepared]:
    """Steps of an epoch (50 of a full batch) in one jit of lax.scan."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    import jax
    import jax.numpy as jnp

    if device == "cuda" and jax.default_backend() != "gpu":
        raise RuntimeError("this JAX has no GPU")
    precision = {"float32": "highest", "tf32": "tensorfloat32", "bf16": "bfloat16"}[work.precision]
    jax.config.update("jax_default_matmul_precision", precision)
    images, labels = (jax.device_put(each) for each in images_and_labels())
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

    steps = 50 if work.batch is None else IMAGES // work.batch

    @jax.jit
    def epoch(params: Any, key: Any) -> Any:
        rows = jnp.zeros((steps, 1), dtype=jnp.int32)
        if work.batch is not None:
            order = jax.random.permutation(key, IMAGES)
            rows = order[: steps * work.batch].reshape(steps, work.batch)
        return jax.lax.scan(step, params, rows)

    def call() -> None:
        nonlocal params, key
        key, own = jax.random.split(key)
        params, _ = epoch(params, own)

    yield call, lambda: jax.block_until_ready(params), steps


PEERS: dict[str, Callable[[Work, str], Any]] = {
    "mnistgpu cupy": lambda work, device: ours(work, "cupy"),
    "mnistgpu graph": lambda work, device: ours(work, "cupy", graph=True),
    "torch eager": torch_eager,
    "torch compile": torch_compile,
    "torch graph": torch_graph,
    "jax scan": jax_scan,
    "mnistgpu numpy": lambda work, device: ours(work, "numpy"),
}
