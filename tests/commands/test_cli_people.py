"""predict, submit and evaluate on the command line, as a person or a program uses them."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.command import run, run_here
from helpers.mnist import read_idx
from helpers.pictures import HAND, drawing
from helpers.runs import one_sentence
from PIL import Image

from mnistgpu import models
from mnistgpu.errors import RunError
from mnistgpu.reports import submission

KINDS = ("labels-idx1", "images-idx3")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder with drawn digits, a blank page and two digits in one picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for digit in HAND:
        Image.fromarray(255 - drawing(digit)).save(folder / f"{digit}.png")
    Image.new("L", (200, 200), 255).save(folder / "blank.png")
    labels, images = (read_idx(f"t10k-{kind}-ubyte", 40) for kind in KINDS)
    names = ["label", *(f"pixel{i}" for i in range(784))]
    few = pd.DataFrame(np.column_stack((labels, images)), columns=names)
    few.to_csv(folder / "few.csv", index=False)
    pair = np.hstack([255 - drawing(4, 240), 255 - drawing(2, 240)])
    Image.fromarray(pair).save(folder / "42.png")
    return folder


@pytest.fixture(scope="module")
def kaggle_test(tmp_path_factory):
    """200 of MNIST's test images as Kaggle's test.csv, and their labels."""
    path = tmp_path_factory.mktemp("kaggle") / "test.csv"
    header = [f"pixel{i}" for i in range(784)]
    table = pd.DataFrame(read_idx("t10k-images-idx3-ubyte", 200), columns=header)
    table.to_csv(path, index=False, lineterminator="\r\n")
    return path, read_idx("t10k-labels-idx1-ubyte", 200)


def test_predict_says_digit_probability_and_runner_up(pictures):
    done = run("predict", "shipped", *(pictures / f"{digit}.png" for digit in HAND))
    assert done.returncode == 0, done.stderr
    for digit, line in zip(HAND, done.stdout.splitlines(), strict=True):
        assert line.startswith(f"{pictures / f'{digit}.png'}: {digit} (")
        assert "%), then " in line


def test_predict_for_programs(pictures):
    done = run("predict", "shipped", pictures / "3.png", "--json")
    (answer,) = json.loads(done.stdout)
    assert (answer["digit"], answer["image"]) == (3, str(pictures / "3.png"))
    assert sum(answer["probabilities"]) == pytest.approx(1.0, abs=1e-4)
    assert answer["probability"] == max(answer["probabilities"])
    assert answer["runner_up"] == np.argsort(answer["probabilities"])[-2]


@pytest.mark.slow
def test_predict_many_explains_each(pictures, tmp_path):
    path = tmp_path / "why.png"
    done = run("predict", "shipped", pictures / "42.png", "--many", "--explain", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{pictures / '42.png'}: 42\n"
    with Image.open(path) as picture:
        assert picture.width > 1000
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 300


def test_predict_a_table(kaggle_test):
    path, labels = kaggle_test
    done = run_here("predict", "shipped", path)
    lines = done.stdout.splitlines()
    assert len(lines) == 200
    assert lines[7].startswith(f"{path}[7]: {labels[7]} (")


def test_predict_as_is(tmp_path, digits):
    moved = np.roll(digits[0][0].reshape(28, 28), 4, axis=0)  # not where MNIST's makers put it
    Image.fromarray(moved).save(tmp_path / "digit.png")
    found = run_here("predict", "shipped", tmp_path / "digit.png", "--json")
    as_is = run_here("predict", "shipped", tmp_path / "digit.png", "--json", "--as-is")
    assert json.loads(found.stdout)[0]["digit"] == digits[1][0]
    assert json.loads(found.stdout) != json.loads(as_is.stdout)


@pytest.mark.parametrize(
    ("name", "options", "status", "message"),
    [
        ("blank.png", [], 1, "blank.png: no digit found"),
        ("42.png", [], 1, "42.png: 2 digits found, where one is expected"),
        ("missing.png", [], 1, "missing.png"),
        ("3.png", ["--as-is"], 1, "280x280 pixels, but this network reads 28x28"),
        ("3.png", ["--explain", "why.jpg"], 2, "must end with .png"),
        ("3.png", ["--explain", "no/such/folder/why.png"], 1, "why.png"),
    ],
)
def test_predict_refuses_in_one_sentence(pictures, tmp_path, name, options, status, message):
    done = run_here("predict", "shipped", pictures / name, *options)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_what_is_not_ours_is_not_replaced(pictures, tmp_path):
    for option, name, command in (
        ("--explain", "mine.png", ("predict", "shipped", pictures / "3.png")),
        ("--report", "mine.html", ("evaluate", "shipped", "--data", pictures / "few.csv")),
    ):
        path = tmp_path / name
        path.write_bytes((pictures / "3.png").read_bytes())
        done = run_here(*command, option, path)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert f"{option} {path}: the file exists and is not one this program made" in done.stderr
        assert path.read_bytes() == (pictures / "3.png").read_bytes()
        path.unlink()
        for _ in range(2):  # what it has made itself, it makes anew
            done = run_here(*command, option, path)
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "shipped", "3.png", "--explain", "no/why.png"),
        ("evaluate", "shipped", "--report", "no/report.html"),
        ("submit", "shipped", "few.csv", "--out", "no/submission.csv"),
        ("plot", ".", "--out", "no/report.png"),
    ],
    ids=lambda command: command[0],
)
def test_that_nothing_can_be_written_is_said_before_the_work(pictures, command):
    done = run_here(*command, cwd=pictures)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "no such folder" in done.stderr
    assert done.stderr.count("\n") == 1


def test_explain_of_many_shows_the_first(kaggle_test, tmp_path):
    path = tmp_path / "why.png"
    done = run_here("predict", "shipped", kaggle_test[0], "--explain", path)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 200)
    assert done.stderr == f"note: {path} has the first 12 of 200\n"
    with Image.open(path) as picture:
        assert picture.height > 2 * picture.width


def test_plot_needs_a_history(tmp_path):
    for more in ([], ["--animate"]):
        done = run_here("plot", "shipped", *more)
        assert (done.returncode, done.stdout) == (2, "")
        assert "shipped: plot needs a run directory" in done.stderr


def test_submit(kaggle_test, tmp_path):
    path, labels = kaggle_test
    out = tmp_path / "submission.csv"
    done = run("submit", "shipped", path, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"200 answers in {out}\n"
    table = pd.read_csv(out)
    assert table.columns.tolist() == ["ImageId", "Label"]
    assert table["ImageId"].tolist() == list(range(1, 201))
    assert (table["Label"] == labels).mean() > 0.97
    assert done.stderr == ""


def test_submit_says_that_it_does_not_look_at_labels(kaggle_test, tmp_path):
    table = pd.read_csv(kaggle_test[0])
    table = pd.concat([pd.Series(7, table.index, name="label"), table], axis=1)
    table.to_csv(tmp_path / "train.csv", index=False)
    done = run_here("submit", "shipped", tmp_path / "train.csv", "--out", tmp_path / "out.csv")
    assert done.returncode == 0
    assert one_sentence(done.stderr).startswith(f"warning: {tmp_path / 'train.csv'} has labels")
    assert (pd.read_csv(tmp_path / "out.csv")["Label"] == kaggle_test[1]).mean() > 0.97


def test_a_submission_is_kept_unless_forced(kaggle_test, tmp_path):
    out = tmp_path / "submission.csv"
    out.write_text("dear to me")
    done = run_here("submit", "shipped", kaggle_test[0], "--out", out)
    assert (done.returncode, out.read_text()) == (2, "dear to me")
    assert "--force" in done.stderr
    done = run_here("submit", "shipped", kaggle_test[0], "--out", out, "--force")
    assert (done.returncode, out.read_text()) == (2, "dear to me")
    assert "is no submission" in one_sentence(done.stderr)
    out.write_text("ImageId,Label\n1,7\n")
    assert run_here("submit", "shipped", kaggle_test[0], "--out", out, "--force").returncode == 0
    assert len(submission.read(out).ids) == len(kaggle_test[1])


def test_what_is_read_is_not_replaced_by_the_answers(kaggle_test, tmp_path):
    test, trained = tmp_path / "test.csv", tmp_path / "run" / "model.safetensors"
    shutil.copy(kaggle_test[0], test)
    trained.parent.mkdir()
    shutil.copy(models.SHIPPED, trained)
    notes = trained.with_name("notes.txt")
    notes.write_text("of the run")
    before = test.read_bytes(), trained.read_bytes()
    for network, ways in ((trained, (test, trained)), (trained.parent, (test, trained, notes))):
        for out in ways:
            done = run_here("submit", network, test, "--out", out, "--force")
            assert (done.returncode, done.stdout) == (2, "")
            assert f"--out {out}: is read, and stays as it is" in done.stderr
    assert (test.read_bytes(), trained.read_bytes(), notes.read_text()) == (*before, "of the run")
    answers = trained.with_name("submission.csv")  # may lie in a run, and be made anew there
    for more in ([], ["--force"]):
        done = run_here("submit", trained.parent, test, "--out", answers, *more)
        assert done.returncode == 0, done.stderr


def test_a_submission_that_cannot_be_written_leaves_nothing(kaggle_test, tmp_path):
    done = run_here("submit", "shipped", kaggle_test[0], "--out", tmp_path / "no" / "folder.csv")
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "ImageId,Label\n1,7,7\n", "A,B\n1,7\n1,7\n", '"'])
def test_what_is_no_submission_is_noticed(tmp_path, content):
    path = tmp_path / "submission.csv"
    path.write_text(content)
    with pytest.raises(RunError, match="not a submission"):
        submission.read(path)


@pytest.mark.parametrize(
    "content", ["Id,Label\n1,7\n", "ImageId,Label\n2,7\n", "ImageId,Label\n1,x\n", "A,B\n"]
)
def test_what_reads_back_wrong_is_noticed(tmp_path, content, monkeypatch):
    """Another header, other ids, other labels or fewer of them."""
    path = tmp_path / "submission.csv"
    other = tmp_path / "other.csv"
    other.write_text(content)
    read = submission.read
    monkeypatch.setattr(submission, "read", lambda written: read(other))
    with pytest.raises(RunError, match="reads back differently"):
        submission.write(path, [7])
    assert not path.exists()
