"""How fast the GPU is: this package beside PyTorch and JAX, and beside what the chip can do.

Run:  python benchmarks/gpu.py            (measurements alone)
      python benchmarks/gpu.py --all      (the doctor and the suite for a GPU first)
      python benchmarks/gpu.py --tiny     (small sizes and no slow tests, to try the script)
      python benchmarks/gpu.py --cpu      (the same without CuPy)

Each part and each peer runs in a process of its own, so that none disturbs another; a peer that is
not installed or fails is left out, with the reason. All ends within 8 minutes (--minutes; 90 with
--tiny, where a busy CPU may be in the place of a GPU): of them a share is reserved for every part,
which earlier parts cannot use up. This package is timed as people run it, by its training loop with
its rows of history; for the others times are medians over chunks of steps between two synchronised
readings of the clock, after a warm-up that compiles and fills caches. All train on the same 60,000
images, kept as uint8 on the device that computes. Writes gpu.json and gpu.md (gpu-cpu.json and
gpu-cpu.md with --cpu) to --out, by default benchmarks/results/, and with --all what the suite
printed and the largest differences that it found.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from speed.gpu_peers import PEERS, digits, time_of
from speed.gpu_report import table
from speed.gpu_works import COPY, FULL, PRODUCT, SMALL, TINY, Sizes

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
LEAST_SECONDS = 5.0  # a part is not begun with less time than this


def run_peer(peer: str, names: list[str], device: str, seconds: float, sizes: Sizes) -> None:
    """Measure one peer in this process; a line of JSON for every work."""
    works = {work.name: work for work in sizes.works}
    for name in names:
        try:
            found = PEERS[peer](works[name], device, seconds, sizes)
        except Exception as error:
            lines = str(error).strip().splitlines()
            found = {"why": f"{type(error).__name__}: {lines[0] if lines else ''}"}
        print(json.dumps({"work": name, "peer": peer, **found}), flush=True)


def run_limits(seconds: float, sizes: Sizes) -> None:
    """What the chip can do: copies in its memory, and a large product in each precision."""
    from mnistgpu import backend, counter_rng
    from mnistgpu.engine.products import precision as products

    cp = backend.select("cupy").xp
    wait = cp.cuda.get_current_stream().synchronize
    source = cp.zeros(sizes.copied, dtype=cp.float32)
    target = cp.empty_like(source)
    ms = time_of((lambda: cp.copyto(target, source), wait, 1), seconds)["ms"]
    report_limit("copy, GB/s read and written", 2 * source.nbytes / ms / 1e6)
    images = cp.zeros((min(sizes.images, sizes.copied // 784), 784), dtype=cp.float32)
    ms = time_of((lambda: cp.copyto(target[: images.size], images.ravel()), wait, 1), seconds)["ms"]
    report_limit(COPY, ms)
    n = sizes.rows
    A, B = (counter_rng.uniforms(counter_rng.key(i, like=target), (n, n)) for i in range(2))
    out = cp.empty((n, n), dtype=cp.float32)
    for precision in ("float32", "tf32", "bf16"):
        try:
            matmul = products.matmul_in(precision, cp)
            ms = time_of((lambda matmul=matmul: matmul(A, B, out=out), wait, 1), seconds)["ms"]
            report_limit(PRODUCT.format(precision), 2 * n**3 / ms / 1e9)
        except Exception as error:
            report_limit(PRODUCT.format(precision), None, str(error))


def environment_here() -> dict[str, str]:
    """For the processes of this script: the package of this clone, before any that is installed."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def report_limit(name: str, value: float | None, why: str = "") -> None:
    print(json.dumps({"limit": name, "value": value, "why": why}), flush=True)


def run_whole(recipe: str, backend: str, precision: str, graph: bool, sizes: Sizes) -> None:
    """A whole training process of a recipe, from its start to its exit."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "mnistgpu.train", "--recipe", recipe, "--backend", backend]
        command += ["--precision", precision, "--graph" if graph else "--no-graph"]
        command += ["--out", f"{folder}/run", *sizes.flags.get(recipe, [])]
        if sizes.images < FULL.images:
            command += ["--data", small_set(f"{folder}/digits.npz", sizes)]
        started = time.perf_counter()
        done = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - started
        if done.returncode or "steps are not replayed" in done.stdout:
            said = [line for line in done.stdout.splitlines() if "not replayed" in line]
            raise SystemExit(said[0].strip() if said else done.returncode)
        results = json.loads((Path(folder) / "run" / "results.json").read_text())
    found = {
        "precision": precision,
        "graph": graph,
        "seconds": seconds,
        "training": results["seconds"],
        "accuracy": results["test_accuracy"],
    }
    print(json.dumps({"whole": recipe, "backend": backend, **found}), flush=True)


def small_set(path: str, sizes: Sizes) -> str:
    """Write the digits of these sizes to an npz file, and return its path."""
    import numpy as np

    dataset = digits(sizes)
    parts = (("train", dataset.train), ("test", dataset.validation))
    arrays = {f"x_{name}": each.images.reshape(-1, 28, 28) for name, each in parts}
    np.savez(path, **arrays, **{f"y_{name}": each.labels for name, each in parts})
    return path


def run_check(what: str, device: str, out: Path, tiny: bool) -> None:
    """The doctor, or the tests for a GPU, whose output and largest differences go to `out`."""
    backend = "cupy" if device == "cuda" else "numpy"
    report = str(out / f"parity-{backend}.json")
    environment = {**environment_here(), "MNISTGPU_PARITY_REPORT": report}
    command = ["-m", "mnistgpu.cli", "doctor", "--backend", backend]
    if what == "suite":
        # each test is named, also where they are ended before the last
        command = ["-m", "pytest", "-v", "-rP", "-m", "gpu and not slow" if tiny else "gpu"]
        if device == "cpu":
            command = [*command[:-1], "not gpu", "tests/core/test_backends_agree.py"]
    with (out / f"{what}-{backend}.txt").open("w") as log:
        done = subprocess.run(
            [sys.executable, *command], env=environment, cwd=ROOT, stdout=log, check=False
        )
    last = Path(log.name).read_text().strip().splitlines()[-1:]
    said = f"exit status {done.returncode}; {last[0] if last else 'it printed nothing'}"
    found = {"check": what, "said": said, "passed": done.returncode == 0}
    print(json.dumps(found), flush=True)


def child(arguments: list[str], limit: float) -> list[dict[str, Any]]:
    """Run this script again for one part: its lines of JSON, also those before a failure."""
    if limit < LEAST_SECONDS:
        return [{"why": "no time was left"}]
    command = [sys.executable, __file__, *arguments]
    environment = environment_here()
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


@dataclass(frozen=True)
class Part:
    """A process that measures something: its arguments, and the seconds reserved and allowed."""

    name: str
    arguments: list[str]
    kept: float
    allowed: float


def parts(device: str, peers: list[str], common: list[str], checks: bool = False) -> list[Part]:
    """What is done, in this order, for 8 minutes; the reserved times add up to less."""
    on = [*common, "--cpu"] if device == "cpu" else common
    before = [
        Part("doctor", ["--part", "doctor", *on], 20, 40),
        Part("suite", ["--part", "suite", *on], 150, 240),
    ]
    steps = [Part(peer, ["--part", "peer", "--peers", peer, *on], 13, 75) for peer in peers]
    if device == "cpu":
        done = [*steps, whole("classic", "float32", False, 20, 90, on, "numpy")]
    else:
        done = [
            Part("limits", ["--part", "limits", *on], 10, 40),
            whole("record", "tf32", True, 130, 180, on),
            *(whole("fast", each, False, 8, 40, on) for each in ("float32", "tf32", "bf16")),
            whole("classic", "float32", False, 8, 40, on),
            *steps,
            whole("record", "float32", True, 10, 180, on),
            whole("record", "tf32", False, 10, 180, on),
            whole("record", "float32", False, 10, 180, on),
        ]
    return [*before, *done] if checks else done


def whole(
    recipe: str,
    precision: str,
    graph: bool,
    kept: float,
    allowed: float,
    on: list[str],
    backend: str = "cupy",
) -> Part:
    """The part that trains a recipe from process start to exit."""
    arguments = ["--part", "whole", "--recipe", recipe, "--backend", backend, *on]
    arguments += ["--precision", precision] + ["--graph"] * graph
    return Part(f"{recipe}, {precision}{', replayed' * graph}", arguments, kept, allowed)


def scaled(parts: list[Part], factor: float) -> list[Part]:
    """The same parts with so many times the time."""
    return [replace(part, kept=factor * part.kept, allowed=factor * part.allowed) for part in parts]


def shared_out(parts: list[Part], place: int, left: float) -> float:
    """The seconds for a part: all it is allowed, less what is reserved for the later parts."""
    return min(parts[place].allowed, left - sum(part.kept for part in parts[place + 1 :]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="run the doctor and the tests first")
    parser.add_argument("--cpu", action="store_true", help="run without CuPy")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try this script")
    parser.add_argument("--minutes", type=float, default=None, help="time for everything")
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.2,
        help="seconds of steps between two readings of the clock",
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    names = [work.name for sizes in (FULL, TINY) for work in sizes.works]
    parser.add_argument("--works", nargs="+", choices=names, default=None)
    parts_of_all = ["peer", "limits", "whole", "doctor", "suite"]
    parser.add_argument("--part", choices=parts_of_all, help=argparse.SUPPRESS)
    parser.add_argument("--recipe", help=argparse.SUPPRESS)
    parser.add_argument("--backend", help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    parser.add_argument("--graph", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device, sizes = "cpu" if arguments.cpu else "cuda", TINY if arguments.tiny else FULL
    if not arguments.works:
        few = SMALL if arguments.cpu and not arguments.tiny else sizes.works
        arguments.works = [work.name for work in few]
    if arguments.part == "peer":
        peer, seconds = arguments.peers[0], arguments.seconds
        return run_peer(peer, arguments.works, device, seconds, sizes)
    if arguments.part == "limits":
        return run_limits(arguments.seconds, sizes)
    if arguments.part == "whole":
        precision, graph = arguments.precision, arguments.graph
        return run_whole(arguments.recipe, arguments.backend, precision, graph, sizes)
    if arguments.part:
        return run_check(arguments.part, device, arguments.out, arguments.tiny)
    return measure(arguments, device, sizes.minutes)


def measure(arguments: argparse.Namespace, device: str, minutes: float) -> None:
    """Run all parts, write what they found after each of them, and print the table."""
    minutes = minutes if arguments.minutes is None else arguments.minutes
    end = time.monotonic() + 60 * minutes
    out = arguments.out
    out.mkdir(exist_ok=True, parents=True)
    there, software = machine(device)
    result: dict[str, Any] = {"machine": there, "software": software}
    result |= {"steps": {}, "limits": [], "whole": [], "checks": [], "left out": []}
    result["tiny"] = arguments.tiny
    path = out / ("gpu.json" if device == "cuda" else "gpu-cpu.json")

    common = ["--seconds", str(arguments.seconds), "--out", str(out)]
    common += ["--works", *arguments.works] + ["--tiny"] * arguments.tiny
    planned = scaled(parts(device, arguments.peers, common, arguments.all), minutes / FULL.minutes)
    for place, part in enumerate(planned):
        seconds = shared_out(planned, place, end - time.monotonic())
        for found in child(part.arguments, seconds):
            why = found.get("why")
            if why:
                at = f" at {found['work']}" if "work" in found else ""
                result["left out"].append(f"{part.name}{at}: {why}")
            elif "work" in found:
                result["steps"].setdefault(found["work"], {})[found["peer"]] = found
            for kind, name in (("whole", "whole"), ("limit", "limits"), ("check", "checks")):
                if kind in found:
                    result[name].append(found)
            print(json.dumps(found), flush=True)
        path.write_text(json.dumps(result, indent=2) + "\n")
        path.with_suffix(".md").write_text(table(result))
    print(table(result))
    if failed := [each["check"] for each in result["checks"] if not each["passed"]]:
        sys.exit(f"error: {' and '.join(failed)} failed; what was printed is in {out}")


if __name__ == "__main__":
    main()
