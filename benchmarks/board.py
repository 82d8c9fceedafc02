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
runs together. In a track of seconds `--beside fast` measures the command of that claim besides,
seed by seed.

The tracks labels-100 and labels-1000 keep that many labels of MNIST, as many of each class, drawn
by the seed, and give all other training images as --unlabeled. Seeds 0 to 4 are for the board;
choose settings on other ones (`--seeds 5 6 7 --keep-off`): then 1,000 other training images are in
the place of the test set.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import shlex
import subprocess
import sys
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


@dataclasses.dataclass(frozen=True)
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


def with_few_labels(whole: data.Dataset, count: int, seed: int, held_out: int = 0) -> data.Dataset:
    """The set with so many labels, and its other training images without.

    held_out: how many other training images it is judged on, in place of the test set.
    """
    assert whole.train.labels is not None
    labels = np.asarray(whole.train.labels)
    mask = labelled_part(labels, count, seed)
    judged = labelled_part(labels, count + held_out, seed) & ~mask
    few = selection(whole.train, mask, "labelled")
    test = selection(whole.train, judged, "held out") if held_out else whole.test
    train = dataclasses.replace(few, unlabeled=whole.train.images[~(mask | judged)])
    return data.Dataset(train, test, whole.source)


def flags_of_labels(count: int, seed: int, folder: Path, held_out: int = 0) -> list[str]:
    """The flags of a run with so many labels; writes its two files. held_out: as above."""
    made = with_few_labels(data.load(), count, seed, held_out)
    train, test = made.train, made.test
    assert test is not None
    named = f"{count}-{seed}{'-held-out' if held_out else ''}"
    few, others = folder / f"labels-{named}.npz", folder / f"others-{named}.npy"
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"x_train": train.images, "y_train": train.labels}
    np.savez(few, x_test=test.images, y_test=test.labels, **parts)
    np.save(others, train.unlabeled)
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


def check(track: Track, found: Measured, out: Path) -> None:
    """End the program if a run is none for its track."""
    deforming = {name: found.settings[name] for name in vars(Settings().deformation)}
    if not track.deforms and Settings().changed(**deforming).deformation.is_deforming:
        raise SystemExit(f"{out}: deforms images, which this track does not allow")


def trained(flags: list[str], track: Track, seed: int, out: Path) -> Measured:
    """A run of `mnistgpu train`."""
    found = run(["train"], [*flags, "--seed", str(seed)], out)
    check(track, found, out)
    return found


def joined(
    flags: list[str], track: Track, members: int, student: str, seed: int, out: Path
) -> list[Measured]:
    """A committee, and its student if there is to be one."""
    paths, seconds = [], 0.0
    for number in range(members * seed, members * (seed + 1)):
        paths.append(out / f"member-{number}")
        member = trained(flags, track, number, paths[-1])
        seconds += member.seconds
        print(f"  member {number}: {member.accuracy:.4f} in {member.seconds:.1f} s", flush=True)
    mnistgpu.committee(paths, out=out / "committee", force=True)
    accuracy = mnistgpu.evaluate(out / "committee", robustness=False).accuracy
    found = [dataclasses.replace(member, accuracy=accuracy, seconds=seconds)]
    if student:
        more = [*shlex.split(student), "--seed", str(seed)]
        one = run(["distill", str(out / "committee")], more, out / "student")
        check(track, one, out / "student")
        found.append(dataclasses.replace(one, seconds=seconds + one.seconds))
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
    other = None if given.beside is None else flags_of(given)
    if track.data is not None:
        given.flags += ["--data", track.data]
    part = f"{given.track}-kept-off" if given.keep_off else given.track  # judged on other images
    folder = given.folder / part / given.name
    more = [f"{given.members} members", given.student] if given.members > 1 else []
    same_command(folder, [*given.flags, *more])
    names = [given.name, f"{given.name} student"] if given.student else [given.name]
    anew = given.anew  # until the first run is written
    for seed in given.seeds or range(track.seeds):
        known = [claim_of(given, name, anew) for name in names]
        if not given.keep_off and all(seed in board_table.of_runs(c, "seed") for c in known):
            continue
        flags, out = list(given.flags), folder / f"seed-{seed}"
        if track.labels is not None:
            held_out = HELD_OUT if given.keep_off else 0
            flags += flags_of_labels(track.labels, seed, given.folder / "data", held_out)
        if given.members > 1:
            found = joined(flags, track, given.members, given.student, seed, out)
        else:
            found = [trained(flags, track, seed, out)]
        besides: dict[str, Any] = {}
        if other is not None:
            theirs = trained(other, track, seed, folder / given.beside / f"seed-{seed}")
            besides["beside"] = {"name": given.beside, "seconds": theirs.seconds}
        for name, figures in zip(names, found, strict=True):
            print(f"{name}, seed {seed}: {figures.accuracy:.4f} in {figures.seconds:.1f} s")
        if not given.keep_off:
            new = [with_run(*each, seed, besides) for each in zip(known, found, strict=True)]
            write_claims(given, names, new)
            anew = False
        sys.stdout.flush()
    if not given.keep_off:
        board_table.show(given.results)


def claim_of(given: argparse.Namespace, name: str, anew: bool = False) -> dict[str, Any]:
    """The claim of that name in the track; one without runs if there is none, or if it is anew."""
    for claim in [] if anew else board_table.read(given.results):
        if (claim["track"], claim["name"]) == (given.track, name):
            return claim
    command = f"`{shlex.join(['mnistgpu', 'train', *given.flags])}`"
    if given.members > 1:
        command += f" with {given.members} seeds, `mnistgpu committee`"
    if name != given.name:
        command += f", `mnistgpu distill {given.student}`"
    flags = None if given.members > 1 else given.flags  # of a single run
    return {"track": given.track, "name": name, "command": command, "flags": flags, "runs": []}


def flags_of(given: argparse.Namespace) -> list[str]:
    """The flags of the claim that is measured besides."""
    claims = [each for each in board_table.read(given.results) if each["track"] == given.track]
    names = [each["name"] for each in claims if each["flags"] is not None]
    if TRACKS[given.track].target is None or given.beside not in names:
        raise SystemExit(
            f"--beside {given.beside}: is for tracks of seconds, and for a claim of one network "
            f"there; {given.track} has: {', '.join(names) or 'none yet'}"
        )
    return list(claim_of(given, given.beside)["flags"])


def with_run(
    claim: dict[str, Any], figures: Measured, seed: int, besides: dict[str, Any]
) -> dict[str, Any]:
    """A claim with one more run."""
    if claim["runs"]:
        # a setting that is newer than the other seeds has its default in them
        theirs = Settings().as_dict() | claim.get("settings", {})
        if any(theirs[setting] != value for setting, value in figures.settings.items()):
            raise SystemExit(
                f"{claim['name']}: its other seeds have other settings, or were measured before "
                "settings were kept; choose another --name, or measure all of them with --anew"
            )
    one = {
        "seed": seed,
        "accuracy": figures.accuracy,
        "seconds": figures.seconds,
        **besides,
        "machine": figures.machine,
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
    }
    others = [run for run in claim["runs"] if run["seed"] != seed]
    runs = sorted([*others, one], key=lambda each: each["seed"])
    return claim | {"settings": figures.settings, "runs": runs}


def write_claims(given: argparse.Namespace, names: list[str], new: list[dict[str, Any]]) -> None:
    """Put claims in the place of those of these names in board.json."""
    known = board_table.read(given.results)
    own = [(given.track, name) for name in names]
    others = [each for each in known if (each["track"], each["name"]) not in own]
    files.replace_json(given.results / "board.json", [*others, *new])


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
    claim.add_argument("--beside", help="a claim of the track, to be measured besides")
    claim.add_argument(
        "--anew", action="store_true", help="forget the runs of this name that are on the board"
    )
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
    if given.function is measure and (given.members < 1 or (given.student and given.members < 2)):
        parser.error("--members must be at least 1, and at least 2 for a --student")
    given.function(given)


if __name__ == "__main__":
    main()
