"""A bar for what takes longer than a person waits without a sign, such as reading pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def counted(items: Sequence[Item], what: str, bar: bool = True) -> Iterable[Item]:
    """The items, one after the other, with a bar that says how many are done.

    It is shown on the standard error if that is a terminal, or in a notebook, and removed at the
    end; nowhere else, nor if `bar` is False.
    """
    if not bar:
        return items
    from mnistgpu.runs.notebook import in_notebook

    terminal = sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()
    if not (terminal or in_notebook()):
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, what, console=Console(stderr=True), transient=True)
