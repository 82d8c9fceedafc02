"""A neuron opened on the lab's page, and edits: their numbers are NumPy's own."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import lab as labs
from helpers.lab import opened, text_of, until
from helpers.pictures import drawing
from helpers.web import ask, body_of

import mnistgpu
from mnistgpu.models import model as models

pytest.importorskip("mnistgpu.web.lab", reason="starlette is missing")


@pytest.fixture
def lab(digits, tmp_path):
    """A lab whose network has learnt for an epoch, and rests."""
    with labs.running(labs.small_set(digits), tmp_path) as running:
        running.do("epoch")
        running.reach(13)
        yield running


@pytest.fixture(scope="module")
def resting(digits, tmp_path_factory):
    """A lab that no test changes, so that all of them can have the same."""
    with labs.running(labs.small_set(digits), tmp_path_factory.mktemp("lab")) as running:
        running.do("epoch")
        running.reach(13)
        yield running


def network_of(lab):
    return lab.run.steering.during(lambda moment: moment.model(), 5)


def by_hand(model, image):
    """Activations and sums of a network 784-16-10 for one image, in NumPy alone."""
    theta = model.theta.astype(np.float64)
    W1, b1 = theta[: 16 * 784].reshape(16, 784), theta[16 * 784 : 16 * 784 + 16]
    W2, b2 = theta[-170:-10].reshape(10, 16), theta[-10:]
    x = image / 255.0
    z1 = W1 @ x + b1
    a1 = np.maximum(z1, 0.0)
    z2 = W2 @ a1 + b2
    p = np.exp(z2) / np.exp(z2).sum()
    return x, W1, b1, z1, a1, W2, b2, z2, p


def test_a_hidden_unit_has_numpy_s_numbers(resting):
    image = resting.run.view.digits.images[7]
    at = resting.post("image", number=7)
    assert base64.b64decode(at["pixels"]) == image.tobytes()
    x, W1, b1, z1, a1, *_ = by_hand(network_of(resting), image)
    for unit in (0, 5, 15):
        found = resting.post("unit", image=at["pixels"], layer=1, unit=unit)
        assert found["sum"] == pytest.approx(z1[unit], rel=1e-5, abs=1e-6)
        assert found["bias"] == pytest.approx(b1[unit], rel=1e-6)
        assert found["products"] == pytest.approx(W1[unit] @ x, rel=1e-5, abs=1e-6)
        assert found["value"] == pytest.approx(a1[unit], rel=1e-5, abs=1e-6)
        assert found["slope"] == float(z1[unit] > 0)
        products = W1[unit] * x
        order = np.argsort(-np.abs(products), kind="stable")[:10]
        assert [each["index"] for each in found["largest"]] == order.tolist()
        for each in found["largest"]:
            assert each["product"] == pytest.approx(products[each["index"]], rel=1e-6)
            assert each["product"] == pytest.approx(each["weight"] * each["input"])
        total = sum(each["product"] for each in found["largest"]) + found["rest"] + found["bias"]
        assert total == pytest.approx(found["sum"], abs=1e-6)
        levels = np.frombuffer(base64.b64decode(found["map"]["products"]), np.uint8).astype(float)
        limit = found["map"]["products_limit"]
        np.testing.assert_allclose((levels - 127.5) / 127.5 * limit, products, atol=limit / 120)


def test_an_output_unit_has_the_softmax_with_its_numbers(resting):
    image = resting.run.view.digits.images[3]
    at = resting.post("image", number=3)
    *_, z2, p = by_hand(network_of(resting), image)
    found = resting.post("unit", image=at["pixels"], layer=2, unit=4)
    assert found["map"] is None
    assert found["sum"] == pytest.approx(z2[4], rel=1e-5)
    assert found["last"]["probability"] == pytest.approx(p[4], rel=1e-5)
    np.testing.assert_allclose(found["last"]["exponentials"], np.exp(z2 - z2.max()), rtol=1e-4)
    share = found["last"]["exponentials"][4] / found["last"]["total"]
    assert share == pytest.approx(p[4], rel=1e-5)
    source = Path(mnistgpu.network.__file__).read_text(encoding="utf-8").splitlines()
    for name, (number, text) in found["lines"].items():
        assert text.strip() in source[number - 1], name


def test_what_a_unit_responds_to_most(resting):
    images = resting.run.view.digits.images
    model = network_of(resting)
    W, b = model.layers[0]
    values = np.maximum(images.astype(np.float64) / 255.0 @ W[2] + b[2, 0], 0.0)
    found = resting.post("responds", layer=1, unit=2)["images"]
    assert [each["number"] for each in found] == np.argsort(-values, kind="stable")[:10].tolist()
    np.testing.assert_allclose([each["value"] for each in found], np.sort(-values)[:10] * -1, 1e-4)


@pytest.mark.parametrize(
    "edits",
    [
        [{"what": "off", "layer": 1, "unit": 3}],
        [{"what": "scale", "layer": 1, "unit": 2, "value": -2.0}],
        [{"what": "shift", "layer": 2, "unit": 1, "value": 5.0}],
        [{"what": "prune", "layer": 1, "value": 0.9}],
        [
            {"what": "prune", "layer": 2, "value": 0.5},
            {"what": "off", "layer": 2, "unit": 0},
            {"what": "scale", "layer": 2, "unit": 3, "value": 0.0},
        ],
    ],
    ids=lambda edits: "-".join(each["what"] for each in edits),
)
def test_an_edit_has_the_accuracy_that_evaluate_gives(lab, edits):
    digits = lab.run.view.digits
    before = float(np.mean(network_of(lab).predict(digits.images) == digits.labels))
    for edit in edits:
        found = lab.post("edit", **edit)
    assert found["before"] == before
    path = lab.post("edit/save")["path"]
    saved = mnistgpu.load(path)
    evaluation = mnistgpu.evaluate(saved, digits.images, digits.labels, robustness=False)
    assert found["accuracy"] == evaluation.accuracy
    assert len(models.load(path).edits) == len(found["edits"]) == len(edits)
    assert lab.post("edit", what="reset")["accuracy"] == before
    assert lab.post("edit/save", 409)["words"] == "edit.nothing"


def test_edits_end_when_the_run_goes_on(lab):
    lab.post("edit", what="off", layer=1, unit=0)
    assert len(lab.get("edits")["edits"]) == 1
    lab.do("step")
    lab.reach(14)
    assert lab.get("edits")["edits"] == []
    assert lab.state()["notices"][-1]["words"] == "edit.dropped"


def test_training_rests_for_an_edit(lab):
    lab.do("pace", pace="5")
    lab.do("start")
    until(lab.state, lambda found: found["running"] == "running")
    lab.post("edit", what="off", layer=1, unit=0)
    step = until(lab.state, lambda found: found["running"] == "paused")["step"]
    assert lab.state()["step"] == step
    assert len(lab.get("edits")["edits"]) == 1


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("image", {"number": 500}, "number must be a whole number from 0 to 499"),
        ("image", {"number": True}, "number must be a whole number"),
        ("image", {"rows": 2, "columns": 2, "pixels": [0, 0, 0, 0]}, "sheet is blank"),
        ("mistake", {"after": 500}, "after must be a whole number"),
        ("unit", {"image": "AAAA", "layer": 1, "unit": 0}, "image must be 784 bytes"),
        ("unit", {"image": "?", "layer": 1, "unit": 0}, "image must be 784 bytes"),
        ("unit", {"layer": 1, "unit": 0}, "image must be a text"),
        ("responds", {"layer": 3, "unit": 0}, "layer must be a whole number from 1 to 2"),
        ("responds", {"layer": 1, "unit": 16}, "unit must be a whole number from 0 to 15"),
        ("edit", {"what": "burn"}, "what must be one of"),
        ("edit", {"what": "off", "layer": 1, "unit": 16}, "unit must be a whole number"),
        ("edit", {"what": "scale", "layer": 1, "unit": 1, "value": 1e9}, "value must be a number"),
        ("edit", {"what": "shift", "layer": 1, "unit": 1}, "value must be a number"),
        ("edit", {"what": "prune", "layer": 1, "value": 1.5}, "value must be a number from 0 to 1"),
        ("edit", {"what": "undo"}, "there is no edit to take back"),
        ("layers", {"layer": 3}, "layer must be a whole number from 1 to 2"),
        ("layers", {"layer": 1, "method": "guess"}, "method must be one of"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(resting, path, body, sentence):
    assert sentence in resting.post(path, 422, **body)["error"]


def test_photographs_and_what_is_none(resting):
    from PIL import Image

    ink = drawing(3, 200).astype(np.uint8)
    picture = io.BytesIO()
    Image.fromarray(255 - np.pad(ink, 100)).save(picture, "PNG")
    headers = {"Content-Type": "application/octet-stream"}
    status, text, _ = ask(resting.place, "POST", "/photo", picture.getvalue(), headers)
    assert (status, '"pixels"' in text) == (200, True), text
    for content, sentence in ((b"no picture", "no picture"), (b"", "picture")):
        status, text, _ = ask(resting.place, "POST", "/photo", content, headers)
        assert (status, sentence in text) == (422, True), text
    assert ask(resting.place, "POST", "/photo", b"x", {"Content-Type": "text/plain"})[0] == 415


def test_a_drawing_is_prepared_as_on_the_drawing_page(resting):
    from mnistgpu.pictures import preparing

    body = body_of(5)
    found = resting.post("image", **body)
    ink = np.array(body["pixels"], np.float32).reshape(64, 64)
    assert base64.b64decode(found["pixels"]) == preparing.prepare(ink).tobytes()


def test_the_next_mistake(resting):
    digits = resting.run.view.digits
    wrong = np.flatnonzero(network_of(resting).predict(digits.images) != digits.labels)
    assert resting.post("mistake", after=-1)["number"] == wrong[0]
    assert resting.post("mistake", after=int(wrong[0]))["number"] == wrong[1]
    assert resting.post("mistake", after=int(wrong[-1]))["number"] == wrong[0]  # round again


@pytest.mark.slow
def test_on_the_page_a_neuron_is_opened_and_edited(browser, lab):
    view, page = opened(browser, lab)
    page.click("#tab-neuron")
    text_of(page, "#image-says", "The network says")
    page.fill("#image-number", "7")
    page.press("#image-number", "Enter")
    image = lab.run.view.digits.images[7]
    text_of(page, "#image-says", f"The label is {lab.run.view.digits.labels[7]}")
    *_, z1, a1, _, _, _, p = by_hand(network_of(lab), image)
    page.fill("#unit-of-1", "5")
    page.click("#open-1")
    text_of(page, "#unit-title", "Layer 1, unit 5")
    shown = page.inner_text("#equation-sum").replace("−", "-")
    assert float(re.search(r"= (-?[\d.]+)$", shown)[1]) == pytest.approx(z1[5], rel=1e-3)
    shown = page.inner_text("#equation-activation").replace("−", "-")
    assert float(re.search(r"= (-?[\d.]+)$", shown)[1]) == pytest.approx(a1[5], rel=1e-3)
    assert "A.append(softmax(Z[-1]) if last else activation(Z[-1]))" in page.inner_text("#unit")
    assert page.locator("#contributions tbody tr").count() == 14
    page.wait_for_function("() => document.querySelectorAll('#responds figure').length === 10")
    view.picture("lab-neuron-desktop-light")
    page.fill("#unit-of-2", "4")
    page.click("#open-2")
    text_of(page, "#unit-title", "Layer 2, unit 4")
    text = page.inner_text("#equation-softmax")
    assert float(re.search(r"= ([\d.]+) = [\d.]+%", text)[1]) == pytest.approx(p[4], abs=2e-5)
    box = page.locator("#activations canvas >> nth=0").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 2.5 / 16, box["y"] + box["height"] / 2)
    text_of(page, "#unit-title", "Layer 1, unit 2")  # a click opens it too
    page.click("#edit-off")
    text_of(page, "#edit-list", "layer 1, unit 2: switched off")
    accuracy = lab.get("edits")["accuracy"]
    text_of(page, "#edit-accuracy", f"{100 * accuracy:.2f}%")
    page.fill("#edit-scale-value", "5000")
    page.click("#edit-scale")
    assert "from -1000 to 1000" in page.inner_text("#edit-controls")
    page.fill("#edit-scale-value", "2")
    page.click("#edit-scale")
    page.fill("#edit-shift-value", "-1")
    page.click("#edit-shift")
    page.fill("#edit-prune-value", "25")
    page.click("#edit-prune")
    text_of(page, "#edit-list", "the smallest 25% of its weights set to 0")
    page.click("#edit-save")
    text_of(page, "#notices", "edited-1.safetensors")
    view.picture("lab-edited-desktop-light")
    page.click("#edit-undo")
    page.wait_for_function("() => document.querySelectorAll('#edit-list li').length === 3")
    page.click("#edit-reset")
    page.wait_for_function("() => document.querySelectorAll('#edit-list li').length === 0")
    assert view.complaints == []
    assert view.fits()


@pytest.mark.slow
def test_on_the_page_a_digit_is_drawn_or_photographed(browser, lab, tmp_path):
    from PIL import Image

    view, page = opened(browser, lab, size="phone", scheme="dark")
    page.click("#tab-neuron")
    text_of(page, "#image-says", "The network says")
    page.click("#drawing summary")
    page.focus("#sheet")
    for key in (" ", *["ArrowDown"] * 14, " "):
        page.keyboard.press(key)
    page.wait_for_function(
        "() => !document.getElementById('image-says').textContent.includes('label')"
    )
    page.click("#draw-clear")
    box = page.locator("#sheet").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 160, steps=6)
    page.mouse.up()
    photo = tmp_path / "seven.png"
    Image.fromarray(255 - np.pad(drawing(7, 200).astype(np.uint8), 100)).save(photo)
    page.click("text=Photograph one")
    with page.expect_response("**/photo") as answer:
        page.set_input_files("#photo", str(photo))
    assert answer.value.status == 200
    (tmp_path / "none.txt").write_text("no picture")
    page.set_input_files("#photo", str(tmp_path / "none.txt"))
    text_of(page, "#image-note", "the photograph")
    page.click("#image-mistake")
    page.wait_for_function(
        "() => document.getElementById('image-says').textContent.includes('label')"
    )
    page.fill("#image-number", "99999")
    page.press("#image-number", "Enter")
    text_of(page, "#image-note", "from 0 to 499")
    page.wait_for_timeout(200)
    view.picture("lab-neuron-phone-dark")
    assert view.fits()
