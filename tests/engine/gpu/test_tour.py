"""The command line on a GPU: what people type, as real processes, one command after the other."""

import json
import os
import signal

import numpy as np
import pytest
from helpers import processes, runs
from helpers.command import run
from helpers.mnist import read_idx
from PIL import Image

from mnistgpu import backend
from mnistgpu.errors import BackendError
from mnistgpu.models import model

pytestmark = pytest.mark.gpu
CUPY = {"MNISTGPU_BACKEND": "cupy"}
SMALL = ("--layers", "784-16-10", "--epochs", "2", "--batch-size", "100", "--validation", "100")
SMALL += ("--init", "he", "--optimizer", "adam", "--lr", "0.01")


@pytest.fixture(scope="module", autouse=True)
def gpu():
    try:
        backend.select("cupy")
    except BackendError as error:
        pytest.skip(str(error))


def succeeds(*arguments, **environment):
    """What a command prints that ends with status 0."""
    done = run(*map(str, arguments), **CUPY, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(small_set, tmp_path_factory):
    """A run on the GPU, and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return out, succeeds("train", "--data", small_set, *SMALL, "--out", out)


def results(out):
    return json.loads((out / "results.json").read_text())


def test_a_run_says_where_it_computes(trained):
    out, printed = trained
    assert "backend   cupy on " in printed
    assert results(out)["backend"] == "cupy"
    assert results(out)["test_accuracy"] > 0.6


@pytest.mark.parametrize(
    "flags",
    [
        ("--graph",),
        ("--precision", "tf32"),
        ("--precision", "bf16"),
        ("--precision", "float64"),
        ("--graph", "--precision", "tf32"),
        ("--graph", "--elastic", "1", "--rotation", "10", "--hidden-dropout", "0.1"),
    ],
    ids=" ".join,
)
def test_ways_to_train(trained, small_set, tmp_path, flags):
    printed = succeeds("train", "--data", small_set, *SMALL, *flags, "--out", tmp_path / "run")
    assert "steps are not replayed" not in printed
    usual = results(trained[0])["test_accuracy"]
    assert results(tmp_path / "run")["test_accuracy"] == pytest.approx(usual, abs=0.15)


@pytest.mark.parametrize("flags", [("--no-graph",), ("--graph",)], ids=" ".join)
def test_a_run_that_is_stopped_and_resumed_has_the_bits_of_a_whole_one(small_set, tmp_path, flags):
    settings = ("--data", small_set, "--layers", "784-16-10", "--batch-size", "100", "--quiet")
    settings += ("--validation", "100", "--optimizer", "adam", "--init", "he", "--lr", "0.01")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    settings += (*flags, "--epochs", "20", "--checkpoint-every", "2epochs")
    succeeds("train", *settings, "--out", whole)
    environment = {**runs.environment(), **CUPY}
    process = processes.start(runs.command(*settings, "--out", broken), env=environment)
    runs.wait_for((broken / "checkpoint.safetensors").exists, process)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate()
    assert not (broken / "results.json").exists(), "it had ended before it was stopped"
    succeeds("train", "--resume", broken)
    found, expected = (model.load(out / "model.safetensors").theta for out in (broken, whole))
    np.testing.assert_array_equal(found, expected)


def test_evaluate(trained, small_set, tmp_path):
    out, page = trained[0], tmp_path / "report.html"
    printed = succeeds("evaluate", out, "--data", small_set, "--report", page)
    assert f"accuracy {results(out)['test_accuracy']:.4f} (95% interval" in printed
    assert page.exists()


def test_predict(tmp_path):
    image, label = read_idx("t10k-images-idx3-ubyte", 1)[0], read_idx("t10k-labels-idx1-ubyte", 1)
    Image.fromarray(image.reshape(28, 28)).save(tmp_path / "digit.png")
    assert f"digit.png: {label[0]} " in succeeds("predict", "shipped", tmp_path / "digit.png")


def test_submit(tmp_path):
    images = read_idx("t10k-images-idx3-ubyte", 50)
    header = ",".join(f"pixel{i}" for i in range(784))
    np.savetxt(tmp_path / "test.csv", images, "%d", ",", header=header, comments="")
    out = tmp_path / "submission.csv"
    assert "50 answers" in succeeds("submit", "shipped", tmp_path / "test.csv", "--out", out)
    found = np.loadtxt(out, int, delimiter=",", skiprows=1)[:, 1]
    assert np.mean(found == read_idx("t10k-labels-idx1-ubyte", 50)) > 0.95


def test_doctor():
    printed = succeeds("doctor")
    assert "ok   gradient on cupy" in printed
