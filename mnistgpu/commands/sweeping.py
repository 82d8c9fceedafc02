"""`mnistgpu sweep`: lists of settings from the command line, and a table of the runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mnistgpu.api.sweeping import Done, Sweep
from mnistgpu.commands.output import table_line, widths
from mnistgpu.commands.training import leave
from mnistgpu.errors import StoppedError, UsageError, printable
from mnistgpu.knobs import flags_of, short_name
from mnistgpu.runs.listing import shown
from mnistgpu.runs.progress import Bar, Display, Lines, number, on_terminal
from mnistgpu.runs.signals import stop_on_signals
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings
from mnistgpu.storage.terminal import command_line

Value = TypeVar("Value")
KNOBS = {knob.name: knob for knob in fields(Settings)}
SWITCH = {"yes": True, "true": True, "no": False, "false": False}
FIGURES = ("validation", "test", "seconds", "state")
WIDEST = ("0.0000", "0.0000", "100000.0", "finished before")  # cells of the figures


class Ranks(Protocol):
    """Processes that share the runs of a sweep, see `interop.mpi_ranks.Ranks`."""

    rank: int
    size: int

    def everyone(self, value: Value) -> list[Value]: ...

    def agree_to_stop(self) -> None: ...


class CurrentRun(Bar):
    """The bar of the run that is trained now; it makes room for the line of the finished run."""

    transient = True

    def note(self, line: str) -> None:
        pass

    def warning(self, sentence: str) -> None:
        Lines.note(self, f"warning: {sentence}")


def sweep(
    lists: Mapping[str, str],
    recipe: str | None,
    deform: str | None,
    data: Path | None,
    backend: str | None,
    out: Path,
    checkpoint_every: str,
    yes: bool,
    ranks: Ranks | None = None,
) -> bool:
    """Train the runs and print a line for each that is finished; False if some have failed.

    lists: the texts of the flags that were given. Ctrl-C saves the current run and ends the program
    with a sentence that says how to go on. With ranks each trains every so many-th run by itself,
    and the lines of the other ranks' runs come at the end.
    """
    stop = Stop()
    progress: bool | Display = CurrentRun() if on_terminal() else False
    with stop_on_signals(stop):
        values = {name: values_of(name, text) for name, text in lists.items()}
        work = Sweep(data, None, out, recipe, deform, None, None, backend, yes, values)
        names = [short_name(KNOBS[name]) for name in work.names]
        rows = [[shown(value) for value in each.values.values()] for each in work.planned]
        columns = widths([[*names, *FIGURES], *([*row, *WIDEST] for row in rows)])
        print(table_line([*names, *FIGURES], columns), flush=True)
        own = slice(0, None, 1)
        if ranks is not None:
            ranks.everyone(None)  # have looked at the directories before the first run begins
            own = slice(ranks.rank, None, ranks.size)
        finished: list[Finished] = []
        stopped: list[tuple[str, int]] = []  # sentence and exit status
        try:
            for row, done in zip(
                rows[own], work.runs(progress, stop, checkpoint_every, own), strict=True
            ):
                problem = f"{done.planned.path}: {done.problem}" if done.run is None else ""
                finished.append(Finished(table_line([*row, *figures(done)], columns), problem))
                finished[-1].show()
        except StoppedError as interruption:
            stopped = [(str(interruption), interruption.exit_status)]
        every = [finished]
        if ranks is not None:  # those that have no run left wait here, and end with the others
            told = ranks.everyone((finished, stopped))
            every = [theirs for theirs, _ in told]
            stopped += [each for _, theirs in told for each in theirs]
        for others in every[1:]:
            for each in others:
                each.show()
        if stopped:
            if ranks is not None:
                ranks.agree_to_stop()
            sentence, status = stopped[0]
            leave(f"{sentence}; go on with: {command_line()}", status)
        failed = sum(each.problem != "" for one in every for each in one)
    print(
        f"all of {len(rows):,} runs; `mnistgpu runs {printable(str(out))}` sorts them by accuracy"
    )
    return not failed


@dataclass(frozen=True)
class Finished:
    """What is printed about a run: its line of the table, and its problem if it has failed."""

    line: str
    problem: str

    def show(self) -> None:
        """Print it."""
        print(self.line, flush=True)
        if self.problem:
            print(f"error: {printable(self.problem)}", file=sys.stderr)


def figures(done: Done) -> list[str]:
    """The last cells of a run's line."""
    if done.run is None:
        return ["-", "-", "-", "failed"]
    results = done.run.results
    accuracies = [number(results[name]) for name in ("validation_accuracy", "test_accuracy")]
    state = "finished before" if done.before else "finished"
    return [*accuracies, f"{results['seconds']:.1f}", state]


def values_of(name: str, text: str) -> list[Any]:
    """The values in a list such as 0.1,0.5, as the type of the setting; none stands for None."""
    knob = KNOBS[name]
    kinds = str(knob.type).split(" | ")
    convert: dict[str, Callable[[str], Any]]
    convert = {"int": int, "float": float, "str": str, "bool": lambda item: SWITCH[item.lower()]}
    words = {"int": "whole numbers", "float": "numbers", "str": "names", "bool": "yes and no"}
    found: list[Any] = []
    items = text.split(",")
    if name == "class_weight":
        items = with_lists(items)
    for item in map(str.strip, items):
        try:
            if not item:
                raise ValueError
            absent = item.lower() == "none" and "None" in kinds
            found.append(None if absent else convert[kinds[0]](item))
        except (ValueError, KeyError):
            raise UsageError(
                f"{flags_of(knob)[0]} must be a list of {words[kinds[0]]} with commas between "
                f"them, not {text!r}"
            ) from None
    return found


def with_lists(items: list[str]) -> list[str]:
    """The values of --class-weight: neighbours such as 0:2 and 7:2.5 are one list of weights."""
    found: list[str] = []
    for item in items:
        if found and ":" in item and ":" in found[-1]:
            found[-1] += f",{item}"
        else:
            found.append(item)
    return found
