"""A few real digits, as arrays."""

import pytest
from helpers.mnist import read_idx


@pytest.fixture(scope="session")
def arrays():
    """900 images (900, 28, 28) and their labels."""
    images = read_idx("train-images-idx3-ubyte", 900).reshape(-1, 28, 28)
    return images, read_idx("train-labels-idx1-ubyte", 900)
