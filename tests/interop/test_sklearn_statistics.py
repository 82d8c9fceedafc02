"""The estimator with a decoder, and with batch normalisation of a part of the rows."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing")

from mnistgpu import MnistGpuClassifier

DECODER = {"denoising": 50.0, "batch_norm": True, "input_noise": 0.3}


def test_the_estimator_goes_on_with_one_and_says_where_it_cannot(digits):
    images, labels = digits
    classifier = MnistGpuClassifier(
        (16,), epochs=1, batch_size=100, warm_start=True, random_state=0, **DECODER
    )
    first = classifier.fit(images, labels).score(images, labels)
    assert classifier.fit(images, labels).score(images, labels) > first
    with pytest.raises(ValueError, match="keep hidden_layer_sizes and denoising"):
        classifier.set_params(denoising=0.0).fit(images, labels)


@pytest.mark.parametrize("more", [{}, {"ema": 0.9}])
def test_a_few_more_rows_of_one_class_do_not_decide_the_normalisation(digits, more):
    """Means and variances of a part of the rows are not those of what was learnt from."""
    images, labels = digits
    classifier = MnistGpuClassifier(
        (32, 32), batch_norm=True, input_noise=0.3, hidden_noise=0.3, batch_size=100,
        learning_rate=0.005, random_state=0, **more,
    )  # fmt: skip
    for _ in range(4):
        for start in range(0, 2000, 200):
            part = slice(start, start + 200)
            classifier.partial_fit(images[part], labels[part], classes=range(10))
    before = classifier.score(images, labels)
    ones = images[labels == 1][:40]
    classifier.partial_fit(ones, np.ones(40, dtype=int))
    assert classifier.score(images, labels) > before - 0.02
