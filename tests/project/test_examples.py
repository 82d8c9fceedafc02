"""Every example runs as written, with small limits, in an empty directory."""

import os
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import processes
from helpers.mnist import ROOT
from helpers.picture_folders import save, write_classes


def started(name, *arguments, cwd):
    """Run an example to its end, whatever that is."""
    return processes.run(
        [sys.executable, ROOT / "examples" / name, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=300,
    )


def run(name, *arguments, cwd):
    """Run an example; what it printed."""
    done = started(name, *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_eight_equations(tmp_path):
    printed = run("eight_equations.py", "--iterations", 20, "--images", 5000, cwd=tmp_path)
    assert printed.splitlines()[-1] == "equal: network.py computes the eight equations"


def test_numpy_and_cupy(tmp_path):
    printed = run("numpy_and_cupy.py", "--batch-size", 64, "--repeats", 3, cwd=tmp_path)
    assert "ms a step" in printed
    assert "no comparison: backend cupy" in printed or "largest difference" in printed


def kaggle_files(folder, digits):
    """train.csv with 600 rows and test.csv with 100, as Kaggle writes them."""
    images, labels = digits
    header = [f"pixel{i}" for i in range(784)]
    train = pd.DataFrame(images[:600], columns=header)
    train.insert(0, "label", labels[:600])
    train.to_csv(folder / "train.csv", index=False, lineterminator="\r\n")
    test = pd.DataFrame(images[600:700], columns=header)
    test.to_csv(folder / "test.csv", index=False, lineterminator="\r\n")
    return folder / "train.csv", folder / "test.csv"


def test_kaggle(tmp_path, digits, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, test = kaggle_files(tmp_path, digits)
    printed = run("kaggle.py", train, test, "--iterations", 40, "--validation", 100, cwd=tmp_path)
    assert "100 answers" in printed
    answers = pd.read_csv(tmp_path / "submission.csv")
    assert answers.columns.tolist() == ["ImageId", "Label"]
    assert answers["ImageId"].tolist() == list(range(1, 101))
    assert (answers["Label"] == digits[1][600:700]).mean() > 0.4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["kaggle.py", "no-train.csv", "no-test.csv"], "no-train.csv"),
        (["fashion.py", "nowhere"], "nowhere"),
        (["own_digit.py", "nowhere.png"], "nowhere.png"),
        (["your_own_digits.py", "nowhere", "nowhere.png"], "nowhere"),
        (["committee.py", "--recipe", "stong"], "did you mean strong?"),
        (["numpy_and_cupy.py", "--layers", "784-x"], "--layers must be"),
    ],
)
def test_bad_input_is_said_in_one_sentence(tmp_path, arguments, message):
    done = processes.run(
        [sys.executable, ROOT / "examples" / arguments[0], *arguments[1:]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def idx_folder(folder, digits):
    """The four files of a small set in MNIST's format."""
    images, labels = digits
    for name, part in {"train": slice(0, 1000), "t10k": slice(1000, 1200)}.items():
        count = np.array([part.stop - part.start], dtype=">u4").tobytes()
        sides = np.array([28, 28], dtype=">u4").tobytes()
        (folder / f"{name}-images-idx3-ubyte").write_bytes(
            b"\0\0\x08\x03" + count + sides + images[part].tobytes()
        )
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(
            b"\0\0\x08\x01" + count + labels[part].tobytes()
        )
    return folder


def test_fashion(tmp_path, digits):
    printed = run("fashion.py", idx_folder(tmp_path, digits), "--epochs", 10, cwd=tmp_path)
    assert "epoch  10" in printed
    assert float(printed.split()[-1]) > 0.6


@pytest.mark.parametrize("preset", ["strong", "ciresan"])
def test_deformations(tmp_path, preset):
    run("deformations.py", "--preset", preset, "--out", "d.png", cwd=tmp_path)
    assert (tmp_path / "d.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_learning_rates(tmp_path):
    printed = run("learning_rates.py", "--rates", 0.004, "--schedules", "linear", cwd=tmp_path)
    assert "suggested learning rate: 0.0" in printed
    assert "linear" in printed


@pytest.mark.slow
def test_committee(tmp_path):
    printed = run("committee.py", "--members", 3, cwd=tmp_path)
    members = [float(line.split()[-1]) for line in printed.splitlines() if "member " in line[:7]]
    assert len(members) == 3
    together = float(printed.split("committee: ")[1].split()[0])
    assert together >= np.median(members)


def test_own_digit(tmp_path):
    picture = ROOT / "tests" / "golden" / "photo-7.jpg"
    printed = run("own_digit.py", picture, cwd=tmp_path).splitlines()
    assert len(printed) == 28 + 3
    assert printed[28].startswith(("7: 9", "7: 100"))
    assert sum("@" in line for line in printed[:28]) > 10


@pytest.mark.slow
def test_your_own_digits(tmp_path, digits):
    """From a folder of pictures of letters to an answer."""
    names = np.array(list("abcdefghij"))[digits[1]]
    write_classes(tmp_path / "mine", digits[0][:500], names[:500])
    save(digits[0][505], tmp_path / "next.png")
    printed = run("your_own_digits.py", "mine", "next.png", cwd=tmp_path).splitlines()
    right, of = printed[-2].split(" pictures ")[0].split(" of ")
    assert of == "100"
    assert int(right) > 75
    assert printed[-1].startswith(f"next.png: {names[505]} (")
    assert (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_watch_it_learn(tmp_path):
    printed = run("watch_it_learn.py", "--iterations", 6, "--layers", "784-9-10", cwd=tmp_path)
    assert "6 snapshots in learning.gif" in printed
    assert (tmp_path / "learning.gif").read_bytes()[:6] == b"GIF89a"


@pytest.mark.slow
def test_loggers(tmp_path):
    printed = run("loggers.py", "--out", "logs", "--epochs", 1, cwd=tmp_path)
    assert "layer 3: norm" in printed
    curves = pd.read_csv(tmp_path / "logs" / "history.csv")
    assert curves["validation_accuracy"].iloc[-1] > 0.9
    before = (tmp_path / "logs" / "history.csv").read_bytes()
    (tmp_path / "file").touch()
    for out, sentence in (("logs", "history.csv is there already"), ("file", "is a file")):
        done = started("loggers.py", "--out", out, cwd=tmp_path)
        assert done.returncode == 2
        assert f"loggers.py: error: --out {out}: {sentence}" in done.stderr
    assert (tmp_path / "logs" / "history.csv").read_bytes() == before


@pytest.mark.slow
def test_a_logger_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is missing")
    run("loggers.py", "--out", "logs", "--epochs", 1, "--tensorboard", cwd=tmp_path)
    from tensorboard.backend.event_processing import event_accumulator

    events = event_accumulator.EventAccumulator(str(tmp_path / "logs"), {"tensors": 0})
    events.Reload()
    assert {"train/loss", "validation/accuracy", "update_ratio/1"} <= set(events.Tags()["tensors"])
