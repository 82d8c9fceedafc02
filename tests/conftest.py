"""What the tests share: one body for every backend, and a small set of real digits."""

import numpy as np
import pytest
from helpers.mnist import read_idx
from helpers.spaces import SPACES, Space


@pytest.fixture(params=SPACES)
def space(request) -> Space:
    """Every backend in turn."""
    return Space(request.param)


@pytest.fixture(params=SPACES[1:])
def other_space(request) -> Space:
    """Every backend that is compared with NumPy."""
    return Space(request.param)


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The first 2,000 training images (2000, 784) uint8 and their labels (2000,) uint8."""
    images = read_idx("train-images-idx3-ubyte", 2000)
    return images, read_idx("train-labels-idx1-ubyte", 2000)
