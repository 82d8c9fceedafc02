"""A run stopped at any step and resumed ends with the bits of one that was never stopped."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.resuming import SMALL, assert_same_bits, check_resume, saving_in, stopped

from mnistgpu import backend as backends
from mnistgpu import recipes
from mnistgpu.errors import BackendError, DataError, UsageError
from mnistgpu.runs import checkpoint, history, resume, training

BACKENDS = ["numpy", pytest.param("cupy", marks=pytest.mark.gpu)]


@pytest.fixture(params=BACKENDS)
def backend(request):
    try:
        return backends.select(request.param)
    except BackendError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("recipe", recipes.RECIPES)
def test_every_recipe_resumes_bit_for_bit(backend, dataset, tmp_path, recipe):
    settings = recipes.RECIPES[recipe].settings
    first, *hidden, last = settings.sizes
    narrow = "-".join(map(str, (first, *(min(n, 60) for n in hidden), last)))
    settings = settings.changed(layers=narrow, validation=100)
    if settings.batch_size is None:
        settings = settings.changed(iterations=7)
    else:
        settings = settings.changed(epochs=2, batch_size=150)
    check_resume(settings, dataset, tmp_path, backend)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "momentum", "input_dropout": 0.2, "hidden_dropout": 0.5, "max_norm": 2.0},
        {"optimizer": "nesterov", "ema": 0.9, "clip_norm": 0.5, "schedule": "one-cycle"},
        {"optimizer": "adam", "ema": 0.99, "learning_rate": 0.01, "weight_decay": 0.1, "l2": 1e-4},
        {"epochs": 30, "early_stopping": 2, "learning_rate": 2.0},
        {"batch_norm": True, "epochs": 30, "early_stopping": 3, "schedule": "cosine"},
        {"precision": "float64", "schedule": "step", "warmup": 0.3, "activation": "tanh"},
        {"batch_size": 170, "schedule": "exponential", "label_smoothing": 0.1},
        {"batch_size": None, "iterations": 60},
        {"batch_size": 128, "iterations": 11, "validation": 0},
        {"batch_size": 170, "adversarial": 1.5, "batch_norm": True, "hidden_noise": 0.2},
        {"batch_size": 170, "consistency": 1.5, "rotation": 15.0, "clean_ending": 0.3},
        {"batch_size": 170, "information": 0.5, "hidden_dropout": 0.2},
        {"batch_size": 170, "denoising": 100.0, "batch_norm": True, "input_noise": 0.3},
    ],
)
def test_every_part_of_a_run_resumes_bit_for_bit(backend, dataset, tmp_path, changes):
    check_resume(SMALL.changed(**changes), dataset, tmp_path, backend, stops=3)


def test_a_planted_error_is_seen(dataset, tmp_path):
    """The comparison can fail: one forgotten sum, one lost vector, one step too many."""
    settings = SMALL.changed(optimizer="momentum")
    whole = training.train(settings, dataset, backends.NUMPY)
    saved = stopped(settings, dataset, tmp_path, 10)
    for broken in (
        replace(saved, progress=replace(saved.progress, loss=0.0)),
        replace(saved, progress=replace(saved.progress, history=saved.progress.history[:-1])),
        replace(
            saved,
            vectors=saved.vectors | {"velocity": np.zeros_like(saved.vectors["velocity"])},
        ),
        replace(saved, taken=9),
    ):
        fresh = replace(
            broken, progress=replace(broken.progress, history=list(broken.progress.history))
        )
        outcome = training.train(
            settings, dataset, backends.NUMPY, [saving_in(tmp_path, dataset)], resumed=fresh
        )
        with pytest.raises(AssertionError):
            assert_same_bits(outcome, whole)


def test_a_finished_checkpoint_gives_the_same_results_again(dataset, tmp_path):
    """A run killed between its last step and its last file is finished by --resume."""
    settings = SMALL.changed(epochs=30, early_stopping=1, learning_rate=3.0)
    whole = training.train(settings, dataset, backends.NUMPY, [saving_in(tmp_path, dataset)])
    saving, saved = saving_in(tmp_path, dataset), checkpoint.load(tmp_path)
    again = training.train(settings, dataset, backends.NUMPY, [saving], resumed=saved)
    assert_same_bits(again, whole)


def test_a_long_history_is_thinned(dataset, tmp_path, monkeypatch):
    """At the same steps in a run that was stopped, and what was thinned can be read."""
    monkeypatch.setattr(history, "MOST_ROWS", 9)
    settings = SMALL.changed(epochs=20)
    whole = training.train(settings, dataset, backends.NUMPY, [saving_in(tmp_path, dataset)])
    iterations = [row.iteration for row in whole.history]
    assert iterations[:2] == [1, 64]  # thinned three times
    assert iterations[-1] == 160
    assert len(iterations) <= 9
    saved = None
    for at in (70, 111):
        saved = stopped(settings, dataset, tmp_path, at, resumed=saved)
    saving = saving_in(tmp_path, dataset)
    again = training.train(settings, dataset, backends.NUMPY, [saving], resumed=saved)
    assert_same_bits(again, whole)


def test_a_history_never_becomes_longer_and_keeps_its_ends(monkeypatch):
    monkeypatch.setattr(history, "MOST_ROWS", 1000)
    progress = history.Progress()
    for iteration in range(1, 4000):
        progress.add_row(history.Row(iteration, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1))
        assert min(iteration, 500) <= len(progress.history) <= 1000
    assert [progress.history[i].iteration for i in (0, -1)] == [1, 3999]


@pytest.mark.parametrize(
    ("changes", "draws"),
    [({}, False), ({"input_noise": 0.1}, True), ({"hidden_dropout": 0.1}, True),
     ({"rotation": 5.0}, True), ({"batch_norm": True}, True)],
    ids=str,
)  # fmt: skip
def test_a_run_of_0_1_0_is_told_that_it_draws_other_numbers(dataset, tmp_path, changes, draws):
    saved = stopped(SMALL.changed(**changes), dataset, tmp_path, 2)
    assert resume.warnings(saved) == []
    old = resume.warnings(replace(saved, format=1))
    assert len(old) == draws
    assert all("begun with mnistgpu 0.1.0" in sentence for sentence in old)


# What may change


def test_a_longer_run_is_the_run_of_that_length(dataset, tmp_path):
    longer = SMALL.changed(epochs=5)
    whole = training.train(longer, dataset, backends.NUMPY)
    training.train(SMALL, dataset, backends.NUMPY, [saving_in(tmp_path, dataset)])
    saved = checkpoint.load(tmp_path)
    assert saved.progress.finished
    settings = resume.changed_settings(saved, {"epochs": 5}, "the run")
    saving = saving_in(tmp_path, dataset)
    outcome = training.train(settings, dataset, backends.NUMPY, [saving], resumed=saved)
    assert_same_bits(outcome, whole)


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        (SMALL, {"layers": "784-9-10"}, "--layers 784-9-10 cannot be given with --resume"),
        (SMALL, {"seed": 7}, "--seed 7 cannot .* trained with 0 so far"),
        (SMALL, {"learning_rate": 0.2}, "--alpha 0.2 cannot .* trained with 0.1"),
        (SMALL.changed(schedule="linear"), {"epochs": 9}, "--epochs cannot change .* linear"),
        (SMALL.changed(warmup=0.1), {"iterations": 99}, "--iterations cannot .* --warmup 0.1"),
        (SMALL.changed(clean_ending=0.1, shift=1.0), {"epochs": 9}, "--clean-ending 0.1"),
    ],
)
def test_what_may_not_change_is_named(dataset, tmp_path, settings, changes, message):
    saved = stopped(settings, dataset, tmp_path, 5)
    with pytest.raises(UsageError, match=message) as refusal:
        resume.changed_settings(saved, changes, "the run")
    assert "train anew" in str(refusal.value)
    same = {name: getattr(settings, name) for name in changes if getattr(settings, name)}
    assert resume.changed_settings(saved, same, "the run") == settings


def test_a_run_cannot_become_shorter_than_it_is(dataset, tmp_path):
    saved = stopped(SMALL, dataset, tmp_path, 20)
    settings = resume.changed_settings(saved, {"epochs": 2}, "the run")
    with pytest.raises(UsageError, match="has taken 20 steps, more than the 16"):
        training.train(
            settings, dataset, backends.NUMPY, [saving_in(tmp_path, dataset)], resumed=saved
        )


def test_early_stopping_has_the_last_word(dataset, tmp_path):
    settings = SMALL.changed(epochs=30, early_stopping=1, learning_rate=3.0)
    training.train(settings, dataset, backends.NUMPY, [saving_in(tmp_path, dataset)])
    saved = checkpoint.load(tmp_path)
    assert saved.progress.finished
    assert saved.taken < 240
    settings = resume.changed_settings(saved, {"epochs": 40}, "the run")
    with pytest.raises(UsageError, match="was ended by --early-stopping 1, and would be again"):
        training.train(
            settings, dataset, backends.NUMPY, [saving_in(tmp_path, dataset)], resumed=saved
        )


def test_other_pixels_than_the_checkpoint_had(dataset, tmp_path):
    saved = stopped(SMALL.changed(min_ink=0.05), dataset, tmp_path, 5)
    with pytest.raises(DataError, match=r"looks at \d+ pixels.* train anew"):
        training.train(
            SMALL, dataset, backends.NUMPY, [saving_in(tmp_path, dataset)], resumed=saved
        )
