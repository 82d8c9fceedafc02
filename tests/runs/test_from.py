"""Training that begins with a trained network: other data, other classes, layers that stay."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers import runs
from helpers.mnist import read_idx

import mnistgpu
from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine.cpu import process_group
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import Note
from mnistgpu.settings import Settings

LAYERS = "784-16-12-10"
FIRST = {"layers": LAYERS, "init": "he", "batch_size": 50, "epochs": 8, "alpha": 0.1}


@pytest.fixture(scope="module")
def digits():
    """1,500 labelled images."""
    return read_idx("train-images-idx3-ubyte", 1500), read_idx("train-labels-idx1-ubyte", 1500)


@pytest.fixture(scope="module")
def first(digits, tmp_path_factory):
    """The directory of a run on 900 of them, centred and with batch normalisation."""
    path = tmp_path_factory.mktemp("runs") / "first"
    images, labels = digits
    mnistgpu.fit(
        images[:900], labels[:900], **FIRST, center=True, batch_norm=True, min_ink=0.01, out=path
    )
    return path


@pytest.fixture(scope="module")
def source(first):
    return mnistgpu.load(first)


@pytest.mark.parametrize("center", [False, True])
def test_it_begins_with_the_network_as_it_answers(digits, first, source, center):
    images, labels = digits[0][900:], digits[1][900:]
    run = mnistgpu.fit(
        images, labels, from_run=first, alpha=1e-9, epochs=None, iterations=1, center=center
    )
    assert run.settings.layers == LAYERS
    assert np.allclose(run.model.trained.theta, source.trained.theta, atol=1e-5)
    assert np.allclose(run.model.predict_proba(images), source.predict_proba(images), atol=1e-5)


def test_it_takes_over_the_settings_of_the_run_or_those_of_a_recipe(digits, first):
    images, labels = digits[0][900:], digits[1][900:]
    run = mnistgpu.fit(images, labels, from_run=first, epochs=1)
    assert (run.settings.batch_size, run.settings.learning_rate) == (50, 0.1)
    assert not run.settings.batch_norm
    assert run.settings.min_ink == 0
    assert run.settings.from_run == str(first)
    run = mnistgpu.fit(images, labels, from_run=first, recipe="fast", batch_size=50)
    assert (run.settings.optimizer, run.settings.layers) == ("adam", LAYERS)
    assert run.settings.center


def test_a_little_training_on_new_writing_helps(digits, source):
    """Digits on their heads: after one epoch better than the network, and than a new one."""
    images = digits[0].reshape(-1, 28, 28)[:, ::-1, ::-1].reshape(-1, 784)
    labels = digits[1]
    there = {"batch_size": 20, "epochs": 2, "alpha": 0.02, "center": False, "validation": 0}
    tuned = mnistgpu.fit(images[:900], labels[:900], from_run=source, **there)
    new = mnistgpu.fit(images[:900], labels[:900], layers=LAYERS, init="he", **there)
    was, tuned, new = (
        each.evaluate(images[900:], labels[900:]).accuracy
        for each in (source, tuned.model, new.model)
    )
    assert tuned > max(was, new) + 0.05


def test_other_classes_get_a_new_last_layer_and_it_is_said(digits, first, source):
    images, labels = digits
    some = labels < 3
    names = np.array(["zero", "one", "two"])[labels[some]]
    with pytest.warns(Note) as said:
        run = mnistgpu.fit(images[some], names, from_run=first, freeze=2, epochs=20, center=False)
    assert [str(each.message) for each in said] == [
        "the layers are 784-16-12-3, since the images have 28x28 pixels and 3 classes",
        "the last layer is new, since the classes are one, two, zero; those of "
        f"{first} are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
    ]
    assert run.model.sizes == (784, 16, 12, 3)
    for (W, b), (V, c) in zip(run.model.layers[:2], source.layers[:2], strict=True):
        assert np.array_equal(W, V)
        assert np.array_equal(b, c)
    assert run.model.evaluate(images[some], names).accuracy > 0.8


def test_fewer_numbers_are_other_classes(digits, first):
    some = digits[1] < 3
    with pytest.warns(Note) as said:
        run = mnistgpu.fit(
            *(digits[0][some], digits[1][some]),
            from_run=first,
            layers="784-16-12-3",
            iterations=1,
            batch_size=None,
        )
    (sentence,) = [text for each in said if "last layer" in (text := str(each.message))]
    assert "since the classes are 0, 1, 2; those of" in sentence
    assert run.model.sizes == (784, 16, 12, 3)


def test_more_numbers_are_other_classes(digits, tmp_path):
    images, labels = digits[0][:60], digits[1][:60]
    step = {"iterations": 1, "batch_size": None, "validation": 0, "alpha": 1e-9}
    few = labels < 3
    before = mnistgpu.fit(images[few], labels[few], out=tmp_path, layers="784-8-3", **step).model
    with pytest.warns(UserWarning, match="the classes are 0, 1, 2, .* 9; those of .* are 0, 1, 2$"):
        after = mnistgpu.fit(images, labels, from_run=tmp_path, layers="784-8-10", **step).model
    assert after.sizes == (784, 8, 10)
    np.testing.assert_allclose(after.layers[0][0], before.layers[0][0], atol=1e-6)


@pytest.mark.parametrize("hidden", ["8", "9-8-7"])
def test_a_new_last_layer_of_a_network_of_any_depth(digits, tmp_path, hidden):
    images, labels = digits[0][:60], digits[1][:60]
    step = {"iterations": 1, "batch_size": None, "validation": 0}
    before = mnistgpu.fit(images, labels, out=tmp_path, layers=f"784-{hidden}-10", **step).model
    letters, kept = np.array(list("abcdefghij"))[labels], hidden.count("-") + 1
    with pytest.warns(UserWarning, match="the last layer is new"):
        after = mnistgpu.fit(images, letters, from_run=tmp_path, freeze=kept, **step).model
    assert after.sizes == before.sizes
    for (W, b), (V, c) in zip(before.layers[:-1], after.layers[:-1], strict=True):
        assert np.array_equal(W, V)
        assert np.array_equal(b, c)
    assert not np.allclose(before.layers[-1][0], after.layers[-1][0], atol=0.01)


def test_as_many_other_classes_get_a_new_last_layer_too(digits, first, source):
    images, labels = digits
    letters = np.array(list("abcdefghij"))[labels]
    with pytest.warns(UserWarning, match="the last layer is new"):
        run = mnistgpu.fit(images, letters, from_run=first, alpha=1e-9, iterations=1, freeze=2)
    assert run.model.sizes == source.sizes
    assert not np.allclose(run.model.layers[-1][0], source.layers[-1][0], atol=0.01)


KINDS = {
    "plain": {},
    "momentum": {"optimizer": "momentum", "weight_decay": 0.01},
    "adam": {"optimizer": "adam", "alpha": 0.01, "l2": 0.01, "clip_norm": 0.5},
    "limited": {"optimizer": "nesterov", "max_norm": 0.8, "input_noise": 0.1},
    "averaged": {"ema": 0.9, "hidden_dropout": 0.1},
    "centred": {"center": True, "ema": 0.9},
}


class Untouched(mnistgpu.Callback):
    """Whether the frozen parameters are those of the beginning after every step."""

    def begin(self, trainer, progress, stop):
        self.all, self.first = True, trainer.theta[: trainer.frozen].copy()

    def step(self, trainer, progress):
        trainer.collect("theta")
        self.all &= np.array_equal(trainer.theta[: trainer.frozen], self.first)


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_layers_stay_to_the_bit(digits, source, kind):
    images, labels = digits[0][900:], digits[1][900:]
    settings = {"center": False, **KINDS[kind]}
    seen = Untouched()
    how = {"from_run": source, "freeze": 1, "epochs": 2, "callbacks": [seen], **settings}
    run = mnistgpu.fit(images, labels, **how)
    assert seen.all  # also while it learns
    layers = list(zip(run.model.layers, source.layers, strict=True))
    same = [np.array_equal(W, V) and np.array_equal(b, c) for (W, b), (V, c) in layers]
    assert same == [True, False, False]


class StopAt(mnistgpu.Callback):
    def __init__(self, steps):
        self.steps = steps

    def begin(self, trainer, progress, stop):
        self.stop = stop

    def step(self, trainer, progress):
        if trainer.taken == self.steps:
            self.stop.interrupt("the test")


@pytest.mark.parametrize("settings", [{"freeze": 1}, {"optimizer": "adam", "alpha": 0.01}])
def test_it_is_resumed_to_the_same_bits_without_the_network_it_began_with(
    digits, first, tmp_path, settings
):
    images, labels = digits[0][900:], digits[1][900:]
    shutil.copytree(first, tmp_path / "source")
    how = {"from_run": tmp_path / "source", "epochs": 4, **settings}
    whole = mnistgpu.fit(images, labels, **how)
    with pytest.raises(mnistgpu.StoppedError):
        mnistgpu.fit(images, labels, **how, out=tmp_path / "run", callbacks=[StopAt(7)])
    shutil.rmtree(tmp_path / "source")
    done = mnistgpu.resume(tmp_path / "run", images, labels)
    assert np.array_equal(done.model.trained.theta, whole.model.trained.theta)
    record = json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]
    assert record["from_run"] == str(tmp_path / "source")
    assert record["freeze"] == settings.get("freeze", 0)


@pytest.mark.skipif(not process_group.is_possible(), reason="no forked processes compute here")
@pytest.mark.parametrize("batch_size", [64, None])
@pytest.mark.parametrize("freeze", [0, 1, 2])
def test_processes_take_the_same_steps(digits, source, batch_size, freeze):
    """By their units in small batches, by their images in full ones."""
    rows = np.arange(3000) % len(digits[1])
    train = data.Digits(digits[0][rows], digits[1][rows], "digits")
    settings = Settings(
        layers=LAYERS,
        batch_size=batch_size,
        iterations=100,
        optimizer="momentum",
        learning_rate=0.05,
        from_run="first",
        freeze=freeze,
    )
    start, found = source.trained.theta, []
    for count in (1, 2):
        trainer = Trainer(settings, train, NUMPY, 2, start=start)
        with trainer.engine.running(), stepping(trainer, pytest.fail, count) as step:
            while trainer.taken < 6:
                step(most=1)
            found.append(trainer.vectors()["theta"])
    assert np.allclose(*found, atol=1e-6)
    kept = trainer.frozen
    assert (found[1][:kept] == start[:kept]).all()
    assert not (found[1][kept:] == start[kept:]).all()


@pytest.mark.gpu
def test_a_gpu_tunes_as_numpy_does(digits, source):
    cupy = pytest.importorskip("cupy", reason="CuPy is missing")
    if not cupy.is_available():
        pytest.skip("no GPU")
    images, labels = digits[0][900:], digits[1][900:]
    found = [
        mnistgpu.fit(
            images, labels, from_run=source, freeze=1, epochs=2, backend=backend, center=False
        )
        for backend in ("numpy", "cupy")
    ]
    thetas = [run.model.trained.theta for run in found]
    kept = 784 * 16 + 16
    assert np.array_equal(thetas[1][:kept], source.trained.theta[:kept])
    assert np.allclose(*thetas, atol=1e-4)


WRONG = [
    ({"layers": "784-32-10"}, "--layers 784-32-10 does not fit --from"),
    ({"activation": "tanh"}, "--activation tanh does not fit --from .* was trained with relu"),
    ({"batch_norm": True}, "--batch-norm cannot be given with --from"),
    ({"min_ink": 0.1}, "--min-ink cannot be given with --from"),
    ({"precision": "exact"}, "--precision exact cannot be given with --from"),
    ({"freeze": 3}, "--freeze 3 leaves no layer to train: the network has 3"),
    ({"freeze": -1}, "--freeze must be a whole number"),
]


@pytest.mark.parametrize(("settings", "sentence"), WRONG)
def test_what_does_not_fit_is_refused(digits, first, tmp_path, settings, sentence):
    with pytest.raises(mnistgpu.UsageError, match=sentence):
        mnistgpu.fit(*digits, from_run=first, **settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_images_of_another_size_and_committees_are_refused(first, source):
    images = np.zeros((200, 8, 8), np.uint8)
    images[:, 2:5, 3] = 255
    with pytest.raises(
        mnistgpu.UsageError, match=r"reads images of 28x28 pixels, but those of arrays"
    ):
        mnistgpu.fit(images, np.arange(200) % 2, from_run=first)
    together = mnistgpu.committee([source, replace(source.trained)])
    with pytest.raises(mnistgpu.UsageError, match="a committee has no layers of its own"):
        mnistgpu.fit(images, np.arange(200) % 2, from_run=together)
    with pytest.raises(mnistgpu.UsageError, match="--freeze keeps layers of a trained network"):
        mnistgpu.fit(images, np.arange(200) % 2, freeze=1)


def test_the_command_line(first, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    runs.write_small_set(small)
    out = tmp_path / "tuned"
    flags = ["--from", first, "--freeze", "1", "--data", small, "--epochs", "1"]
    done = runs.run_here(*flags, "--out", out)
    assert done.returncode == 0, done.stderr
    digest = mnistgpu.load(first).trained.digest[:16]
    line = f"from      {first}, digest {digest}; the first 1 of its layers stay as they are"
    assert line in done.stdout
    done = runs.run_here("--resume", out, "--from", "shipped")
    assert done.returncode == 2
    assert "--from" in runs.one_sentence(done.stderr)
    done = runs.run_here("--from", tmp_path / "nothing", "--data", small, "--out", tmp_path / "x")
    assert done.returncode == 1
    assert "nothing: no model here" in runs.one_sentence(done.stderr).replace("/model.safe", ": ")


def test_a_learning_rate_is_found_for_it_and_a_sweep_takes_it(digits, first, tmp_path):
    images, labels = digits[0][900:], digits[1][900:]
    turned = images.reshape(-1, 28, 28).swapaxes(1, 2)
    known = mnistgpu.lr_find(turned, labels, from_run=first, steps=60)
    new = mnistgpu.lr_find(turned, labels, layers=LAYERS, init="he", batch_size=50, steps=60)
    assert known.losses[0] != pytest.approx(new.losses[0], rel=0.1)
    done = mnistgpu.sweep(
        images, labels, from_run=str(first), freeze=[0, 1], epochs=1, out=tmp_path / "s"
    )
    assert [run.settings.freeze for run in done] == [0, 1]
