"""What keeps a network from learning is said with its likely cause, or refused before the run."""

import warnings

import numpy as np
import pytest
from helpers.callbacks import Recorder
from helpers.mnist import read_idx

import mnistgpu
from mnistgpu import UsageError, data
from mnistgpu.backend import NUMPY
from mnistgpu.data import Dataset, Digits
from mnistgpu.maths.optimizers import OPTIMIZERS
from mnistgpu.runs import checks, health, training
from mnistgpu.settings import Settings

BATCHES = Settings().changed(
    layers="784-32-10", init="he", batch_size=16, epochs=3, learning_rate=0.1, validation=0
)


@pytest.fixture(scope="module")
def few():
    """The first 900 training images."""
    images = read_idx("train-images-idx3-ubyte", 900).reshape(-1, 784)
    labels = read_idx("train-labels-idx1-ubyte", 900)
    return Dataset(Digits(images, labels, "here"), None, "here")


def said(dataset, settings):
    seen = Recorder()
    training.train(settings, dataset, NUMPY, [seen])
    return seen.warnings


def changed(dataset, **changes):
    train = dataset.train
    parts = {"images": train.images, "labels": train.labels} | changes
    return Dataset(Digits(parts["images"], parts["labels"], "here"), None, "here")


def test_a_network_that_learns_is_not_warned_of(few):
    assert said(few, BATCHES) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"learning_rate": 10.0, "activation": "tanh", "init": "uniform"},
            "the learning rate is hi",
        ),
        ({"learning_rate": 1e-6}, "the learning rate is low, or the run short; try --alpha 0.1 or"),
        ({"learning_rate": 30.0}, "probably because units are dead; see the warning about them"),
    ],
)
def test_an_accuracy_of_guessing_is_said_with_its_cause(few, settings, words):
    (sentence,) = [each for each in said(few, BATCHES.changed(**settings)) if "guessing" in each]
    assert sentence.startswith("the accuracy is that of guessing (")
    assert words in sentence


def test_shuffled_labels_are_named(few):
    shuffled = np.random.default_rng(0).permutation(few.train.labels)
    (sentence,) = said(changed(few, labels=shuffled), BATCHES.changed(epochs=1))
    assert "the labels look shuffled: images of one label are no more alike than others" in sentence
    assert "check that images and labels are in the same order" in sentence


def test_it_is_said_in_python_too(few):
    shuffled = np.random.default_rng(0).permutation(few.train.labels)
    images = few.train.images
    with pytest.warns(UserWarning, match="the labels look shuffled") as caught:
        mnistgpu.fit(images, shuffled, layers="784-32-10", init="he", batch_size=16, epochs=2)
    assert caught[0].filename == __file__


def test_a_short_run_is_not_judged(few):
    assert said(few, BATCHES.changed(epochs=None, iterations=5)) == []
    full = BATCHES.changed(batch_size=None, epochs=None, iterations=10)
    assert said(few, full) == []


def test_the_most_frequent_class_is_what_guessing_reaches(few):
    """Where nine in ten images have one label, 91% is no sign of learning."""
    labels = np.where(np.arange(900) % 10, 0, few.train.labels)
    digits = Digits(few.train.images, labels.astype(np.uint8), "here")
    most = np.mean(labels == 0)
    assert health.of_learning(most + 0.01, 900, digits, BATCHES, False)
    assert not health.of_learning(most + 0.04, 900, digits, BATCHES, False)
    assert health.of_learning(most + 0.01, 10**7, digits, BATCHES, False)  # however sure it is
    assert not health.of_learning(most + 0.03, 10**7, digits, BATCHES, False)


def test_the_causes_have_an_order(few):
    """What is sure is named before what is likely."""

    def cause(digits=few.train, dead=False, **changes):
        (sentence,) = health.of_learning(0.1, 900, digits, BATCHES.changed(**changes), dead)
        return sentence.partition("probably because ")[2]

    blank = changed(few, images=few.train.images // 3).train
    assert cause(blank, dead=True).startswith("units are dead")
    assert cause(blank).startswith("the images are nearly blank")
    high = cause(learning_rate=2.0, optimizer="adam")
    assert high == "the learning rate is high for adam; try --alpha 0.001"
    assert cause(learning_rate=0.05).endswith("try --alpha 0.5 or more epochs")


def test_class_means_tell_labels_from_chance(few):
    right, count = health.by_class_means(few.train)
    assert 400 < count <= 450  # images of equal classes
    assert right > 0.6
    shuffled = changed(few, labels=np.random.default_rng(0).permutation(few.train.labels)).train
    assert health.by_class_means(shuffled)[0] < 0.2
    assert health.by_class_means(data.split(few.train, 899, 0)[0]) == (1.0, 1)


def test_where_one_class_has_most_images_that_is_the_cause(few):
    """Rare classes have few images, whose labels are as right as any."""
    sevens = np.flatnonzero(few.train.labels == 7)
    rows = np.concatenate([np.arange(900), np.tile(sevens, 50)])
    crowded = changed(few, images=few.train.images[rows], labels=few.train.labels[rows])
    most = float(np.mean(crowded.train.labels == 7))
    (sentence,) = health.of_learning(most, len(rows), crowded.train, BATCHES, False)
    assert sentence.startswith("the accuracy is that of guessing (")
    assert sentence.endswith("most of the images are of one class; try --class-weight balanced")
    # with such weights it is right for fewer images than by always saying 7, but learns the others
    assert health.of_learning(most - 0.1, len(rows), crowded.train, BATCHES, False) == []
    shuffled = np.random.default_rng(0).permutation(crowded.train.labels)
    assert health.by_class_means(changed(crowded, labels=shuffled).train)[0] < 0.2


def test_outputs_without_images_are_named(few):
    two = few.train.labels < 2
    dataset = changed(few, images=few.train.images[two], labels=few.train.labels[two])
    (sentence,) = health.of_outputs(dataset.train, 10)
    assert (
        "8 of the 10 outputs have no image to learn from (2, 3, 4, 5, 6, 7, 8, 9), so" in sentence
    )
    assert sentence.endswith("or end --layers with 2")
    assert health.of_outputs(dataset.train, 2) == []
    assert health.of_outputs(few.train, 10) == []


# Refused before a run


@pytest.mark.parametrize(
    ("batch", "count", "refused"),
    [
        (1, 900, True),
        (2, 900, True),
        (14, 900, True),  # two shards of 7
        (16, 896, False),
        (100, 901, True),  # the last batch has one image
        (100, 907, True),
        (100, 908, False),
        (130, 130 * 3 + 65 + 3, True),  # the last batch has a shard of 65 and one of 3
        (None, 900, False),
        (None, 7, True),
        (None, 1030, True),  # the last shard of 512 + 512 has 6
    ],
)
def test_batch_normalisation_of_very_few_images_is_refused(batch, count, refused):
    settings = BATCHES.changed(batch_norm=True, batch_size=batch)
    if not refused:
        checks.check_groups(count, settings.batch_size or count)
        return
    with pytest.raises(UsageError) as error:
        checks.check_groups(count, settings.batch_size or count)
    assert "--batch-norm needs at least 8 images at a time to know their mean" in str(error.value)
    if "try --batch-size" in str(error.value):
        mended = int(str(error.value).partition("try --batch-size ")[2].partition(",")[0])
        checks.check_groups(count, mended)
    else:
        assert "give more images" in str(error.value)
        assert count < 8


def test_the_refusal_comes_before_anything_is_written(few, tmp_path):
    wrong = {"batch_norm": True, "batch_size": 2}, {"min_ink": 0.99}
    for settings in wrong:
        with pytest.raises(UsageError):
            mnistgpu.fit(few, layers="784-8-10", out=tmp_path / "run", **settings)
    assert list(tmp_path.iterdir()) == []


def test_min_ink_that_leaves_no_pixel_says_so(few):
    words = r"--min-ink 0\.99 leaves no pixel: the one with ink most often has it in \d\d\.\d% of"
    with pytest.raises(UsageError, match=words):
        mnistgpu.fit(few, layers="784-8-10", min_ink=0.99)


# Customary learning rates


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_alone_has_its_customary_rate(name):
    from mnistgpu.recipes import settings_of

    classic = settings_of(None, None, {"optimizer": name})
    own = name == "gradient-descent"
    assert classic.learning_rate == (0.25 if own else OPTIMIZERS[name].rate)
    given = settings_of(None, None, {"optimizer": name, "alpha": 0.07})
    assert given.learning_rate == 0.07
    fast = settings_of("fast", None, {"optimizer": name})
    assert fast.learning_rate == (0.012 if name == "adam" else OPTIMIZERS[name].rate)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_its_customary_rate_every_optimiser_learns(few, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = mnistgpu.fit(
            few, layers="784-32-10", init="he", batch_size=32, epochs=8, optimizer=name
        )
    assert run.results["train_accuracy"] > 0.8
