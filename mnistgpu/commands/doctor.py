"""Is this machine fit? Versions, devices, the mathematics on each backend, and how fast it is.

Every check gives a Finding, with a cure if something is wrong. A failed check does not prevent the
next ones.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import numpy as np

from mnistgpu import __version__, counter_rng, data, network
from mnistgpu.backend import INSTALL, INSTALL_CUPY, NUMPY, Backend, gist, select
from mnistgpu.commands.output import as_json
from mnistgpu.data import Digits
from mnistgpu.engine.gradient import Engine
from mnistgpu.engine.inputs import Inputs
from mnistgpu.engine.products import cublas
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import BackendError, MnistGpuError
from mnistgpu.settings import Settings

SIZES = (784, 12, 10)
SPEED_SECONDS = 0.7
LOOK_UP = "look the message up in docs/gpu.md, under errors and their cures"
WRONG_RESULTS = (
    "results are wrong: update driver and CuPy, check the memory of the card with nvidia-smi -q, "
    "and report it with this output"
)


@dataclass(frozen=True)
class Finding:
    """What a check found: `good` is False for what must be mended, and `cure` says how."""

    subject: str
    text: str
    good: bool = True
    cure: str = ""


def examine(backend: str | None = None) -> Iterator[Finding]:
    """Check everything that a run on `backend` needs (as for `select`), one finding after another.

    CuPy is examined even if it was not asked for; then it is no fault if it does not work.
    """
    yield from packages()
    backends: list[Backend] = []
    try:
        backends.append(select(backend))
        why = backends[0].chosen_because or "chosen, and it computes"
        yield Finding("backend", f"{backends[0].name}: {why}")
    except MnistGpuError as error:
        yield Finding("backend", "what was chosen does not compute here", False, str(error))
    works = [each.name for each in backends]
    if works == ["numpy"] and not backends[0].chosen_because:  # "auto" has tried CuPy already
        try:
            backends.append(select("cupy"))
        except BackendError as error:
            yield Finding("gpu", f"none in use: {error}")
    elif "numpy" not in works:
        backends.append(NUMPY)
    for each in backends:
        yield from device(each)
    try:
        digits = data.load().train
    except MnistGpuError as error:
        yield Finding("data", "the embedded MNIST cannot be read", False, str(error))
        return
    yield Finding("data", f"embedded MNIST: {len(digits):,} images, digest {digits.digest[:16]}")
    for each in backends:
        yield checked(f"gradient on {each.name}", gradient, each, digits)
    if len(backends) == 2:
        yield checked("numpy and cupy", parity, backends, digits)
    for each in backends:
        if each.name == "cupy":
            yield checked("graph on cupy", graph, each, digits)
    for each in backends:
        yield checked(f"speed on {each.name}", speed, each, digits)


def doctor(backend: str | None = None) -> list[Finding]:
    """What `mnistgpu doctor` finds on this machine; a Finding that is not `good` has a `cure`."""
    return list(examine(backend))


def packages() -> Iterator[Finding]:
    """Versions of this package, of those it needs, and of what --graph needs on a GPU."""
    found, missing = [f"mnistgpu {__version__}"], []
    for name in needed():
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    yield Finding("packages", ", ".join(found))
    if missing:
        names = " ".join(missing)
        yield Finding("packages", f"missing: {names}", False, f"{INSTALL} {names}")
    try:
        yield Finding("optional", f"nvmath-python {version('nvmath-python')}")
    except PackageNotFoundError:
        use = f"on a GPU, --graph and --precision bf16 need it ({INSTALL} nvmath-python)"
        yield Finding("optional", f"nvmath-python is not installed; {use}")


def needed() -> list[str]:
    """The packages that this one names as its own requirements, extras left out.

    Without a name where it was not installed but runs from its folder.
    """
    try:
        named = requires("mnistgpu") or []
    except PackageNotFoundError:
        return []
    always = (line for line in named if "extra ==" not in line)
    return [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in always]


def device(backend: Backend) -> Iterator[Finding]:
    """Name, memory and, on a GPU, the versions of driver, runtime and compiler."""
    facts = backend.describe()
    text = f"{facts['device']}, {facts['memory']}"
    if backend.name == "cupy":
        cp = backend.xp
        free = cp.cuda.Device(backend.device).mem_info[0] / 2**30
        capability = str(cp.cuda.Device(backend.device).compute_capability)
        text += (
            f" of which {free:.1f} GiB free; compute capability {capability[:-1]}.{capability[-1]};"
            f" driver for CUDA {cuda_version(int(facts['cuda_driver']))}, runtime "
            f"{cuda_version(int(facts['cuda_runtime']))}, compiler "
            f"{'.'.join(map(str, cp.cuda.nvrtc.getVersion()))}, cuBLAS {cublas_version(backend)}, "
            f"cupy {facts['cupy']}"
        )
    yield Finding(f"{backend.name} device", text)
    if int(facts.get("cuda_driver", 0)) // 1000 < int(facts.get("cuda_runtime", 0)) // 1000:
        cure = f"update it, or {INSTALL_CUPY}"
        yield Finding("driver", "it is older than the CUDA of CuPy", False, cure)


def cuda_version(number: int) -> str:
    """13020, as CUDA numbers its versions, is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"


def cublas_version(backend: Backend) -> str:
    """130200, as cuBLAS numbers its versions, is 13.2.0."""
    cuda = backend.xp.cuda
    number = int(cuda.cublas.getVersion(cuda.Device(backend.device).cublas_handle))
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def checked(subject: str, check: Any, *arguments: Any) -> Finding:
    """The finding of a check; a bad one if it raises."""
    try:
        good, text, cure = check(*arguments)
    except Exception as error:
        return Finding(subject, gist(error), False, LOOK_UP)
    return Finding(subject, text, good, "" if good else cure)


def an_engine(backend: Backend, digits: Digits, theta: np.ndarray, precision: str) -> Engine:
    """An engine for a small network on the first 64 digits."""
    settings = Settings(layers="-".join(map(str, SIZES)), precision=precision)
    images, there = digits.images[:64], backend.asarray(theta)
    labels = backend.asarray(np.asarray(digits.labels)[:64])
    inputs = Inputs(images, settings, (28, 28), there)
    return Engine(there, settings, backend.asarray(images), labels, inputs, 64, workers=1)


def start(precision: str) -> np.ndarray:
    """The same first parameters on every backend."""
    theta: np.ndarray = network.init(counter_rng.key(0, like=np.zeros(1)), SIZES, "he", precision)
    return theta


def gradient(backend: Backend, digits: Digits) -> tuple[bool, str, str]:
    """Every tensor's gradient along a random direction, against central differences in float64."""
    theta = start("float64")
    engine = an_engine(backend, digits, theta, "float64")
    rows, h = slice(0, 64), 1e-5
    found = np.array(backend.to_numpy(engine.gradient(rows)[0]))
    worst, begin = 0.0, 0
    for n in (size for W, b in network.layers(theta, SIZES) for size in (W.size, b.size)):
        direction = np.zeros_like(theta)
        key = counter_rng.key(begin, like=theta)
        direction[begin : begin + n] = counter_rng.normals(key, (n,), "float64") / n**0.5
        begin += n
        losses = []
        for sign in (h, -h):
            moved = an_engine(backend, digits, theta + sign * direction, "float64")
            losses.append(float(moved.gradient(rows)[1]) / 64)
        expected = (losses[0] - losses[1]) / (2 * h)
        worst = max(worst, abs(float(found @ direction) - expected) / max(abs(expected), 1e-3))
    text = f"within {worst:.0e} of central differences, in all {2 * (len(SIZES) - 1)} tensors"
    return worst < 1e-5, text, WRONG_RESULTS


def parity(backends: list[Backend], digits: Digits) -> tuple[bool, str, str]:
    """One step of gradient descent on each backend; the largest relative difference by tensor."""
    stepped = []
    for backend in backends:
        engine = an_engine(backend, digits, start("float32"), "float32")
        change, _, _ = engine.gradient(slice(0, 64))
        stepped.append(backend.to_numpy(engine.theta - 0.1 * change))
    worst = 0.0
    for here, there in zip(*(network.layers(theta, SIZES) for theta in stepped), strict=True):
        for a, b in zip(here, there, strict=True):
            worst = max(worst, float(np.abs(a - b).max() / np.abs(b).max()))
    return worst < 1e-4, f"one step differs by at most {worst:.0e} of a tensor", WRONG_RESULTS


def graph(backend: Backend, digits: Digits) -> tuple[bool, str, str]:
    """A few steps with --graph; the engine itself compares them with eager ones."""
    try:
        cublas.binding()
    except BackendError as error:
        return True, f"not tried: {error}", ""
    settings = Settings(layers="-".join(map(str, SIZES)), graph=True)
    settings = settings.changed(batch_size=64, epochs=2, init="he")
    few = Digits(digits.images[:256], np.asarray(digits.labels)[:256], digits.source)
    trainer = Trainer(settings, few, backend, workers=1)
    said: list[str] = []
    with trainer.engine.running(), stepping(trainer, said.append) as step:
        while trainer.taken < trainer.steps:
            step(most=trainer.row_every)
    if said:
        return False, said[0], "leave --graph away, and report it with this output"
    return True, f"{trainer.steps} steps were replayed, and are those of eager ones", ""


def speed(backend: Backend, digits: Digits) -> tuple[bool, str, str]:
    """Milliseconds a step of two usual networks; no speed is a fault."""
    texts = []
    for settings in (
        Settings(),
        Settings(layers="784-128-10").changed(batch_size=128, init="he", learning_rate=0.1),
    ):
        trainer = Trainer(settings, digits, backend)
        with trainer.engine.running(), stepping(trainer) as step:
            step()
            backend.synchronize()
            started, before = time.perf_counter(), trainer.taken
            while time.perf_counter() - started < SPEED_SECONDS:
                step(most=10)
                if trainer.taken % 10 == 0 or settings.batch_size is None:
                    backend.synchronize()
            backend.synchronize()
            seconds = (time.perf_counter() - started) / (trainer.taken - before)
        batch, processes = settings.batch_size or len(digits), trainer.processes
        by = f" of {processes} processes" if processes > 1 else ""
        texts.append(f"{settings.layers} with {batch:,} images {1e3 * seconds:.2f} ms a step{by}")
    return True, "; ".join(texts), ""


def lines_of(finding: Finding) -> list[str]:
    """A finding, and below it its cure."""
    mark = "ok " if finding.good else "BAD"
    lines = [f"{mark}  {finding.subject:<18} {finding.text}"]
    if finding.cure:
        lines.append(f"     {'':<18} cure: {finding.cure}")
    return lines


def print_findings(backend: str | None, json: bool) -> bool:
    """Print each finding of `examine` as it is made, or all as JSON; True if all are good."""
    findings = []
    for finding in examine(backend):
        findings.append(finding)
        if not json:
            print("\n".join(lines_of(finding)), flush=True)
    if json:
        print(as_json(findings))
    return all(finding.good for finding in findings)
