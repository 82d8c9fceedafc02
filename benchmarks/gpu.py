"""How fast the GPU is: this package beside PyTorch and JAX, and beside what the chip can do.

Run:  python benchmarks/gpu.py            (under 8 minutes)
      python benchmarks/gpu.py --all      (the doctor and the suite for a GPU first)
      python benchmarks/gpu.py --cpu      (the same script without a GPU, to try it)

Each peer runs in a process of its own, so that none disturbs another; a peer that is not installed
or fails is left out, with the reason. Time is reserved for every part of the measurements, which
earlier parts cannot use up. Times are medians over chunks of steps between two synchronised
readings of the clock, after a warm-up that compiles and fills caches. All peers train on the same
60,000 images, kept as uint8 on the device that computes. Writes benchmarks/results/gpu.json and
gpu.md, or gpu-cpu.json and gpu-cpu.md with --cpu.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speed.gpu_peers import PEERS, Prepared
from speed.gpu_report import table
from speed.gpu_works import COPY, IMAGES, PRODUCT, SMALL, WORKS

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
CHUNKS = 7
LEAST_SECONDS = 5.0  # a part is not begun with less time than this


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
    from mnistgpu.engine.products import precision as products

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
    """Run this script again for one part: its lines of JSON, also those before a failure."""
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
        finally:  # and with it the processes it has started, which would disturb the next parts
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
    """Run the doctor and the tests for a GPU; their largest differences go to results/."""
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
    suite = ["-m", "pytest", "-q", "-m", chosen]
    suite += ["tests/core/test_backends_agree.py", "tests/engine/gpu/test_gpu.py"]
    if device == "cuda":
        suite = ["-m", "pytest", "-q", "-m", "gpu", "-rP"]
    with (RESULTS / f"suite-{backend}.txt").open("w") as log:
        done = subprocess.run(
            [sys.executable, *suite], env=environment, cwd=ROOT, stdout=log, check=False
        )
    print(f"suite: exit status {done.returncode}; see {log.name}", flush=True)


@dataclass(frozen=True)
class Part:
    """A process that measures something: its arguments, and the seconds reserved and allowed."""

    name: str
    arguments: list[str]
    kept: float
    allowed: float


def parts(device: str, peers: list[str], common: list[str]) -> list[Part]:
    """What is measured, in this order; the reserved times add up to less than 8 minutes."""
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
    """The part that trains a recipe from process start to exit."""
    arguments = ["--part", "whole", "--recipe", recipe, "--backend", backend]
    arguments += ["--precision", precision] + ["--graph"] * graph
    return Part(f"{recipe}, {precision}{', replayed' * graph}", arguments, kept, allowed)


def shared_out(parts: list[Part], place: int, left: float) -> float:
    """The seconds for a part: all it is allowed, less what is reserved for the later parts."""
    return min(parts[place].allowed, left - sum(part.kept for part in parts[place + 1 :]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="run the doctor and the tests first")
    parser.add_argument("--cpu", action="store_true", help="run without a GPU, small networks only")
    parser.add_argument("--minutes", type=float, default=8.0, help="time for all measurements")
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.2,
        help="seconds of steps between two readings of the clock",
    )
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
