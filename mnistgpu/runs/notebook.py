"""In a notebook: a bar below the cell, which is drawn anew in its place."""

from __future__ import annotations

import html
import sys
import time
from typing import Any

from mnistgpu.backend import Array
from mnistgpu.engine.trainer import Trainer
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.progress import Lines, parts
from mnistgpu.runs.stop import Stop

REFRESH_SECONDS = 0.25


def in_notebook() -> bool:
    """Whether this program is the kernel of a notebook (Jupyter, VS Code, Colab)."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class CellBar(Lines):
    """A bar with the steps taken, the latest figures and the time left, as HTML.

    Where no HTML is shown, the same stands there as a line of text.
    """

    shows_bars = True
    _handle: Any = None  # of the output, from `begin` on

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        self._started = self._drawn = time.perf_counter()
        self._figures, self._before = "", trainer.taken
        self._total, self._taken = trainer.steps, trainer.taken
        self._handle = self._display(self._content(), display_id=True)

    def step(self, trainer: Trainer, progress: Progress) -> None:
        now = time.perf_counter()
        if now - self._drawn > REFRESH_SECONDS:
            self._drawn, self._taken = now, trainer.taken
            self._update()

    def changed(self, trainer: Trainer, progress: Progress) -> None:
        super().changed(trainer, progress)
        self._total, self._taken = trainer.steps, trainer.taken

    def row(self, row: Row, theta: Array) -> None:
        known = [part for part in parts(row) if not part.endswith(" -")]
        self._figures, self._taken = "  ".join(known), row.iteration

    def __exit__(self, *exception: object) -> None:
        if self._handle is not None:
            self._update()

    def _display(self, content: dict[str, str], **how: Any) -> Any:
        from IPython.display import display

        return display(content, raw=True, **how)  # type: ignore[no-untyped-call]

    def _update(self) -> None:
        self._handle.update(self._content(), raw=True)

    def _content(self) -> dict[str, str]:
        done, total = self._taken, self._total
        seconds = time.perf_counter() - self._started
        steps = done - self._before
        left = ""
        if steps > 0 and done < total:
            left = f"{clock(seconds / steps * (total - done))} left"
        text = "  ".join(filter(None, (f"{done:,} of {total:,}", left, self._figures)))
        bar = f'<progress value="{done}" max="{total}" style="width: 16em"></progress>'
        return {
            "text/plain": text,
            "text/html": f"<div>{bar} <code>{html.escape(text)}</code></div>",
        }


def clock(seconds: float) -> str:
    """Seconds as 0:05 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
