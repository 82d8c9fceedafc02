"""`mnistgpu.explain` and `Run.beside`: numbers that agree with the network, and figures."""

import numpy as np
import pytest
from helpers.mnist import ROOT
from helpers.plots import texts

import mnistgpu
from mnistgpu.errors import ShapeError, UsageError

SETTINGS = {"layers": "784-8-10", "batch_size": 100, "validation": 100, "progress": False}


@pytest.fixture(scope="module")
def run(arrays):
    return mnistgpu.fit(*arrays, epochs=3, alpha=0.1, init="he", test=arrays, **SETTINGS)


def test_an_answer_is_explained_with_its_numbers(run, arrays):
    found = mnistgpu.explain(run, arrays[0][0])
    shares = run.model.predict_proba(arrays[0][:1])[0]
    assert list(found.probabilities) == list(range(10))
    np.testing.assert_allclose(list(found.probabilities.values()), shares, rtol=1e-4)
    assert found.answer == run.model.predict(arrays[0][:1])[0]
    assert (found.unit.layer, found.unit.unit) == (2, found.answer)
    assert found.unit.probability == pytest.approx(float(shares.max()), rel=1e-4)
    W, b = run.model.layers[0]
    hidden = found.of(1, 3)
    assert hidden.unit.sum == pytest.approx(
        float(W[3] @ (arrays[0][0].reshape(-1) / 255.0) + b[3, 0]), rel=1e-5
    )
    assert mnistgpu.explain(run.model, arrays[0][0], layer=1, unit=3).unit.sum == hidden.unit.sum


def test_the_figure_shows_image_products_terms_and_the_sum_in_words(run, arrays):
    found = mnistgpu.explain(run, arrays[0][0])
    for each, what in ((found, f"Layer 2, class {found.answer}:"), (found.of(1, 2), "unit 2:")):
        written = texts(each.figure)
        assert {"Weight x input", "The ten largest terms"} <= set(written)
        assert any(what in text for text in written)
        assert any(f"{each.unit.sum:.4f}" in text for text in written)
        page = each._repr_html_()
        assert "data:image/png;base64," in page
        assert "&lt;Explanation: " in page
    written = " ".join(texts(found.figure))
    assert f"probability {found.unit.probability:.4f}" in written
    assert "relu(" in " ".join(texts(found.of(1, 2).figure))


def test_what_adds_to_the_sum_is_red_and_what_takes_away_is_blue(run, arrays):
    """As on the page of the lab and in all other figures of weights."""
    found = mnistgpu.explain(run, arrays[0][0])
    products, bars = found.figure.axes[1:3]
    red, _, _, _ = products.images[0].cmap(1.0)
    _, _, blue, _ = products.images[0].cmap(0.0)
    assert (red > 0.3, blue > 0.3) == (True, True)
    assert products.images[0].cmap(1.0)[2] < red
    assert products.images[0].cmap(0.0)[0] < blue
    assert {term.product > 0 for term in found.unit.largest} == {True, False}
    for bar, term in zip(bars.patches, found.unit.largest, strict=True):
        red, _, blue, _ = bar.get_facecolor()
        assert (red > blue) == (term.product > 0)


def test_a_picture_is_explained():
    photo = ROOT / "tests" / "golden" / "photo-7.jpg"
    found = mnistgpu.explain("shipped", photo)
    assert found.answer == mnistgpu.load("shipped").read(photo).digit == 7


def test_what_cannot_be_explained(run, arrays):
    with pytest.raises(ShapeError, match=r"explain takes one image, not 3; give X\[0\]"):
        mnistgpu.explain(run, arrays[0][:3])
    with pytest.raises(UsageError, match="layer must be a whole number from 1 to 2, not 3"):
        mnistgpu.explain(run, arrays[0][0], layer=3)
    with pytest.raises(UsageError, match="unit must be a whole number from 0 to 7 in layer 1"):
        mnistgpu.explain(run, arrays[0][0], layer=1, unit=8)
    with pytest.raises(UsageError, match="a committee has no units of its own"):
        mnistgpu.explain(mnistgpu.committee([run, run]), arrays[0][0])


def test_two_runs_side_by_side(run, arrays):
    other = mnistgpu.fit(*arrays, epochs=1, alpha=0.1, init="he", test=arrays, seed=4, **SETTINGS)
    both = run.beside(other)
    first, second = (each.model.predict(arrays[0]) for each in (run, other))
    assert sorted(both.differ) == np.flatnonzero(first != second).tolist()
    assert both.accuracies == (run.test_accuracy, other.test_accuracy)
    index = both.differ[0]
    assert both.answered(index) == (first[index], second[index], arrays[1][index])
    assert both.names == ("epochs 3, seed 0", "epochs 1, seed 4")
    written = texts(both.figure)
    assert f"Answered differently: {len(both.differ):,} of 900" in written
    assert {"Training loss", "epochs 3, seed 0", "epochs 1, seed 4"} <= set(written)
    curve = next(ax for ax in both.figure.axes if ax.lines)
    assert [row.epoch for row in run.history] == curve.lines[0].get_xdata().tolist()
    assert [row.train_loss for row in other.history] == curve.lines[1].get_ydata().tolist()
    assert "data:image/png" in both._repr_html_()
    assert run.beside(run).differ.tolist() == []
    with pytest.raises(UsageError, match="beside: expected another Run, not Model"):
        run.beside(run.model)
