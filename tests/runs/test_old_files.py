"""Files that version 0.1.0 wrote are read for ever: runs, models, checkpoints, a committee."""

import json
import shutil

import numpy as np
import pytest
from helpers.mnist import ROOT, read_idx
from helpers.runs import run

from mnistgpu.models import committee, model
from mnistgpu.runs import checkpoint, run_directory, watching

OLD = ROOT / "tests" / "old_files" / "0.1.0"
IMAGES = read_idx("t10k-images-idx3-ubyte", 2000)
LABELS = read_idx("t10k-labels-idx1-ubyte", 2000)


def test_a_run_is_read():
    settings, digest = run_directory.read_record(OLD / "finished" / "settings.json")
    assert settings.layers == "784-4-10"
    assert settings.ema == 0.9
    assert digest.startswith("61bfc99cee970065")
    assert run_directory.is_finished(OLD / "finished", settings, digest)
    history = run_directory.read_history(OLD / "finished" / "history.csv")
    assert history["iteration"] == [1, 116, 232]
    assert len(watching.load(OLD / "finished" / watching.FILE).rows) == 3


def test_a_model_answers_as_it_did():
    answers = np.argmax(model.load(OLD / "finished").probabilities(IMAGES), axis=0)
    assert np.count_nonzero(answers == LABELS) == 1554


def test_a_committee_answers_as_it_did():
    answers = np.argmax(committee.load(OLD / "committee").probabilities(IMAGES), axis=0)
    assert np.count_nonzero(answers == LABELS) == 1668


def test_a_checkpoint_is_read():
    saved = checkpoint.load(OLD / "interrupted")
    assert saved.taken == 3143
    assert saved.settings.batch_norm
    assert set(saved.vectors) >= {"theta", "first", "second", "mean.0", "variance.0"}


def test_an_interrupted_run_goes_on(tmp_path):
    shutil.copytree(OLD / "interrupted", tmp_path / "run")
    done = run("--resume", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
    assert len(told) == 1
    assert "begun with mnistgpu 0.1.0; from here on its noise, dropout, deformations" in told[0]
    history = run_directory.read_history(tmp_path / "run" / "history.csv")
    assert history["iteration"][-1] == 4640
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["test_accuracy"] == pytest.approx(0.85, abs=0.02)
