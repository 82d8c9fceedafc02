"""Images held out for validation and test, and labels for the outputs that a network has."""

import numpy as np
import pytest

from mnistgpu import data
from mnistgpu.data import Dataset, Digits, splitting
from mnistgpu.data.digits import as_digits
from mnistgpu.errors import DataError, UsageError


def numbered(count=100, labels=None):
    """Images that are all different, so that they are recognised in a part."""
    images = np.arange(count, dtype=np.uint8)[:, None] + np.zeros((1, 4), np.uint8)
    labels = np.arange(count) % 10 if labels is None else labels
    return Digits(images, np.asarray(labels, dtype=np.uint8), "here", (2, 2))


def numbers(digits):
    return digits.images[:, 0].tolist()


@pytest.mark.parametrize(("validation", "count"), [(0.2, 20), (0.005, 0), (0.999, 100), (7, 7)])
def test_a_share_is_a_number_of_images(validation, count):
    assert splitting.number_of(validation, 100) == count


def test_a_share_holds_out_what_the_number_does():
    kept, held_out = data.split(numbered(), 0.2, 3)
    same, also = data.split(numbered(), 20, 3)
    assert numbers(held_out) == numbers(also)
    assert numbers(kept) == numbers(same)
    assert sorted(numbers(kept) + numbers(held_out)) == list(range(100))
    with pytest.raises(UsageError, match="at least one must be left to train on"):
        data.split(numbered(), 0.999, 3)


def test_names_levels_and_notes_stay_with_a_part():
    names = np.resize(["a", "b"], 120)
    made = as_digits(np.resize([0.0, 16.0], (120, 4)), names, "X")
    kept, held_out = data.split(made, 10, 0)
    for part in (kept, held_out):
        assert (part.classes, part.levels, part.notes) == (made.classes, made.levels, made.notes)


def test_the_test_share_is_the_same_whatever_the_seed_and_what_is_held_out_beside_it():
    whole = Dataset(numbered(), None, "here")
    made = data.prepared(whole, 10, 0.25)
    assert len(made.test) == 25
    assert sorted(numbers(made.train) + numbers(made.test)) == list(range(100))
    assert numbers(data.prepared(whole, 10, 0.25).test) == numbers(made.test)
    assert numbers(made.test)[:6] == [1, 2, 6, 17, 21, 26]  # in every version of the program
    _, held_out = data.split(numbered(), 25, 0)
    assert numbers(held_out) != numbers(made.test)  # another stream of numbers
    assert made.digest == data.prepared(whole, 10, 0.25).digest != whole.digest


@pytest.mark.parametrize(("share", "words"), [(0.001, "is 0 of the 100"), (0.999, "is 100 of the")])
def test_a_test_share_of_none_or_all_images_is_refused(share, words):
    with pytest.raises(UsageError, match=words):
        data.prepared(Dataset(numbered(), None, "here"), 10, share)


def test_a_test_part_is_not_replaced():
    with pytest.raises(UsageError, match=r"--test-share 0\.2: here has 5 test images already"):
        data.prepared(Dataset(numbered(), numbered(5), "here"), 10, 0.2)


def test_labels_are_numbered_anew_in_every_part():
    train, few = numbered(4, [3, 7, 7, 3]), numbered(2, [7, 3])
    made = data.prepared(Dataset(train, few, "here", few), 2, 0.0)
    assert made.train.classes == made.test.classes == made.validation.classes == (3, 7)
    assert made.train.labels.tolist() == [0, 1, 1, 0]
    assert made.test.labels.tolist() == made.validation.labels.tolist() == [1, 0]
    assert data.prepared(made, 2, 0.0) is made
    other = Dataset(train, numbered(2, [7, 4]), "here")
    with pytest.raises(
        DataError, match="here, labels: label 4 of image 1 is none of the classes, 3"
    ):
        data.prepared(other, 2, 0.0)
    assert data.prepared(other, 10, 0.0) is other
