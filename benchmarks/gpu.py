"""How fast the GPU is: this package beside PyTorch and JAX, and beside what the chip can do.

Run:  python benchmarks/gpu.py            (under 8 minutes)
      python benchmarks/gpu.py --all      (the doctor and the suite for a GPU first)
      python benchmarks/gpu.py --cpu      (the same script without a GPU, to try it)

Each peer runs in a process of its own, so that none disturbs the other; one that is not installed
or breaks is left out, with the reason. Some time is kept for every part, so that none takes that of
another. Times are medians over chunks of steps between two synchronised readings of the clock,
after a warm-up that compiles and fills caches. All peers train on the same 60,000 images, kept as
uint8 where they compute. Writes benchmarks/results/gpu.json and gpu.md, or gpu-cpu.json and
gpu-cpu.md with --cpu.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
IMAGES = 60_000
CHUNKS = 7
LEAST_SECONDS = 5.0  # with less than that a part is not begun
WIDE = "784-2500-2000-1500-1000-500-10"  # Ciresan et al. 2010


@dataclass(frozen=True)
class Work:
    """A network, a batch size (None: full batch) and a precision; plain gradient descent."""

    layers: str
    batch: int | None
    precision: str = "float32"

    @property
    def name(self) -> str:
        """As in the table."""
        batch = "full batch" if self.batch is None else f"B={self.batch}"
        return f"{self.layers}, {batch}, {self.precision}"

    @property
    def sizes(self) -> list[int]:
        """The layer sizes as numbers."""
        return [int(n) for n in self.layers.split("-")]

    @property
    def operations(self) -> float:
        """Multiplications and additions of a step: three products a layer, two in the first."""
        pairs = list(zip(self.sizes, self.sizes[1:], strict=False))
        products = sum(a * b * (2 if i == 0 else 3) for i, (a, b) in enumerate(pairs))
        return 2.0 * products * (self.batch or IMAGES)


SMALL = [
    Work("784-10-10", None),
    Work("784-128-10", 128),
    Work("784-128-10", 1024),
]
LARGE = [
    Work(WIDE, batch, precision)
    for batch in (1024, 8192)
    for precision in ("tf32", "bf16", "float32")
]
WORKS = {work.name: work for work in SMALL + LARGE}

Step = Callable[[], Any]
Prepared = tuple[Step, Callable[[], None], int]  # a call, how to wait for it, steps in a call


def images_and_labels() -> tuple[Any, Any]:
    """The embedded training set: (60000, 784) uint8 and (60000,) uint8."""
    from mnistgpu import data

    train = data.load().train
    return train.images, train.labels


# The peers: each prepares a work on "cuda" or "cpu", and raises where it cannot.


@contextlib.contextmanager
def ours(work: Work, backend: str, graph: bool = False) -> Iterator[Prepared]:
    """This package's own step, eager or replayed; that it falls back to eager is an error here."""
    from mnistgpu import backend as backends
    from mnistgpu import data
    from mnistgpu.engine.gpu import cuda_graph
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
    with trainer.engine.running(), cuda_graph.stepping(trainer, fail) as step:
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
        torch._dynamo.reset()  # or it would take the next work for one of changing shapes
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


def time_of(prepared: Prepared, seconds: float) -> dict[str, Any]:
    """Median, least and greatest milliseconds of a step, over chunks of about `seconds`."""
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
    return {"ms": statistics.median(times), "low": min(times), "high": max(times), "calls": calls}


def run_peer(peer: str, names: list[str], device: str, seconds: float) -> None:
    """Measure one peer in this process; a line of JSON for every work."""
    for name in names:
        try:
            with PEERS[peer](WORKS[name], device) as prepared:
                found = time_of(prepared, seconds)
        except Exception as error:
            lines = str(error).strip().splitlines()
            found = {"why": f"{type(error).__name__}: {lines[0] if lines else ''}"}
        print(json.dumps({"work": name, "peer": peer, **found}), flush=True)


def run_limits(seconds: float) -> None:
    """What the chip can do: copies in its memory, and a large product in each precision."""
    from mnistgpu import backend, counter_rng
    from mnistgpu.engine import products

    cp = backend.select("cupy").xp
    wait = cp.cuda.get_current_stream().synchronize
    source = cp.zeros(2**28, dtype=cp.float32)
    target = cp.empty_like(source)
    ms = time_of((lambda: cp.copyto(target, source), wait, 1), seconds)["ms"]
    report_limit("copy, GB/s read and written", 2 * source.nbytes / ms / 1e6)
    images = cp.zeros((IMAGES, 784), dtype=cp.float32)
    ms = time_of((lambda: cp.copyto(target[: images.size], images.ravel()), wait, 1), seconds)["ms"]
    report_limit(COPY, ms)
    n = 8192
    A, B = (counter_rng.uniforms(counter_rng.key(i, like=target), (n, n)) for i in range(2))
    out = cp.empty((n, n), dtype=cp.float32)
    for precision in ("float32", "tf32", "bf16"):
        try:
            matmul = products.matmul_in(precision, cp)
            ms = time_of((lambda matmul=matmul: matmul(A, B, out=out), wait, 1), seconds)["ms"]
            report_limit(PRODUCT.format(precision), 2 * n**3 / ms / 1e9)
        except Exception as error:
            report_limit(PRODUCT.format(precision), None, str(error))


COPY = "60,000 float32 images, ms to copy"
PRODUCT = "product of 8192, {}, TFLOP/s"


def report_limit(name: str, value: float | None, why: str = "") -> None:
    print(json.dumps({"limit": name, "value": value, "why": why}), flush=True)


def run_whole(recipe: str, backend: str, precision: str, graph: bool) -> None:
    """A whole training process of a recipe, from its start to its exit."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "mnistgpu.train", "--recipe", recipe, "--backend", backend]
        command += ["--precision", precision, "--graph" if graph else "--no-graph"]
        command += ["--out", folder, "--force"]
        started = time.perf_counter()
        done = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - started
        if done.returncode or "steps are not replayed" in done.stdout:
            said = [line for line in done.stdout.splitlines() if "not replayed" in line]
            raise SystemExit(said[0].strip() if said else done.returncode)
        results = json.loads((Path(folder) / "results.json").read_text())
    found = {
        "precision": precision,
        "graph": graph,
        "seconds": seconds,
        "training": results["seconds"],
        "accuracy": results["test_accuracy"],
    }
    print(json.dumps({"whole": recipe, "backend": backend, **found}), flush=True)


def child(arguments: list[str], limit: float) -> list[dict[str, Any]]:
    """Run this script again for a part; its lines of JSON, also those before it broke."""
    if limit < LEAST_SECONDS:
        return [{"why": "no time was left"}]
    command = [sys.executable, __file__, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdout=out, stderr=errors, env=environment, start_new_session=True
        )
        try:
            status = process.wait(limit)
            why = f"exit status {status}" if status else ""
        except subprocess.TimeoutExpired:
            why = f"not done after {limit:.0f} s"
        finally:  # with what it has started, which would disturb the parts to come
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0)
        errors.seek(0)
        found = [json.loads(line) for line in out if line.startswith("{")]
        if why:
            said = errors.read().strip().splitlines()
            found.append({"why": f"{why}: {said[-1]}" if said else why})
    return found


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = [f"Measured on {result['machine']}.", "", f"Software: {result['software']}.", ""]
    peers = list(PEERS)
    lines += ["| milliseconds a step | " + " | ".join(peers) + " | arithmetic, TFLOP/s of ours |"]
    lines += ["|---" * (len(peers) + 2) + "|"]
    for name, work in WORKS.items():
        if not any("ms" in found for found in result["steps"].get(name, {}).values()):
            continue
        cells = []
        for peer in peers:
            found = result["steps"].get(name, {}).get(peer, {})
            cells.append(f"{found['ms']:.3f}" if "ms" in found else "-")
        own = result["steps"].get(name, {}).get("mnistgpu cupy", {})
        rate = f"{work.operations / own['ms'] / 1e9:.1f}" if "ms" in own else "-"
        lines.append(f"| {name} | {' | '.join(cells)} | {rate} |")
    if result["limits"]:
        lines += ["", "| limit | measured |", "|---|---|"]
        for each in result["limits"]:
            value = f"{each['value']:.2f}" if each["value"] is not None else f"- ({each['why']})"
            lines.append(f"| {each['limit']} | {value} |")
    if result["whole"]:
        lines += ["", "| whole process | precision | steps | seconds | of them training | test |"]
        lines += ["|---" * 6 + "|"]
        for each in result["whole"]:
            steps = "replayed" if each["graph"] else "eager"
            lines.append(
                f"| {each['whole']}, {each['backend']} | {each['precision']} | {steps} | "
                f"{each['seconds']:.1f} | {each['training']:.1f} | {each['accuracy']:.4f} |"
            )
    if any("mnistgpu cupy" in found for found in result["steps"].values()):
        lines += ["", "| goal | asked for | measured | |", "|---|---|---|---|"]
        for name, asked, measured, reached in goals(result):
            lines.append(f"| {name} | {asked} | {measured} | {reached} |")
    if result["left out"]:
        lines += ["", "Left out:", ""] + [f"- {each}" for each in result["left out"]]
    return "\n".join(lines) + "\n"


Row = tuple[str, str, str, str]
OURS = ("mnistgpu cupy", "mnistgpu graph")
OTHERS = ("torch eager", "torch compile", "torch graph", "jax scan")


def goals(result: dict[str, Any]) -> Iterator[Row]:
    """What was to be reached, what was, and whether; - where something was not measured."""

    def ms(work: Work, *peers: str) -> float | None:
        found = result["steps"].get(work.name, {})
        return min(
            (found[peer]["ms"] for peer in peers if "ms" in found.get(peer, {})), default=None
        )

    def share(above: float | None, below: float | None) -> float | None:
        return None if above is None or below is None else above / below

    def at_most(name: str, asked: str, bound: float, value: float | None) -> Row:
        measured = "-" if value is None else f"{value:.2f}"
        reached = "-" if value is None else "yes" if value <= bound else "no"
        return name, f"<= {bound:g} {asked}", measured, reached

    limits = {each["limit"]: each["value"] for each in result["limits"]}
    full, small, wide, wide32 = SMALL[0], SMALL[1], Work(WIDE, 1024, "tf32"), Work(WIDE, 1024)
    copy, rate = limits.get(COPY), limits.get(PRODUCT.format("tf32"))
    read, arithmetic = copy and copy / 2, rate and wide.operations / rate / 1e9

    own = ms(full, *OURS)
    yield at_most(full.name, "of PyTorch eager", 0.5, share(own, ms(full, "torch eager")))
    yield at_most(full.name, "of the best peer", 1.0, share(own, ms(full, *OTHERS)))
    yield at_most(full.name, "of reading the images once", 1.5, share(own, read))
    own = ms(small, *OURS)
    yield at_most(small.name, "of PyTorch eager", 0.3, share(own, ms(small, "torch eager")))
    yield at_most(small.name, "of PyTorch's graph", 1.0, share(own, ms(small, "torch graph")))
    yield at_most(small.name, "of JAX scan", 1.0, share(own, ms(small, "jax scan")))
    own = ms(wide, *OURS)
    yield at_most(wide.name, "of PyTorch eager", 0.9, share(own, ms(wide, "torch eager")))
    yield at_most(wide.name, "of the arithmetic", 1.5, share(own, arithmetic))
    own, cpu = ms(wide32, *OURS), ms(wide32, "mnistgpu numpy")
    yield at_most(f"{wide32.name}, on the GPU", "of the CPU's time", 0.05, share(own, cpu))
    runs = [each for each in result["whole"] if each["whole"] == "record"]
    for accuracy in (0.9970, 0.9975):
        good = [each["seconds"] for each in runs if each["accuracy"] >= accuracy]
        best = max((each["accuracy"] for each in runs), default=None)
        measured = f"{min(good):.0f} s" if good else "-" if best is None else f"at most {best:.2%}"
        reached = "-" if best is None else "yes" if good and min(good) <= 120 else "no"
        yield "record, whole run", f">= {accuracy:.2%} in <= 120 s", measured, reached


def machine(device: str) -> tuple[str, str]:
    """The device in words, and the versions of what is compared."""
    from importlib.metadata import PackageNotFoundError, version

    from mnistgpu import backend

    names = ["numpy", "cupy-cuda13x", "cupy-cuda12x", "nvmath-python", "torch", "jax"]
    found = [f"Python {platform.python_version()}"]
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    facts = backend.select("cupy" if device == "cuda" else "numpy").describe()
    cpu = backend.NUMPY.describe()
    there = f"{facts['device']}, {facts['memory']}"
    return there if device != "cuda" else f"{there}; {cpu['device']}", ", ".join(found)


def check_machine(device: str) -> None:
    """The doctor, and with a GPU its suite, whose largest differences go beside the results."""
    backend = "cupy" if device == "cuda" else "numpy"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MNISTGPU_PARITY_REPORT": str(RESULTS / f"parity-{backend}.json"),
    }
    doctor = ["-m", "mnistgpu.cli", "doctor", "--backend", backend]
    done = subprocess.run([sys.executable, *doctor], env=environment, cwd=ROOT, check=False)
    print(f"doctor: exit status {done.returncode}", flush=True)
    chosen = "gpu" if device == "cuda" else "not gpu"
    suite = [
        "-m",
        "pytest",
        "-q",
        "-m",
        chosen,
        "tests/core/test_backends_agree.py",
        "tests/engine/gpu/test_gpu.py",
    ]
    if device == "cuda":
        suite = ["-m", "pytest", "-q", "-m", "gpu", "-rP"]
    with (RESULTS / f"suite-{backend}.txt").open("w") as log:
        done = subprocess.run(
            [sys.executable, *suite], env=environment, cwd=ROOT, stdout=log, check=False
        )
    print(f"suite: exit status {done.returncode}; see {log.name}", flush=True)


@dataclass(frozen=True)
class Part:
    """A process that measures something: its arguments, and the seconds kept and allowed."""

    name: str
    arguments: list[str]
    kept: float
    allowed: float


def parts(device: str, peers: list[str], common: list[str]) -> list[Part]:
    """What is measured, in this order; what is kept for all of it is less than 8 minutes."""
    on = ["--cpu"] if device == "cpu" else []
    steps = [
        Part(peer, ["--part", "peer", "--peers", peer, *on, *common], 25, 75) for peer in peers
    ]
    if device == "cpu":
        return [*steps, whole("classic", "float32", False, 20, 90, "numpy")]
    return [
        Part("limits", ["--part", "limits", *common], 15, 60),
        whole("record", "tf32", True, 130, 180),
        *(whole("fast", precision, False, 12, 40) for precision in ("float32", "tf32", "bf16")),
        whole("classic", "float32", False, 15, 60),
        *steps,
        whole("record", "float32", True, 20, 180),
        whole("record", "tf32", False, 20, 180),
        whole("record", "float32", False, 20, 180),
    ]


def whole(
    recipe: str, precision: str, graph: bool, kept: float, allowed: float, backend: str = "cupy"
) -> Part:
    """The part that trains by a recipe."""
    arguments = ["--part", "whole", "--recipe", recipe, "--backend", backend]
    arguments += ["--precision", precision] + ["--graph"] * graph
    return Part(f"{recipe}, {precision}{', replayed' * graph}", arguments, kept, allowed)


def shared_out(parts: list[Part], place: int, left: float) -> float:
    """The seconds for a part: what it is allowed, unless the later ones' would have to go."""
    return min(parts[place].allowed, left - sum(part.kept for part in parts[place + 1 :]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="doctor and suite first")
    parser.add_argument("--cpu", action="store_true", help="without a GPU, small works alone")
    parser.add_argument("--minutes", type=float, default=8.0, help="for the measurements")
    parser.add_argument("--seconds", type=float, default=0.2, help="of a chunk of steps")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=None)
    parser.add_argument("--part", choices=["peer", "limits", "whole"], help=argparse.SUPPRESS)
    parser.add_argument("--recipe", help=argparse.SUPPRESS)
    parser.add_argument("--backend", help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    parser.add_argument("--graph", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = "cpu" if arguments.cpu else "cuda"
    names = arguments.works or [work.name for work in (SMALL if arguments.cpu else WORKS.values())]
    if arguments.part == "peer":
        return run_peer(arguments.peers[0], names, device, arguments.seconds)
    if arguments.part == "limits":
        return run_limits(arguments.seconds)
    if arguments.part == "whole":
        precision, graph = arguments.precision, arguments.graph
        return run_whole(arguments.recipe, arguments.backend, precision, graph)

    RESULTS.mkdir(exist_ok=True)
    if arguments.all:
        check_machine(device)
    end = time.monotonic() + 60 * arguments.minutes
    there, software = machine(device)
    result: dict[str, Any] = {"machine": there, "software": software}
    result |= {"steps": {}, "limits": [], "whole": [], "left out": []}
    path = RESULTS / ("gpu.json" if device == "cuda" else "gpu-cpu.json")

    common = ["--seconds", str(arguments.seconds), "--works", *names]
    planned = parts(device, arguments.peers, common)
    for place, part in enumerate(planned):
        seconds = shared_out(planned, place, end - time.monotonic())
        for found in child(part.arguments, seconds):
            why = found.get("why")
            if why:
                at = f" at {found['work']}" if "work" in found else ""
                result["left out"].append(f"{part.name}{at}: {why}")
            elif "work" in found:
                result["steps"].setdefault(found["work"], {})[found["peer"]] = found
            if "whole" in found:
                result["whole"].append(found)
            if "limit" in found:
                result["limits"].append(found)
            print(json.dumps(found), flush=True)
        path.write_text(json.dumps(result, indent=2) + "\n")
        path.with_suffix(".md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
