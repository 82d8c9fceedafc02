"""Training images and labels that are changed on purpose."""

import numpy as np
import pytest

from mnistgpu.data import Digits, twists
from mnistgpu.errors import UsageError


@pytest.fixture
def some(digits):
    images, labels = digits
    return Digits(images[:300], labels[:300], "some")


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_share_of_the_labels_changes_places(some, share):
    found = twists.shuffled_labels(some, share, 5)
    assert found.images is some.images
    np.testing.assert_array_equal(np.bincount(found.labels), np.bincount(some.labels))
    moved = np.mean(found.labels != some.labels)
    # one in ten of those that move gets a label of its own kind
    assert 0.8 * share < moved <= share
    np.testing.assert_array_equal(found.labels, twists.shuffled_labels(some, share, 5).labels)
    assert (found.labels != twists.shuffled_labels(some, share, 6).labels).any()


def test_unscaled_pixels_are_the_same_numbers_which_nothing_divides(some):
    found = twists.unscaled_pixels(some)
    assert found.images.dtype == np.float32
    assert found.images.max() == 255
    np.testing.assert_array_equal(found.images, some.images)
    assert found.labels is some.labels


def test_there_are_so_many_copies_for_each_other_image(some):
    found = twists.copies_of_a_digit(some, "3 x 7")
    others, sevens = np.count_nonzero(some.labels != 7), np.count_nonzero(some.labels == 7)
    assert len(found) == 4 * others
    assert np.count_nonzero(found.labels == 7) == 3 * others
    np.testing.assert_array_equal(found.images[:others], some.images[some.labels != 7])
    copies = found.images[others:]
    assert len(np.unique(copies, axis=0)) == sevens
    np.testing.assert_array_equal(copies[:sevens], some.images[some.labels == 7])
    np.testing.assert_array_equal(copies[sevens : 2 * sevens], copies[:sevens])


@pytest.mark.parametrize(
    ("copies", "said"),
    [
        ("forty x 7", "copies of a digit: must be such as \"40 x 7\", not 'forty x 7'"),
        ("0 x 7", "copies of a digit: must be such as \"40 x 7\", not '0 x 7'"),
        (
            "40 x 9",
            "copies of a digit '40 x 9': the 3 training images have 0 of the digit 9 and 3 of "
            "others, and both are needed; take more images",
        ),
    ],
)
def test_copies_that_cannot_be_made(digits, copies, said):
    few = Digits(digits[0][:3], digits[1][:3], "few")
    with pytest.raises(UsageError) as raised:
        twists.copies_of_a_digit(few, copies)
    assert str(raised.value) == said
