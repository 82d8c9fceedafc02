"""How files store their images is kept with the run, and used for whatever it reads later."""

import json
import string

import numpy as np
import pytest
from helpers.command import run_here
from helpers.digit_files import npz_bytes
from helpers.runs import one_sentence

import mnistgpu
from mnistgpu import UsageError
from mnistgpu.data import emnist
from mnistgpu.errors import Note

SHORT = ("--layers", "784-16-10", "--init", "he", "--lr", "0.5", "--batch-size", "50")


@pytest.fixture
def turned(tmp_path, digits):
    """A file whose images are stored transposed, which its name does not say."""
    images, labels = digits
    stored = images[:1000].reshape(-1, 28, 28).swapaxes(1, 2)
    path = tmp_path / "mine.npz"
    path.write_bytes(
        npz_bytes(
            x_train=stored[:800], y_train=labels[:800], x_test=stored[800:], y_test=labels[800:1000]
        )
    )
    return path


def test_from_training_to_answers(turned, tmp_path, digits):
    out, given = tmp_path / "run", ("--orientation", "transposed")
    done = run_here("train", "--data", turned, *SHORT, "--epochs", 4, *given, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "the images are transposed, as --orientation says" in done.stdout
    done = run_here("evaluate", out)
    assert float(done.stdout.splitlines()[1].split()[1]) > 0.7
    done = run_here("predict", out, turned, "--json")
    answers = [each["digit"] for each in json.loads(done.stdout)]
    assert np.mean(answers == digits[1][800:1000]) > 0.7
    upright = mnistgpu.load(out).predict(digits[0][800:1000])
    assert np.array_equal(upright, answers)
    done = run_here("train", "--resume", out, "--epochs", 5, "--force")
    assert done.returncode == 0, done.stderr


def test_a_set_is_trained_on_as_it_was_read(turned):
    given = {"layers": "784-16-10", "iterations": 2, "init": "he"}
    dataset = mnistgpu.load_data(turned, "transposed")
    with pytest.raises(UsageError, match="was read as transposed, but the run says by-name"):
        mnistgpu.fit(dataset, **given)
    with pytest.raises(UsageError, match="was read as by-name, but the run says transposed"):
        mnistgpu.fit(mnistgpu.load_data(turned), orientation="transposed", **given)
    with pytest.warns(Note, match="the images are transposed"):
        run = mnistgpu.fit(dataset, orientation="transposed", **given)
    assert run.settings.orientation == "transposed"


def test_of_an_array_the_axes_are_exchanged(digits, tmp_path):
    with pytest.raises(UsageError, match=r"of an array give X\.swapaxes\(1, 2\)"):
        mnistgpu.fit(*digits, orientation="transposed")
    done = run_here("train", "--orientation", "sideways", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "by-name, upright, transposed" in one_sentence(done.stderr)


@pytest.mark.parametrize(
    ("words", "first", "classes", "some"),
    [
        ({"emnist", "letters"}, 1, 26, {1: "A", 26: "Z"}),
        ({"emnist", "balanced"}, 0, 47, {0: "0", 10: "A", 35: "Z", 36: "a", 46: "t"}),
        ({"emnist", "bymerge"}, 0, 47, {38: "d", 39: "e", 45: "r"}),
        ({"emnist", "byclass"}, 0, 62, {9: "9", 35: "Z", 36: "a", 61: "z"}),
    ],
)
def test_the_names_of_emnists_classes(words, first, classes, some):
    """As the mapping files that come with it have them."""
    names = emnist.named(np.arange(first, first + classes), words)
    assert len(set(names)) == classes
    assert set(names) <= set(string.digits + string.ascii_letters)
    assert {label: names[label - first] for label in some} == some
