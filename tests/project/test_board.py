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


def claim(name, accuracy, seconds, date="2026-01-01", track="minutes-1", seeds=5):
    return {
        "track": track, "name": name, "command": f"mnistgpu train --recipe {name}",
        "commit": "abc", "date": date, "machine": "m", "seeds": list(range(seeds)),
        "accuracy": [accuracy] * seeds, "seconds": [seconds] * seeds,
    }  # fmt: skip


def test_a_row_says_by_what_it_beats_the_best_before_it(board):
    claims = [
        claim("third", 0.991, 30.0, "2026-01-03"),
        claim("first", 0.990, 30.0, "2026-01-01"),
        claim("late", 0.999, 61.0, "2026-01-02"),
        claim("worse", 0.985, 3.0, "2026-01-04", seeds=3),
    ]
    rows = board.lines_of("minutes-1", claims)
    assert [row.split(" | ")[1] for row in rows] == ["first", "late", "third", "worse"]
    assert "| the first |" in rows[0]
    assert "| does not reach the track |" in rows[1]
    assert "| +0.10 points over first |" in rows[2]
    assert "| -0.60 points over third; 2 of 5 seeds not measured |" in rows[3]
    assert "98.50% (98.24% to 98.72%)" in rows[3]


def test_seconds_count_where_the_target_is_reached(board):
    claims = [
        claim("slow", 0.981, 0.5, "2026-01-01"),
        claim("quick", 0.980, 0.4, "2026-01-02"),
        claim("bad", 0.979, 0.1, "2026-01-03"),
    ]
    rows = board.lines_of("seconds-98.0", claims)
    assert "| 0.80 of the seconds of slow |" in rows[1]
    assert "does not reach" in rows[2]
    assert board.lines_of("pure", []) == [
        "| without deformations, in 30 minutes | nobody yet | | | | | | |"
    ]


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


@pytest.mark.slow
def test_a_claim_goes_on_where_it_was_stopped(small_set, tmp_path):
    def measure(*flags, seeds=("0",), track="minutes-1", folder="runs"):
        command = [sys.executable, ROOT / "benchmarks" / "board.py", "--results", tmp_path]
        command += ["measure", track, "--name", "tiny", "--folder", tmp_path / folder]
        command += ["--seeds", *seeds, "--", "--data", small_set, *flags]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return processes.run([*map(str, command)], env=environment, timeout=120)

    flags = ("--layers", "784-8-10", "--epochs", "1", "--batch-size", "50")
    assert measure(*flags).returncode == 0
    (found,) = json.loads((tmp_path / "board.json").read_text())
    assert (found["seeds"], len(found["accuracy"])) == ([0], 1)
    done = measure(*flags, seeds=("0", "1"))
    assert done.returncode == 0, done.stderr
    (again,) = json.loads((tmp_path / "board.json").read_text())
    assert again["seconds"][0] == found["seconds"][0]  # it was not trained again
    assert again["seeds"] == [0, 1]
    assert "tiny" in (tmp_path / "board.md").read_text()
    del again["settings"]["mirror"]  # as if that setting had come after these seeds
    (tmp_path / "board.json").write_text(json.dumps([again]))
    done = measure(*flags, seeds=("0", "1", "2"), folder="elsewhere")  # as on another machine
    assert not done.returncode, done.stderr
    (again,) = json.loads((tmp_path / "board.json").read_text())
    assert (again["seeds"], again["seconds"][0]) == ([0, 1, 2], found["seconds"][0])
    assert [line[:7] for line in done.stdout.splitlines() if "seed " in line] == ["seed 2:"]
    other = measure("--layers", "784-9-10", *flags[2:], seeds=("3",), folder="elsewhere-3")
    assert "its other seeds have other settings" in other.stderr
    other = measure("--layers", "784-9-10", *flags[2:])
    assert "was begun with other flags" in other.stderr
    deformed = measure(*flags, "--shift", "2", track="pure")
    assert "deforms images, which this track does not allow" in deformed.stderr
