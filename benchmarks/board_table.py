"""The tracks of the board, and the table of its claims, for `board.py`."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnistgpu.reports import metrics

IMAGES = 10_000  # of the test
FASHION = "/usr/share/datasets/fashion-mnist"  # of Debian's package dataset-fashion-mnist
HEAD = (
    "| track | name | accuracy, median (95% interval) | seconds, median (range) | beside the best "
    "before it | date, commit | command | machine |\n|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Track:
    """What is compared: seconds to a median accuracy, or the median accuracy within seconds."""

    title: str
    target: float | None = None  # accuracy that the median must reach; then fewer seconds win
    seconds: float | None = None  # that the median run may take; then the higher accuracy wins
    seeds: int = 5
    labels: int | None = None  # how many labels there are
    deforms: bool = True  # whether images may be deformed
    data: str | None = None  # --data, if it is not MNIST


TRACKS = {
    "seconds-98.0": Track("least seconds to 98.0%", target=0.980),
    "seconds-98.9": Track("least seconds to 98.9%", target=0.989),
    "seconds-99.4": Track("least seconds to 99.4%", target=0.994),
    "minutes-1": Track("highest accuracy in 1 minute", seconds=60),
    "minutes-10": Track("highest accuracy in 10 minutes", seconds=600),
    "minutes-60": Track("highest accuracy in 60 minutes", seconds=3600, seeds=3),
    "pure": Track("without deformations, in 30 minutes", seconds=1800, deforms=False),
    "fashion": Track("Fashion-MNIST, in 10 minutes", seconds=600, data=FASHION),
    "labels-100": Track("with 100 labels, in 30 minutes", seconds=1800, labels=100),
    "labels-1000": Track("with 1,000 labels, in 30 minutes", seconds=1800, labels=1000),
}


def of_runs(claim: dict[str, Any], name: str) -> list[Any]:
    """A figure of each run of a claim."""
    return [run[name] for run in claim["runs"]]


def holds(track: Track, claim: dict[str, Any]) -> bool:
    """Whether a claim has reached what its track asks for."""
    if track.target is not None:
        return statistics.median(of_runs(claim, "accuracy")) >= track.target
    return statistics.median(of_runs(claim, "seconds")) <= (track.seconds or 0)


def interval(values: list[float]) -> str:
    """The Wilson interval of a median accuracy on the test images."""
    low, high = metrics.wilson_interval(round(statistics.median(values) * IMAGES), IMAGES)
    return f"{statistics.median(values):.2%} ({low:.2%} to {high:.2%})"


def beside(track: Track, claim: dict[str, Any], leader: dict[str, Any]) -> tuple[str, bool]:
    """How a claim compares with the best before it, and whether it is better.

    Seconds are compared with those that the leader's command took besides the runs of the claim,
    seed by seed (`--beside`), where these were measured.
    """
    name = leader["name"]
    if track.target is None:
        figures = [statistics.median(of_runs(each, "accuracy")) for each in (claim, leader)]
        gain = figures[0] - figures[1]
        return f"{100 * gain:+.2f} points over {name}", gain > 0
    how, theirs = "", of_runs(leader, "seconds")
    besides = [run.get("beside", {"name": None}) for run in claim["runs"]]
    if all(each["name"] == name for each in besides):
        how, theirs = ", one after the other", [each["seconds"] for each in besides]
    elif set(of_runs(claim, "machine")) != set(of_runs(leader, "machine")):
        how = " on another machine"
    ratio = statistics.median(of_runs(claim, "seconds")) / statistics.median(theirs)
    return f"{ratio:.2f} of the seconds of {name}{how}", ratio < 1


def machines(claim: dict[str, Any]) -> str:
    """The machine of a claim, or which of its seeds were measured on which."""
    seeds: dict[str, list[str]] = {}
    for run in claim["runs"]:
        seeds.setdefault(run["machine"], []).append(str(run["seed"]))
    if len(seeds) == 1:
        return next(iter(seeds))
    return "; ".join(f"{name} (seeds {', '.join(own)})" for name, own in seeds.items())


def lines_of(name: str, claims: list[dict[str, Any]]) -> list[str]:
    """The rows of a track, from the first claim to the newest, with who beat whom."""
    track = TRACKS[name]
    rows, leader = [], None
    for claim in sorted(claims, key=lambda each: max(of_runs(each, "date"))):
        seconds, missing = of_runs(claim, "seconds"), track.seeds - len(claim["runs"])
        spread = f"{statistics.median(seconds):,.2f} ({min(seconds):,.2f} to {max(seconds):,.2f})"
        if not holds(track, claim):
            result = "does not reach the track"
        elif leader is None:
            leader, result = claim, "the first"
        else:
            result, is_better = beside(track, claim, leader)
            leader = claim if is_better else leader
        if missing > 0:
            result += f"; {missing} of {track.seeds} seeds not measured"
        commits = " and ".join(dict.fromkeys(of_runs(claim, "commit")))
        cells = [track.title, claim["name"], interval(of_runs(claim, "accuracy")), spread, result]
        cells += [f"{max(of_runs(claim, 'date'))}, {commits}", claim["command"], machines(claim)]
        rows.append(f"| {' | '.join(cells)} |")
    return rows or [f"| {track.title} | nobody yet | | | | | | |"]


def read(results: Path) -> list[dict[str, Any]]:
    """The claims of a folder with results."""
    path = results / "board.json"
    claims: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return claims


def show(results: Path) -> None:
    """Write and print the table."""
    claims, lines = read(results), [HEAD]
    for name in TRACKS:
        lines += lines_of(name, [each for each in claims if each["track"] == name])
    lines.append("| one GPU | waiting for one | | | | | | |")
    text = "\n".join(lines) + "\n"
    (results / "board.md").write_text(text)
    print(text)
