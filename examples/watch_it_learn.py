"""Watch a network learn: its first-layer weights and its answers, as an animated picture.

Run:  python examples/watch_it_learn.py [--iterations 400] [--out learning.gif]

`mnistgpu train --watch` shows the same on a page while it happens.
"""

import argparse
from pathlib import Path

from mnistgpu import backend, data, errors
from mnistgpu.reports import animation
from mnistgpu.runs import training, watching
from mnistgpu.settings import Settings

errors.said_in_one_sentence()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--iterations", type=int, default=400)
parser.add_argument("--layers", default="784-16-10")
parser.add_argument("--out", type=Path, default=Path("learning.gif"))
arguments = parser.parse_args()
animation.check_name(arguments.out)  # before the work, not after it

chosen = backend.select()
dataset = data.load()
settings = Settings().changed(layers=arguments.layers, init="he", iterations=arguments.iterations)
snapshots = watching.Snapshots.of(dataset)
outcome = training.train(settings, dataset, chosen, [watching.Watcher(snapshots)])
animation.save(snapshots, arguments.out, f"{arguments.layers} learns MNIST")
accuracy = outcome.results["test_accuracy"]
print(
    f"{accuracy:.2%} of the test images right; {len(snapshots.rows)} snapshots in {arguments.out}"
)
