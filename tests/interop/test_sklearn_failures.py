"""Calls of `MnistGpuClassifier` that fail: what they say, and what they leave."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

from mnistgpu import MnistGpuClassifier

QUICK = {"hidden_layer_sizes": (16,), "epochs": 2, "random_state": 0}
pytestmark = pytest.mark.filterwarnings("ignore:.*(guessing|dead)")


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def test_what_it_does_not_do_is_refused(wine):
    X, y = wine
    for name in ("from_run", "freeze"):  # of mnistgpu.fit
        with pytest.raises(TypeError, match=f"has no parameter '{name}'"):
            MnistGpuClassifier(**{name: 1})
    classifier = MnistGpuClassifier(**QUICK | {"class_weight": {0: 0}})
    for of_validation, says in (
        ({"y_val": y}, "X_val: is missing"),
        ({"X_val": X}, "y_val: is missing"),
        ({"X_val": X, "y_val": y + 1}, "y_val: label .*3.* is none of the classes"),
        ({"X_val": X[y == 0], "y_val": y[y == 0]}, "X_val: every row has the weight 0"),
    ):
        with pytest.raises(ValueError, match=says):
            classifier.fit(X, y, **of_validation)


def test_a_fit_that_fails_leaves_the_classifier_as_it_was(wine):
    """Else the old network would answer with the new labels."""
    X, y = wine
    classifier = MnistGpuClassifier(**QUICK).fit(X, y)
    expected = classifier.predict(X)
    names = np.array(["red", "white", "rose"])[y]
    classifier.set_params(hidden_dropout=2.0)
    for again, labels in ((classifier.fit, names), (classifier.partial_fit, y)):
        with pytest.raises(ValueError, match=r"--hidden-dropout must be|X has 5 features"):
            again(X[:, :5], labels)
        assert (classifier.predict(X) == expected).all()
    assert classifier.n_features_in_ == 13
    untrained = MnistGpuClassifier(hidden_dropout=2.0)
    with pytest.raises(ValueError, match="--hidden-dropout must be"):
        untrained.partial_fit(X, y, [0, 1, 2])
    assert not hasattr(untrained, "classes_")
