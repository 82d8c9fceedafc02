"""`mnistgpu runs`: a table of the runs in a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from mnistgpu.commands.output import as_json, table_line, widths
from mnistgpu.errors import printable
from mnistgpu.knobs import short_name
from mnistgpu.runs.listing import ListedRun, differing, list_runs, shown
from mnistgpu.runs.progress import number
from mnistgpu.settings import Settings

KNOBS = {knob.name: knob for knob in fields(Settings)}


def show(folder: Path, json: bool) -> bool:
    """Print the runs in a folder, the best first; False if some of them are damaged.

    An error is printed for each damaged one.
    """
    found = list_runs(folder)
    damaged = [run for run in found if run.state == "damaged"]
    whole = [run for run in found if run.state != "damaged"]
    if json:
        print(as_json(found))
    elif whole:
        print("\n".join(lines_of(whole)))
    elif not damaged:
        print(f"no runs in {folder}; `mnistgpu train --out {folder / 'NAME'}` makes one")
    for run in damaged:
        print(f"error: {run.problem}", file=sys.stderr)
    return not damaged


def lines_of(runs: Sequence[ListedRun]) -> list[str]:
    """The lines of the table: settings are shown if they differ."""
    names = differing(runs)
    several_data = len({run.data_digest for run in runs}) > 1
    header = ["run", *(short_name(KNOBS[name]) for name in names)]
    header += ["data"] * several_data
    rows = [[*header, "validation", "test", "seconds", "state"]]
    for run in runs:
        cells = [run.directory.name]
        cells += [shown(getattr(run.settings, name)) for name in names]
        cells += [run.data_digest[:8]] * several_data
        cells += [number(run.validation_accuracy), number(run.test_accuracy)]
        cells += ["-" if run.seconds is None else f"{run.seconds:.1f}", state_of(run)]
        rows.append([printable(cell) for cell in cells])
    columns = widths(rows)
    return [table_line(row, columns) for row in rows]


def state_of(run: ListedRun) -> str:
    """How far a run is, in words."""
    if run.state == "finished":
        return "finished"
    of = "" if run.steps is None else f" of {run.steps:,}"
    return f"after {run.iterations:,}{of} iterations"
