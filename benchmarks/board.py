"""The board: who reaches an accuracy soonest, and who reaches the highest one in a given time.

Run:  python benchmarks/board.py measure minutes-10 --name wider -- --recipe strong --epochs 90
      python benchmarks/board.py show

`measure` trains one run for each seed by `mnistgpu train` with the flags after `--`, and writes
benchmarks/results/board.json after each seed; the same command goes on where it was stopped, also
in the middle of a run, and on another machine with the seeds that board.json lacks. Nothing else
may run meanwhile. Both commands write the table that `fill_docs.py` puts into docs/board.md. Tracks
are those of `board_table.py`. Choose settings on held-out training images (`--validation`), and
measure once: the test set is read for the board.

With `--members 10` a claim is a committee of ten runs for each seed, and with `--student FLAGS` a
second one is the network that `mnistgpu distill` trains on its answers; seconds are those of all
runs together. With `--beside fast` the command of that claim is measured in turn with this one.

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
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import board_table
import numpy as np
from board_table import TRACKS, Track

import mnistgpu
from mnistgpu import counter_rng, data
from mnistgpu.data.splitting import selection
from mnistgpu.settings import Settings
from mnistgpu.storage import files

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
HELD_OUT = 1_000  # labelled images that settings for few labels are chosen by, as in the papers


@dataclass(frozen=True)
class Measured:
    """What a run, a committee or its student gave."""

    accuracy: float
    seconds: float
    machine: str
    settings: dict[str, Any]  # but for what differs from seed to seed


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
    judged = labelled_part(np.asarray(train.labels), count + held_out, seed) & ~mask
    if held_out:
        test = selection(train, judged, "held out")
    parts = {"x_train": train.images[mask], "y_train": train.labels[mask]}
    np.savez(few, x_test=test.images, y_test=test.labels, **parts)
    np.save(others, train.images[~(mask | judged)])
    return ["--data", str(few), "--unlabeled", str(others)]


def run(command: list[str], flags: list[str], out: Path) -> Measured:
    """A run by `mnistgpu train` or `distill`, which is begun, goes on, or was finished before."""
    if not (out / "results.json").exists():
        words = [*command, *flags, "--out", str(out)]
        if (out / "checkpoint.safetensors").exists():
            words = ["train", "--resume", str(out)]
        done = subprocess.run([sys.executable, "-m", "mnistgpu", *words, "--quiet"], cwd=ROOT)
        if done.returncode:
            raise SystemExit(done.returncode)
    facts = json.loads((out / "results.json").read_text())
    found = json.loads((out / "settings.json").read_text())["settings"]
    own = ("seed", "unlabeled", "teacher")
    settings = {name: value for name, value in found.items() if name not in own}
    machine = f"{facts['device']}; numpy {facts['numpy']}"
    return Measured(facts["test_accuracy"], facts["seconds"], machine, settings)


def trained(flags: list[str], track: Track, seed: int, out: Path) -> Measured:
    """A run of `mnistgpu train`, if its track allows it."""
    found = run(["train"], [*flags, "--seed", str(seed)], out)
    deforming = {name: found.settings[name] for name in vars(Settings().deformation)}
    if not track.deforms and Settings().changed(**deforming).deformation.is_deforming:
        raise SystemExit(f"{out}: deforms images, which this track does not allow")
    return found


def joined(given: argparse.Namespace, track: Track, seed: int, out: Path) -> dict[str, Measured]:
    """A committee, and its student if there is to be one, by the endings of their names."""
    members, seconds = [], 0.0
    for number in range(given.members * seed, given.members * (seed + 1)):
        members.append(out / f"member-{number}")
        member = trained(given.flags, track, number, members[-1])
        seconds += member.seconds
        print(f"  member {number}: {member.accuracy:.4f} in {member.seconds:.1f} s", flush=True)
    mnistgpu.committee(members, out=out / "committee", force=True)
    accuracy = mnistgpu.evaluate(out / "committee", robustness=False).accuracy
    found = {"": Measured(accuracy, seconds, member.machine, member.settings)}
    if given.student:
        flags = [*shlex.split(given.student), "--seed", str(seed)]
        student = run(["distill", str(out / "committee")], flags, out / "student")
        both = seconds + student.seconds
        found[" student"] = Measured(student.accuracy, both, student.machine, student.settings)
    return found


def same_command(folder: Path, words: list[str]) -> None:
    """End the program if runs of this name were begun with other flags."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "flags.json"
    if path.exists() and json.loads(path.read_text()) != words:
        raise SystemExit(f"{folder}: was begun with other flags; choose another --name")
    path.write_text(json.dumps(words) + "\n")


def measure(given: argparse.Namespace) -> None:
    """Train the runs of a claim, and write it down after each seed."""
    track = TRACKS[given.track]
    other = None if given.beside is None else flags_of(given.results, given.track, given.beside)
    if track.data is not None:
        given.flags += ["--data", track.data]
    part = f"{given.track}-kept-off" if given.keep_off else given.track  # judged on other images
    folder = given.folder / part / given.name
    more = [f"{given.members} members", given.student] if given.members > 1 else []
    same_command(folder, [*given.flags, *more])
    for seed in given.seeds or range(track.seeds):
        known = claim_of(given.results, given.track, given.name)
        if not given.keep_off and seed in board_table.of_runs(known, "seed"):
            continue
        flags, out = list(given.flags), folder / f"seed-{seed}"
        if track.labels is not None:
            held_out = HELD_OUT if given.keep_off else 0
            flags += flags_of_labels(track.labels, seed, given.folder / "data", held_out)
        if given.members > 1:
            found = joined(given, track, seed, out)
        else:
            found = {"": trained(flags, track, seed, out)}
        more_figures = {}
        if other is not None:
            theirs = trained(other, track, seed, folder / given.beside / f"seed-{seed}")
            more_figures["beside_seconds"] = theirs.seconds
        for ending, figures in found.items():
            name = f"{given.name}{ending}"
            print(f"{name}, seed {seed}: {figures.accuracy:.4f} in {figures.seconds:.1f} s")
            if not given.keep_off:
                write_down(given, name, ending, seed, figures, more_figures)
        sys.stdout.flush()
    if not given.keep_off:
        board_table.show(given.results)


def claim_of(results: Path, track: str, name: str) -> dict[str, Any]:
    """The claim of that name; one without runs if there is none, or if it has no settings."""
    for claim in board_table.read(results):
        if (claim["track"], claim["name"]) == (track, name) and "settings" in claim:
            return claim
    return {"track": track, "name": name, "runs": []}


def flags_of(results: Path, track: str, name: str) -> list[str]:
    """The flags of a claim that is measured in turn with another."""
    claims = [each for each in board_table.read(results) if each["track"] == track]
    found = [each["flags"] for each in claims if each["name"] == name]
    if not found:
        names = ", ".join(each["name"] for each in claims) or "none yet"
        raise SystemExit(f"--beside {name}: is no claim of {track}; there are: {names}")
    flags: list[str] = found[0]
    return flags


def write_down(
    given: argparse.Namespace,
    name: str,
    ending: str,
    seed: int,
    figures: Measured,
    more: dict[str, float],
) -> None:
    """Add a run to its claim in board.json."""
    claim = claim_of(given.results, given.track, name)
    # a setting that is newer than the other seeds has its default in them
    theirs = Settings().as_dict() | claim.get("settings", figures.settings)
    if any(theirs[setting] != value for setting, value in figures.settings.items()):
        raise SystemExit(f"{name}: its other seeds have other settings; choose another --name")
    command = f"`{shlex.join(['mnistgpu', 'train', *given.flags])}`"
    if given.members > 1:
        command += f" with {given.members} seeds, `mnistgpu committee`"
    if ending:
        command += f", `mnistgpu distill {given.student}`"
    one = {
        "seed": seed,
        "accuracy": figures.accuracy,
        "seconds": figures.seconds,
        **more,
        "machine": figures.machine,
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
    }
    claim |= {"command": command, "flags": given.flags, "settings": figures.settings}
    claim["runs"] = sorted([*claim["runs"], one], key=lambda each: each["seed"])
    if given.beside is not None:
        claim["beside"] = given.beside
    known = board_table.read(given.results)
    others = [each for each in known if (each["track"], each["name"]) != (given.track, name)]
    files.replace_bytes(
        given.results / "board.json", (json.dumps([*others, claim], indent=1) + "\n").encode()
    )


def commit() -> str:
    """The commit of the clone, with + if files were changed since, other than results and docs."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (
        "+" if git("status", "--porcelain", "-uno", ":!benchmarks/results", ":!docs") else ""
    )


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
    claim.add_argument("--members", type=int, default=1, help="of a committee (1: none)")
    claim.add_argument("--student", default="", help="flags of distill, for a student of it")
    claim.add_argument("--beside", help="a claim of the track, to be measured in turn with this")
    claim.add_argument(
        "--keep-off", action="store_true", help="print the figures, and leave the board alone"
    )
    claim.epilog = "The flags of mnistgpu train come last, after --."
    claim.set_defaults(function=measure)
    commands.add_parser("show", help="write the table again").set_defaults(
        function=lambda given: board_table.show(given.results)
    )
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    given = parser.parse_args(words[:end])
    given.flags = words[end + 1 :]
    given.function(given)


if __name__ == "__main__":
    main()
