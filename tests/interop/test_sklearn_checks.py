"""scikit-learn's own checks of an estimator."""

import warnings

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import estimator_checks_generator

from mnistgpu import MnistGpuClassifier

STEPS = {"hidden_layer_sizes": (20,), "epochs": 60, "learning_rate": 0.01}
CLASSIFIERS = {
    "batches": MnistGpuClassifier(**STEPS, batch_size=50),
    "full batches": MnistGpuClassifier(**STEPS, batch_size=None, precision="float64"),
}
OTHER_LIBRARY = {
    "check_array_api_same_namespace": "rows of any library are answered, in arrays of that library"
}
EXPECTED = {
    "batches": {
        "check_sample_weight_equivalence_on_dense_data": "a batch of 50 rows is 50 rows, however "
        "much they weigh, so repeated rows make other batches; full batches pass",
        **OTHER_LIBRARY,
    },
    "full batches": OTHER_LIBRARY,
}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", SkipTestWarning)
    CHECKS = [
        pytest.param(classifier, check, name, id=f"{name}-{check.func.__name__}")
        for name, each in CLASSIFIERS.items()
        for classifier, check in estimator_checks_generator(each, legacy=True)
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("classifier", "check", "name"), CHECKS)
def test_scikit_learn_finds_nothing(classifier, check, name, request):
    why = EXPECTED[name].get(check.func.__name__)
    if why is not None:
        request.applymarker(pytest.mark.xfail(reason=why, strict=True))
    check(classifier)
