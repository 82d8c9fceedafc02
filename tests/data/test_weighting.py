"""Weights of classes, from the digits to train on."""

import numpy as np
import pytest

from mnistgpu.data import Dataset, Digits, weighting

FOUR = Digits(np.zeros((4, 64), np.uint8), np.array([0, 0, 0, 2], np.uint8), "here", (8, 8))


def test_without_weights_digits_stay_as_they_are():
    """With the digest by which a run finds its data again."""
    assert weighting.weighted(FOUR, FOUR, "none", 3) is FOUR
    assert weighting.weighted(None, FOUR, "balanced", 3) is None


def test_every_class_that_is_there_counts_alike_and_one_that_is_not_has_the_weight_1():
    """It may be there among the images of the validation."""
    assert weighting.of_classes("balanced", FOUR, 3).tolist() == [4 / 6, 1.0, 2.0]
    assert weighting.weighted(FOUR, FOUR, "1:7,2:0.5", 3).weights.tolist() == [1, 1, 1, 0.5]


def test_weights_of_images_are_copied_and_stay():
    """So the digest stays that of the set, whatever becomes of the array that was given."""
    given = np.array([1.0, 2.0, 3.0, 4.0])
    made = weighting.with_weights(Dataset(FOUR, None, "here"), given)
    given[0] = 9
    assert made.train.weights.tolist() == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="read-only"):
        made.train.weights[0] = 9
