"""The digits and the network that the tests of pictures share."""

import pytest
from helpers.mnist import read_idx

from mnistgpu import models
from mnistgpu.models import model


@pytest.fixture(scope="session")
def test_digits():
    """The test images (10000, 784) of MNIST and their labels."""
    return read_idx("t10k-images-idx3-ubyte", 10_000), read_idx("t10k-labels-idx1-ubyte", 10_000)


@pytest.fixture(scope="session")
def shipped():
    """The network that comes with the package."""
    return model.load(models.SHIPPED)
