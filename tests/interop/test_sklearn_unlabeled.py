"""`MnistGpuClassifier` with rows whose label is -1: they have none, where the loss can use them."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.datasets import load_digits

from mnistgpu import MnistGpuClassifier
from mnistgpu.errors import DataError

HOW = {"hidden_layer_sizes": (32,), "epochs": 5, "learning_rate": 0.01, "random_state": 0}
pytestmark = pytest.mark.filterwarnings("ignore:.*(guessing|dead)")


@pytest.fixture(scope="module")
def rows():
    """Images (600, 64) from 0 to 1, of which 60 have labels, 6 of each class."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:600] / 16, y[:600].copy()
    known = np.concatenate([np.flatnonzero(y == digit)[:6] for digit in range(10)])
    given = np.full(600, -1)
    given[known] = y[known]
    return X, y, given


def test_rows_without_labels_are_learnt_from(rows):
    X, y, given = rows
    with_others = MnistGpuClassifier(adversarial=0.5, batch_norm=True, **HOW).fit(X, given)
    assert with_others.classes_.tolist() == list(range(10))
    assert with_others.predict_proba(X).shape == (600, 10)
    known = given >= 0
    alone = MnistGpuClassifier(adversarial=0.5, batch_norm=True, **HOW).fit(X[known], y[known])
    assert not np.allclose(with_others.coefs_[0], alone.coefs_[0])
    assert with_others.score(X[~known], y[~known]) > 0.7


def test_which_label_they_would_have_is_not_used(rows):
    X, _, given = rows
    first = MnistGpuClassifier(adversarial=0.5, **HOW).fit(X, given)
    order = np.concatenate([np.flatnonzero(given >= 0), np.flatnonzero(given < 0)])
    again = MnistGpuClassifier(adversarial=0.5, **HOW).fit(X[order], given[order].astype(float))
    for W, V in zip(first.coefs_, again.coefs_, strict=True):
        assert np.array_equal(W, V)


def test_their_weights_are_left_out(rows):
    X, _, given = rows
    weights = np.where(given < 0, 123.0, 1.0)
    first = MnistGpuClassifier(adversarial=0.5, **HOW).fit(X, given)
    again = MnistGpuClassifier(adversarial=0.5, **HOW).fit(X, given, sample_weight=weights)
    np.testing.assert_allclose(first.coefs_[0], again.coefs_[0], rtol=1e-5, atol=1e-6)


def test_without_the_loss_the_label_is_a_class_as_any_other(rows):
    X, _, given = rows
    classifier = MnistGpuClassifier(**HOW | {"epochs": 1}).fit(X, given)
    assert classifier.classes_.tolist() == [-1, *range(10)]


def test_some_rows_must_have_labels(rows):
    X, _, given = rows
    with pytest.raises(DataError, match="every label is -1"):
        MnistGpuClassifier(adversarial=0.5, **HOW).fit(X, np.full(600, -1))
    lacking = np.where(given == 3, -1, given)
    assert MnistGpuClassifier(adversarial=0.5, **HOW).fit(X, lacking).classes_.shape == (9,)


def test_a_part_takes_no_rows_without_labels(rows):
    X, _, given = rows
    classifier = MnistGpuClassifier(adversarial=0.5, **HOW)
    with pytest.raises(
        DataError, match=r"partial_fit learns from labels alone.*give all rows to f"
    ):
        classifier.partial_fit(X, given, classes=range(10))
