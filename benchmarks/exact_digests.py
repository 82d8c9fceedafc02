"""Digests of every recipe with --precision exact, which are the same on every machine.

    python benchmarks/exact_digests.py                       # after 20 steps; the table
    python benchmarks/exact_digests.py --whole classic fast  # these recipes to their end
    python benchmarks/exact_digests.py --backend cupy --whole record

Writes benchmarks/results/exact-digests.json, which the tests compare, and exact-digests.md, which
`fill_docs.py` puts into docs/exact.md. A whole run is kept in runs/exact/RECIPE; if it is stopped,
the same command goes on with it, here or on another machine. A digest that differs from the one
that is recorded ends the command with an error, unless --replace is given.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import mnistgpu
from mnistgpu import backend, data
from mnistgpu.engine.trainer import Trainer
from mnistgpu.maths import exact
from mnistgpu.models.model import digest_of
from mnistgpu.recipes import RECIPES
from mnistgpu.runs import checkpoint
from mnistgpu.runs.checks import NOT_EXACT

NAMES = [
    name
    for name, recipe in RECIPES.items()
    if not any(getattr(recipe.settings, each) for each in NOT_EXACT)
]
RESULTS = Path(__file__).parent / "results"
FILE = RESULTS / "exact-digests.json"
STEPS = 20


def first_steps(recipe: str, chosen: backend.Backend, steps: int = STEPS) -> str:
    """The digest of a recipe after its first steps, for seed 0."""
    settings = RECIPES[recipe].settings.changed(precision="exact")
    digits, _ = data.split(data.load().train, settings.validation, settings.seed)
    trainer = Trainer(settings, digits, chosen)
    with trainer.engine.running():
        while trainer.taken < steps:
            trainer.step()
    assert not trainer.out_of_range()
    return digest_of(chosen.to_numpy(trainer.plain()))


def whole(recipe: str, chosen: backend.Backend, folder: Path) -> dict[str, Any]:
    """The digest of a recipe at its end, and its accuracy; a run that was stopped goes on."""
    path = folder / recipe
    if (path / checkpoint.FILE).exists():
        run = mnistgpu.resume(path, backend=chosen, progress=True)
    else:
        settings = {"precision": "exact"}
        run = mnistgpu.fit(recipe=recipe, out=path, backend=chosen, progress=True, **settings)
    return {"end": run.digest, "test_accuracy": run.test_accuracy}


def table(known: dict[str, Any]) -> str:
    """The table of docs/exact.md."""
    lines = [
        f"| recipe | after {STEPS} steps | at the end | test accuracy |",
        "|---|---|---|---|",
    ]
    for recipe, row in known["recipes"].items():
        end = f"`{row['end'][:16]}`" if "end" in row else "not yet run"
        accuracy = f"{row['test_accuracy']:.2%}" if "end" in row else "-"
        lines.append(f"| {recipe} | `{row['first'][:16]}` | {end} | {accuracy} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Compute what is asked for, compare it with what is recorded, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whole", nargs="*", default=[], choices=NAMES, metavar="RECIPE")
    parser.add_argument("--only", nargs="*", default=NAMES, metavar="RECIPE")
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--out", type=Path, default=Path("runs/exact"))
    parser.add_argument("--replace", action="store_true", help="after a new exact version")
    given = parser.parse_args()
    chosen = backend.select(given.backend)
    known = json.loads(FILE.read_text()) if FILE.exists() and not given.replace else {}
    known = {"version": exact.VERSION, "recipes": {}} | known
    for recipe in NAMES:
        row = known["recipes"].setdefault(recipe, {})
        found = {}
        if recipe in given.only:
            found["first"] = first_steps(recipe, chosen)
        if recipe in given.whole:
            found |= whole(recipe, chosen, given.out)
        for name, value in found.items():
            if row.get(name, value) != value:
                print(f"{recipe}: {name} is {value}, and {row[name]} in {FILE}", file=sys.stderr)
                return 1
        row |= found
        print(recipe, json.dumps(row), flush=True)
        RESULTS.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(known, indent=2) + "\n")
    FILE.with_suffix(".md").write_text(table(known))
    return 0


if __name__ == "__main__":
    sys.exit(main())
