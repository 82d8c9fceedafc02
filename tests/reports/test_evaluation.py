"""What evaluate measures: thresholds, worst mistakes, and images made worse on purpose."""

import re

import numpy as np
import pytest
from helpers.mnist import read_idx

from mnistgpu import backend, data, models
from mnistgpu.models import model
from mnistgpu.reports import evaluation, html_report, metrics, robustness

ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")


@pytest.fixture(scope="module")
def images(digits):
    return digits[0][:40].reshape(-1, 28, 28).astype(np.float32)


@pytest.fixture(scope="module")
def found():
    images, labels = (
        read_idx("t10k-images-idx3-ubyte", 3000),
        read_idx("t10k-labels-idx1-ubyte", 3000),
    )
    trained = model.load(models.SHIPPED)
    digits = data.Digits(images, labels, "<b>some</b> & others")
    return trained, evaluation.evaluate(trained, digits, backend.select("numpy"))


@pytest.mark.parametrize("trial", robustness.TRIALS, ids=lambda trial: trial.name)
def test_no_change_at_strength_0(trial, images):
    assert 0 in trial.strengths
    assert np.allclose(trial.change(images, 0), images, atol=1e-5)


def test_noise_has_the_strength_it_says(images):
    grey = np.full_like(images, 128.0)
    assert np.std(robustness.noisy(grey, 0.1)) == pytest.approx(25.5, rel=0.02)


def test_shift_moves_the_centre_of_mass(images):
    inside = np.pad(images, ((0, 0), (8, 8), (8, 8)))
    moved = robustness.shifted(inside, 3.0)
    y, x = np.mgrid[:44, :44]
    away = [
        np.hypot(
            *((place * (a / a.sum() - b / b.sum())).sum() for place in (y, x)),
        )
        for a, b in zip(inside, moved, strict=True)
    ]
    assert np.allclose(away, 3.0, atol=2e-5)


def test_rotation_is_scipys(images):
    for degrees in (-30, 15):
        theirs = ndimage.rotate(
            images, degrees, axes=(2, 1), reshape=False, order=1, mode="constant"
        )
        ours = robustness.rotated(images, degrees)
        inner = (slice(None), slice(6, 22), slice(6, 22))
        assert np.abs(ours - theirs)[inner].max() < 0.5


def test_thickness_is_scipys(images):
    cross = ndimage.generate_binary_structure(2, 1)[None]
    assert np.array_equal(
        robustness.thickened(images, 2), ndimage.grey_dilation(images, footprint=cross)
    )
    thin = ndimage.grey_erosion(images, footprint=cross, mode="constant")
    assert np.array_equal(robustness.thickened(images, -2), thin)
    half = robustness.thickened(images, 1)
    assert np.allclose(half, (images + robustness.thickened(images, 2)) / 2)


def test_thresholds_by_hand():
    confidence, right = np.array([0.4, 0.6, 0.9, 0.95]), np.array([False, False, True, True])
    assert evaluation.threshold(confidence, right, 0.5) == evaluation.Threshold(0.5, 1, 1, 2 / 3)
    assert evaluation.threshold(confidence, right, 0.9) == evaluation.Threshold(0.9, 2, 0, 1.0)
    nothing = evaluation.threshold(confidence, right, 0.99)
    assert nothing.refused == 4
    assert np.isnan(nothing.accuracy)


def test_what_is_found(found):
    _, found = found
    predicted = found.probabilities.argmax(axis=0)
    assert found.accuracy == np.mean(predicted == found.digits.labels) > 0.98
    assert set(found.worst) == set(np.flatnonzero(predicted != found.digits.labels))
    surest = found.probabilities.max(axis=0)[found.worst]
    assert surest[0] == surest.max()
    for curve in found.curves:
        at_zero = curve.accuracy[curve.trial.strengths.index(0)]
        assert at_zero > 0.98
        assert min(curve.accuracy) < at_zero - 0.05  # hard enough to tell networks apart


def test_the_terminal_says_it_all(found):
    lines = found[1].lines()
    text = "\n".join(lines)
    for part in ("accuracy 0.9", "precision", "calibration error", "refused", "rotation (degrees)"):
        assert part in text
    count = min(len(found[1].digits), evaluation.ROBUSTNESS_IMAGES)
    heading = lines[-len(robustness.TRIALS) - 1]
    assert heading == f"accuracy on changed copies of {count:,} of the digits:"


def test_the_page_stands_alone(found):
    trained, found = found
    text = html_report.page(found, trained, "runs/<mine>", "mnistgpu evaluate 'a b'")
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    assert "url(" not in text
    assert "http" not in text
    assert "&lt;b&gt;some&lt;/b&gt; &amp; others" in text
    assert "mnistgpu evaluate &#x27;a b&#x27;" in text
    assert text.count("data:image/png;base64,") == min(html_report.WORST, len(found.worst))


def test_a_perfect_network_and_other_classes():
    rng = np.random.default_rng(0)
    trained = model.Model(rng.normal(0, 0.3, 16 * 3 + 3), (16, 3), (4, 4))
    images = rng.integers(0, 256, (50, 16), dtype=np.uint8)
    digits = data.Digits(images, trained.predict(images).astype(np.uint8), "squares", (4, 4))
    found = evaluation.evaluate(trained, digits, backend.select("numpy"))
    assert found.right == 50
    assert "every answer was right" in html_report.page(found, trained, "x", "y")


def test_a_bin_without_a_right_answer_is_seen_and_an_empty_one_is_not():
    bins = metrics.Reliability(
        np.array([0, 5, 40]), np.array([np.nan, 0.5, 0.9]), np.array([np.nan, 0.0, 1.0])
    )
    chart = html_report.reliability_chart(bins)
    heights = [float(value) for value in re.findall('class="bar".*? height="([0-9.]+)"', chart)]
    assert len(heights) == 2
    assert 1.5 <= heights[0] < 5 < heights[1]
