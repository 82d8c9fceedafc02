"""What steering a run costs, how soon a change takes effect, and how long an edit takes.

Run:  python benchmarks/steering.py [--repeats 5] [--quick]

A run alone, a run that could be steered while nobody looks, and one whose layers are looked at five
times a second are measured in turn. Takes some five minutes. Writes benchmarks/results/steering.md.
"""

from __future__ import annotations

import argparse
import math
import statistics
import threading
import time
from pathlib import Path

import numpy as np

import mnistgpu
from mnistgpu import data, network
from mnistgpu.backend import NUMPY
from mnistgpu.models.edits import Edits
from mnistgpu.models.model import Model
from mnistgpu.recipes import RECIPES
from mnistgpu.runs.layer_views import LayerViews
from mnistgpu.runs.steering import Steering
from mnistgpu.web.at_hand import WITHIN

LOOKED = 5  # times a second
SETTINGS = {"layers": "784-128-10", "init": "he", "batch_size": 128, "alpha": 0.1}
CHANGES = ("learning_rate", "input_dropout", "batch_size")
CHANGED = ("classic", "fast", "accurate", "strong")  # recipes

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--repeats", type=int, default=5, help="runs of each kind (5)")
parser.add_argument("--epochs", type=int, default=15, help="of each run (15)")
parser.add_argument("--quick", action="store_true", help="measure changes and edits alone")
arguments = parser.parse_args()
digits = data.load()
assert digits.test is not None


def looking(steering: Steering, ended: threading.Event) -> None:
    """Look five times a second until the run has ended."""
    number = 0
    while not ended.wait(1 / LOOKED):
        number, _ = steering.look(number)


def seconds(kind: str) -> float:
    """Seconds of training, as the run itself reports them."""
    views = LayerViews(digits.test.images, digits.test.labels)  # type: ignore[union-attr]
    steering = None if kind == "alone" else Steering(lambda moment: views.view(moment.model()))
    ended = threading.Event()
    if kind == "looked at":
        assert steering is not None
        threading.Thread(target=looking, args=(steering, ended), daemon=True).start()
    run = mnistgpu.fit(epochs=arguments.epochs, steering=steering, progress=False, **SETTINGS)
    ended.set()
    return float(run.results["seconds"])


def change_of(recipe: str, name: str) -> tuple[float, float]:
    """Seconds from a change to the end of the first step with it, and of a step after that."""
    steering, found = Steering(paused=True), []

    def steer() -> None:
        steering.ready()
        for _ in range(3):
            one_step(steering)
        value = steering.state()["settings"][name]
        new = {"learning_rate": 0.001, "input_dropout": 0.15, "batch_size": 500}[name]
        if value == new:
            new = new / 2
        begun = time.perf_counter()
        steering.change(name, new)
        one_step(steering)
        took = time.perf_counter() - begun
        found.append((took, min(one_step(steering) for _ in range(3))))
        steering.stop()

    thread = threading.Thread(target=steer, daemon=True)
    thread.start()
    try:
        mnistgpu.fit(recipe=recipe, steering=steering, progress=False)
    except mnistgpu.StoppedError:
        thread.join()
    return found[0]


def one_step(steering: Steering) -> float:
    """Take one step; how long it took."""
    taken, begun = steering.state()["taken"], time.perf_counter()
    steering.one_step()
    version = -1
    while (state := steering.wait(version, 1.0))["taken"] == taken:
        version = state["version"]
    return time.perf_counter() - begun


def edit_times(within: float) -> tuple[dict[str, float], int]:
    """Seconds of each edit of a network of the size of `strong`, at each layer; how many images are
    judged by then, at least.
    """
    settings = RECIPES["strong"].settings
    rng = np.random.default_rng(0)
    theta = rng.normal(0, 0.03, network.parameter_count(settings.sizes)).astype(np.float32)
    edits = Edits(Model(theta, settings.sizes), digits.test, within)  # type: ignore[arg-type]
    found: dict[str, float] = {}
    judged = len(edits.labels)
    for layer in range(1, len(settings.sizes)):
        for name, edit in {
            "switch off": lambda: edits.switch_off(layer, 3),  # noqa: B023
            "scale": lambda: edits.scale(layer, 3, 2.0),  # noqa: B023
            "shift": lambda: edits.shift(layer, 3, 1.0),  # noqa: B023
            "prune": lambda: edits.prune(layer, 0.3),  # noqa: B023
        }.items():
            for _ in range(3):
                begun = time.perf_counter()
                edit()
                took = time.perf_counter() - begun
                judged = min(judged, edits.judged)
                edits.undo()
                while edits.judged < len(edits.labels):
                    edits.go_on()
                key = f"{name}, layer {layer}"
                found[key] = min(took, found.get(key, took))
    return found, judged


lines = []
if not arguments.quick:
    times: dict[str, list[float]] = {"alone": [], "nobody looks": [], "looked at": []}
    for _ in range(arguments.repeats):
        for kind, measured in times.items():
            measured.append(seconds(kind))
            print(kind, f"{measured[-1]:.2f} s", flush=True)
    costs = {
        kind: statistics.median(b / a - 1 for a, b in zip(times["alone"], measured, strict=True))
        for kind, measured in times.items()
    }
    lines.append(
        f"784-128-10, batches of 128, {arguments.epochs} epochs, {arguments.repeats} runs of each "
        f"in turn: {statistics.median(times['alone']):.2f} s alone; median of the pairs "
        f"{costs['nobody looks']:+.1%} where the run may be steered and nobody looks, "
        f"{costs['looked at']:+.1%} where its layers are looked at {LOOKED} times a second "
        f"({NUMPY.describe()['device']})."
    )
slowest = []
for recipe in CHANGED:
    measured_changes = {name: change_of(recipe, name) for name in CHANGES}
    for name, (took, step) in measured_changes.items():
        print(recipe, name, f"{took * 1000:.0f} ms, a step {step * 1000:.0f} ms", flush=True)
    name, (took, step) = max(measured_changes.items(), key=lambda pair: pair[1][0])
    slowest.append(f"`{recipe}` {took * 1000:.0f} ms ({name}; such a step {step * 1000:.0f} ms)")
lines.append(
    "From a change to the end of the first step with it, and how long one of the next steps takes: "
    + ", ".join(slowest)
    + "."
)
for within, of in ((math.inf, "10,000 test images"), (WITHIN, "")):
    edited, judged = edit_times(within)
    for name, took in edited.items():
        print(name, f"{took * 1000:.0f} ms", flush=True)
    units = max(took for name, took in edited.items() if "prune" not in name)
    pruned = max(took for name, took in edited.items() if "prune" in name)
    of = of or f"the first {judged:,} of them or more, as on the page, which then judges the others"
    lines.append(
        f"After an edit of a network of the size of `strong`, the accuracy on {of}: "
        f"{units * 1000:.0f} ms for a unit, {pruned * 1000:.0f} ms for the pruning of a layer, the "
        "slowest layer of each."
    )
if not arguments.quick:
    (Path(__file__).parent / "results" / "steering.md").write_text("\n\n".join(lines) + "\n")
print("\n".join(lines))
