"""What --precision exact costs: processor time of a step against float32 and float64.

    OPENBLAS_NUM_THREADS=1 python benchmarks/exact_speed.py

One process, one thread; steps of the precisions alternate, and the least of ROUNDS counts, so that
other programs disturb little. Writes benchmarks/results/exact-speed.md, which `fill_docs.py` puts
into docs/exact.md.
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.threads import blas_name
from mnistgpu.engine.trainer import Trainer
from mnistgpu.settings import Settings

FILE = Path(__file__).parent / "results" / "exact-speed.md"
PRECISIONS = ("float32", "float64", "exact")
ROUNDS, SECONDS = 15, 0.1
NETS = {  # what is shown, and the settings
    "784-10-10 | all 60,000": {"layers": "784-10-10", "iterations": 10**6, "alpha": 0.1},
    "784-128-10, gradient descent | 128": {"layers": "784-128-10", "batch_size": 128},
    "784-128-10, Adam | 128": {"layers": "784-128-10", "batch_size": 128, "optimizer": "adam"},
    "784-192-96-10, Adam | 256": {
        "layers": "784-192-96-10", "batch_size": 256, "optimizer": "adam", "center": True,
    },
    "784-1024-1024-10, Adam | 1,024": {
        "layers": "784-1024-1024-10", "batch_size": 1024, "optimizer": "adam",
    },
}  # fmt: skip


def least(changes: dict[str, object], digits: data.Digits) -> dict[str, float]:
    """The least seconds of a step in each precision."""
    best: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        steps = {}
        for precision in PRECISIONS:
            adam = changes.get("optimizer") == "adam"
            given = {"init": "he", "validation": 0, "epochs": 100, "alpha": 0.001 if adam else 0.1}
            if "iterations" in changes:
                given.pop("epochs")
            settings = Settings(precision=precision, **given | changes)
            trainer = Trainer(settings, digits, NUMPY, workers=1)
            stack.enter_context(trainer.engine.running())
            steps[precision] = stack.enter_context(stepping(trainer, processes=1))
            steps[precision]()
        for _ in range(ROUNDS):
            for precision, step in steps.items():
                began, count = time.process_time(), 0
                while count == 0 or time.process_time() - began < SECONDS:
                    step()
                    count += 1
                took = (time.process_time() - began) / count
                best[precision] = min(best.get(precision, took), took)
    return best


def main() -> int:
    """Measure, and write the table."""
    digits = data.load().train
    lines = [
        "| network | batch | float32 | float64 | exact | exact / float32 |",
        "|---|---|---|---|---|---|",
    ]
    for name, changes in NETS.items():
        best = least(changes, digits)
        figures = " | ".join(f"{best[precision] * 1e3:.3g} ms" for precision in PRECISIONS)
        lines.append(f"| {name} | {figures} | {best['exact'] / best['float32']:.2f} |")
        print(lines[-1], flush=True)
    device = NUMPY.describe()["device"]
    lines += ["", f"Measured on {device}, one thread; {blas_name()}."]
    FILE.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
