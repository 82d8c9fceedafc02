"""Runs beside the page's own: an experiment, or two networks with one difference."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from mnistgpu.backend import Array
from mnistgpu.errors import MnistGpuError, StoppedError
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.history import COLUMNS, Row
from mnistgpu.runs.stop import Stop
from mnistgpu.web.encoded import rows_of
from mnistgpu.web.experiments import Experiment, Result
from mnistgpu.web.refusals import refusal

Callbacks = Callable[[str], Sequence[Callback]]  # those of a run, by its name
Train = Callable[[Callbacks, Stop], Result]  # trains the networks of a trial


class Rows(Callback):
    """Collects the rows of a run while it learns."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def row(self, row: Row, theta: Array) -> None:
        self.rows.append(row)


class Trials:
    """One trial at a time, in a thread of its own; all browsers see it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.number, self.kind = 0, ""
        self.experiment: Experiment | None = None
        self.stop: Stop | None = None
        self.thread: threading.Thread | None = None
        self.rows: dict[str, Rows] = {}
        self.result: dict[str, Any] | None = None
        self.error: str | None = None

    @property
    def running(self) -> bool:
        """Whether a trial goes on."""
        return self.thread is not None and self.thread.is_alive()

    def begin(self, kind: str, experiment: Experiment, train: Train) -> None:
        """Begin a trial; RefusedError if one goes on. train: carries it out."""
        with self.lock:
            if self.running:
                raise refusal(409, "trial.other")
            self.number += 1
            self.kind, self.experiment = kind, experiment
            self.rows, self.result, self.error = {}, None, None
            self.stop = Stop()
            arguments = (train, self.stop)
            self.thread = threading.Thread(target=self.carry_out, args=arguments, daemon=True)
            self.thread.start()

    def carry_out(self, train: Train, stop: Stop) -> None:
        """Train the networks, in the thread of their own."""

        def collected(name: str) -> Sequence[Callback]:
            self.rows[name] = Rows()
            return [self.rows[name]]

        try:
            self.result = train(collected, stop).as_dict()
        except StoppedError:
            self.error = "stopped"
        except MnistGpuError as error:
            self.error = str(error)

    def end(self) -> None:
        """Stop the trial that goes on, if there is one."""
        if self.stop is not None:
            self.stop.interrupt("the page")

    def state(self) -> dict[str, Any]:
        """How far the trial is, and what came out, as JSON types."""
        if self.experiment is None:
            return {"kind": "", "running": False, "number": 0, "rows": 0, "runs": []}
        about = self.experiment.as_dict()
        running = self.running  # read before the result is, so that none is missed
        runs = [
            {
                "name": each["name"],
                "says": each["says"],
                "history": columns(self.rows[each["name"]].rows),
            }
            for each in about["runs"]
            if each["name"] in self.rows
        ]
        return {
            "number": self.number,
            "kind": self.kind,
            "name": about["name"],
            "running": running,
            "run": runs[-1]["says"] if runs else "",
            "rows": sum(len(each["history"]["iteration"]) for each in runs),
            "runs": runs,
            "error": self.error,
            "result": self.result,
        }


def columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Rows of history as columns of JSON types."""
    found = rows_of(list(rows))
    return {name: [row[name] for row in found] for name in COLUMNS}
