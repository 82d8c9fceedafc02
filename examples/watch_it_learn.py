"""Watch a network learn: its first-layer weights and its answers, as an animated picture.

Run:  python examples/watch_it_learn.py [--iterations 400] [--out learning.gif]

`mnistgpu train --watch` shows the same on a page while it happens.
"""

import argparse
from pathlib import Path

import mnistgpu
from mnistgpu import errors
from mnistgpu.reports import animation
from mnistgpu.runs.watching import Snapshots, Watcher

errors.said_in_one_sentence()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--iterations", type=int, default=400)
parser.add_argument("--layers", default="784-16-10")
parser.add_argument("--out", type=Path, default=Path("learning.gif"))
arguments = parser.parse_args()
animation.check_name(arguments.out)  # before the work, not after it

dataset = mnistgpu.load_data()
snapshots = Snapshots.of(dataset)
run = mnistgpu.fit(
    dataset,
    layers=arguments.layers,
    init="he",
    iterations=arguments.iterations,
    callbacks=[Watcher(snapshots)],
)
animation.save(snapshots, arguments.out, f"{arguments.layers} learns MNIST")
print(
    f"{run.test_accuracy:.2%} of the test images right; {len(snapshots.rows)} snapshots in "
    f"{arguments.out}"
)
