"""Recipes, committees, the learning-rate search and the comparison of runs."""

import json
import statistics
from pathlib import Path

import numpy as np
import pytest

from mnistgpu import data, recipes
from mnistgpu.backend import NUMPY
from mnistgpu.data import Dataset, Digits
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DataError, UsageError
from mnistgpu.models import committee, model
from mnistgpu.reports import study_plots
from mnistgpu.runs import lr_finder, training
from mnistgpu.runs.callbacks import Callback
from mnistgpu.settings import Settings

FASHION = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture
def dataset(digits):
    images, labels = digits
    train = Digits(images[:1600], labels[:1600], "train")
    return Dataset(train, Digits(images[1600:], labels[1600:], "test"), "the first digits")


@pytest.fixture(scope="module")
def mnist():
    return data.load()


def test_every_recipe_says_what_it_is_for_and_what_to_expect():
    for name, recipe in recipes.RECIPES.items():
        assert recipe.purpose.endswith("."), name
        assert recipe.expect, name
        assert recipe.settings.sizes[0] == 784
        assert recipe.settings.sizes[-1] == 10


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(
        UsageError, match=r"one of classic, fast, .* not 'stong'; did you mean strong\?"
    ):
        recipes.named("stong")


@pytest.mark.slow
def test_fast_is_right_98_times_in_100(mnist):
    settings = recipes.named("fast").settings
    accuracies = [
        training.train(settings.changed(seed=seed), mnist, NUMPY).results["test_accuracy"]
        for seed in range(5)
    ]
    print("fast:", accuracies)
    assert statistics.median(accuracies) >= 0.98
    assert min(accuracies) >= 0.977


@pytest.mark.slow
@pytest.mark.parametrize("name", ["accurate", "long", "strong"])
def test_the_longer_recipes_shortened(mnist, name):
    """Two epochs, and already better than 97%."""
    settings = recipes.named(name).settings.changed(epochs=2)
    assert training.train(settings, mnist, NUMPY).results["test_accuracy"] > 0.97


@pytest.mark.slow
def test_clothes_shortened():
    """Three epochs of Fashion-MNIST: 87.3%, where `strong` has 85.5%."""
    if not FASHION.exists():
        pytest.skip(f"Debian's package dataset-fashion-mnist is not installed: no {FASHION}")
    settings = recipes.named("clothes").settings.changed(epochs=3)
    results = training.train(settings, data.load(FASHION), NUMPY).results
    assert results["test_accuracy"] > 0.865


@pytest.mark.slow
def test_record_shortened(digits):
    """Ciresan's largest net takes two epochs of few images: finite, learning, to be gone on with.

    Stopped in the second epoch and gone on with by another trainer, it ends with the same bits.
    """
    images, labels = digits
    train = Digits(images[:400], labels[:400], "train")
    dataset = Dataset(train, Digits(images[1600:], labels[1600:], "test"), "the first digits")
    settings = recipes.named("record").settings.changed(epochs=2, batch_size=40)
    assert settings.sizes == (784, 2500, 2000, 1500, 1000, 500, 10)

    class Copying(Callback):
        def step(self, trainer, progress):
            if trainer.taken == 13:
                self.vectors = {name: v.copy() for name, v in trainer.vectors().items()}

    kept = Copying()
    outcome = training.train(settings, dataset, NUMPY, [kept])
    losses = [row.train_loss for row in outcome.history]
    assert losses[-1] < 0.8 * losses[0]
    assert outcome.results["test_accuracy"] > 0.4
    other = Trainer(settings, dataset.train, NUMPY)
    other.restore(kept.vectors, 13)
    with other.engine.running():
        while other.taken < other.steps:
            other.step()
        assert np.array_equal(other.plain(), outcome.model.theta)


SMALL = Settings(layers="784-24-10", init="he", epochs=4, batch_size=50, learning_rate=0.2)


def members(dataset, **changes):
    settings = SMALL.changed(validation=0, **changes)
    return tuple(
        training.train(settings.changed(seed=seed), dataset, NUMPY).model for seed in range(3)
    )


def test_a_committee_answers_with_the_mean(dataset, tmp_path):
    joined = committee.Committee(members(dataset))
    images = dataset.test.images
    mean = sum(m.probabilities(images) for m in joined.members) / 3
    np.testing.assert_allclose(joined.probabilities(images), mean, rtol=1e-6)
    committee.save(joined, tmp_path, ["a", "b", "c"])
    loaded = committee.load(tmp_path)
    assert isinstance(loaded, committee.Committee)
    np.testing.assert_array_equal(loaded.probabilities(images), joined.probabilities(images))


def test_averaging_over_deformed_copies(dataset):
    deforming = members(dataset, rotation=10.0, shift=1.0)
    images, labels = dataset.test.images, dataset.test.labels
    plain = committee.Committee(deforming).predict(images) == labels
    averaged = committee.Committee(deforming, maps=8)
    first, again = averaged.probabilities(images), averaged.probabilities(images)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first.sum(axis=0), 1.0, rtol=1e-5)
    assert (averaged.predict(images) == labels).mean() > plain.mean() - 0.05


def test_averaging_needs_members_that_know_deformations(dataset):
    with pytest.raises(UsageError, match="--maps needs models trained with deformations"):
        committee.Committee(members(dataset), maps=4)


def test_members_must_read_the_same_images_and_classes():
    def untrained(sizes, shape):
        from mnistgpu.network import parameter_count

        return model.Model(np.zeros(parameter_count(sizes), dtype=np.float32), sizes, shape)

    first = untrained((784, 10), (28, 28))
    for other, message in (
        (untrained((784, 12), (28, 28)), "28x28 images of 12 classes.*28x28 of 10"),
        (untrained((64, 10), (8, 8)), "8x8 images of 10 classes.*cannot vote together"),
    ):
        with pytest.raises(UsageError, match=message):
            committee.Committee((first, other))
    with pytest.raises(UsageError, match="at least one"):
        committee.Committee(())


@pytest.mark.parametrize(
    "record", ['{"members": ["../x"], "maps": 0}', '{"members": [], "maps": -1}', "{}", "no", "[]"]
)
def test_a_damaged_committee_is_refused(tmp_path, record):
    (tmp_path / "committee.json").write_text(record)
    with pytest.raises((DataError, UsageError), match="committee"):
        committee.load(tmp_path)


@pytest.mark.parametrize(
    ("members", "maps"),
    [
        ([".."], 0),
        ([""], 0),
        (["."], 0),
        (["run/m"], 0),
        (["m", "m"], 0),
        (["m", *(f"m{i}" for i in range(100))], 0),
        (["m"], True),
        (["m"], 1025),
        ([], 0),
        ("m", 0),
    ],
)
def test_members_are_files_beside_their_list(tmp_path, members, maps):
    """Even where a model lies at every name, as a run directory's own name could lead to one."""
    path = tmp_path / "committee"
    path.mkdir()
    some = model.Model(np.zeros(7850, dtype=np.float32), (784, 10))
    for place in (path / "m", path / "model.safetensors", tmp_path / "model.safetensors"):
        model.save(some, place)
    (path / "committee.json").write_text(json.dumps({"members": members, "maps": maps}))
    with pytest.raises(DataError, match=r"committee\.json: not a committee of mnistgpu"):
        committee.load(path)
    (path / "committee.json").write_text(json.dumps({"members": ["m"], "maps": 0}))
    assert len(committee.load(path).members) == 1
    with pytest.raises(UsageError, match="at most 100"):
        committee.Committee((some,) * 101)


@pytest.mark.parametrize("name", ["C:m", r"..\m", r"\\server\share\m", r"C:\m"])
def test_members_are_no_paths_of_windows_on_any_system(tmp_path, name):
    some = model.Model(np.zeros(7850, dtype=np.float32), (784, 10))
    model.save(some, tmp_path / name)
    (tmp_path / "committee.json").write_text(json.dumps({"members": [name], "maps": 0}))
    with pytest.raises(DataError, match=r"committee\.json: not a committee of mnistgpu"):
        committee.load(tmp_path)


def test_the_search_finds_a_rate_between_too_small_and_too_large(dataset):
    curve = lr_finder.find(SMALL.changed(validation=0), dataset, NUMPY)
    assert curve.rates == sorted(curve.rates)
    assert 0.01 < curve.suggestion < 3
    assert min(curve.losses) < 0.9 * curve.losses[0]

    def loss_after(rate):
        trial = SMALL.changed(validation=0, learning_rate=rate)
        return training.train(trial, dataset, NUMPY).results["train_loss"]

    assert loss_after(curve.suggestion) < loss_after(curve.suggestion / 100)


def test_pictures_of_the_search_and_of_deformations(dataset, tmp_path):
    from mnistgpu.reports import plots

    figure = study_plots.learning_rates([0.1, 1.0, 10.0], [2.0, 1.0, 3.0], 0.33)
    plots.save(figure, tmp_path / "rates.png")
    settings = SMALL.changed(rotation=10.0)
    figure = study_plots.deformations(dataset.train.images[:3], settings, (28, 28))
    plots.save(figure, tmp_path / "deformed.png")
    for name in ("rates.png", "deformed.png"):
        assert (tmp_path / name).stat().st_size > 5000
    with pytest.raises(UsageError, match="deform no images"):
        study_plots.deformations(dataset.train.images[:3], SMALL, (28, 28))
