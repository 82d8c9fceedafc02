"""Two networks side by side: where they answer differently, and who is right."""

import numpy as np
import pytest

from mnistgpu.errors import UsageError
from mnistgpu.reports.side_by_side import side_by_side


def probabilities(*answers):
    """(3, N), with the answer of each image and how sure it is."""
    found = np.zeros((3, len(answers)))
    for at, (answer, sure) in enumerate(answers):
        found[:, at] = (1 - sure) / 2
        found[answer, at] = sure
    return found


LABELS = np.array([0, 1, 2, 0, 1])
FIRST = probabilities((0, 0.9), (1, 0.8), (0, 0.6), (1, 0.95), (1, 0.5))
SECOND = probabilities((0, 0.9), (2, 0.7), (2, 0.9), (2, 0.9), (1, 0.9))


def test_counts_and_accuracies():
    found = side_by_side(FIRST, SECOND, LABELS)
    assert found.accuracies == (0.6, 0.6)
    assert found.counts == {"first": 1, "second": 1, "both": 2, "neither": 1}
    assert sum(found.counts.values()) == len(LABELS)


def test_different_answers_come_in_the_order_of_the_less_sure_of_both():
    found = side_by_side(FIRST, SECOND, LABELS)
    assert found.different.tolist() == [3, 1, 2]
    assert found.answers[:, 3].tolist() == [1, 2]
    np.testing.assert_allclose(found.confidence[:, 3], [0.95, 0.9])


def test_what_is_not_of_the_same_images_is_refused():
    with pytest.raises(UsageError, match=r"shape \(3, 5\) and \(3, 4\) for 5 labels"):
        side_by_side(FIRST, SECOND[:, :4], LABELS)
    with pytest.raises(UsageError, match="for 4 labels"):
        side_by_side(FIRST, SECOND, LABELS[:4])
