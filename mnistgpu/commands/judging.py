"""`mnistgpu evaluate`, `compare` and `committee`: how good trained networks are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnistgpu import backend as backends
from mnistgpu.commands.networks import labelled_digits, load, member
from mnistgpu.errors import UsageError
from mnistgpu.models import committee as committees
from mnistgpu.reports import evaluation, html_report, metrics
from mnistgpu.storage import files


def evaluate(
    run: Path, data: Path | None, report: Path | None, backend: str | None, command: str
) -> None:
    """Print how good a network is on labelled digits, and write a page (HTML) with all of it.

    command: the command line that made the page, which quotes it.
    """
    path = report or (run if run.is_dir() else Path()) / "report.html"
    files.check_ours("--report", path, ".html", html_report.MARK)
    trained = load(run)
    digits = labelled_digits(data, trained.sizes[-1])
    found = evaluation.evaluate(trained, digits, backends.select(backend))
    evaluation.print_lines(found)
    files.replace_bytes(path, html_report.page(found, trained, str(run), command).encode())
    print(f"report in {path}")


def compare(first: Path, second: Path, data: Path | None, backend: str | None) -> None:
    """Print whether one network is better than another, by McNemar's test on the same images."""
    chosen, networks = backends.select(backend), [load(first), load(second)]
    if networks[0].sizes[-1] != networks[1].sizes[-1]:
        raise UsageError(
            f"{first} knows {networks[0].sizes[-1]} classes and {second} {networks[1].sizes[-1]}: "
            "they cannot be compared"
        )
    digits = labelled_digits(data, networks[0].sizes[-1])
    labels = np.asarray(digits.labels)
    right = [network.predict(digits.images, chosen) == labels for network in networks]
    for run, of_run in zip((first, second), right, strict=True):
        low, high = metrics.wilson_interval(int(of_run.sum()), len(labels))
        print(f"{run}: {of_run.mean():.4f} (95% interval {low:.4f} to {high:.4f})")
    test = metrics.mcnemar(*right)
    print(f"right by the first alone {test.only_a}, by the second alone {test.only_b}")
    better = first if test.only_a > test.only_b else second
    verdict = f"{better} is better" if test.p_value < 0.05 else "no difference beyond chance"
    print(f"McNemar's exact test: p = {test.p_value:.3g}; {verdict} at the 5% level")


def committee(
    runs: Sequence[Path],
    out: Path,
    maps: int,
    data: Path | None,
    backend: str | None,
    force: bool,
) -> None:
    """Save the committee of several networks in `out`, and print how good it is."""
    committees.check_free(out, force)
    joined = committees.Committee(tuple(member(run) for run in runs), maps)
    committees.save(joined, out, [str(run) for run in runs], force)
    digits = labelled_digits(data, joined.sizes[-1])
    found = evaluation.evaluate(joined, digits, backends.select(backend), robustness=False)
    evaluation.print_lines(found)
    print(f"saved in {out}")
