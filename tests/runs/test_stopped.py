"""A run that is not finished is of use: every command takes the network of its checkpoint."""

import shutil

import numpy as np
import pytest
from helpers import runs
from helpers.command import run as command

import mnistgpu
from mnistgpu.api import unlabeled
from mnistgpu.data import load
from mnistgpu.runs import checkpoint, stopped
from mnistgpu.runs.events import Events

PLAIN = {"layers": "784-12-10", "init": "he", "batch_size": 90, "epochs": 4, "validation": 0}
CASES = {
    "plain": {},
    "centred, few pixels": {"center": True, "min_ink": 0.1},
    "batch norm": {"batch_norm": True, "optimizer": "adam", "alpha": 0.01},
    "average": {"ema": 0.9},
}


class StopAfter(mnistgpu.Callback):
    """Interrupts a run after some steps."""

    def __init__(self, steps):
        self.steps = steps

    def begin(self, trainer, progress, stop):
        self.stop, self.trainer = stop, trainer

    def step(self, trainer, progress):
        if trainer.taken == self.steps:
            self.stop.interrupt("a test")


def stop(data, path, steps=13, **settings):
    """A run that is stopped, and the parameters to predict with that it had then."""
    stopping = StopAfter(steps)
    with pytest.raises(mnistgpu.StoppedError):
        mnistgpu.fit(data, out=path, callbacks=[stopping], **PLAIN | settings)
    return stopping.trainer.plain()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """900 training and 300 test images."""
    return runs.write_small_set(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("case", CASES)
def test_the_network_is_that_of_the_last_step(data, tmp_path, case):
    theta = stop(data, tmp_path / "run", **CASES[case])
    with pytest.warns(UserWarning, match=r"run: not finished; .* after 13 of 40 iterations$"):
        model = mnistgpu.load(tmp_path / "run")
    assert np.array_equal(model.trained.theta, theta)
    _, rows, _ = stopped.read(tmp_path / "run", load, unlabeled.complete)
    assert [row.iteration for row in rows] == [1, 10]


class Best(mnistgpu.Callback):
    """Keeps the network with the highest validation accuracy; of equal ones, the lowest loss."""

    score = (-1.0, 0.0)

    def row(self, row, theta):
        score = (row.validation_accuracy, -row.validation_loss)
        if score > self.score:
            self.score, self.theta = score, theta.copy()


def test_with_early_stopping_it_is_the_best_network_so_far(data, tmp_path):
    stopping, best = StopAfter(25), Best()
    with pytest.raises(mnistgpu.StoppedError):
        mnistgpu.fit(
            data,
            out=tmp_path / "run",
            callbacks=[stopping, best],
            early_stopping=9,
            **PLAIN | {"validation": 200},
        )
    with pytest.warns(UserWarning, match="not finished"):
        model = mnistgpu.load(tmp_path / "run")
    assert np.array_equal(model.trained.theta, best.theta)
    assert not np.array_equal(model.trained.theta, stopping.trainer.plain())


def test_a_finished_run_is_none_of_these(data, tmp_path):
    mnistgpu.fit(data, out=tmp_path / "run", **PLAIN)
    assert not stopped.is_stopped(tmp_path / "run")
    assert not stopped.is_stopped(tmp_path)


def test_data_that_are_gone_or_others_are_refused(data, tmp_path):
    digits = load(data).train
    with pytest.raises(mnistgpu.StoppedError):
        mnistgpu.fit(
            digits.images, digits.labels, out=tmp_path / "run", callbacks=[StopAfter(3)], **PLAIN
        )
    with pytest.raises(mnistgpu.DataError, match="a run that is not finished, and embedded MNIST"):
        mnistgpu.load(tmp_path / "run")


def test_data_that_have_changed_are_refused(data, tmp_path):
    for number, (before, after) in enumerate([(0, 1), (1, 0)]):
        used = shutil.copytree(data, tmp_path / f"data-{number}")
        labels = used / "train-labels-idx1-ubyte"
        whole = labels.read_bytes()
        contents = whole, whole[:-1] + bytes([(whole[-1] + 1) % 10])
        labels.write_bytes(contents[before])
        stop(used, tmp_path / f"run-{number}", steps=2)
        labels.write_bytes(contents[after])
        with pytest.raises(mnistgpu.DataError, match="is not what it is trained on"):
            mnistgpu.load(tmp_path / f"run-{number}")


def test_a_network_with_an_output_for_each_label_that_there_is(tmp_path):
    """Its labels have other numbers than those in the files."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 28, 28)).astype(np.uint8)
    np.savez(tmp_path / "some.npz", x_train=images, y_train=np.arange(60) % 2 * 4 + 3)
    theta = stop(tmp_path / "some.npz", tmp_path / "run", 3, layers="784-12-2", batch_size=20)
    with pytest.warns(UserWarning, match="after 3 of 12 iterations"):
        model = mnistgpu.load(tmp_path / "run")
    assert np.array_equal(model.trained.theta, theta)
    assert set(model.predict(images)) <= {3, 7}


@pytest.mark.slow
def test_every_command_takes_it(data, tmp_path):
    path, table = tmp_path / "run", tmp_path / "test.csv"
    process = runs.begun(path, "--data", data, "--layers", "784-12-10", "--iterations", runs.LONG)
    try:
        images = load(data).test.images[:5]
        header = ",".join(f"pixel{i}" for i in range(784))
        np.savetxt(table, images, "%d", ",", header=header, comments="")
        photo = runs.ROOT / "tests" / "golden" / "photo-7.jpg"
        for arguments, printed in (
            (["predict", path, photo], ": "),
            (["evaluate", path, "--data", data], "accuracy "),
            (["plot", path, "--data", data, "--out", tmp_path / "p.png"], "p.png"),
            (["submit", path, table, "--out", tmp_path / "s.csv"], "5 answers"),
            (["compare", path, "shipped", "--data", data], "McNemar"),
        ):
            done = command(*arguments)
            assert done.returncode == 0, done.stderr
            assert printed in done.stdout
            assert f"warning: {path}: not finished; its network is that after " in done.stderr
            assert f" of {runs.LONG:,} iterations" in done.stderr
        assert process.poll() is None  # it is still going
    finally:
        process.kill()
        process.communicate()
    assert checkpoint.load(path).taken > 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"iterations": 20_000}, "after 7 of 20,000 iterations"),
        ({"epochs": 2, "batch_size": 30, "validation": 100}, "after 7 of 54 iterations"),
        ({"epochs": 2, "validation": 0}, "after 7 of 2 iterations"),
    ],
)
def test_how_far_a_run_is(small_set, changes, sentence):
    """800 images are left of 900, in 27 batches of 30."""
    settings = mnistgpu.Settings(**changes)
    assert stopped.of_run(7, Events(settings), load(small_set)) == sentence
    known = settings.epochs is None
    assert stopped.of_run(7, Events(settings), None) == (
        sentence if known else "after 7 iterations"
    )
