"""`mnistgpu tune`: a line for each run of a search, and the best settings at its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnistgpu.api import tuning
from mnistgpu.commands.output import table_line, widths
from mnistgpu.commands.training import leave
from mnistgpu.errors import StoppedError, printable
from mnistgpu.knobs import short_name
from mnistgpu.runs.listing import shown
from mnistgpu.runs.signals import stop_on_signals
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings
from mnistgpu.storage.terminal import command_line

FIGURES = ("epochs", "validation", "seconds")


def tune(
    changes: Mapping[str, Any],
    minutes: float,
    out: Path,
    recipe: str,
    data: Path | None,
    backend: str | None,
    seed: int,
) -> None:
    """Search, print a line for each run, and then a table of the best and where they are.

    Ctrl-C ends the program with a sentence that says how to go on.
    """
    stop = Stop()

    def show(trial: tuning.Trial, settings: Settings) -> None:
        result = trial.problem or f"validation {trial.validation_accuracy:.4f}"
        line = f"candidate {trial.candidate:>3}  epochs {trial.epochs:>3}  {result}"
        print(printable(f"{line}  {trial.seconds:.1f} s"), flush=True)

    with stop_on_signals(stop):
        try:
            found = tuning.tune(
                data,
                minutes=minutes,
                out=out,
                recipe=recipe,
                backend=backend,
                seed=seed,
                stop=stop,
                on_trial=show,
                **changes,
            )
        except StoppedError as interruption:
            leave(f"{interruption}; go on with: {command_line()}", interruption.exit_status)
    print("\n".join(lines_of(found)))
    print(
        printable(f"settings in {found.path}; train with: mnistgpu train --settings {found.path}")
    )


def lines_of(found: tuning.Tuned) -> list[str]:
    """The table: each candidate by its longest run, the best first; settings that differ."""
    longest: dict[int, tuning.Trial] = {}
    for trial in found.trials:
        if not trial.problem:
            before = longest.get(trial.candidate)
            if before is None or trial.epochs > before.epochs:
                longest[trial.candidate] = trial
    knobs = tuning.differing(found.candidates)
    rows = [["candidate", *map(short_name, knobs), *FIGURES]]
    order = sorted(longest.values(), key=lambda each: (-each.epochs, -each.validation_accuracy))
    for trial in order:
        settings = found.candidates[trial.candidate]
        figures = [str(trial.epochs), f"{trial.validation_accuracy:.4f}", f"{trial.seconds:.1f}"]
        values = [shown(getattr(settings, knob.name)) for knob in knobs]
        rows.append([str(trial.candidate), *values, *figures])
    columns = widths(rows)
    return [table_line(row, columns) for row in rows]
