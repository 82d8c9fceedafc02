"""What it is worth that several processes share a step: the same steps by one process and by all.

Run:  python benchmarks/sharing.py [--repeats 7]

The one process uses threads: a worker for each core, or those of BLAS. The two are measured in
turn. Writes benchmarks/results/sharing.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from speed import clock
from speed.report import duration
from speed.steps import Steps

from mnistgpu import data, recipes
from mnistgpu.backend import NUMPY
from mnistgpu.engine.threads import blas_architecture
from mnistgpu.engine.trainer import Trainer
from mnistgpu.settings import Settings

BLOCK = 0.4  # seconds of steps between two readings of the clock
PLAIN = Settings(init="he", validation=0)
WIDE = "784-1024-1024-10"
WORKS = {
    "784-128-10, SGD, B=32": PLAIN.changed(layers="784-128-10", batch_size=32),
    "784-128-10, SGD, B=128": PLAIN.changed(layers="784-128-10", batch_size=128),
    "784-128-10, Adam, B=128": PLAIN.changed(
        layers="784-128-10", batch_size=128, optimizer="adam", learning_rate=0.001
    ),
    f"{WIDE}, SGD, B=256": PLAIN.changed(layers=WIDE, batch_size=256),
    f"{WIDE}, SGD, B=1024": PLAIN.changed(layers=WIDE, batch_size=1024),
    **{
        f"recipe {name}": recipes.named(name).settings
        for name in ("classic", "fast", "accurate", "long", "strong")
    },
}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--repeats", type=int, default=7, help="measurements of each (7)")
arguments = parser.parse_args()
digits = data.load().train


def steps(settings: Settings, one: bool) -> Steps:
    """Steps of a training run, taken by one process or by as many as pay."""
    endless = settings.changed(iterations=10**9, epochs=None, validation=0, clean_ending=0.0)
    return Steps(Trainer(endless, digits, NUMPY), processes=1 if one else None)


def row(name: str, settings: Settings) -> list[str]:
    """A line of the table."""
    shards = len(Trainer(settings, digits, NUMPY).engine.shards)
    alone, shared = steps(settings, one=True), steps(settings, one=False)
    count = clock.count_for(lambda n: alone.take(0, n), BLOCK)
    works = {"alone": lambda: alone.take(0, count), "shared": lambda: shared.take(0, count)}
    times = clock.interleaved(works, arguments.repeats, count)
    for each in (shared, alone):  # the last that was opened is closed first
        each.close()
    ratio = times["shared"].median / times["alone"].median
    cells = [
        f"{duration(t.median)} ({duration(t.low)} to {duration(t.high)})" for t in times.values()
    ]
    line = [name, "images" if shards > 1 else "units", *cells, f"{ratio:.2f}"]
    print(*line, sep="  ", flush=True)
    return line


head = ["a step of", "shared by", "one process", "all", "ratio"]
rows = [head, ["---"] * len(head), *(row(*work) for work in WORKS.items())]
table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
text = (
    f"{NUMPY.describe()['device']}, OpenBLAS for {blas_architecture()}, medians and ranges of "
    f"{arguments.repeats} in turn.\n\n{table}\n"
)
(Path(__file__).parent / "results" / "sharing.md").write_text(text)
