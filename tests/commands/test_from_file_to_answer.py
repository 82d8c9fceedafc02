"""Whole ways of a person: from their file to a trained network, its answers and what they send."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from helpers.command import run_here
from helpers.digit_files import idx_bytes, npz_bytes
from helpers.picture_folders import save, write_classes
from helpers.pictures import drawing
from PIL import Image

LETTERS = np.array(list("ABCDEFGHIJ"))
SHORT = "--layers", "784-32-10", "--init", "he", "--batch-size", 50, "--epochs", 15, "--alpha", 0.2


def trained(data, out, *more):
    done = run_here("train", "--data", data, *SHORT, "--out", out, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def competition(tmp_path_factory, digits):
    """A competition like "Digit Recognizer", but with letters, and with ids in test.csv."""
    folder = tmp_path_factory.mktemp("letters")
    images, labels = digits
    header = [f"pixel{i}" for i in range(784)]
    train = pd.DataFrame(images[:900], columns=header)
    train.insert(0, "label", LETTERS[labels[:900]])
    train.to_csv(folder / "train.csv", index=False, lineterminator="\r\n")
    test = pd.DataFrame(images[900:1000], columns=header)
    test.insert(0, "id", range(100))
    test.to_csv(folder / "test.csv", index=False, lineterminator="\r\n")
    return folder


@pytest.fixture(scope="module")
def letters(competition):
    """A run on its train.csv."""
    trained(competition / "train.csv", competition / "run", "--validation", 200)
    return competition / "run"


def test_letters_from_a_table_to_predict(letters, competition, digits, tmp_path):
    """The answers are the names, to pictures and tables alike."""
    name = LETTERS[digits[1][905]]
    save(digits[0][905], tmp_path / "letter.png")
    done = run_here("predict", letters, tmp_path / "letter.png", "--explain", tmp_path / "why.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'letter.png'}: {name} (")
    done = run_here("predict", letters, competition / "train.csv", "--json")
    answers = np.array([each["digit"] for each in json.loads(done.stdout)])
    assert (answers == LETTERS[digits[1][:900]]).mean() > 0.9
    assert {each["runner_up"] for each in json.loads(done.stdout)} <= set(LETTERS)


def test_letters_are_judged_by_their_names(letters, tmp_path):
    done = run_here("evaluate", letters, "--report", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "200 held out" in lines[0]
    assert float(lines[1].split()[1]) > 0.75
    assert lines[3].split() == [*LETTERS, "precision", "recall"]
    assert [line.split()[0] for line in lines[4:14]] == list(LETTERS)
    page = (tmp_path / "page.html").read_text()
    assert '<th scope="row">J</th>' in page
    assert "<b>0</b>" not in page


def test_letters_to_a_submission(letters, competition, digits, tmp_path):
    """With the ids of test.csv, the names of the classes, and the score to expect before it."""
    out = tmp_path / "submission.csv"
    done = run_here("submit", letters, competition / "test.csv", "--out", out)
    assert done.returncode == 0, done.stderr
    said, expected = done.stdout.splitlines()
    assert said == f"100 answers in {out}"
    accuracy = json.loads((letters / "results.json").read_text())["validation_accuracy"]
    assert expected.startswith(
        f"of the 200 images that the run held out it had {accuracy:.2%} right"
    )
    table = pd.read_csv(out)
    assert table.columns.tolist() == ["id", "label"]
    assert table["id"].tolist() == list(range(100))
    assert (table["label"] == LETTERS[digits[1][900:1000]]).mean() > 0.75


def test_the_form_of_a_submission_is_that_of_the_sample(letters, competition, tmp_path, digits):
    test, sample = tmp_path / "test.csv", tmp_path / "sample_submission.csv"
    pd.DataFrame(digits[0][900:1000]).to_csv(test, index=False)
    sample.write_text("No,Letter\n" + "".join(f"x{i},A\n" for i in range(100)))
    done = run_here("submit", letters, test, "--out", tmp_path / "mine.csv")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "mine.csv")
    assert (table.columns.tolist(), table["No"][99]) == (["No", "Letter"], "x99")
    done = run_here("submit", letters, test, "--out", sample, "--force")
    assert done.returncode == 2
    assert "is read, and stays as it is" in done.stderr
    sample.write_text("No,Letter\n1,A\n")
    done = run_here("submit", letters, test, "--out", tmp_path / "again.csv")
    assert done.returncode == 1
    assert "its 1 ids are not those of the 100 images" in done.stderr
    assert not (tmp_path / "again.csv").exists()


def test_a_submission_says_what_contradicts_the_training(letters, tmp_path, digits):
    """Images on white paper, for a network that was trained on light ink."""
    test = tmp_path / "test.csv"
    pd.DataFrame(255 - digits[0][900:1000]).to_csv(test, index=False)
    done = run_here("submit", letters, test, "--out", tmp_path / "submission.csv")
    assert done.returncode == 0, done.stderr
    assert "most images show dark ink on light paper" in done.stderr
    assert "its answers may be wrong" in done.stderr


def test_white_paper_from_a_file_to_drawings(tmp_path, digits):
    """Trained on dark ink on white, a network reads black-on-white drawings afterwards."""
    images, labels = digits
    white = 255 - images.reshape(-1, 28, 28)
    path, out = tmp_path / "white.npz", tmp_path / "run"
    path.write_bytes(
        npz_bytes(
            x_train=white[:1600], y_train=labels[:1600], x_test=white[1600:], y_test=labels[1600:]
        )
    )
    said = trained(path, out)
    assert "grey levels are read as 255 (paper) to 0 (ink)" in said
    done = run_here("evaluate", out)
    assert float(done.stdout.splitlines()[1].split()[1]) > 0.85
    drawings = []
    for digit in range(10):
        drawings.append(tmp_path / f"{digit}.png")
        Image.fromarray(255 - drawing(digit)).save(drawings[-1])
    done = run_here("predict", out, *drawings, "--json")
    answers = [each["digit"] for each in json.loads(done.stdout)]
    assert sum(answer == digit for digit, answer in enumerate(answers)) >= 8
    for i in range(1600, 1620):  # pictures of the kind of its data, as they are
        Image.fromarray(white[i]).save(tmp_path / f"own-{i}.png")
    own = sorted(tmp_path.glob("own-*.png"))
    done = run_here("predict", out, *own, "--as-is", "--json")
    answers = [each["digit"] for each in json.loads(done.stdout)]
    assert np.mean(answers == labels[1600:1620]) >= 0.8


@pytest.mark.slow
def test_letters_as_emnist_has_them(tmp_path, digits):
    """Transposed, numbered from 1, without layers given: the network follows, and reads letters."""
    folder = tmp_path / "emnist"
    folder.mkdir()
    first = digits[1] < 8  # the letters A to H
    images, labels = digits[0][first].reshape(-1, 28, 28).swapaxes(1, 2), digits[1][first] + 1
    names = "emnist-letters-{}-images-idx3-ubyte", "emnist-letters-{}-labels-idx1-ubyte"
    for part, rows in {"train": slice(0, 1200), "test": slice(1200, 1500)}.items():
        for name, array in zip(names, (images, labels), strict=True):
            (folder / name.format(part)).write_bytes(idx_bytes(array[rows]))
    out = tmp_path / "run"
    done = run_here("train", "--data", folder, *SHORT[2:], "--out", out)
    assert done.returncode == 0, done.stderr
    assert "EMNIST is stored transposed" in done.stdout
    assert "the layers are 784-10-8, since" in done.stdout
    done = run_here("evaluate", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout.splitlines()[1].split()[1]) > 0.7
    answers = []
    for digit in range(8):
        Image.fromarray(255 - drawing(digit)).save(tmp_path / f"{digit}.png")
        done = run_here("predict", out, tmp_path / f"{digit}.png", "--json")
        answers.append(json.loads(done.stdout)[0]["digit"])
    assert sum(answer == "ABCDEFGH"[digit] for digit, answer in enumerate(answers)) >= 5


def test_a_folder_of_pictures_from_training_to_answers(tmp_path, digits):
    images, labels = digits
    folder, out = tmp_path / "mine", tmp_path / "run"
    write_classes(folder / "train", images[:600], LETTERS[labels[:600]])
    paths = write_classes(folder / "test", images[600:700], LETTERS[labels[600:700]])
    paths[7].write_bytes(b"no picture")
    said = trained(folder, out)
    assert "600 pictures are read as they are" in said
    assert f"left out: {paths[7]}: " in said
    assert "1 of 100 pictures are left out" in said
    done = run_here("evaluate", out)
    assert done.returncode == 0, done.stderr
    assert " of 99 right" in done.stdout
    done = run_here("predict", out, folder / "test")
    assert done.returncode == 1
    error, note = (
        line for line in done.stderr.splitlines() if "no picture" in line or "1 of" in line
    )
    assert error.startswith(f"error: {paths[7]}: ")
    assert note == "note: 1 of 100 pictures could not be read"
    lines = done.stdout.splitlines()
    assert len(lines) == 99
    named = [re.search(r": (?:unsure: )?(\w) \(", line)[1] for line in lines]
    right = [name == line.split("/")[-2] for name, line in zip(named, lines, strict=True)]
    assert np.mean(right) > 0.75
