"""What each form of a training step is worth: plain, with bound calls, and as training takes it.

Run:  python benchmarks/forms.py [--repeats 7]

The same steps, measured in turn: in the plain form by one process with its threads, by one process
with bound calls if the network is plain, and as `mnistgpu train` takes them, by several processes
where that pays. Writes benchmarks/results/forms.md.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from speed import clock
from speed.report import duration
from speed.steps import Steps

from mnistgpu import data, recipes
from mnistgpu.backend import NUMPY
from mnistgpu.engine import stepping
from mnistgpu.engine.gradient import is_plain
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


def steps(settings: Settings, form: str) -> Steps:
    """Steps of a training run in this form."""
    endless = settings.changed(iterations=10**9, epochs=None, validation=0, clean_ending=0.0)
    bind_calls = stepping.bind_calls
    if form == "plain":
        stepping.bind_calls = lambda engine: None
    try:
        return Steps(Trainer(endless, digits, NUMPY), processes=None if form == "trained" else 1)
    finally:
        stepping.bind_calls = bind_calls


def row(name: str, settings: Settings) -> list[str]:
    """A line of the table."""
    trainer = Trainer(settings, digits, NUMPY)
    shared = "data parallel" if len(trainer.engine.shards) > 1 else "tensor parallel"
    forms = ["plain", "bound", "trained"] if is_plain(settings) else ["plain", "trained"]
    taken = {form: steps(settings, form) for form in forms}
    count = clock.count_for(lambda n: taken["plain"].take(0, n), BLOCK)
    works = {form: partial(each.take, 0, count) for form, each in taken.items()}
    times = clock.interleaved(works, arguments.repeats, count)
    for each in reversed(taken.values()):  # the last that was opened is closed first
        each.close()
    cells = [duration(times[form].median) if form in times else "" for form in FORMS]
    best = times["bound" if "bound" in times else "plain"].median
    ratios = [best / times["plain"].median, times["trained"].median / best]
    line = [name, shared, *cells, *(f"{ratio:.2f}" for ratio in ratios)]
    print(*line, sep="  ", flush=True)
    return line


FORMS = ("plain", "bound", "trained")
head = ["a step of", "how", "plain form", "bound calls", "as trained"]
head += ["bound / plain", "trained / one process"]
rows = [head, ["---"] * len(head), *(row(*work) for work in WORKS.items())]
table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
text = (
    f"{NUMPY.describe()['device']}, OpenBLAS for {blas_architecture()}, medians of "
    f"{arguments.repeats} in turn.\n\n{table}\n"
)
(Path(__file__).parent / "results" / "forms.md").write_text(text)
