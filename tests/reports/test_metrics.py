"""Metrics against values worked out by hand, published, or computed by SciPy."""

import math

import numpy as np
import pytest

from mnistgpu.errors import ShapeError
from mnistgpu.reports import metrics

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies
binomtest = pytest.importorskip("scipy.stats", reason="SciPy is not installed").binomtest

answers = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60).map(
    lambda pairs: np.asarray(pairs, dtype=np.uint8).T
)


def discordant(only_a, only_b, both=5):
    """Who was right, for two models that differ on so many images."""
    a = np.repeat([True, False, True], [only_a, only_b, both])
    b = np.repeat([False, True, True], [only_a, only_b, both])
    return a, b


def test_accuracy_by_hand():
    assert metrics.accuracy(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 9])) == 0.75


def test_confusion_by_hand():
    predicted = np.array([0, 1, 1, 2, 0], dtype=np.int64)
    labels = np.array([0, 1, 2, 2, 2], dtype=np.uint8)
    confusion = metrics.confusion_matrix(predicted, labels, 3)
    assert confusion.dtype == np.int64
    np.testing.assert_array_equal(confusion, [[1, 0, 0], [0, 1, 0], [1, 1, 1]])


def test_confusion_of_more_classes_than_a_byte_has_cells():
    confusion = metrics.confusion_matrix(np.array([46], np.uint8), np.array([45], np.uint8), 47)
    assert confusion.shape == (47, 47)
    assert confusion[45, 46] == confusion.sum() == 1


@given(answers)
def test_confusion_counts_every_answer_once(pair):
    predicted, labels = pair
    confusion = metrics.confusion_matrix(predicted, labels, 5)
    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(labels, minlength=5))
    np.testing.assert_array_equal(confusion.sum(axis=0), np.bincount(predicted, minlength=5))
    assert np.trace(confusion) / len(labels) == metrics.accuracy(predicted, labels)
    np.testing.assert_array_equal(confusion.T, metrics.confusion_matrix(labels, predicted, 5))


def test_per_class_by_hand():
    # class 0: found 6 of 8, answered 10 times; class 1: never right; class 2: never seen or said
    precision, recall, f1 = metrics.per_class(np.array([[6, 2, 0], [4, 0, 0], [0, 0, 0]]))
    np.testing.assert_allclose(precision, [0.6, 0.0, math.nan])
    np.testing.assert_allclose(recall, [0.75, 0.0, math.nan])
    np.testing.assert_allclose(f1, [12 / 18, 0.0, math.nan])


@given(answers)
def test_f1_is_the_harmonic_mean_where_there_is_one(pair):
    precision, recall, f1 = metrics.per_class(metrics.confusion_matrix(*pair, 5))
    with np.errstate(invalid="ignore"):
        mean = 2 * precision * recall / (precision + recall)
    known = ~np.isnan(mean)
    np.testing.assert_allclose(f1[known], mean[known])


@pytest.mark.parametrize(
    ("correct", "total", "confidence", "low", "high"),
    [
        (81, 263, 0.95, 0.2553, 0.3662),  # Newcombe 1998, "Two-sided confidence intervals for the
        (15, 148, 0.95, 0.0624, 0.1605),  # single proportion", table I, method 3
        (0, 20, 0.95, 0.0, 0.1611),
        (1, 29, 0.95, 0.0061, 0.1718),
        (9200, 10000, 0.95, 0.91452, 0.92516),
    ],
)
def test_wilson_interval_as_published(correct, total, confidence, low, high):
    found = metrics.wilson_interval(correct, total, confidence)
    np.testing.assert_allclose(found, (low, high), atol=5.1e-5)


@given(st.integers(1, 100_000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
@settings(max_examples=60)
def test_wilson_interval_as_scipy(total, share, confidence):
    correct = round(total * share)
    low, high = metrics.wilson_interval(correct, total, confidence)
    expected = binomtest(correct, total).proportion_ci(confidence, method="wilson")
    np.testing.assert_allclose((low, high), expected, rtol=1e-9, atol=1e-12)
    assert 0.0 <= low <= correct / total <= high <= 1.0
    assert low < high
    mirrored = metrics.wilson_interval(total - correct, total, confidence)
    np.testing.assert_allclose(mirrored, (1.0 - high, 1.0 - low), atol=1e-12)


def test_wilson_interval_keeps_its_ends_at_all_and_nothing():
    assert metrics.wilson_interval(0, 10_000)[0] == 0.0
    assert metrics.wilson_interval(10_000, 10_000)[1] == 1.0


@pytest.mark.parametrize(
    ("only_a", "only_b"),
    [
        (0, 0),
        (1, 0),
        (0, 5),
        (5, 5),
        (10, 2),
        (2, 10),
        (59, 26),
        (300, 200),
        (4900, 5100),
        (0, 1000),
    ],
)
def test_mcnemar_as_scipy(only_a, only_b):
    found = metrics.mcnemar(*discordant(only_a, only_b))
    total = only_a + only_b
    expected = binomtest(only_a, total).pvalue if total else 1.0
    assert (found.only_a, found.only_b) == (only_a, only_b)
    assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_very_many_images_is_a_probability():
    assert metrics.mcnemar(*discordant(500_000, 500_000)).p_value == 1.0
    assert metrics.mcnemar(*discordant(100_000, 0)).p_value == 0.0  # 2^-99999 is below any float
    assert 0.0 < metrics.mcnemar(*discordant(101_000, 100_000)).p_value < 0.05


@given(st.integers(0, 80), st.integers(0, 80), st.integers(0, 80))
def test_mcnemar_is_symmetric_and_heeds_only_the_differences(only_a, only_b, both):
    a, b = discordant(only_a, only_b, both)
    p_value = metrics.mcnemar(a, b).p_value
    assert p_value == metrics.mcnemar(b, a).p_value == metrics.mcnemar(~a, ~b).p_value
    k = min(only_a, only_b)
    exact = sum(math.comb(only_a + only_b, i) for i in range(k + 1)) / 2 ** (only_a + only_b - 1)
    assert p_value == pytest.approx(min(1.0, exact), rel=1e-9)


# two answers with 0.9 of which one is right, two with 0.6 both right, one with 0.5 that is wrong
PROBABILITIES = np.array([[0.9, 0.1, 0.6, 0.4, 0.5], [0.1, 0.9, 0.4, 0.6, 0.5]])
LABELS = np.array([0, 0, 0, 1, 1], dtype=np.uint8)


def test_calibration_by_hand():
    counts, confidence, right = metrics.reliability_bins(PROBABILITIES, LABELS, bins=5)
    np.testing.assert_array_equal(counts, [0, 0, 3, 0, 2])  # 0.6 is in (0.4, 0.6], not above it
    np.testing.assert_allclose(confidence, [math.nan, math.nan, 1.7 / 3, math.nan, 0.9])
    np.testing.assert_allclose(right, [math.nan, math.nan, 2 / 3, math.nan, 0.5])
    expected = (3 * (2 / 3 - 1.7 / 3) + 2 * (0.9 - 0.5)) / 5
    found = metrics.expected_calibration_error(PROBABILITIES, LABELS, bins=5)
    assert found == pytest.approx(expected)


def test_calibration_at_the_ends():
    sure = np.array([[1.0, 1.0 + 1e-7, 0.0], [0.0, 0.0, 1.0]], dtype=np.float32)
    assert metrics.reliability_bins(sure, np.array([0, 0, 1])).counts[-1] == 3
    assert metrics.expected_calibration_error(sure, np.array([0, 0, 1])) == pytest.approx(
        0.0, abs=1e-6
    )
    assert metrics.expected_calibration_error(sure, np.array([1, 1, 0])) == pytest.approx(1.0)


@given(st.integers(1, 50), st.integers(2, 6), st.integers(1, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_calibration_is_a_weighted_mean_between_0_and_1(m, classes, bins, seed):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), m).T
    labels = random.integers(0, classes, m)
    counts, confidence, right = metrics.reliability_bins(probabilities, labels, bins)
    assert counts.sum() == m
    sure, top = probabilities.max(axis=0), probabilities.argmax(axis=0)
    assert np.nansum(counts * confidence) == pytest.approx(sure.sum())
    assert np.nansum(counts * right) == pytest.approx(np.sum(top == labels))
    assert 0.0 <= metrics.expected_calibration_error(probabilities, labels, bins) <= 1.0
    one_bin = metrics.expected_calibration_error(probabilities, labels, 1)
    assert one_bin == pytest.approx(abs(sure.mean() - np.mean(top == labels)))


DIGITS = np.array([0, 1])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: metrics.accuracy(DIGITS, np.array([0])), "one length"),
        (lambda: metrics.accuracy(np.zeros((2, 2), int), np.zeros((2, 2), int)), "vectors"),
        (lambda: metrics.accuracy(DIGITS[:0], DIGITS[:0]), "at least one"),
        (lambda: metrics.accuracy(np.array([0.1, 0.9]), DIGITS), "argmax"),
        (lambda: metrics.confusion_matrix(np.array([0, 2]), DIGITS, 2), "digit 2 at index 1"),
        (lambda: metrics.confusion_matrix(DIGITS, np.array([-1, 0]), 2), "label -1 at index 0"),
        (lambda: metrics.per_class(np.zeros((2, 3), int)), "(classes, classes)"),
        (lambda: metrics.per_class(np.full((2, 2), 0.5)), "counts"),
        (lambda: metrics.per_class(np.full((2, 2), -1)), "counts"),
        (lambda: metrics.wilson_interval(3, 2), "3 of 2"),
        (lambda: metrics.wilson_interval(0, 0), "0 of 0"),
        (lambda: metrics.wilson_interval(1, 2, 95), "0.95"),
        (lambda: metrics.mcnemar(DIGITS, DIGITS == 0), "predicted == labels"),
        (lambda: metrics.mcnemar(DIGITS == 0, np.array([True])), "one length"),
        (lambda: metrics.reliability_bins(PROBABILITIES.T, LABELS), "one image is one column"),
        (lambda: metrics.reliability_bins(PROBABILITIES * 2, LABELS), "softmax"),
        (lambda: metrics.reliability_bins(PROBABILITIES * np.nan, LABELS), "softmax"),
        (lambda: metrics.reliability_bins(PROBABILITIES[:, :0], LABELS[:0]), "do not fit"),
        (lambda: metrics.expected_calibration_error(PROBABILITIES, LABELS, 0), "0 bins"),
    ],
)
def test_refusals_say_what_and_how_to_mend_it(call, said):
    with pytest.raises(ShapeError) as refusal:
        call()
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
