"""Training on images that stay in their files, against the same images in memory.

    mnistgpu make-data --images 8000000 --out FOLDER
    python benchmarks/mapped.py FOLDER --out benchmarks/results/mapped.json

Each measurement is a process of its own with one BLAS thread: steps without the evaluations, and
the most memory that the process has had. `files` reads the set from its files, `limited` does that
in a control group that may have --limit MB of memory, cache of files included (as root, on Linux,
where the group can be made), and `memory` has --in-memory of its images as an array. Rounds
alternate, and the best of each counts, since other programs run too. A second in which the process
waited, for a disk or for its turn, is not a busy one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CASES: dict[str, tuple[str, dict[str, Any], int]] = {  # recipe, changes, images of a measurement
    "784-128-10, B=256": (
        "classic",
        {"layers": "784-128-10", "batch_size": 256, "optimizer": "adam", "learning_rate": 0.001},
        400_000,
    ),
    "strong, B=512": ("strong", {}, 70_000),
}
WAYS = ("memory", "files", "limited")
GROUP = Path("/sys/fs/cgroup/memory/mnistgpu-mapped")  # of version 1 of control groups


def measured(folder: Path, case: str, way: str, in_memory: int) -> dict[str, float]:
    """Images a second of this process, and the most memory it has had, in MB."""
    from dataclasses import replace

    import numpy as np

    from mnistgpu import data
    from mnistgpu.backend import NUMPY
    from mnistgpu.data import made
    from mnistgpu.engine.stepping import stepping
    from mnistgpu.engine.trainer import Trainer
    from mnistgpu.recipes import settings_of

    recipe, changes, images = CASES[case]
    manifest = made.manifest_of(folder)
    train = made.dataset_of(folder, manifest).train  # which hashes nothing
    if way == "memory":
        rows = min(in_memory, len(train))
        train = replace(train, images=train.images[:rows], labels=np.array(train.labels[:rows]))
    settings = settings_of(recipe, None, {"validation": 0, "epochs": 1} | changes)
    trainer = Trainer(settings, data.Digits(train.images, train.labels, "set"), NUMPY, 1)
    with trainer.engine.running(), stepping(trainer, processes=1) as step:
        step()
        begun, spent, seen = time.perf_counter(), time.process_time(), 0
        while seen < images:
            seen += step()[2]
        seconds, busy = time.perf_counter() - begun, time.process_time() - spent
    status = Path("/proc/self/status").read_text().splitlines()
    kilobytes = {line.split(":")[0]: line.split()[1] for line in status if "kB" in line}
    return {
        "images_per_second": seen / seconds,
        "images_per_busy_second": seen / busy,
        "peak_mb": int(kilobytes["VmHWM"]) / 1e3,
    }


@contextlib.contextmanager
def limited_to(megabytes: int) -> Iterator[Path | None]:
    """A control group with so much memory; None where none can be made."""
    try:
        GROUP.mkdir()
        (GROUP / "memory.limit_in_bytes").write_text(str(megabytes * 10**6))
    except OSError as error:
        print(f"no control group of memory can be made here ({error})", file=sys.stderr)
        yield None
        return
    try:
        yield GROUP
    finally:
        GROUP.rmdir()


def run(folder: Path, case: str, way: str, options: argparse.Namespace) -> dict[str, float] | None:
    """One measurement in a process of its own."""
    limit = limited_to(options.limit) if way == "limited" else contextlib.nullcontext()
    with limit as group:
        if way == "limited" and group is None:
            return None

        def enter() -> None:
            if group is not None:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        command = [sys.executable, __file__, str(folder), "--measure", case, way]
        done = subprocess.run(
            [*command, "--in-memory", str(options.in_memory)],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            preexec_fn=enter,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found: dict[str, float] = json.loads(done.stdout)
        if group is not None:
            most = (group / "memory.max_usage_in_bytes").read_text()
            found["group_mb"] = int(most) / 1e6
        return found


def main() -> None:
    """Measure, print a line for each measurement, and write the best of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--measure", nargs=2, metavar=("CASE", "WAY"), help=argparse.SUPPRESS)
    parser.add_argument("--in-memory", type=int, default=1_000_000)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measured(options.folder, *options.measure, options.in_memory)))
        return
    best: dict[str, dict[str, dict[str, float]]] = {case: {} for case in CASES}
    for _ in range(options.rounds):
        for case in CASES:
            for way in options.ways:
                found = run(options.folder, case, way, options)
                if found is None:
                    continue
                print(case, way, {name: round(value) for name, value in found.items()}, flush=True)
                known = best[case].setdefault(way, {})
                for name, value in found.items():
                    known[name] = max(value, known.get(name, 0.0))
    if options.out:
        options.out.write_text(json.dumps({"limit_mb": options.limit, "best": best}, indent=2))


if __name__ == "__main__":
    main()
