"""How alpha and the number of iterations of the recipe `classic` were chosen.

Run:  python benchmarks/classic_scan.py [--alphas 0.3 0.5 0.7] [--seeds 0 1 2]

Full batches over 50,000 training images, accuracy on 10,000 held-out ones; the test set is never
read. Writes benchmarks/results/classic-scan.json and .md; the figures of alphas that are not run
again are kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from mnistgpu import backend, data
from mnistgpu.recipes import RECIPES
from mnistgpu.runs import training

RESULTS = Path(__file__).parent / "results"
SHOWN = (400, 800, 1200, 1600, 2000)  # iterations of which the history has rows

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument(
    "--alphas", nargs="+", type=float, default=[0.1, 0.3, 0.5, 0.7, 0.9], help="rates to measure"
)
parser.add_argument(
    "--seeds", nargs="+", type=int, default=[0, 1, 2], help="one run for each (0 1 2)"
)
parser.add_argument("--backend", help="numpy, cupy, cupy:1 or auto")
arguments = parser.parse_args()

chosen = backend.select(arguments.backend)
dataset = dataclasses.replace(data.load(), test=None)
RESULTS.mkdir(exist_ok=True)
path = RESULTS / "classic-scan.json"
found = json.loads(path.read_text()) if path.exists() else {}
for alpha in arguments.alphas:
    of_alpha = {}
    for seed in arguments.seeds:
        settings = RECIPES["classic"].settings.changed(
            learning_rate=alpha, seed=seed, iterations=SHOWN[-1], validation=10_000
        )
        rows = training.train(settings, dataset, chosen).history
        of_alpha[str(seed)] = {row.iteration: row.validation_accuracy for row in rows}
        print(alpha, seed, rows[-1].validation_accuracy, flush=True)
    found[str(alpha)] = of_alpha
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")

lines = [
    "| alpha | " + " | ".join(f"{i} iterations" for i in SHOWN) + " | lowest after 800 |",
    "|---|" + "---|" * (len(SHOWN) + 1),
]
for alpha_text, by_seed in sorted(found.items(), key=lambda item: float(item[0])):
    curves = [{int(i): a for i, a in curve.items()} for curve in by_seed.values()]
    cells = [" ".join(f"{curve[i]:.3f}"[1:] for curve in curves) for i in SHOWN]
    lowest = " ".join(f"{min(a for i, a in curve.items() if i > 800):.3f}"[1:] for curve in curves)
    lines.append(f"| {alpha_text} | " + " | ".join(cells) + f" | {lowest} |")
path.with_suffix(".md").write_text("\n".join(lines) + "\n")
print("\n".join(lines))
