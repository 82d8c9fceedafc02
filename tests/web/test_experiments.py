"""Experiments are run: every claim holds for three seeds, and the words have the runs' numbers."""

import base64
import json
import time
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from helpers.mnist import ROOT, read_idx

from mnistgpu import data, network
from mnistgpu.errors import DataError, StoppedError
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.stop import Stop
from mnistgpu.web import experiments
from mnistgpu.web.experiments import numbers, running
from mnistgpu.web.experiments.reading import HERE

SHIPPED, _ = experiments.found()
LONGER = (  # than a second
    "rate-ten-times-too-high",
    "shuffled-labels",
    "two-hundred-images",
    "dropout-against-noise",
)
# every experiment with three seeds; the quick ones with one of them in every run of the tests
RUNS = [
    pytest.param(
        each,
        seed,
        marks=[pytest.mark.slow] if seed > 0 or each.name in LONGER else [],
        id=f"{each.name}-{seed}",
    )
    for each in SHIPPED
    for seed in range(3)
]
EXAMPLE = ROOT / "examples" / "13-another-seed.toml"
SMALL = """title = "Small"
question = "What?"
guesses = ["This.", "That."]
right = 1
explanation = '''
{NAMES}

The end.
'''
images = 400

[settings]
layers = "784-16-10"
init = "he"
alpha = 0.2
batch_size = 50
epochs = 4

[runs.plain]
says = "as usual"

[runs.high]
says = "much too high"
alpha = 1e30
activation = "leaky-relu"

[[claims]]
check = "plain.test_accuracy > 40%"
says = "More than 40%: {plain.test_accuracy}."

[[claims]]
check = "high.test_accuracy + 5% > plain.test_accuracy"
says = "Nonsense."

[[pictures]]
shows = "plain.upside_down"
says = "Upside down: {plain.upside_down_answer}"

[[curves]]
shows = "plain.accuracy_without"
says = "Fewer and fewer"
"""


def small(folder, *names, text=SMALL, name="small.toml"):
    path = folder / name
    path.write_text(text.replace("{NAMES}", " | ".join(f"{{{each}}}" for each in names)))
    return path


@pytest.fixture(scope="session")
def few(digits):
    """2,000 training and 500 test images, as MNIST has them."""
    return data.Dataset(
        data.Digits(*digits, "train"),
        data.Digits(
            read_idx("t10k-images-idx3-ubyte", 500),
            read_idx("t10k-labels-idx1-ubyte", 500),
            "test",
        ),
        "some of MNIST",
    )


@pytest.fixture(scope="module")
def done(few, tmp_path_factory):
    """A small experiment that names every number of both of its runs."""
    names = [
        f"{run}.{name}" + ("" if number.most is None else "(3)")
        for run in ("plain", "high")
        for name, number in numbers.NUMBERS.items()
    ]
    path = small(tmp_path_factory.mktemp("experiments"), *names)
    return experiments.run(experiments.read(path), 0, few)


def forward(model, images):
    """Probabilities (10, N) by the equations alone, in float64."""
    params = network.layers(model.theta.astype(np.float64), model.sizes)
    return network.forward(params, images.T / 255.0)[0]


def test_the_numbers_are_those_of_the_network(done, few):
    found, plain = done.numbers, done.runs[0]
    A = forward(plain.model, few.test.images)
    answers = A[-1].argmax(axis=0)
    assert found["plain.test_accuracy"] == np.mean(answers == few.test.labels)
    assert found["plain.test_errors"] == np.sum(answers != few.test.labels)
    assert found["plain.share_of_answers(3)"] == np.mean(answers == 3)
    threes = few.test.labels == 3
    assert found["plain.accuracy_of(3)"] == np.mean(answers[threes] == 3)
    assert found["plain.lowest_accuracy_of_a_digit"] <= found["plain.accuracy_of(3)"]
    assert found["plain.most_frequent_answer"] == np.bincount(answers).argmax()
    assert found["plain.answers"] == len(set(answers))
    loss = -np.log(A[-1][few.test.labels, np.arange(500)]).mean()
    assert found["plain.test_loss"] == pytest.approx(loss, rel=1e-5)
    train, labels = few.train.images[:400], few.train.labels[:400]
    of_train = forward(plain.model, train)
    assert found["plain.train_accuracy"] == np.mean(of_train[-1].argmax(axis=0) == labels)
    same = (of_train[1] == of_train[1][:, :1]).all(axis=1)
    assert found["plain.dead_units"] == same.sum()
    assert (found["plain.images"], found["plain.hidden_units"]) == (400, 16)
    assert found["plain.steps"] == plain.history[-1].iteration == 32
    assert found["plain.first_loss"] == plain.history[0].train_loss
    assert found["plain.last_loss"] == plain.history[-1].train_loss
    assert found["plain.highest_loss"] == max(row.train_loss for row in plain.history)
    validation = [row.validation_loss for row in plain.history]
    assert found["plain.lowest_validation_loss"] == min(validation)
    assert found["plain.last_validation_loss"] == validation[-1]
    assert found["plain.largest_output_bias"] == np.abs(plain.model.theta[-10:]).max()
    assert found["plain.different_units"] == 16
    assert found["plain.diverged_at"] is None


def test_the_numbers_of_images_turned_and_units_switched_off(done, few):
    found, plain = done.numbers, done.runs[0]
    turned = few.test.images.reshape(-1, 28, 28)[:, ::-1, ::-1].reshape(-1, 784)
    A = forward(plain.model, turned)[-1]
    assert found["plain.accuracy_upside_down"] == np.mean(A.argmax(axis=0) == few.test.labels)
    assert found["plain.upside_down_answer"] == A[:, 0].argmax()
    assert found["plain.upside_down_probability"] == pytest.approx(A[:, 0].max(), rel=1e-4)
    upright = forward(plain.model, few.test.images[:1])[-1][:, 0]
    assert found["plain.first_test_label"] == 7
    assert found["plain.first_test_answer"] == upright.argmax()
    assert found["plain.first_test_probability"] == pytest.approx(upright.max(), rel=1e-4)
    (W, b), (V, c) = network.layers(plain.model.theta.astype(np.float64), plain.model.sizes)
    hidden = np.maximum(W @ (few.test.images.T / 255.0) + b, 0)
    hidden[:3] = 0
    right = (V @ hidden + c).argmax(axis=0) == few.test.labels
    assert found["plain.accuracy_without(3)"] == right.mean()
    curve = done.as_dict()["curves"][0]
    assert (curve["says"], curve["x"]) == ("Fewer and fewer", list(range(17)))
    assert curve["y"][3] == right.mean()
    assert curve["y"][0] == found["plain.test_accuracy"]
    assert plain.model.theta[0] == W[0, 0]  # the network itself is as it was


def test_a_run_that_diverges_is_part_of_the_result(done):
    high = done.runs[1]
    assert high.diverged_at is not None
    assert done.numbers["high.diverged_at"] == high.diverged_at
    assert np.isfinite(high.model.theta).all()
    assert "training diverged" in high.warnings[-1]
    described = done.as_dict()["runs"][1]
    assert described["diverged_at"] == high.diverged_at
    assert 0 <= described["test_accuracy"] <= 1


def test_words_have_the_numbers_and_claims_are_judged(done):
    result = done.as_dict()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    paragraph, end = result["explanation"]
    assert end == "The end."
    assert paragraph.split(" | ") == list(result["texts"].values())[: len(numbers.NUMBERS) * 2]
    share = 100 * done.numbers["plain.test_accuracy"]
    assert result["texts"]["plain.test_accuracy"] == f"{share:.1f}%"
    first, second = result["claims"]
    assert first == {
        "says": f"More than 40%: {share:.1f}%.",
        "check": "plain.test_accuracy > 40%",
        "found": f"{share:.1f}% > 40.0%",
        "holds": True,
    }
    total = 100 * done.numbers["high.test_accuracy"] + 5
    assert second["found"] == f"{total:.1f}% > {share:.1f}%"
    assert second["holds"] is False
    assert [claim.says for claim in done.failed] == ["Nonsense."]
    (picture,) = result["pictures"]
    upside_down = np.frombuffer(base64.b64decode(picture["pixels"]), np.uint8)
    first_test = read_idx("t10k-images-idx3-ubyte", 1)[0]
    np.testing.assert_array_equal(
        upside_down.reshape(28, 28), first_test.reshape(28, 28)[::-1, ::-1]
    )


def test_two_runs_are_shown_side_by_side(done, few):
    answers = [forward(run.model, few.test.images)[-1].argmax(axis=0) for run in done.runs[:1]]
    beside = done.as_dict()["beside"]
    assert beside["accuracies"][0] == np.mean(answers[0] == few.test.labels)
    assert sum(beside["counts"].values()) == beside["images"] == 500
    assert len(beside["shown"]) == min(20, beside["different"])
    for shown in beside["shown"]:
        assert shown["answers"][0] == answers[0][shown["index"]] != shown["answers"][1]
        assert shown["label"] == few.test.labels[shown["index"]]
        assert base64.b64decode(shown["pixels"]) == few.test.images[shown["index"]].tobytes()


def test_callbacks_see_every_run_and_a_stop_ends_it(few, tmp_path):
    experiment = experiments.read(small(tmp_path, "plain.test_accuracy"))
    stop, seen = Stop(), []

    class See(Callback):
        def __init__(self, name):
            self.name = name

        def row(self, row, theta):
            seen.append((self.name, row.iteration))
            if self.name == "plain" and row.iteration == 16:
                stop.interrupt("a button")

    with pytest.raises(StoppedError, match="stopped by a button after iteration 16"):
        experiments.run(experiment, 0, few, lambda name: [See(name)], stop)
    assert seen == [("plain", 1), ("plain", 8), ("plain", 16)]


def test_the_seed_decides(few, tmp_path):
    experiment = experiments.read(small(tmp_path, "plain.test_loss"))
    first, again, other = (experiments.run(experiment, seed, few).numbers for seed in (1, 1, 2))
    assert first == again != other


def test_settings_that_do_not_fit_the_images_are_said_with_the_run(few, tmp_path):
    text = SMALL.replace("alpha = 1e30", "batch_size = 401")
    experiment = experiments.read(small(tmp_path, "plain.test_loss", text=text))
    with pytest.raises(DataError, match=r"small.toml: \[runs.high\] --batch-size 401 is more than"):
        experiments.run(experiment, 0, few)


@pytest.mark.parametrize(
    ("count", "has_test", "has_validation", "parts"),
    [
        (2000, True, False, (400, 200, 500)),
        (300, True, False, (270, 30, 500)),
        (300, False, False, (270, 30, 30)),
        (300, True, True, (300, 500, 500)),
    ],
)
def test_other_sets_have_a_validation_and_a_test_too(
    few, tmp_path, count, has_test, has_validation, parts
):
    """An experiment may be run on any set, with any settings."""
    train = replace(few.train, images=few.train.images[:count], labels=few.train.labels[:count])
    validation = few.test if has_validation else None
    given = data.Dataset(train, few.test if has_test else None, "mine", validation)
    experiment = experiments.read(small(tmp_path, "plain.test_accuracy"))
    plain, high = (
        run._replace(settings=run.settings.changed(validation=50)) for run in experiment.runs
    )
    result = experiments.run(replace(experiment, runs=(plain, high)), 0, given)
    seen = result.runs[0].dataset
    assert tuple(map(len, (seen.train, seen.validation, seen.test))) == parts
    if not has_validation:  # no image is in both
        np.testing.assert_array_equal(seen.validation.images, train.images[-parts[1] :])
    assert result.as_dict()["beside"]["images"] == parts[2]


def test_check_says_what_does_not_hold(few, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda: few)
    path = small(tmp_path, "plain.test_loss")
    (sentence,) = experiments.check(path, seeds=[0])
    assert sentence.startswith(f"{path}: with seed 0 this does not hold: Nonsense. (high.test_acc")
    good = small(tmp_path, "plain.test_loss", text=SMALL.replace("+ 5% >", "+ 5% <"))
    assert experiments.check(good, seeds=[0, 1]) == []
    monkeypatch.setattr(running, "MOST_SECONDS", 0.0)
    (sentence,) = experiments.check(good, seeds=[0])
    assert "s with seed 0, and may take 0; give it fewer images, epochs or units" in sentence


@pytest.mark.parametrize(
    ("value", "kind", "english", "german"),
    [
        (0.114, "share", "11.4%", "11,4\N{NO-BREAK SPACE}%"),
        (12345, "count", "12,345", "12\N{NARROW NO-BREAK SPACE}345"),
        (7, "digit", "7", "7"),
        (0.25, "decimal", "0.250", "0,250"),
        (0.0, "decimal", "0.000", "0,000"),
        (12345.6, "decimal", "12,346", "12\N{NARROW NO-BREAK SPACE}346"),
        (None, "count", "none", "keine"),
    ],
)
def test_numbers_are_written_as_each_language_does(value, kind, english, german):
    assert numbers.written(value, kind, "en") == english
    assert numbers.written(value, kind, "de") == german


@pytest.fixture(scope="session")
def mnist():
    return data.load()


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "seed"), RUNS)
def test_every_claim_holds_and_the_words_have_the_numbers_of_the_run(experiment, seed, mnist):
    begun = time.process_time()
    result = experiments.run(experiment, seed, mnist)
    # seconds of processors, since other programs may run meanwhile
    assert time.process_time() - begun < running.MOST_SECONDS
    shown = result.as_dict()
    assert [each for each in shown["claims"] if not each["holds"]] == []
    words = " ".join(shown["explanation"])
    assert "{" not in words
    for run in result.runs:
        answers = forward_of(run, mnist)
        accuracy = np.mean(answers == mnist.test.labels)
        name = experiment.runs[result.runs.index(run)].name
        if f"{name}.test_accuracy" in result.texts:
            assert result.numbers[f"{name}.test_accuracy"] == pytest.approx(accuracy, abs=5e-4)
            assert result.texts[f"{name}.test_accuracy"] in words
    assert all(picture["pixels"] for picture in shown["pictures"])


def forward_of(run, mnist):
    """Answers to the test images by the equations alone."""
    scale = 255.0 if run.test.images.dtype == np.uint8 else 1.0
    params = network.layers(run.model.theta, run.model.sizes)
    value = numbers.ACTIVATIONS[run.settings.activation].value
    X = (mnist.test.images.T / scale).astype(np.float32)
    return network.forward(params, X, value)[0][-1].argmax(axis=0)


@pytest.mark.slow
def test_the_example_for_teachers_is_the_one_of_the_page_and_holds(mnist):
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    text = EXAMPLE.read_text(encoding="utf-8")
    assert text in page
    experiment = experiments.read(EXAMPLE)
    for seed in range(3):
        assert experiments.run(experiment, seed, mnist).failed == []


def test_the_example_for_teachers_can_be_read():
    assert experiments.read(EXAMPLE).name == "another-seed"
    assert len(SHIPPED) == len([path for path in HERE.glob("*.toml") if ".de." not in path.name])
    names = [int(path.name[:2]) for path in sorted(HERE.glob("??-*.toml")) if "." not in path.stem]
    assert names == list(range(1, len(SHIPPED) + 1))
    for path in HERE.glob("*.toml"):
        tomllib.loads(path.read_text(encoding="utf-8"))
