"""What a run records, and when: the right figures, not only plausible ones."""

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.resuming import SMALL, saving_in, stopped

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine import inference
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import RunError, UsageError
from mnistgpu.runs import (
    checkpoint,
    checkpointing,
    health,
    lr_finder,
    outcome,
    resume,
    training,
    watching,
)
from mnistgpu.runs.callbacks import Callback, EarlyStopping
from mnistgpu.runs.checkpointing import Checkpointing, Every
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.stop import Stop


def test_every_row_has_the_rate_of_its_step(dataset):
    settings = SMALL.changed(
        iterations=9, batch_size=None, learning_rate=0.4, schedule="linear", validation=0
    )
    rows = training.train(settings, dataset, NUMPY).history
    assert [row.iteration for row in rows] == list(range(1, 10))
    expected = [0.4, 0.4 * 8 / 9, 0.4 * 7 / 9, 0.4 * 6 / 9, 0.4 * 5 / 9]
    assert [row.learning_rate for row in rows[:5]] == pytest.approx(expected)
    assert rows[8].learning_rate == pytest.approx(0.4 / 9)


def test_each_accuracy_is_of_its_own_images(dataset):
    """After many epochs the images trained on are known by heart, and the others are not."""
    settings = SMALL.changed(epochs=40, batch_size=50, learning_rate=0.5, validation=300)
    outcome = training.train(settings, dataset, NUMPY)
    trained_on, held_out = data.split(dataset.train, 300, settings.seed)
    found = {
        name: float(np.mean(outcome.model.predict(digits.images) == digits.labels))
        for name, digits in (
            ("train_accuracy", trained_on),
            ("validation_accuracy", held_out),
            ("test_accuracy", dataset.test),
        )
    }
    assert len(set(found.values())) == 3
    assert found["train_accuracy"] > found["validation_accuracy"] + 0.05
    assert {name: outcome.results[name] for name in found} == pytest.approx(found)
    assert outcome.history[-1].validation_accuracy == found["validation_accuracy"]


def test_a_resumed_run_counts_the_time_before(dataset, tmp_path):
    saved = stopped(SMALL, dataset, tmp_path, 10)
    earlier = replace(saved.progress, seconds=1000.0)
    outcome = training.train(SMALL, dataset, NUMPY, resumed=replace(saved, progress=earlier))
    assert [row.iteration for row in outcome.history if row.seconds > 1000.0] == [16, 24]
    assert 1000.0 < outcome.results["seconds"] < 1100.0
    assert outcome.results["images_per_second"] < 2.4  # of 24 steps of 100 images


def test_speed_counts_the_images_of_the_whole_run(dataset):
    begun = time.perf_counter()
    results = training.train(SMALL, dataset, NUMPY).results  # 3 epochs of 800 images
    assert 0 < results["seconds"] <= time.perf_counter() - begun
    assert results["images_per_second"] * results["seconds"] == pytest.approx(2400)
    assert results["iterations"] == 24


class Workers(Callback):
    """Keeps how many workers were asked for."""

    def begin(self, trainer, progress, stop):
        self.asked_for = trainer.workers


def test_a_resumed_run_has_the_workers_of_its_beginning(dataset, tmp_path):
    """Sums over other shares round differently, even where fewer cores are left to this process."""
    saved, seen = replace(stopped(SMALL, dataset, tmp_path, 10), workers=7), Workers()
    training.train(SMALL, dataset, NUMPY, [seen], resumed=saved)
    assert seen.asked_for == 7
    assert resume.workers(saved, NUMPY, None) == 7
    assert resume.workers(saved, NUMPY, 2) is None  # of two ranks
    elsewhere = replace(saved, machine=saved.machine | {"device": "an abacus"})
    assert resume.workers(elsewhere, NUMPY, None) is None
    assert resume.workers(None, NUMPY, None) is None
    exact = replace(saved, settings=saved.settings.changed(precision="exact"))
    assert resume.workers(exact, NUMPY, None) is None  # whose sums are not rounded


def test_five_seconds_lie_between_checkpoints(tmp_path, monkeypatch):
    """Steps take a second each, on a clock that only this test moves."""
    clock, saved = SimpleNamespace(now=100.0), []
    monkeypatch.setattr(checkpointing, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(checkpoint, "of", lambda trainer, *rest: trainer.taken)
    monkeypatch.setattr(checkpoint, "save", lambda taken, path: saved.append(taken))
    saving = Checkpointing(tmp_path, None, "", Every(seconds=5.0))
    trainer = SimpleNamespace(taken=0, communicator=None, gathered=True)
    saving.begin(trainer, Progress(), Stop())
    for step in range(1, 21):
        clock.now, trainer.taken = clock.now + 1.0, step
        saving.step(trainer, Progress())
    assert saved == [5, 10, 15, 20]


def test_the_best_of_equal_accuracies_has_the_smaller_loss():
    """And patience is counted from the epoch of the best."""
    progress, stop, kept = Progress(), Stop(), EarlyStopping(2)
    kept.begin(SimpleNamespace(backend=NUMPY), progress, stop)
    scores = [(0.90, 0.40), (0.95, 0.30), (0.95, 0.20), (0.95, 0.25), (0.94, 0.10)]
    for epoch, (accuracy, loss) in enumerate(scores, 1):
        assert not stop.finishing
        row = Row(8 * epoch, float(epoch), 0.0, 0.0, 0.0, loss, accuracy, 0.1)
        kept.row(row, np.full(3, float(epoch)))
    assert stop.finishing
    assert progress.best_theta.tolist() == [3.0, 3.0, 3.0]
    assert (progress.best_epoch, progress.best_score) == (3.0, (0.95, -0.20))


def test_the_rate_suggested_is_a_third_of_the_best(dataset):
    """Of rates that grow by one factor, from the lowest on."""
    curve = lr_finder.find(SMALL.changed(validation=0), dataset, NUMPY, 1e-4, 100.0, 61)
    factors = np.divide(curve.rates[1:], curve.rates[:-1])
    np.testing.assert_allclose(factors, 10 ** (6 / 60))
    assert curve.rates[0] == pytest.approx(1e-4)
    assert curve.suggestion == pytest.approx(curve.rates[int(np.argmin(curve.losses))] / 3)


@pytest.mark.parametrize(
    ("rates", "said"), [((1e-3, 1e-2), "the loss only falls"), ((90.0, 1e4), "the loss only grows")]
)
def test_rates_beyond_which_a_better_one_may_be(dataset, rates, said):
    with pytest.raises(RunError, match=f"{said} from a learning rate of {rates[0]:.2g} to"):
        lr_finder.find(SMALL.changed(validation=0, batch_size=None), dataset, NUMPY, *rates, 20)


def test_the_last_checkpoint_of_a_stopped_run_is_named(dataset, tmp_path):
    saving = saving_in(tmp_path, dataset)
    assert saving.kept() == "no checkpoint of this run was written yet"
    training.train(SMALL, dataset, NUMPY, [saving])
    path = tmp_path / checkpoint.FILE
    assert saving.kept() == f"{path} keeps the run as it was after iteration 24"
    path.unlink()
    assert saving.kept() == "no checkpoint of it is left"


def test_early_stopping_leaves_the_best_network(dataset):
    """That of the row with the best score, which is not the last row."""
    settings = SMALL.changed(epochs=60, batch_size=50, learning_rate=1.5, early_stopping=3)
    kept = Thetas()
    outcome = training.train(settings, dataset, NUMPY, [kept])
    scores = [(row.validation_accuracy, -row.validation_loss) for row in outcome.history]
    best = scores.index(max(scores))
    assert best < len(scores) - 1
    assert np.array_equal(outcome.model.theta, kept.thetas[best])
    assert not np.array_equal(outcome.model.theta, kept.thetas[-1])


class Thetas(Callback):
    """Keeps the parameters of every row."""

    def __init__(self):
        self.thetas = []

    def row(self, row, theta):
        self.thetas.append(theta.copy())


@pytest.mark.parametrize(
    ("changes", "iterations"),
    [
        ({"iterations": 19}, [1, 8, 16, 19]),
        ({"iterations": 16}, [1, 8, 16]),
        ({"iterations": 120, "batch_size": None}, [1, *range(2, 121, 2)]),
    ],
)
def test_the_last_step_has_a_row(dataset, changes, iterations):
    """Whether or not it ends an epoch; full batches have a row for each fiftieth of the run."""
    rows = training.train(SMALL.changed(**changes), dataset, NUMPY).history
    assert [row.iteration for row in rows] == iterations


def test_a_run_may_end_where_it_is_but_not_before(dataset, tmp_path):
    saved = stopped(SMALL, dataset, tmp_path, 20)
    resume.check_length(saved, 20)
    with pytest.raises(UsageError, match="has taken 20 steps, more than the 19 now asked for"):
        resume.check_length(saved, 19)


def test_the_losses_of_the_search_begin_at_the_loss(dataset):
    """The smoothed loss is corrected for the steps that it lacks: the first is the loss itself."""
    settings = SMALL.changed(validation=0)
    curve = lr_finder.find(settings, dataset, NUMPY, 1e-4, 100.0, 61)
    first = Trainer(settings, dataset.train, NUMPY).step(1e-4)
    assert curve.losses[0] == pytest.approx(float(first[0]) / first[2], rel=1e-5)


def test_the_first_digit_of_each_class_is_watched(dataset):
    """Of the test set, or of the training set where there is no other."""
    for watched, digits in (
        (dataset, dataset.test),
        (data.Dataset(dataset.train, None, "no test"), dataset.train),
    ):
        seen = watching.Snapshots.of(watched)
        assert seen.labels.tolist() == list(range(10))
        for label, image in zip(seen.labels, seen.images, strict=True):
            first = digits.labels.tolist().index(label)
            np.testing.assert_array_equal(image, digits.images[first])


def test_the_loss_of_the_results_is_that_of_the_last_row(dataset):
    outcome = training.train(SMALL, dataset, NUMPY)
    losses = [row.train_loss for row in outcome.history]
    assert outcome.results["train_loss"] == losses[-1] < min(losses[:-1])


def test_the_accuracy_of_the_results_is_that_of_the_model(dataset):
    outcome = training.train(SMALL.changed(validation=0, epochs=1), dataset, NUMPY)
    assert "array(" not in repr(outcome)
    for name, digits in (("train_accuracy", dataset.train), ("test_accuracy", dataset.test)):
        found = np.mean(outcome.model.predict(digits.images) == digits.labels)
        assert outcome.results[name] == pytest.approx(found)


def test_figures_are_of_all_images_however_many_are_looked_at_together(dataset, monkeypatch):
    theta = training.train(SMALL.changed(epochs=1), dataset, NUMPY).model.theta
    together = outcome.evaluate(theta, SMALL, dataset.train, NUMPY)
    monkeypatch.setattr(inference, "AT_ONCE", 128)
    assert outcome.evaluate(theta, SMALL, dataset.train, NUMPY) == pytest.approx(together)


@pytest.mark.parametrize("size", [28, 2])
def test_the_loss_of_images_held_out_counts_classes_as_they_are_to_count(dataset, size):
    """Also in a network with fewer inputs, or with fewer hidden units, than there are classes."""
    images = dataset.train.images.reshape(900, 28, 28)[:, :: 28 // size, :: 28 // size]
    shape, labels = images.shape[1:], dataset.train.labels
    some = data.Digits(images.reshape(900, -1), labels, "some", image_shape=shape)
    settings = SMALL.changed(layers=f"{size**2}-5-10", epochs=1, class_weight="9:100")
    outcome = training.train(settings, data.Dataset(some, None, "some"), NUMPY)
    _, held_out = data.split(some, 100, settings.seed)
    believed = outcome.model.probabilities(held_out.images)
    losses = -np.log(believed[held_out.labels, np.arange(100)])
    expected = np.average(losses, weights=np.where(held_out.labels == 9, 100.0, 1.0))
    assert outcome.history[-1].validation_loss == pytest.approx(expected, rel=1e-4)


def test_a_row_is_about_the_steps_of_its_own_epoch(dataset):
    """The mean loss and the share of right answers since the epoch began, not since the run did."""
    settings = SMALL.changed(epochs=3, batch_size=200, validation=100)
    history = training.train(settings, dataset, NUMPY).history
    trainer, expected = (
        Trainer(settings, data.split(dataset.train, 100, settings.seed)[0], NUMPY),
        [],
    )
    for _ in range(3):
        steps = [trainer.step() for _ in range(4)]
        losses, right, images = (sum(float(each[i]) for each in steps) for i in range(3))
        expected.append((losses / images, right / images))
    assert [row.iteration for row in history] == [1, 4, 8, 12]
    found = [(row.train_loss, row.train_accuracy) for row in history[1:]]
    assert found == [pytest.approx(each, rel=1e-4) for each in expected]


def test_the_search_ends_where_the_loss_explodes(dataset):
    """At four times the lowest loss so far; the picture would show nothing else."""
    curve = lr_finder.find(SMALL.changed(validation=0), dataset, NUMPY, 1e-4, 1e4, 81)
    lowest = np.minimum.accumulate(curve.losses)
    assert (np.array(curve.losses[1:]) <= 4.0 * lowest[:-1]).all()
    assert len(curve.losses) < 75
    assert curve.rates[-1] < 1e3


@pytest.mark.parametrize(
    ("iteration", "noise", "cause"),
    [(1, 11.0, "of the noise"), (2, 11.0, "the steps are too long"), (1, 9.0, "the steps are too")],
)
def test_noise_is_the_cause_of_a_first_step_alone(iteration, noise, cause):
    """Later ones have learnt from images with the same noise."""
    for name in ("input_noise", "hidden_noise"):
        error = health.diverged("it", iteration, SMALL.changed(**{name: noise}))
        assert f"at iteration {iteration}, probably because {cause}" in str(error)
