"""Small sets: what is held out of them, by number or by share, and the same for every run."""

import numpy as np
import pytest
from helpers.command import run_here

import mnistgpu
from mnistgpu import DataError, UsageError

SMALL = {"layers": "784-16-10", "init": "he", "epochs": 2, "batch_size": 50, "alpha": 0.1}


def saved(folder, arrays, count=900):
    """The first digits as a file to train on."""
    np.savez(folder / "digits.npz", x_train=arrays[0][:count], y_train=arrays[1][:count])
    return folder / "digits.npz"


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (None, 90),
        (0.2, 180),
        (1 / 3, 300),
        (180, 180),
        (180.0, 180),
        (np.float32(0.5), 450),
        (0, 0),
    ],
)
def test_what_is_held_out(arrays, given, count):
    run = mnistgpu.fit(*arrays, **SMALL, validation=given)
    assert run.settings.validation == count
    assert type(run.settings.validation) is int


@pytest.mark.parametrize("wrong", [1.5, -0.1, float("nan"), True, "a tenth"])
def test_what_is_no_number_and_no_share_is_refused(arrays, wrong):
    with pytest.raises((UsageError, DataError), match="validation"):
        mnistgpu.fit(*arrays, **SMALL, validation=wrong)


def test_a_share_in_settings_is_that_of_the_call(arrays):
    by_share = mnistgpu.fit(*arrays, **SMALL, validation=0.1)
    assert by_share.model == mnistgpu.fit(*arrays, **SMALL, validation=90).model
    assert mnistgpu.Settings(validation=0.1).validation == 0.1
    assert mnistgpu.Settings(validation=1000.0) == mnistgpu.Settings(validation=1000)


def test_a_test_share_is_kept_apart_saved_and_found_again(arrays, tmp_path):
    path = saved(tmp_path, arrays)
    run = mnistgpu.fit(path, **SMALL, test_share=0.2, out=tmp_path / "run")
    assert len(run.dataset.test) == 180
    assert len(run.dataset.train) == 720
    assert run.settings.validation == 72
    assert run.test_accuracy == mnistgpu.evaluate(run.directory, robustness=False).accuracy > 0.4
    other = mnistgpu.fit(path, **SMALL, test_share=0.2, seed=5)
    assert np.array_equal(other.dataset.test.images, run.dataset.test.images)


def test_a_run_with_a_test_share_goes_on(arrays, tmp_path):
    path = saved(tmp_path, arrays)
    whole = mnistgpu.fit(path, **SMALL | {"epochs": 3}, test_share=0.2)
    short = mnistgpu.fit(path, **SMALL, test_share=0.2, out=tmp_path / "run")
    longer = mnistgpu.resume(short.directory, epochs=3, out=tmp_path / "longer")
    from_memory = short.resume(epochs=3, out=tmp_path / "memory")
    for resumed in (longer, from_memory):
        assert np.array_equal(resumed.model.trained.theta, whole.model.trained.theta)
        assert resumed.test_accuracy == whole.test_accuracy


@pytest.mark.slow
def test_every_run_of_a_sweep_has_its_own_share(arrays, tmp_path):
    path = saved(tmp_path, arrays)
    lists = {"test_share": [0.1, 0.2], "validation": [0, 0.1]}
    runs = mnistgpu.sweep(path, out=tmp_path / "sweep", **lists, **SMALL)
    assert [len(run.dataset.test) for run in runs] == [90, 180, 90, 180]
    assert [run.settings.validation for run in runs] == [0, 0, 81, 72]
    again = mnistgpu.sweep(path, out=tmp_path / "sweep", **lists, **SMALL)  # finished before
    assert [run.test_accuracy for run in again] == [run.test_accuracy for run in runs]


@pytest.mark.filterwarnings("ignore:X. grey levels")
def test_named_classes_and_levels_go_on_too(arrays, tmp_path):
    """A resumed run numbers labels as before, also where the layers have decided it."""
    two = np.isin(arrays[1], (3, 7))
    given = 255 - arrays[0][two], arrays[1][two]
    layers = SMALL | {"layers": "784-16-2"}
    short = mnistgpu.fit(*given, **layers, out=tmp_path / "run", progress=False)
    whole = mnistgpu.fit(*given, **layers | {"epochs": 3}, progress=False)
    longer = mnistgpu.resume(short.directory, *given, epochs=3, out=tmp_path / "l", progress=False)
    assert longer.model == whole.model
    assert longer.model.classes == (3, 7)


def test_shares_on_the_command_line(arrays, tmp_path):
    saved(tmp_path, arrays)
    few = ("--layers", "784-8-10", "--iterations", "3", "--data", "digits.npz")
    shares = ("--validation", "0.2", "--test-share", "0.1", "--out", "run")
    done = run_here("train", *few, *shares, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "digits.npz: 648 training, 162 validation, 90 test images" in done.stdout
    number = run_here("train", *few, "--validation", "100", "--out", "other", cwd=tmp_path)
    assert "800 training, 100 validation, no test images" in number.stdout
    wrong = run_here("train", *few, "--validation", "1.5", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "--validation must be a whole number, or a share below 1, not 1.5" in wrong.stderr


def test_an_optimiser_alone_has_its_customary_rate_on_the_command_line(arrays, tmp_path):
    saved(tmp_path, arrays)
    few = ("--layers", "784-8-10", "--iterations", "3", "--data", "digits.npz", "--out", "run")
    done = run_here("train", *few, "--optimizer", "adam", cwd=tmp_path)
    assert "training  adam, alpha 0.001, full batch" in done.stdout
