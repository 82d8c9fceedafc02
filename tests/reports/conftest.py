"""What the tests of reports share."""

import warnings

import pytest


@pytest.fixture
def no_warnings():
    """Every warning is an error: a person would see it on the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
