"""The command line as a person meets it: real processes, real data, no traceback."""

import contextlib
import json
import os
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import processes
from helpers.command import run, run_here
from PIL import Image

from mnistgpu import cli
from mnistgpu.runs import run_directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short real run on real MNIST, and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "short"
    done = run("--iterations", 30, "--out", out, module="mnistgpu.train")
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_what_a_run_prints(finished):
    out, printed = finished
    lines = printed.splitlines()
    assert lines[0].startswith("mnistgpu ")
    assert lines[1].startswith("backend   numpy on ")
    assert lines[1].endswith("; float32")
    assert "59,000 training, 1,000 validation, 10,000 test images; digest " in lines[2]
    assert lines[3] == "network   784-10-10, 7,960 parameters"
    assert "alpha" in lines[4]
    assert sum(line.startswith("iteration ") for line in lines) == 30
    assert "accuracy  train 0." in printed
    assert "images/s" in printed
    assert lines[-1] == f"saved in  {out}"
    assert "\x1b" not in printed  # no colours and no cursor movements in a pipe


def test_what_a_run_leaves(finished):
    out, _ = finished
    assert {path.name for path in out.iterdir()} == set(run_directory.FILES)
    history = pd.read_csv(out / "history.csv")
    assert len(history) == 30
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    results = json.loads((out / "results.json").read_text())
    assert 0.2 < results["test_accuracy"] < 0.9
    assert set(results) >= {
        "test_accuracy",
        "train_accuracy",
        "validation_accuracy",
        "seconds",
        "images_per_second",
        "backend",
        "device",
        "precision",
        "numpy",
        "python",
    }
    saved = json.loads((out / "settings.json").read_text())
    assert saved["settings"]["iterations"] == 30
    assert len(saved["data_digest"]) == 64
    with Image.open(out / "report.png") as picture:
        assert picture.width > 800


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_a_live_bar_on_a_terminal(tmp_path):
    ours, theirs = os.openpty()
    process = processes.start(
        [sys.executable, "-m", "mnistgpu.train", "--iterations", "30", "--out", tmp_path / "run"],
        stdout=theirs,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # what Linux says at the end of a pseudo-terminal
        while piece := os.read(ours, 2**16):
            shown += piece
    os.close(ours)
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    text = shown.decode()
    assert "30/30" in text
    assert re.search(r"loss \d\.\d{4}  train 0\.\d{4}  validation 0\.\d{4}  [\d,]+ images/s", text)
    assert text.count("\x1b[") > 10  # drawn over and over in one place
    assert text.splitlines()[-1].strip() == f"saved in  {tmp_path / 'run'}"


@pytest.mark.slow
def test_evaluate_finds_the_accuracy_of_the_run(finished, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(finished[0], out)  # the page is written into it
    done = run("evaluate", out)
    assert done.returncode == 0, done.stderr
    assert (out / "report.html").exists()
    results = json.loads((out / "results.json").read_text())
    assert f"accuracy {results['test_accuracy']:.4f} (95% interval" in done.stdout


def test_predict_a_picture(finished, tmp_path, digits):
    out, _ = finished
    image = tmp_path / "digit.png"
    Image.fromarray(digits[0][0].reshape(28, 28)).save(image)
    done = run("predict", out, image)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{image}: ")
    assert "%), then " in done.stdout


def test_a_bad_picture_among_good_ones(tmp_path, digits):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.fromarray(digits[0][0].reshape(28, 28)).save(good)
    bad.write_text("no picture")
    done = run_here("predict", "shipped", bad, good)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{good}: 5 (")
    assert done.stderr.startswith(f"error: {bad}: ")
    assert done.stderr.count("\n") == 1


def test_plot_draws_the_report_again(finished, tmp_path):
    out, _ = finished
    picture = tmp_path / "again.png"
    done = run("plot", out, "--out", picture)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.slow
def test_quiet_prints_nothing(tmp_path):
    done = run("train", "--iterations", 2, "--quiet", "--out", tmp_path / "run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "run" / "results.json").exists()


@pytest.mark.slow
def test_mini_batches_another_network_and_the_environment(tmp_path):
    done = run(
        *("train", "--layers", "784-32-10", "--init", "he", "--batch-size", 256, "--epochs", 1),
        *("--learning-rate", 0.1, "--validation", 5000, "--seed", 3, "--out", tmp_path / "run"),
        MNISTGPU_BACKEND="auto",
    )
    assert done.returncode == 0, done.stderr
    assert "auto chose " in done.stdout
    assert "55,000 training, 5,000 validation" in done.stdout
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["test_accuracy"] > 0.85


@pytest.mark.parametrize("module", ["mnistgpu.train", "mnistgpu.cli"])
def test_help(module):
    done = run("--help", module=module)
    assert done.returncode == 0
    assert "Usage" in done.stdout
    if module == "mnistgpu.train":
        for flag in ("--alpha", "--layers", "--iterations", "--seed", "--backend", "--out"):
            assert flag in done.stdout


COMMANDS = [
    (each.name or each.callback.__name__).replace("_", "-") for each in cli.app.registered_commands
]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_version(command):
    done = run_here(*command.split(), "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("mnistgpu 0.")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "--alpha", "nan"], 2, "--alpha must be a finite number greater than 0"),
        (["train", "--alpha", "inf"], 2, "--alpha"),
        (["train", "--alpha", "-1"], 2, "--alpha"),
        (["train", "--alpha", "0"], 2, "--alpha"),
        (["train", "--alpha", "abc"], 2, "Invalid value for '--alpha'"),
        (["train", "--batch-size", "0"], 2, "--batch-size must be a whole number of at least 1"),
        (["train", "--batch-size", "99999"], 2, "--batch-size 99999 is more than the 59000"),
        (["train", "--layers", "700-10"], 2, "28x28 = 784 pixels"),
        (["train", "--layers", "784-10-2"], 2, "end it with 10"),
        (["train", "--layers", "784-10-9"], 2, "end it with 10"),
        (["train", "--validation", "60000"], 2, "--validation"),
        (["train", "--iterations", "5", "--epochs", "5"], 2, "--iterations or --epochs"),
        (["train", "--backend", "torch"], 2, "choose numpy, cupy, auto"),
        (["train", "--nonsense"], 2, "--nonsense"),
        (["train", "--batch-size", "1.5"], 2, "Invalid value for '--batch-size'"),
        (["train", "--out", ""], 2, "--out must name a directory of its own"),
        (["predict"], 2, "Missing argument"),
        (["train", "--precision", "tf32"], 2, "--precision tf32 needs"),
        (["train", "--graph"], 2, "--graph replays steps on an NVIDIA GPU"),
        (["evaluate", "shipped", "--report", "train.csv"], 2, "must end with .html"),
        (["predict", "shipped", "x.png", "--explain", "x.csv"], 2, "must end with .png"),
        (["train", "--data", "no/such/folder"], 1, "no/such/folder"),
        (["train", "--out", "/proc/nowhere"], 1, "/proc/nowhere"),
        (["evaluate", "no/such/run"], 1, "no/such/run"),
        (["predict", "no/such/run", "x.png"], 1, "no/such/run"),
        (["plot", "no/such/run"], 2, "no/such/run"),
        (["fly"], 2, "fly"),
    ],
)
def test_every_refusal_is_a_sentence_and_a_status(tmp_path, arguments, status, message):
    check_refusal(run_here(*arguments, cwd=tmp_path), status, message)
    assert list(tmp_path.iterdir()) == []  # a refused run leaves nothing behind


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "--alpha", "nan"], 2, "--alpha must be a finite number greater than 0"),
        (["evaluate", "no/such/run"], 1, "no/such/run"),
        (["train", "--nonsense"], 2, "--nonsense"),
    ],
)
def test_a_refusal_is_the_status_of_the_process(tmp_path, arguments, status, message):
    check_refusal(run(*arguments, cwd=tmp_path, PYTHONPATH=os.getcwd()), status, message)
    assert list(tmp_path.iterdir()) == []


def check_refusal(done, status, message):
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1  # one sentence, and no traceback


def test_a_finished_run_is_kept_unless_forced(finished):
    out, _ = finished
    before = (out / "results.json").read_bytes()
    done = run_here("train", "--iterations", 1, "--out", out)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert (out / "results.json").read_bytes() == before


def test_a_damaged_model_is_refused(finished, tmp_path):
    out, _ = finished
    whole = (out / "model.safetensors").read_bytes()
    for name, content in {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"not a model",
        "not finite": whole[:-4] + np.float32(np.nan).tobytes(),
    }.items():
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        done = run_here("evaluate", path)
        assert done.returncode == 1, name
        assert done.stderr.startswith(f"error: {path}: "), name
