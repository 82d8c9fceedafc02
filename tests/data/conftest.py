"""Digits that the tests of this folder share."""

import pytest

from mnistgpu import data


@pytest.fixture(scope="module")
def mnist() -> data.Dataset:
    """The embedded MNIST."""
    return data.load()


@pytest.fixture(scope="module")
def few(digits):
    """The first 300 training images (300, 28, 28) and their labels."""
    return digits[0][:300].reshape(-1, 28, 28), digits[1][:300]
