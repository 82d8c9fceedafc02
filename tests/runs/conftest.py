"""What the tests of runs share: a small set, and real runs on it."""

import pytest
from helpers import runs

from mnistgpu import data


@pytest.fixture(scope="session")
def dataset(digits):
    images, labels = digits
    return data.Dataset(
        data.Digits(images[:900], labels[:900], "train"),
        data.Digits(images[900:1200], labels[900:1200], "test"),
        "the first digits",
    )


@pytest.fixture(scope="session")
def options(small_set):
    """A run with much to lose: noise, momentum, mini-batches."""
    return (
        *("--data", small_set, "--layers", "784-16-10", "--batch-size", 64, "--validation", 100),
        *("--optimizer", "momentum", "--alpha", 0.02, "--hidden-dropout", 0.2),
    )


@pytest.fixture(scope="session")
def uninterrupted(options, tmp_path_factory):
    """The model that the run of STEPS iterations ends with."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    done = runs.run(*options, "--iterations", runs.STEPS, "--out", path)
    assert done.returncode == 0, done.stderr
    return path
