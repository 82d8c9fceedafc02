"""Data parallel over MPI on this machine: steps of one rank, of several, and of own processes.

    python benchmarks/ranks.py --ranks 1 2 4 --out benchmarks/results/ranks.json
    python benchmarks/ranks.py --tables benchmarks/results/ranks.json   # ranks.md, ranks-model.md

Needs the extra `mpi-local`, and a machine on which nothing else runs: ranks that wait for each
other poll. docs/scaling.md shows the figures and fits its cost model to them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WIDE = {"layers": "784-1024-1024-10", "validation": 0, "optimizer": "adam"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "strong, B=512": ("strong", {}),
    "784-1024-1024-10, B=1024": ("classic", WIDE | {"batch_size": 1024}),
    "accurate, B=256": ("accurate", {}),
    "fast, B=256": ("fast", {}),
}
HALVES: dict[str, tuple[str, dict[str, Any]]] = {  # what a rank of two computes
    "strong, B=256": ("strong", {"batch_size": 256}),
    "784-1024-1024-10, B=512": ("classic", WIDE | {"batch_size": 512}),
    "accurate, B=128": ("accurate", {"batch_size": 128}),
    "fast, B=128": ("fast", {"batch_size": 128}),
}
SIZES = (8, 1_000, 10_000, 100_000, 1_000_000, 2_395_210)  # float32 numbers of an all-reduce
ROUNDS = 2


def steps_of(case: str, seconds: float, communicator: Any, processes: int) -> dict[str, float]:
    """Seconds of a step, of its update and its sums, and images a second, after a few steps."""
    import numpy as np

    from mnistgpu import data
    from mnistgpu.backend import NUMPY
    from mnistgpu.engine import gradient
    from mnistgpu.engine.stepping import stepping
    from mnistgpu.engine.trainer import Trainer
    from mnistgpu.recipes import settings_of

    recipe, changes = (CASES | HALVES)[case]
    settings = settings_of(recipe, None, changes)
    if case in HALVES:  # one shard, as for a rank of two
        gradient.rows_of_a_shard = lambda settings, batch_rows, on_cpu: batch_rows
    workers = None if processes > 1 else 1
    trainer = Trainer(settings, data.load(None).train, NUMPY, workers, communicator)
    with trainer.engine.running(), stepping(trainer, processes=processes) as step:
        for _ in range(3):
            step()
        if communicator is not None:
            communicator.reducing = communicator.waiting = 0.0
        begun = time.perf_counter()
        step()
        count = max(4, round(seconds / (time.perf_counter() - begun)))
        if communicator is not None and communicator.size > 1:
            count = int(communicator.gathered(np.array([float(count)])).min())
            communicator.reducing = communicator.waiting = 0.0
        begun = time.perf_counter()
        for _ in range(count):
            step()
        spent = time.perf_counter() - begun
    update, numbers = [], trainer.numbers(trainer.taken, settings.learning_rate)
    for _ in range(9):
        values = np.full_like(trainer.theta, 1e-3)
        begun = time.perf_counter()
        trainer.update(values, numbers)
        update.append(time.perf_counter() - begun)
    return {
        "step": spent / count,
        "update": statistics.median(update),
        "all_reduce": getattr(communicator, "reducing", 0.0) / count,
        "waiting": getattr(communicator, "waiting", 0.0) / count,
        "images_per_second": trainer.batches.size * count / spent,
    }


def all_reduces(communicator: Any) -> dict[str, float]:
    """Seconds of an all-reduce of so many float32 numbers: the median of 30."""
    import numpy as np

    found = {}
    for size in SIZES:
        vector, taken = np.ones(size, np.float32), []
        for _ in range(30):
            communicator.comm.Barrier()
            begun = time.perf_counter()
            communicator.add(vector)
            taken.append(time.perf_counter() - begun)
        found[str(size)] = statistics.median(taken)
    return found


def overlap(communicator: Any) -> dict[str, float]:
    """Milliseconds of products, of an all-reduce, and of both at once by a non-blocking one."""
    import numpy as np
    from mpi4py import MPI

    A = np.ones((1200, 1200), np.float32)
    B, out = np.ones((1200, 256), np.float32), np.empty((1200, 256), np.float32)
    vector, comm = np.ones(SIZES[-1], np.float32), communicator.comm

    def products() -> None:
        for _ in range(10):
            np.matmul(A, B, out=out)

    def at_once() -> None:
        request = comm.Iallreduce(MPI.IN_PLACE, vector)
        products()
        request.Wait()

    ways = {"products": products, "all_reduce": lambda: communicator.add(vector), "both": at_once}
    found = {}
    for name, way in ways.items():
        taken = []
        for _ in range(9):
            comm.Barrier()
            begun = time.perf_counter()
            way()
            taken.append(time.perf_counter() - begun)
        found[name] = statistics.median(taken) * 1e3
    return found


def worker(case: str, seconds: float, processes: int) -> None:
    """Measure one case in this process, or as a rank of a job, and print a line of JSON."""
    if processes > 1:
        print(json.dumps(steps_of(case, seconds, None, processes)))
        return
    from mnistgpu.engine import threads

    threads.limit_blas(1)
    ranks = None
    if int(os.environ.get("PMI_SIZE", "1")) > 1:
        from mnistgpu.interop import mpi

        ranks = mpi.begin()
    special = {"all-reduce": all_reduces, "overlap": overlap}
    if case in special:
        found: Any = special[case](ranks)
    else:
        found = steps_of(case, seconds, ranks, 1)
    if ranks is None or ranks.rank == 0:
        print(json.dumps(found), flush=True)


def measured(case: str, ranks: int, processes: int, seconds: float) -> Any:
    """What `worker` prints in processes of its own."""
    words = [sys.executable, __file__, "--case", case, "--seconds", str(seconds)]
    words += ["--processes", str(processes)]
    if ranks > 1:
        words = [str(Path(sys.executable).with_name("mpiexec")), "-n", str(ranks), *words]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# Links between machines that the model is asked about: seconds of a message, bytes a second
LINKS = {"100 Gbit/s": (3e-6, 12.5e9), "10 Gbit/s": (30e-6, 1.25e9)}
PARAMETERS = {"strong": 2_395_210, "784-1024-1024-10": 1_863_690, "accurate": 670_218}


def all_reduce_time(ranks: int, parameters: int, latency: float, bandwidth: float) -> float:
    """Seconds of a ring, or of halving and doubling: each rank sends its vector almost twice."""
    sent = 2 * (ranks - 1) / ranks * 4 * parameters
    return 2 * math.ceil(math.log2(ranks)) * latency + sent / bandwidth


def tables(path: Path) -> None:
    """Write the table of what was measured and that of the model, beside the results."""
    from mnistgpu.engine.divided_update import MANY

    found = json.loads(path.read_text())
    shared = found["all-reduce, 2 ranks"]
    latency = shared["8"] / 2
    bandwidth = 4 * SIZES[-1] / (shared[str(SIZES[-1])] - shared["8"])
    rows = [
        "| a step | one rank | two ranks | gain | four ranks on two cores | two own processes | "
        "two ranks by the model |",
        "|---|---|---|---|---|---|---|",
    ]
    model = ["| | batch | link | 2 ranks | 8 | 64 | 1,024 |", "|---|---|---|---|---|---|---|"]
    for case, half in zip(CASES, HALVES, strict=True):
        one, two, four, own = (
            found[case][way] for way in ("1 ranks", "2 ranks", "4 ranks", "2 own processes")
        )
        part, whole = found[half]["1 ranks"]["step"], one["step"]
        name, size = case.split(", B=")
        count = PARAMETERS.get(name, 170_218)
        update = one["update"] if count >= MANY else 0.0  # what ranks share out
        expected = part - update / 2 + all_reduce_time(2, count, latency, bandwidth)
        cells = [f"{each['step'] * 1e3:,.2f} ms" for each in (one, two)]
        gain = f"{whole / two['step']:.2f}x"
        rest = [f"{each['step'] * 1e3:,.2f} ms" for each in (four, own)]
        rows.append(f"| {case} | {' | '.join([*cells, gain, *rest])} | {expected * 1e3:,.2f} ms |")
        if name not in PARAMETERS:
            continue
        image = (whole - part) / (int(size) / 2)
        fixed = max(0.0, whole - image * int(size) - update)
        for batch in (int(size), 4096, 65536):
            # batch normalisation has groups that are not divided, see `normalized_together`
            least = min(512, batch // 2) if name == "accurate" else 1
            for link, (wait, width) in LINKS.items():
                alone = fixed + update + image * batch
                speeds = [
                    alone
                    / (
                        fixed
                        + update / n
                        + image * max(batch / n, least)
                        + all_reduce_time(n, count, wait, width)
                    )
                    for n in (2, 8, 64, 1024)
                ]
                cells = [f"{speed:,.1f}x" for speed in speeds]
                model.append(f"| {name} | {batch:,} | {link} | {' | '.join(cells)} |")
    constants = (
        f"Constants of this machine: {latency * 1e6:.1f} us a message, {bandwidth / 1e9:.1f} GB/s."
    )
    path.with_suffix(".md").write_text("\n".join([*rows, "", constants]) + "\n")
    path.with_name("ranks-model.md").write_text("\n".join(model) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--processes", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="*", help="cases by their names")
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2], help="numbers of ranks")
    parser.add_argument("--tables", type=Path, help="write the tables of these results")
    arguments = parser.parse_args()
    if arguments.tables:
        tables(arguments.tables)
        return
    if arguments.case:
        worker(arguments.case, arguments.seconds, arguments.processes)
        return
    found: dict[str, Any] = {}
    for case in arguments.only or (*CASES, *HALVES):
        ways = {f"{n} ranks": (n, 1) for n in arguments.ranks} | {"2 own processes": (1, 2)}
        if case in HALVES:
            ways = {"1 ranks": (1, 1)}
        rounds: dict[str, list[Any]] = {way: [] for way in ways}
        for _ in range(ROUNDS):  # one after the other, so that all see the same machine
            for way, (ranks, processes) in ways.items():
                rounds[way].append(measured(case, ranks, processes, arguments.seconds))
        found[case] = {
            way: min(each, key=lambda one: one["step"])  # whatever else runs only adds time
            for way, each in rounds.items()
        }
        for way, one in found[case].items():
            print(
                f"{case:28} {way:16} {one['images_per_second']:10,.0f} images/s  "
                f"step {one['step'] * 1e3:7.2f} ms, all-reduce {one['all_reduce'] * 1e3:6.2f} ms",
                flush=True,
            )
    for ranks in arguments.ranks:
        if ranks > 1:
            for what in ("all-reduce", "overlap"):
                found[f"{what}, {ranks} ranks"] = measured(what, ranks, 1, 0)
                print(what, found[f"{what}, {ranks} ranks"], flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
