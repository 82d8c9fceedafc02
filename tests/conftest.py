"""What the tests share: one body for every backend, and a small set of real digits."""

import contextlib
import os
from collections.abc import Iterator

import numpy as np
import pytest
from helpers import runs
from helpers.mnist import read_idx
from helpers.processes import no_process_left
from helpers.spaces import SPACES, Space

pytest_plugins = ["helpers.missing_names", "helpers.slow_tests"]

__all__ = ["no_process_left"]  # a fixture of every test

if profile := os.environ.get("MNISTGPU_HYPOTHESIS"):  # "ci": the same random inputs each time
    with contextlib.suppress(ImportError):  # a machine with a GPU may lack it
        import hypothesis

        hypothesis.settings.load_profile(profile)


@pytest.fixture(params=SPACES)
def space(request) -> Iterator[Space]:
    """Every backend in turn."""
    with Space(request.param).strictest() as found:
        yield found


@pytest.fixture(params=SPACES[1:])
def other_space(request) -> Iterator[Space]:
    """Every backend that is compared with NumPy."""
    with Space(request.param).strictest() as found:
        yield found


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The first 2,000 training images (2000, 784) uint8 and their labels (2000,) uint8."""
    images = read_idx("train-images-idx3-ubyte", 2000)
    return images, read_idx("train-labels-idx1-ubyte", 2000)


@pytest.fixture(scope="session")
def small_set(tmp_path_factory):
    """A folder with 900 training and 300 test images of MNIST, for real processes."""
    return runs.write_small_set(tmp_path_factory.mktemp("digits"))
