"""The board: who reaches an accuracy soonest, and who reaches the highest one in a given time.

Run:  python benchmarks/board.py measure minutes-10 --name wider -- --recipe strong --epochs 90
      python benchmarks/board.py show

`measure` trains one run for each seed by `mnistgpu train` with the flags after `--`, and writes
benchmarks/results/board.json after each seed; the same command goes on where it was stopped, also
in the middle of a run, and on another machine with the seeds that board.json lacks. Nothing else
may run meanwhile. Both commands write the table that `fill_docs.py` puts into docs/board.md. Tracks
are those of `TRACKS`. Choose settings on held-out training images (`--validation`), and measure
once: the test set is read for the board.

The tracks labels-100 and labels-1000 keep that many labels of MNIST, as many of each class, drawn
by the seed, and give all other training images as --unlabeled. Seeds 0 to 4 are for the board;
choose settings on other ones (`--seeds 5 6 7 --keep-off`): then 1,000 other training images are in
the place of the test set.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu import counter_rng, data
from mnistgpu.data.splitting import selection
from mnistgpu.reports import metrics
from mnistgpu.settings import Settings

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
IMAGES = 10_000  # of the test
HELD_OUT = 1_000  # labelled images that settings for few labels are chosen by, as in the papers
FASHION = "/usr/share/datasets/fashion-mnist"  # of Debian's package dataset-fashion-mnist
DEFORMING = ("rotation", "scaling", "shear", "shift", "mirror", "elastic")


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


def labelled_part(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """A mask (N,) with `count` labels, as many of each of ten classes, drawn by the seed."""
    key = counter_rng.fold_in(counter_rng.key(seed, like=np.zeros(1)), counter_rng.SPLIT)
    order = counter_rng.permutation(key, len(labels))
    mask = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        mask[order[labels[order] == digit][: count // 10]] = True
    return mask


def flags_of_labels(count: int, seed: int, folder: Path, held_out: int = 0) -> list[str]:
    """The flags of a run with so many labels; writes its two files.

    held_out: how many other training images the run is judged on, in place of the test set.
    """
    dataset = data.load()
    train, test = dataset.train, dataset.test
    assert train.labels is not None
    assert test is not None
    mask = labelled_part(np.asarray(train.labels), count, seed)
    named = f"{count}-{seed}{'-held-out' if held_out else ''}"
    few, others = folder / f"labels-{named}.npz", folder / f"others-{named}.npy"
    folder.mkdir(parents=True, exist_ok=True)
    if not (few.exists() and others.exists()):
        parts = {"x_train": train.images[mask], "y_train": train.labels[mask]}
        judged = labelled_part(np.asarray(train.labels), count + held_out, seed) & ~mask
        if held_out:
            test = selection(train, judged, "held out")
        np.savez(few, x_test=test.images, y_test=test.labels, **parts)
        np.save(others, train.images[~(mask | judged)])
    return ["--data", str(few), "--unlabeled", str(others)]


def run(flags: list[str], seed: int, out: Path) -> dict[str, Any]:
    """The results of a run, which is trained, goes on, or was finished before."""
    if not (out / "results.json").exists():
        command = [sys.executable, "-m", "mnistgpu.train"]
        if (out / "checkpoint.safetensors").exists():
            command += ["--resume", str(out)]
        else:
            command += [*flags, "--seed", str(seed), "--out", str(out)]
        done = subprocess.run([*command, "--quiet"], cwd=ROOT)
        if done.returncode:
            raise SystemExit(done.returncode)
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    return found


def settings_of(out: Path) -> dict[str, Any]:
    """The settings of a run that all seeds have in common."""
    found: dict[str, Any] = json.loads((out / "settings.json").read_text())["settings"]
    return {name: value for name, value in found.items() if name not in ("seed", "unlabeled")}


def check(track: Track, settings: dict[str, Any], out: Path) -> None:
    """End the program if a run is none for its track."""
    if not track.deforms and any(settings[name] for name in DEFORMING):
        raise SystemExit(f"{out}: deforms images, which this track does not allow")


def same_command(folder: Path, flags: list[str]) -> None:
    """End the program if runs of this name were begun with other flags."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "flags.json"
    if path.exists() and json.loads(path.read_text()) != flags:
        raise SystemExit(f"{folder}: was begun with other flags; choose another --name")
    path.write_text(json.dumps(flags) + "\n")


def measure(given: argparse.Namespace) -> None:
    """Train the runs of a claim, and write it down after each."""
    track, path = TRACKS[given.track], given.results / "board.json"
    seeds = given.seeds or list(range(track.seeds))
    if track.data is not None:
        given.flags += ["--data", track.data]
    part = f"{given.track}-kept-off" if given.keep_off else given.track  # judged on other images
    folder = given.folder / part / given.name
    same_command(folder, given.flags)
    known = json.loads(path.read_text()) if path.exists() else []
    same = [each["track"] == given.track and each["name"] == given.name for each in known]
    others = [each for each, is_same in zip(known, same, strict=True) if not is_same]
    begun = known[same.index(True)] if True in same else {"seeds": []}
    figures: dict[str, list[float]] = {"accuracy": [], "seconds": []}
    for seed in seeds:
        if seed in begun["seeds"] and "settings" in begun and not given.keep_off:
            place = begun["seeds"].index(seed)
            for name, values in figures.items():
                values.append(begun[name][place])
            continue
        flags = list(given.flags)
        if track.labels is not None:
            held_out = HELD_OUT if given.keep_off else 0
            flags += flags_of_labels(track.labels, seed, given.folder / "data", held_out)
        out = folder / f"seed-{seed}"
        facts = run(flags, seed, out)
        settings = settings_of(out)
        check(track, settings, out)
        # a setting that is newer than the other seeds has its default in them
        theirs = Settings().as_dict() | begun.get("settings", settings)
        if any(theirs[name] != value for name, value in settings.items()):
            raise SystemExit(
                f"{given.name}: its other seeds have other settings; choose another --name"
            )
        figures["accuracy"].append(facts["test_accuracy"])
        figures["seconds"].append(facts["seconds"])
        print(f"seed {seed}: {facts['test_accuracy']:.4f} in {facts['seconds']:.1f} s", flush=True)
        if given.keep_off:
            continue
        begun = {
            "track": given.track,
            "name": given.name,
            "command": shlex.join(["mnistgpu", "train", *given.flags]),
            "commit": commit(),
            "date": datetime.date.today().isoformat(),
            "machine": f"{facts['device']}; numpy {facts['numpy']}",
            "settings": settings,
            "seeds": seeds[: len(figures["seconds"])],
            **{name: list(values) for name, values in figures.items()},
        }
        path.write_text(json.dumps([*others, begun], indent=1) + "\n")
    if not given.keep_off:
        show(given)


def commit() -> str:
    """The commit of the clone, with + if files were changed since, other than results and docs."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (
        "+" if git("status", "--porcelain", "-uno", ":!benchmarks/results", ":!docs") else ""
    )


def holds(track: Track, claim: dict[str, Any]) -> bool:
    """Whether a claim has reached what its track asks for."""
    if track.target is not None:
        return statistics.median(claim["accuracy"]) >= track.target
    return statistics.median(claim["seconds"]) <= (track.seconds or 0)


def figure(track: Track, claim: dict[str, Any]) -> float:
    """What claims of a track are compared by."""
    return statistics.median(claim["seconds" if track.target is not None else "accuracy"])


def interval(values: list[float]) -> str:
    """The Wilson interval of a median accuracy on the test images."""
    low, high = metrics.wilson_interval(round(statistics.median(values) * IMAGES), IMAGES)
    return f"{statistics.median(values):.2%} ({low:.2%} to {high:.2%})"


def lines_of(name: str, claims: list[dict[str, Any]]) -> list[str]:
    """The rows of a track, from the first claim to the newest, with who beat whom."""
    track = TRACKS[name]
    rows, leader = [], None
    for claim in sorted(claims, key=lambda each: each["date"]):
        seconds = claim["seconds"]
        middle, low, high = statistics.median(seconds), min(seconds), max(seconds)
        spread = f"{middle:,.2f} ({low:,.2f} to {high:,.2f})"
        if not holds(track, claim):
            result = "does not reach the track"
        elif leader is None:
            leader, result = claim, "the first"
        else:
            mine, best = figure(track, claim), figure(track, leader)
            if track.target is not None:
                better = mine < best
                result = f"{mine / best:.2f} of the seconds of {leader['name']}"
            else:
                better = mine > best
                result = f"{100 * (mine - best):+.2f} points over {leader['name']}"
            leader = claim if better else leader
        missing = track.seeds - len(claim["seeds"])
        if missing > 0:
            result += f"; {missing} of {track.seeds} seeds not measured"
        cells = [track.title, claim["name"], interval(claim["accuracy"]), spread, result]
        cells += [f"{claim['date']}, {claim['commit']}", f"`{claim['command']}`", claim["machine"]]
        rows.append(f"| {' | '.join(cells)} |")
    return rows or [f"| {track.title} | nobody yet | | | | | | |"]


def show(given: argparse.Namespace) -> None:
    """Write the table."""
    path = given.results / "board.json"
    claims = json.loads(path.read_text()) if path.exists() else []
    lines = [
        "| track | name | accuracy, median (95% interval) | seconds, median (range) | beside the "
        "best before it | date, commit | command | machine |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in TRACKS:
        lines += lines_of(name, [each for each in claims if each["track"] == name])
    lines.append("| one GPU | waiting for one | | | | | | |")
    text = "\n".join(lines) + "\n"
    (given.results / "board.md").write_text(text)
    print(text)


def main() -> None:
    """Measure a claim, or show the board."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="where board.json is")
    commands = parser.add_subparsers(required=True)
    claim = commands.add_parser("measure", help="measure a claim")
    claim.add_argument("track", choices=TRACKS)
    claim.add_argument("--name", required=True, help="what the board calls it")
    claim.add_argument("--seeds", type=int, nargs="+", help="those of the track by default")
    claim.add_argument("--folder", type=Path, default=Path("runs/board"), help="for the runs")
    claim.add_argument(
        "--keep-off", action="store_true", help="print the figures, and leave the board alone"
    )
    claim.epilog = "The flags of mnistgpu train come last, after --."
    claim.set_defaults(function=measure)
    commands.add_parser("show", help="write the table again").set_defaults(function=show)
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    given = parser.parse_args(words[:end])
    given.flags = words[end + 1 :]
    given.function(given)


if __name__ == "__main__":
    main()
