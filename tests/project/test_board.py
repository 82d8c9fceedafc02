"""benchmarks/board.py: what stands on the board, and claims that are measured in parts."""

import json
import os
import sys

import numpy as np
import pytest
from helpers import processes
from helpers.mnist import ROOT

from mnistgpu import data


@pytest.fixture
def board(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import board

    return board


@pytest.fixture
def table(board):
    return board.board_table


def claim(name, accuracy, seconds, date="2026-01-01", seeds=5, **more):
    run = {
        "accuracy": accuracy, "seconds": seconds, "machine": "m", "date": date, "commit": "abc"
    } | more  # fmt: skip
    return {
        "track": "minutes-1",
        "name": name,
        "command": f"`mnistgpu train --recipe {name}`",
        "flags": ["--recipe", name],
        "runs": [{"seed": seed, **run} for seed in range(seeds)],
    }


def test_a_row_says_by_what_it_beats_the_best_before_it(table):
    claims = [
        claim("third", 0.991, 30.0, "2026-01-03"),
        claim("first", 0.990, 30.0, "2026-01-01"),
        claim("late", 0.999, 61.0, "2026-01-02"),
        claim("worse", 0.985, 3.0, "2026-01-04", seeds=3),
    ]
    rows = table.lines_of("minutes-1", claims)
    assert [row.split(" | ")[1] for row in rows] == ["first", "late", "third", "worse"]
    assert "| the first |" in rows[0]
    assert "| does not reach the track |" in rows[1]
    assert "| +0.10 points over first |" in rows[2]
    assert "| -0.60 points over third; 2 of 5 seeds not measured |" in rows[3]
    assert "98.50% (98.24% to 98.72%)" in rows[3]


def test_seconds_count_where_the_target_is_reached(table):
    claims = [
        claim("slow", 0.981, 0.5, "2026-01-01"),
        claim("quick", 0.980, 0.4, "2026-01-02"),
        claim("bad", 0.979, 0.1, "2026-01-03"),
        claim("elsewhere", 0.980, 0.2, "2026-01-04", machine="n"),
        claim(
            "in turn",
            0.980,
            0.3,
            "2026-01-05",
            machine="o",
            beside={"name": "elsewhere", "seconds": 0.25},
        ),
    ]
    rows = table.lines_of("seconds-98.0", claims)
    assert "| 0.80 of the seconds of slow |" in rows[1]
    assert "does not reach" in rows[2]
    assert "| 0.50 of the seconds of quick on another machine |" in rows[3]
    assert "| 1.20 of the seconds of elsewhere, one after the other |" in rows[4]
    del claims[4]["runs"][1]["beside"]
    assert "1.50 of the seconds of elsewhere on another machine" in table.lines_of(
        "seconds-98.0", claims)[4]  # fmt: skip
    assert table.lines_of("pure", []) == [
        "| without deformations, in 30 minutes | nobody yet | | | | | | |"
    ]


def test_a_claim_of_two_machines_says_which_seeds_were_measured_where(table):
    both = claim("both", 0.98, 1.0, seeds=3)
    assert table.lines_of("minutes-1", [both])[0].endswith("| 2026-01-01, abc | `mnistgpu train "
        "--recipe both` | m |")  # fmt: skip
    both["runs"][1] |= {"machine": "n", "commit": "def", "date": "2026-01-02"}
    (row,) = table.lines_of("minutes-1", [both])
    assert "| 2026-01-02, abc and def |" in row
    assert row.endswith("| m (seeds 0, 2); n (seeds 1) |")


def test_labels_are_drawn_alike_for_each_class(board, digits):
    labels = digits[1]
    first = board.labelled_part(labels, 100, 0)
    assert np.bincount(labels[first]).tolist() == [10] * 10
    assert np.array_equal(first, board.labelled_part(labels, 100, 0))
    assert not np.array_equal(first, board.labelled_part(labels, 100, 1))


def test_settings_for_few_labels_are_not_chosen_on_the_test_set(board, tmp_path):
    flags = board.flags_of_labels(100, 5, tmp_path, held_out=1000)
    few, others = np.load(flags[1]), np.load(flags[3])
    assert (len(few["x_train"]), len(few["x_test"]), len(others)) == (100, 1000, 58_900)
    train = {image.tobytes() for image in np.asarray(data.load().train.images)}
    assert all(image.tobytes() in train for image in few["x_test"])
    judged = {image.tobytes() for image in few["x_test"]}
    assert not judged & {image.tobytes() for image in [*few["x_train"], *others]}


def test_what_is_on_the_board_is_in_the_document():
    table = (ROOT / "benchmarks" / "results" / "board.md").read_text().strip()
    assert table in (ROOT / "docs" / "board.md").read_text()


FLAGS = ("--layers", "784-8-10", "--epochs", "1", "--batch-size", "50")


@pytest.fixture
def measured(small_set, tmp_path):
    """A function that measures a claim on the small set; it gives the claims, and what was said."""

    def measure(*flags, seeds=("0",), track="minutes-1", folder="runs", more=()):
        command = [sys.executable, ROOT / "benchmarks" / "board.py", "--results", tmp_path]
        command += ["measure", track, "--name", "tiny", "--folder", tmp_path / folder, *more]
        command += ["--seeds", *seeds, "--", "--data", small_set, *flags]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = processes.run([*map(str, command)], env=environment, timeout=120)
        path = tmp_path / "board.json"
        return json.loads(path.read_text()) if path.exists() else [], done

    return measure


def seeds_of(claim):
    return [run["seed"] for run in claim["runs"]]


@pytest.mark.slow
def test_a_claim_goes_on_where_it_was_stopped(measured, tmp_path):
    ((found,), done) = measured(*FLAGS, seeds="1")
    assert done.returncode == 0, done.stderr
    assert seeds_of(found) == [1]
    ((again,), done) = measured(*FLAGS, seeds="20")
    assert done.returncode == 0, done.stderr
    assert seeds_of(again) == [0, 1, 2]
    assert again["runs"][1] == found["runs"][0]
    assert "tiny" in (tmp_path / "board.md").read_text()
    del again["settings"]["mirror"]  # as if that setting had come after these seeds
    (tmp_path / "board.json").write_text(json.dumps([again]))
    ((more,), done) = measured(*FLAGS, seeds="0123", folder="elsewhere")  # on another machine
    assert not done.returncode, done.stderr
    assert (seeds_of(more), more["runs"][:3]) == ([0, 1, 2, 3], again["runs"])
    assert [line for line in done.stdout.splitlines() if line.startswith("tiny, seed 3:")]
    assert "tiny, seed 2" not in done.stdout
    other = measured("--layers", "784-9-10", *FLAGS[2:], seeds="4", folder="elsewhere-4")[1]
    assert "its other seeds have other settings" in other.stderr
    other = measured("--layers", "784-9-10", *FLAGS[2:], seeds="4")[1]
    assert "was begun with other flags" in other.stderr
    del more["settings"]  # a claim of a time when these were not kept
    (tmp_path / "board.json").write_text(json.dumps([more]))
    (kept,), done = measured(*FLAGS, seeds="4")
    assert "measure all of them with --anew" in done.stderr
    assert kept == more
    (anew,), done = measured(*FLAGS, seeds="4", more=["--anew"])
    assert seeds_of(anew) == [4]


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("--shift", "2"), ("--rotation-1-7", "15")])
def test_a_track_may_refuse_deformations(measured, tmp_path, flags):
    (tmp_path / "board.json").write_text("[]")
    claims, done = measured(*FLAGS, *flags, track="pure")
    assert "deforms images, which this track does not allow" in done.stderr
    assert claims == []


@pytest.mark.slow
def test_a_committee_and_its_student(measured, tmp_path):
    more = ["--members", "2", "--student", "--layers 784-9-10 --epochs 2"]
    (committee, student), done = measured(*FLAGS, seeds="1", more=more)
    assert done.returncode == 0, done.stderr
    (first,), (second,) = committee["runs"], student["runs"]
    own = json.loads((tmp_path / "runs/minutes-1/tiny/seed-1/student/results.json").read_text())
    assert (student["name"], second["accuracy"]) == ("tiny student", own["test_accuracy"])
    assert second["seconds"] == first["seconds"] + own["seconds"]
    members = tmp_path.glob("runs/minutes-1/tiny/seed-1/member-*/results.json")
    seconds = [json.loads(each.read_text())["seconds"] for each in members]
    assert (len(seconds), first["seconds"]) == (2, pytest.approx(sum(seconds)))
    assert "with 2 seeds, `mnistgpu committee`, `mnistgpu distill --layers" in student["command"]
    (tmp_path / "board.json").write_text(json.dumps([committee]))  # stopped before the student
    again, done = measured(*FLAGS, seeds="1", more=more)
    assert again == [committee | {"runs": again[0]["runs"]}, student | {"runs": again[1]["runs"]}]
    assert again[1]["runs"][0]["seconds"] == second["seconds"]  # none was trained again
    for wrong in (["--members", "0"], ["--student", "--epochs 2"]):
        assert "at least 2 for a --student" in measured(*FLAGS, more=wrong)[1].stderr
    deformed = ["--members", "2", "--student", "--shift 2 --layers 784-8-10 --epochs 1"]
    done = measured(*FLAGS, track="pure", more=deformed)[1]
    assert "student: deforms images, which this track does not allow" in done.stderr


@pytest.mark.slow
def test_another_claim_is_measured_besides(measured, tmp_path):
    known = [
        claim("other", 0.5, 1.0) | {"track": "seconds-98.0", "flags": FLAGS},
        claim("several", 0.5, 1.0) | {"track": "seconds-98.0", "flags": None},
    ]
    (tmp_path / "board.json").write_text(json.dumps(known))
    how = {"seeds": "1", "track": "seconds-98.0"}
    (*_, made), done = measured(*FLAGS, more=["--beside", "other"], **how)
    assert done.returncode == 0, done.stderr
    assert made["runs"][0]["beside"]["name"] == "other"
    assert made["runs"][0]["beside"]["seconds"] > 0
    for name in ("nobody", "several"):
        done = measured(*FLAGS, more=["--beside", name], **how)[1]
        assert f"--beside {name}: is for" in done.stderr
        assert "seconds-98.0 has: other, tiny" in done.stderr
    done = measured(*FLAGS, more=["--beside", "tiny"])[1]
    assert "is for tracks of seconds" in done.stderr
