"""`mnistgpu evaluate`, `compare` and `committee`: how good trained networks are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnistgpu.api import studies


def evaluate(
    run: Path, data: Path | None, report: Path | None, backend: str | None, command: str
) -> None:
    """Print how good a network is on labelled digits, and write a page (HTML) with all of it.

    command: the command line that made the page, which quotes it.
    """
    path = report or (run if run.is_dir() else Path()) / "report.html"
    found = studies.evaluate(run, data, report=path, backend=backend, made_by=command)
    print("\n".join(found.lines()))
    print(f"report in {path}")


def compare(first: Path, second: Path, data: Path | None, backend: str | None) -> None:
    """Print whether one network is better than another, by McNemar's test on the same images."""
    found = studies.compare(first, second, data, backend=backend)
    print("\n".join(found.lines((str(first), str(second)))))


def committee(
    runs: Sequence[Path],
    out: Path,
    maps: int,
    data: Path | None,
    backend: str | None,
    force: bool,
) -> None:
    """Save the committee of several networks in `out`, and print how good it is."""
    joined = studies.committee(runs, maps=maps, out=out, force=force, backend=backend)
    print("\n".join(joined.evaluate(data).lines()))
    print(f"saved in {out}")
