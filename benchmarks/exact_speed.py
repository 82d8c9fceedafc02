"""What --precision exact costs: the time of a step against float32 and float64.

    OPENBLAS_NUM_THREADS=1 python benchmarks/exact_speed.py             # 90 seconds
    OPENBLAS_NUM_THREADS=1 chrt -r 1 python benchmarks/exact_speed.py   # beside other programs

The works of docs/performance.md. First one process with one thread, by its processor time, so that
other programs disturb little; then two processes that share each step, by the clock, for which the
machine should be quiet, or the priority that of real time. Steps of the precisions alternate, and
the least of ROUNDS counts. Writes benchmarks/results/exact-speed.md, which `fill_docs.py` puts into
docs/exact.md and docs/performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.threads import blas_name
from mnistgpu.engine.trainer import Trainer
from mnistgpu.recipes import RECIPES
from mnistgpu.settings import Settings

FILE = Path(__file__).parent / "results" / "exact-speed.md"
ROUNDS, SECONDS = 9, 0.1
PLAIN = Settings(layers="784-128-10").changed(
    init="he", validation=0, epochs=100, iterations=None, batch_size=128, learning_rate=0.1
)
ADAM = PLAIN.changed(optimizer="adam", learning_rate=0.001)
WIDE = PLAIN.changed(layers="784-1024-1024-10")
WORKS = {  # what is shown: network, batch
    "784-10-10 | all 60,000": Settings(validation=0).changed(iterations=10**6),
    "784-128-10, gradient descent | 32": PLAIN.changed(batch_size=32),
    "784-128-10, gradient descent | 128": PLAIN,
    "784-128-10, Adam | 128": ADAM,
    "784-1024-1024-10, gradient descent | 256": WIDE.changed(batch_size=256),
    "784-1024-1024-10, gradient descent | 1,024": WIDE.changed(batch_size=1024),
    **{
        f"`{name}` | {RECIPES[name].settings.batch_size}": RECIPES[name].settings.changed(
            epochs=1000
        )
        for name in ("fast", "accurate", "long", "strong")
    },
}


def least(
    settings: Settings, digits: data.Digits, precisions: tuple[str, ...], processes: int
) -> dict[str, float]:
    """The least seconds of a step in each precision: of the processor, or of the clock for two."""
    clock = time.process_time if processes == 1 else time.perf_counter
    best: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        steps = {}
        for precision in precisions:
            changed = settings.changed(precision=precision)
            trainer = Trainer(changed, digits, NUMPY, workers=processes)
            stack.enter_context(trainer.engine.running())
            steps[precision] = stack.enter_context(stepping(trainer, processes=processes))
            steps[precision]()
        for _ in range(ROUNDS):
            for precision, step in steps.items():
                step()  # which may wake the other process
                began, count = clock(), 0
                while count == 0 or clock() - began < SECONDS:
                    step()
                    count += 1
                took = (clock() - began) / count
                best[precision] = min(best.get(precision, took), took)
    return best


def row(name: str, one: dict[str, float], two: dict[str, float]) -> str:
    """A line of the table: milliseconds, and how many times as long an exact step takes."""
    cells = [name]
    for best in (one, two):
        cells += [f"{seconds * 1e3:.3g} ms" for seconds in best.values()]
        cells.append(f"{best['exact'] / best['float32']:.2f}")
    return f"| {' | '.join(cells)} |"


def priority() -> str:
    """What is to be said about the priority of this process, if it is not the usual one."""
    usual = not hasattr(os, "sched_getscheduler") or os.sched_getscheduler(0) == os.SCHED_OTHER
    return "" if usual else "; at the priority of real time, beside other programs"


def main() -> int:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=FILE, help="file for the table")
    out = parser.parse_args().out
    digits = data.load().train
    lines = [
        "| network | batch | float32 | float64 | exact | exact / float32 "
        "| two processes: float32 | exact | exact / float32 |",
        "|---" * 9 + "|",
    ]
    for name, settings in WORKS.items():
        one = least(settings, digits, ("float32", "float64", "exact"), 1)
        two = least(settings, digits, ("float32", "exact"), 2)
        lines.append(row(name, one, two))
        print(lines[-1], flush=True)
    device = NUMPY.describe()["device"]
    lines += [
        "",
        f"Processor time of one process; two processes by the clock. {device}, one thread in each "
        f"process; {blas_name()}{priority()}.",
    ]
    out.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
