"""What commands print is what their files say, and what their networks answer."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers.command import run
from helpers.runs import write_small_set

from mnistgpu.models import model
from mnistgpu.models.model import Model


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short run in which no two figures are alike, and its lines."""
    digits = write_small_set(tmp_path_factory.mktemp("digits"))
    out = tmp_path_factory.mktemp("runs") / "run"
    done = run(
        *("train", "--data", digits, "--layers", "784-16-10", "--init", "he", "--out", out),
        *("--batch-size", 50, "--epochs", 12, "--validation", 200, "--schedule", "cosine"),
    )
    assert done.returncode == 0, done.stderr
    return out, done.stdout.splitlines()


def test_the_last_lines_are_the_results(finished):
    out, lines = finished
    results = json.loads((out / "results.json").read_text())
    parts = ("train", "validation", "test")
    assert len({results[f"{part}_accuracy"] for part in parts}) == 3
    figures = ", ".join(f"{part} {results[f'{part}_accuracy']:.4f}" for part in parts)
    seconds, speed = results["seconds"], results["images_per_second"]
    assert lines[-3:] == [
        f"accuracy  {figures}",
        f"time      {seconds:.1f} s, {speed:,.0f} images/s",
        f"saved in  {out}",
    ]


def test_each_line_is_a_row_of_the_history(finished):
    out, lines = finished
    rows = pd.read_csv(out / "history.csv")
    assert [line for line in lines if line.startswith("iteration ")] == [
        f"iteration {row.iteration:>6}  loss {row.train_loss:.4f}  train {row.train_accuracy:.4f}  "
        f"validation {row.validation_accuracy:.4f}"
        for row in rows.itertuples()
    ]
    assert len(rows) == 13


def test_the_first_lines_say_what_is_trained_on_what(finished):
    out, lines = finished
    settings = json.loads((out / "settings.json").read_text())
    assert lines[2] == (
        f"data      {settings['data']}: 700 training, 200 validation, 300 test images; "
        f"digest {settings['data_digest'][:16]}"
    )
    assert lines[3] == "network   784-16-10, 12,730 parameters"
    assert lines[4] == (
        "training  gradient-descent, alpha 0.25 cosine, batches of 50, 12 epochs, seed 0"
    )


def test_compare_names_the_better_one(tmp_path):
    """Of 20 images of one of three classes: the first network is right on all, the other on 8."""
    answers = np.repeat([0, 1, 2], [8, 8, 4])
    images = np.zeros((20, 1, 3), dtype=np.uint8)
    images[np.arange(20), 0, answers] = 255
    np.savez(tmp_path / "digits.npz", x_test=images, y_test=answers.astype(np.uint8))
    for name, weights in (("right", np.eye(3)), ("wrong", np.eye(3)[:, [0, 2, 1]])):
        theta = np.concatenate((weights.reshape(-1), np.zeros(3)))
        model.save(Model(theta, (3, 3), (1, 3)), tmp_path / name)
    for first, second in (("right", "wrong"), ("wrong", "right")):
        done = run("compare", first, second, "--data", "digits.npz", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        accuracies = {
            "right": "1.0000 (95% interval 0.8389",
            "wrong": "0.4000 (95% interval 0.2188",
        }
        assert lines[0].startswith(f"{first}: {accuracies[first]}")
        assert lines[1].startswith(f"{second}: {accuracies[second]}")
        alone = (12, 0) if first == "right" else (0, 12)
        assert lines[2] == "right by the first alone {}, by the second alone {}".format(*alone)
        # 2 / 2^12, the probability that all of twelve fall on one side
        assert lines[3] == "McNemar's exact test: p = 0.000488; right is better at the 5% level"
