"""`mnistgpu evaluate`, `compare` and `committee`: how good trained networks are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnistgpu.api import own_data, studies
from mnistgpu.commands.output import as_json
from mnistgpu.reports import metrics
from mnistgpu.reports.comparison import Comparison
from mnistgpu.reports.evaluation import Evaluation


def evaluate(
    run: Path, data: Path | None, report: Path | None, backend: str | None, json: bool, command: str
) -> None:
    """Print how good a network is on labelled digits, and write a page (HTML) with all of it.

    command: the command line that made the page, which quotes it.
    """
    path = report or (run if run.is_dir() else Path()) / "report.html"
    found = studies.evaluate(run, data, report=path, backend=backend, made_by=command)
    if json:
        print(as_json({"network": run, **evaluation_record(found), "report": path}))
        return
    print("\n".join(found.lines()))
    print(f"report in {path}")


def evaluation_record(found: Evaluation) -> dict[str, Any]:
    """The figures of an evaluation, for JSON."""
    return {
        "digits": found.digits.source,
        "count": len(found.digits),
        "right": found.right,
        "accuracy": found.accuracy,
        "interval": found.interval,
        "confusion": found.confusion,
        **found.classes._asdict(),
        "calibration_error": found.calibration_error,
        "reliability": found.reliability._asdict(),
        "thresholds": found.thresholds,
        "worst": found.worst,
        "robustness": [
            {
                "name": curve.trial.name.lower(),
                "unit": curve.trial.unit,
                "count": curve.count,
                "strengths": curve.trial.strengths,
                "accuracy": curve.accuracy,
            }
            for curve in found.curves
        ],
    }


def compare(first: Path, second: Path, data: Path | None, backend: str | None, json: bool) -> None:
    """Print whether one network is better than another, by McNemar's test on the same images."""
    found = studies.compare(first, second, data, backend=backend)
    if json:
        print(as_json(comparison_record(found, (first, second))))
    else:
        print("\n".join(found.lines((str(first), str(second)))))


def comparison_record(found: Comparison, names: tuple[Path, Path]) -> dict[str, Any]:
    """The figures of a comparison, for JSON; better is the position of the better network."""
    alone = found.test.only_a, found.test.only_b
    networks = [
        {
            "network": name,
            "right": right,
            "accuracy": right / found.count,
            "interval": metrics.wilson_interval(right, found.count),
            "right_alone": right_alone,
        }
        for name, right, right_alone in zip(names, found.right, alone, strict=True)
    ]
    return {
        "count": found.count,
        "networks": networks,
        "p_value": found.p_value,
        "better": found.better,
    }


def committee(
    runs: Sequence[Path],
    out: Path,
    maps: int,
    data: Path | None,
    backend: str | None,
    force: bool,
) -> None:
    """Save the committee of several networks in `out`, and print how good it is."""
    # what is refused here is refused before anything is written
    digits = own_data.digits_to_judge(runs, data, trained=studies.members_of(runs))
    joined = studies.committee(runs, maps=maps, out=out, force=force, backend=backend)
    print("\n".join(joined.evaluate(replace(digits, notes=())).lines()))
    print(f"saved in {out}")
