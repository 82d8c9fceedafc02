"""Edits of a trained network: the accuracy after each is that of the whole network anew."""

import numpy as np
import pytest

from mnistgpu import network
from mnistgpu.backend import NUMPY
from mnistgpu.data import Digits
from mnistgpu.errors import UsageError
from mnistgpu.models import model as models
from mnistgpu.models.committee import Committee
from mnistgpu.models.edits import NEVER, Edits
from mnistgpu.models.model import Model
from mnistgpu.reports import evaluation

SIZES = (784, 20, 16, 12, 10)


@pytest.fixture(scope="module")
def trained(digits):
    """A network that has learnt a little, so that an edit moves its accuracy."""
    rng = np.random.default_rng(1)
    theta = rng.normal(0, 0.15, network.parameter_count(SIZES)).astype(np.float32)
    X, labels = digits[0].T.astype(np.float32) / 255.0, digits[1].astype(np.int64)
    params = network.layers(theta, SIZES)
    for _ in range(150):
        A, Z = network.forward(params, X)
        Y = network.one_hot(labels, 10)
        for (W, b), (dW, db) in zip(params, network.backward(params, A, Z, Y), strict=True):
            W -= 0.5 * dW
            b -= 0.5 * db
    return Model(theta, SIZES)


@pytest.fixture(scope="module")
def test_digits(digits):
    """Of two blocks, the last of which is shorter."""
    return Digits(digits[0][:900], digits[1][:900].astype(np.int64), "digits")


def accuracy(model, digits):
    return evaluation.evaluate(model, digits, NUMPY, robustness=False).accuracy


EDITS = {
    "off": ("switch_off", (1, 3)),
    "off in the middle": ("switch_off", (2, 5)),
    "off below the last": ("switch_off", (3, 7)),
    "off, an output": ("switch_off", (4, 1)),
    "scale": ("scale", (1, 3, -2.0)),
    "scale in the middle": ("scale", (3, 2, 3.0)),
    "scale an output": ("scale", (4, 2, 0.5)),
    "scale much": ("scale", (2, 1, -1e6)),
    "shift": ("shift", (1, 4, 1.5)),
    "shift an output": ("shift", (4, 0, 2.0)),
    "prune": ("prune", (1, 0.9)),
    "prune the last": ("prune", (4, 0.5)),
    "prune nothing": ("prune", (2, 0.0)),
    "prune all": ("prune", (2, 1.0)),
}


@pytest.mark.parametrize(("what", "how"), EDITS.values(), ids=EDITS)
def test_the_accuracy_is_that_of_the_edited_network(trained, test_digits, what, how):
    edits = Edits(trained, test_digits)
    assert edits.before == edits.accuracy == accuracy(trained, test_digits)
    found = getattr(edits, what)(*how)
    assert found == edits.accuracy == accuracy(edits.model, test_digits)
    if how != (2, 0.0):  # which prunes nothing
        assert not np.array_equal(edits.model.theta, trained.theta)
    assert edits.undo() == edits.before
    assert np.array_equal(edits.model.theta, trained.theta)


def test_many_edits_one_after_the_other(trained, test_digits):
    edits = Edits(trained, test_digits)
    seen = []
    for what, how in EDITS.values():
        getattr(edits, what)(*how)
        seen.append(accuracy(edits.model, test_digits))
        assert edits.accuracy == seen[-1]
    assert len(set(seen)) > 4
    for expected in reversed([edits.before, *seen[:-1]]):
        assert edits.undo() == expected
    assert edits.list == []
    for _ in range(30):  # nothing drifts
        edits.scale(1, 3, 3.0)
        edits.undo()
    assert edits.reset() == edits.before


def test_what_an_edit_means(trained, test_digits):
    edits = Edits(trained, test_digits)
    edits.switch_off(1, 3)
    edits.scale(2, 4, 2.0)
    edits.shift(3, 5, -0.5)
    edits.prune(4, 0.25)
    (W1, b1), (W2, b2), (W3, b3), (W4, b4) = edits.model.layers
    (V1, c1), (V2, c2), (V3, c3), (V4, c4) = trained.layers
    assert np.array_equal(W1, V1)
    assert np.array_equal(b1, c1)
    expected = V2.copy()
    expected[:, 3] = 0.0
    expected[4] *= 2.0
    assert np.array_equal(W2, expected)
    assert np.array_equal(b2, c2)
    assert b3[5] == c3[5] - np.float32(0.5)
    assert np.array_equal(W3, V3)
    assert np.count_nonzero(W4 == 0) == 30
    kept = W4 != 0
    assert np.array_equal(W4[kept], V4[kept])
    assert np.abs(V4[~kept]).max() <= np.abs(V4[kept]).min()
    assert np.array_equal(b4, c4)
    edits.switch_off(4, 9)
    assert edits.model.layers[-1][1][9] == NEVER
    assert not (edits.model.predict(test_digits.images) == 9).any()


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_of_equal_weights_as_many_are_pruned_as_asked(test_digits, share):
    """Of weights that are all as large, and of those that an earlier edit has set to 0."""
    even = np.full(network.parameter_count((784, 10)), 0.5, np.float32)
    even[::2] *= -1.0
    edits = Edits(Model(even, (784, 10)), test_digits)
    for _ in range(2):
        edits.prune(1, share)
        (W, b), *_ = edits.model.layers
        assert np.count_nonzero(W == 0.0) == share * W.size
        assert np.count_nonzero(b) == 10


def test_a_unit_that_is_off_says_nothing(trained, test_digits):
    edits = Edits(trained, test_digits)
    edits.switch_off(2, 5)
    model = edits.model
    A, _ = network.forward(trained.layers[:2], test_digits.images.T.astype(np.float32) / 255.0)
    A = np.maximum(trained.layers[1][0] @ A[1] + trained.layers[1][1], 0.0)
    A[5] = 0.0
    for W, b in trained.layers[2:-1]:
        A = np.maximum(W @ A + b, 0.0)
    W, b = trained.layers[-1]
    np.testing.assert_allclose(model.logits(test_digits.images), W @ A + b, rtol=1e-3, atol=1e-3)


def test_the_file_says_what_was_edited(trained, test_digits, tmp_path):
    edits = Edits(trained, test_digits)
    edits.scale(1, 3, 0.5)
    edits.prune(2, 0.1)
    path = tmp_path / "edited.safetensors"
    models.save(edits.model, path)
    found = models.load(path)
    assert found == edits.model
    assert list(found.edits) == [
        {"what": "scale", "layer": 1, "unit": 3, "by": 0.5},
        {"what": "prune", "layer": 2, "share": 0.1},
    ]
    again = Edits(found, test_digits)
    again.shift(1, 0, 1.0)
    assert [each["what"] for each in again.model.edits] == ["scale", "prune", "shift"]
    assert again.before == edits.accuracy


@pytest.mark.parametrize(
    ("what", "how", "why"),
    [
        ("switch_off", (1, 20), "unit must be a whole number from 0 to 19 in layer 1, not 20"),
        ("scale", (5, 0, 1.0), "layer must be a whole number from 1 to 4, not 5"),
        ("scale", (1, 0, float("nan")), "factor must be a finite number"),
        ("shift", (1, 0, 1e9), "amount must be a finite number of at most 1,000,000"),
        ("shift", (1, 0, "much"), "amount must be a finite number"),
        ("scale", (1, 0, True), "factor must be a finite number"),
        ("scale", (1, 0, -1_000_001), "factor must be a finite number of at most 1,000,000"),
        ("prune", (1, 1.5), "share must be a number from 0 to 1, not 1.5"),
    ],
)
def test_what_makes_no_sense_is_refused(trained, test_digits, what, how, why):
    edits = Edits(trained, test_digits)
    with pytest.raises(UsageError, match=why):
        getattr(edits, what)(*how)
    assert edits.list == []
    with pytest.raises(UsageError, match="there is no edit to take back"):
        edits.undo()


def test_what_cannot_be_edited(trained, test_digits):
    with pytest.raises(UsageError, match="a committee has no units"):
        Edits(Committee((trained,)), test_digits)
    with pytest.raises(UsageError, match="editing needs labels"):
        Edits(trained, Digits(test_digits.images, None, "digits"))


def test_in_little_time_the_first_images_are_judged_and_then_the_others(trained, test_digits):
    """After every edit some images are judged at once, and at last all, as if there was time."""
    many = Digits(np.tile(test_digits.images, (3, 1)), np.tile(test_digits.labels, 3), "digits")
    whole, first = Edits(trained, many), Edits(trained, many, within=0.0)
    assert 0 < first.judged < len(many) == whole.judged
    steps = [*EDITS.values(), ("undo", ()), ("undo", ()), *list(EDITS.values())[:3], ("reset", ())]
    for number, (what, how) in enumerate(steps):
        expected, found = getattr(whole, what)(*how), getattr(first, what)(*how)
        some = Digits(many.images[: first.judged], many.labels[: first.judged], "digits")
        assert found == first.accuracy == accuracy(first.model, some)
        assert first.before == accuracy(trained, some)
        if number % 3:
            first.go_on()
        if number % 3 == 2:
            while first.judged < len(many):
                assert first.go_on() >= first.judged
            assert (first.accuracy, first.before) == (expected, whole.before)


def test_the_time_of_an_edit_is_estimated(trained, test_digits):
    edits = Edits(trained, test_digits)
    assert 0 < edits.seconds(4) < edits.seconds(1, whole=True) < 60
