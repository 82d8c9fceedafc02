"""How a run is asked to end early."""

from __future__ import annotations


class Stop:
    """A request to end a run early. `train` looks at it after every step, or after the few short
    steps that are taken together.

    A callback, a signal handler or another thread may make it, in one of two ways: `finish` if the
    run is to end with its results, `interrupt` if it is to be resumed later.
    """

    def __init__(self) -> None:
        self.finishing = False
        self.reason = ""  # of the interruption
        self.exit_status = 0
        self.wants_outcome = False  # of an interrupted run: `train` then returns it
        self.stopped_after: int | None = None  # steps, if `train` has returned early for that

    @property
    def interrupting(self) -> bool:
        """Whether an interruption was asked for."""
        return self.reason != ""

    def finish(self) -> None:
        """End the run as if its next step were the last: `train` returns the outcome.

        For early stopping, or the stop button of a notebook. If a callback asks for it in `row`,
        the step of that row is the last. An interruption that is seen earlier counts.
        """
        self.finishing = True

    def interrupt(self, reason: str, exit_status: int = 1) -> None:
        """End the run after its current step with StoppedError; the first reason counts.

        For Ctrl-C, or a web page's stop. Checkpoints are written before, so the run can be resumed.
        """
        if not self.interrupting:
            self.reason, self.exit_status = reason, exit_status
