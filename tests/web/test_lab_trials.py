"""Experiments and two networks side by side on the lab's page, and what the layers see."""

import json
import threading
import time

import numpy as np
import pytest
from helpers import lab as labs
from helpers.lab import opened, text_of, until

from mnistgpu import network
from mnistgpu.maths.activations import ACTIVATIONS

pair = pytest.importorskip("mnistgpu.web.pair", reason="starlette is missing")


@pytest.fixture
def lab(digits, tmp_path):
    with labs.running(labs.small_set(digits), tmp_path, epochs=3) as running:
        yield running


def ended(lab):
    return until(lambda: lab.get("trial"), lambda found: not found["running"], 60)


@pytest.mark.slow
def test_two_networks_side_by_side(lab):
    lab.post("trial/beside", difference="rate", value="2,5")
    found = ended(lab)
    assert (found["kind"], found["error"]) == ("beside", None)
    first, second = found["runs"]
    assert (first["says"], second["says"]) == ("as it is", "learning rate 2,5")
    assert first["history"]["learning_rate"][0] == 0.25
    assert second["history"]["learning_rate"][0] == 2.5
    result = found["result"]["beside"]
    assert result["images"] == 500
    assert len(result["shown"]) == min(20, result["different"])
    for each in result["shown"]:
        assert each["answers"][0] != each["answers"][1]
        assert each["label"] == int(lab.run.view.digits.labels[each["index"]])
    right = result["counts"]
    digits = lab.run.view.digits
    accuracies = [run["test_accuracy"] for run in found["result"]["runs"]]
    assert right["first"] - right["second"] == round((accuracies[0] - accuracies[1]) * len(digits))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("difference", "value"), [("seed", "3"), ("activation", "tanh"), ("zero", ""), ("unscaled", "")]
)
def test_every_difference_can_be_trained(lab, difference, value):
    lab.post("trial/beside", difference=difference, value=value)
    found = ended(lab)
    assert found["error"] is None
    one, other = (run["history"]["train_loss"] for run in found["runs"])
    assert one != other
    if difference == "zero":
        assert other[0] == pytest.approx(np.log(10), abs=1e-4)  # all classes alike


def test_the_other_seed_gives_other_first_weights_and_the_same_images(lab):
    """The first run is the lab's own; of the second, images and order are the same."""
    lab.do("step")
    own = until(lambda: lab.reach(1), lambda found: found["rows"])["rows"][0]["train_loss"]
    first, second = pair.pair_of(lab.run.settings(), "seed", "1", "en", 1500).runs
    assert first.settings == second.settings  # so of the same batches and held-out images
    assert (first.twists, second.twists) == ({}, {"other-first-weights": 1})
    lab.post("trial/beside", difference="seed", value="1")
    found = until(lambda: lab.get("trial"), lambda found: len(found["runs"]) == 2)
    assert found["runs"][0]["history"]["train_loss"][0] == own
    lab.post("trial/stop")
    assert ended(lab)["error"] in ("stopped", None)


@pytest.mark.parametrize(
    ("path", "status", "body", "sentence"),
    [
        ("trial/beside", 422, {"difference": "luck", "value": ""}, "difference must be one of"),
        ("trial/beside", 422, {"difference": "seed", "value": "0"}, "from 1 to 999"),
        ("trial/beside", 422, {"difference": "seed", "value": "x"}, "from 1 to 999"),
        ("trial/beside", 422, {"difference": "rate", "value": "fast"}, "greater than 0"),
        ("trial/beside", 422, {"difference": "rate", "value": "-1"}, "alpha"),
        ("trial/beside", 422, {"difference": "activation", "value": "sine"}, "--activation"),
        ("trial/experiment", 404, {"name": "cake", "seed": 0}, "There is no experiment cake here."),
        ("trial/experiment", 422, {"name": "zero-weights", "seed": -1}, "seed must be"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(resting, path, status, body, sentence):
    assert sentence in resting.post(path, status, **body)["error"]
    assert resting.get("trial")["kind"] == ""


def test_one_trial_at_a_time(lab):
    lab.post("trial/experiment", name="zero-weights", seed=0)
    refused = lab.post("trial/beside", 409, difference="seed", value="1")
    assert refused["words"] == "trial.other"
    lab.post("trial/stop")
    assert ended(lab)["error"] in ("stopped", None)


@pytest.mark.slow
def test_an_experiment_from_the_first_word_to_the_last(browser, lab):
    view, page = opened(browser, lab)
    page.click("#tab-experiments")
    titles = page.eval_on_selector_all("#experiment-list button", "all => all.map(b => b.id)")
    assert len(titles) >= 10
    page.click("#experiment-zero-weights")
    experiment = next(e for e in lab.get("about")["experiments"] if e["name"] == "zero-weights")
    text = page.inner_text("#experiment")
    assert experiment["title"] in text
    assert experiment["question"].split(".")[0][:40] in " ".join(text.split())
    for guess in experiment["guesses"]:
        assert guess in text
    assert page.is_disabled("#experiment-run")  # the guess comes first
    wrong = 1 if experiment["right"] != 1 else 2
    page.check(f"#guess-{wrong}")
    page.click("#experiment-run")
    text_of(page, "#experiment-result", "What happened", timeout=180_000)
    result = lab.get("trial")["result"]
    text = " ".join(page.inner_text("#experiment-result").split())
    for paragraph in result["explanation"]:
        assert " ".join(paragraph.split()) in text
    assert f"It turned out: {experiment['guesses'][experiment['right'] - 1]}" in text
    for claim in result["claims"]:
        assert claim["holds"]
        assert claim["found"] in text
    assert page.locator("#experiment-accuracy polyline").count() == len(result["runs"])
    view.picture("lab-experiment-desktop-light")
    page.click("#experiment-next")
    assert page.is_disabled("#experiment-run")
    assert page.inner_text("#experiment-title") != experiment["title"]
    assert view.complaints == []
    assert view.fits()


def test_a_claim_that_does_not_hold_is_said(browser, lab):
    """As a claim of a teacher's own experiment may not."""
    _, page = opened(browser, lab)
    trial = {
        "number": 1, "kind": "experiment", "name": "zero-weights", "running": False, "run": "",
        "rows": 1, "error": None,
        "runs": [{"name": "a", "says": "A", "history": {"iteration": [1], "train_accuracy": [0.5],
                  "validation_accuracy": [None], "train_loss": [1.0], "validation_loss": [None]}}],
        "result": {
            "explanation": ["It was <b>so</b>."], "pictures": [], "curves": [], "beside": None,
            "claims": [{"says": "It stays low.", "found": "95% < 20%", "holds": False}],
            "seconds": 1.0, "seed": 0,
            "runs": [{"says": "A", "warnings": ["little is learnt"]}],
        },
    }  # fmt: skip
    page.route("**/trial", lambda route: route.fulfill(body=json.dumps(trial)))
    page.click("#tab-experiments")
    page.click("#experiment-zero-weights")
    assert page.inner_text("#experiment-result") == ""  # before the guess nothing is told
    page.check("#guess-1")
    text_of(page, "#claims", "In this run this did not hold: It stays low. (95% < 20%)")
    assert "It was <b>so</b>." in page.inner_text("#experiment-result")
    assert "bad" in page.get_attribute("#claims li", "class")


@pytest.mark.slow
def test_side_by_side_on_the_page(browser, lab):
    view, page = opened(browser, lab)
    page.click("#tab-beside")
    for name in ("activation", "rate", "zero", "unscaled", "seed"):
        page.select_option("#difference", name)
        assert len(page.inner_text("#difference-help")) > 20
    page.select_option("#difference", "activation")
    assert page.evaluate("document.getElementById('other-value').tagName") == "SELECT"
    page.select_option("#difference", "rate")
    page.fill("#other-value", "much")
    page.click("#beside-start")
    text_of(page, "#beside-note", "must be a number greater than 0")
    page.fill("#other-value", "2.5")
    page.click("#beside-start")
    text_of(page, "#beside-note", "Done.", timeout=180_000)
    assert page.locator("#beside-accuracy polyline").count() == 2
    text_of(page, "#differ-count", "of 500 images")
    view.picture("lab-beside-desktop-light")
    assert [each for each in view.complaints if "422" not in each] == []  # of the wrong rate
    assert view.fits()


def test_a_result_that_comes_long_after_the_last_row_is_shown(browser, lab):
    """As on a busy machine, where a page asks between the two: it showed the curves alone."""
    _, page = opened(browser, lab)
    page.click("#tab-beside")
    two, drawn = pair.pair_of(lab.run.settings(), "rate", "2", "en", 1500), threading.Event()

    def trained(callbacks, stop):
        found = pair.trained(two, lab.run.dataset, callbacks, stop)
        assert drawn.wait(60)
        return found

    lab.page.trials.begin("beside", two, trained)
    page.wait_for_function(
        "at => document.querySelector('#beside-accuracy polyline.second')"
        "?.getAttribute('points').trim().split(' ').length === at",
        arg=4,
    )
    drawn.set()
    text_of(page, "#differ-count", "of 500 images")


def test_what_the_layers_see_has_numpy_s_numbers(lab):
    lab.do("epoch")
    lab.reach(13)
    found = until(lambda: lab.post("layers", layer=1), lambda found: found["step"] == 13)
    model = lab.run.steering.during(lambda moment: moment.model(), 5)
    digits = lab.run.view.digits
    X = digits.images.astype(np.float32).T / 255.0
    A, _ = network.forward(model.layers, X, ACTIVATIONS["relu"].value)
    centred = A[1] - A[1].mean(axis=1, keepdims=True)
    _, S, Vt = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    points = np.array(found["points"])
    for axis in range(2):
        own = S[axis] * Vt[axis]
        along = np.abs(np.corrcoef(points[:, axis], own)[0, 1])
        assert along > 0.999
    shares = S**2 / np.sum(S**2)
    np.testing.assert_allclose(found["explained"][:2], shares[:2], atol=2e-3)
    dead = int(np.sum(~(A[1] > 0).any(axis=1)))
    assert found["dead"] == [dead]
    for layer, (W, _) in enumerate(model.layers):
        histogram = found["histograms"][layer]
        assert sum(histogram["weights"]["counts"]) == W.size
        assert sum(histogram["gradients"]["counts"]) == W.size
        assert histogram["weights"]["edges"][0] == pytest.approx(W.min(), rel=1e-3)


@pytest.mark.slow
def test_the_layers_on_the_page_move_while_it_learns(browser, lab):
    view, page = opened(browser, lab)
    page.click("#step")
    text_of(page, "#running", "step 1")
    page.click("#tab-layers")
    text_of(page, "#plane-says", "After step 1, layer 1")
    before = page.evaluate("document.getElementById('plane').toDataURL()")
    lab.do("epoch")
    text_of(page, "#plane-says", "After step 13")
    assert page.evaluate("document.getElementById('plane').toDataURL()") != before
    page.select_option("#plane-layer", "2")
    text_of(page, "#plane-says", "layer 2")
    assert page.locator("#histograms svg").count() == 6  # weights, gradients, activations each
    assert "Dead units:" in page.inner_text("#dead")
    view.picture("lab-layers-desktop-light")
    if "tsne" in page.eval_on_selector_all("#plane-method option", "all => all.map(o => o.value)"):
        page.select_option("#plane-method", "tsne")
        text_of(page, "#plane-says", "by t-SNE", timeout=180_000)
        view.picture("lab-tsne-desktop-light")
    assert view.complaints == []
    assert view.fits()


def test_a_trial_does_not_stop_the_run(lab):
    lab.do("pace", pace="5")
    lab.do("start")
    lab.post("trial/experiment", name="zero-weights", seed=0)
    before = lab.state()["step"]
    time.sleep(0.5)
    assert lab.state()["step"] > before
    lab.post("trial/stop")
    ended(lab)
