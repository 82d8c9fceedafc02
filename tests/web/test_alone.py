"""The page that needs no server, in a real browser with its network switched off."""

import base64
import json

import cv2
import numpy as np
import pytest
from helpers.browser import Watched
from helpers.mnist import read_idx
from helpers.networks import committee, made
from helpers.pictures import HAND

import mnistgpu
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.pictures import preparing
from mnistgpu.web import alone

served = pytest.importorskip("mnistgpu.web.draw", reason="starlette is missing")
SIDE = 64  # of a drawing


def opened(browser, path, **options):
    """The page, from its file, in a browser that reaches nothing else."""
    watched = Watched(browser, offline=True, **options)
    asked = []
    watched.page.on("request", lambda request: asked.append(request.url))
    watched.page.goto(path.as_uri())
    watched.page.wait_for_function("() => document.querySelectorAll('.bar').length > 0")
    assert asked == [path.as_uri()]
    return watched, watched.page


def drawings():
    """200 digits of MNIST, drawn in many sizes and places; (200, 64, 64) uint8."""
    images = read_idx("t10k-images-idx3-ubyte", 200).reshape(-1, 28, 28)
    found = np.zeros((200, SIDE, SIDE), np.uint8)
    for i, image in enumerate(images):
        side = 24 + i % 41
        left, top = (i * 7) % (SIDE - side + 1), (i * 3) % (SIDE - side + 1)
        digit = cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)
        found[i, top : top + side, left : left + side] = digit
    return found


ASK = """text => {
  const bytes = Uint8Array.from(atob(text), each => each.charCodeAt(0)), found = [];
  for (let i = 0; i < bytes.length; i += 64 * 64)
    found.push(window.networkInPage.predict(64, Array.from(bytes.subarray(i, i + 64 * 64))));
  return JSON.stringify(found);
}"""


def answers(page, pictures):
    """The answers of the page to pictures (64, 64); as one text, since lists take seconds."""
    text = base64.b64encode(np.stack(list(pictures)).tobytes()).decode()
    return json.loads(page.evaluate(ASK, text))


def check_equal(page, model, pictures):
    """The answers in the page are those of the package's own page, image and all."""
    found = answers(page, pictures)
    for picture, answer in zip(pictures, found, strict=True):
        expected = served.answer(model, picture.astype(np.float32))
        assert answer["image"] == expected["image"]
        assert answer["digit"] == expected["digit"]
        assert np.allclose(answer["probabilities"], expected["probabilities"], atol=2e-5)
        assert [each["units"] for each in answer["hidden"]] == [
            each["units"] for each in expected["hidden"]
        ]
    return {answer["digit"] for answer in found}


def test_200_digits_are_answered_as_in_python(browser, tmp_path):
    shipped = mnistgpu.load("shipped")
    page_file = mnistgpu.export(shipped, tmp_path / "digits.html")
    watched, page = opened(browser, page_file)
    assert check_equal(page, shipped.trained, drawings()) == set(range(10))
    check_equal(page, shipped.trained, lines())
    assert watched.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(browser, tmp_path, activation):
    model = made(activation)
    _, page = opened(browser, mnistgpu.export(model, tmp_path / "digits.html"))
    check_equal(page, model, drawings()[:20])


@pytest.mark.slow
def test_a_committee_and_float64(browser, tmp_path):
    for name, model in (("a", committee()), ("b", made("tanh", precision="float64"))):
        _, page = opened(browser, mnistgpu.export(model, tmp_path / f"{name}.html"))
        check_equal(page, model, drawings()[:20])


def lines():
    """Strokes, dots and bars, of which some touch an edge or become one pixel wide."""
    found = []
    for width in range(1, SIDE + 1, 9):
        for height in (1, 3, 20, 41, 64):
            found.append(np.zeros((SIDE, SIDE), np.uint8))
            found[-1][SIDE - height :, :width] = 200
    for i in range(40):
        turn = np.linspace(0, 2 + i % 5, 12)
        path = np.stack([32 + 5 * turn * np.cos(turn + i), 32 + 4 * turn * np.sin(turn)], axis=1)
        found.append(np.zeros((SIDE, SIDE), np.uint8))
        points = np.int32(path * 16).reshape(-1, 1, 2)
        cv2.polylines(found[-1], [points], False, 255, 1 + i % 7, cv2.LINE_AA, 4)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("layers", ["784-24-16-10", "64-12-10"])
def test_every_drawing_is_prepared_to_the_last_level(browser, tmp_path, layers):
    """Also those that become larger, and those of 8x8 pixels, whose strokes are thickened."""
    model = made(layers=layers)
    _, page = opened(browser, mnistgpu.export(model, tmp_path / "digits.html"))
    pictures = [*drawings()[:60], *lines()]
    found = answers(page, pictures)
    for picture, answer in zip(pictures, found, strict=True):
        expected = preparing.prepare(picture.astype(np.float32), model.image_shape)
        assert answer["image"] == expected.tolist()


def draw_with_mouse(page, digit):
    box = page.locator("#canvas").bounding_box()
    for line in HAND[digit]:
        places = [
            (box["x"] + box["width"] * (0.2 + 0.6 * x), box["y"] + box["width"] * (0.2 + 0.6 * y))
            for x, y in line
        ]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=3)
        page.mouse.up()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_one_draws_and_it_answers(browser, tmp_path, size, scheme):
    path = mnistgpu.export("shipped", tmp_path / "digits.html")
    watched, page = opened(browser, path, size=size, scheme=scheme)
    for digit in (3, 7, 8):
        draw_with_mouse(page, digit)
        page.wait_for_function(
            "digit => document.getElementById('digit').textContent === digit",
            arg=str(digit),
            timeout=5000,
        )
        assert "sure" in page.inner_text("#sure")
        watched.picture(f"alone-{size}-{scheme}-{digit}")
        page.click("#clear")
    assert page.inner_text("#about") == "digits: 784-480-240-10, 494,650 parameters"
    assert not page.is_visible("#labels")  # nothing can be kept
    page.keyboard.press("5")
    assert watched.fits()
    assert watched.complaints == []


def test_names_of_classes_are_shown_as_they_are(browser, tmp_path):
    names = ("</script><b>a", "b&c", "eins", *"defghij")
    model = made(classes=names)
    watched, page = opened(browser, mnistgpu.export(model, tmp_path / "digits.html"), size="phone")
    shown = page.eval_on_selector_all(".bar b", "all => all.map(each => each.textContent)")
    assert shown == list(names)
    draw_with_mouse(page, 7)
    best = page.evaluate("document.querySelector('.bar.best b').textContent")
    assert page.inner_text("#digit") == best
    watched.picture("alone-names")
    assert watched.fits()
    assert watched.complaints == []


SENDING = """async () => {
  const blocked = [];
  addEventListener("securitypolicyviolation", event => blocked.push(event.effectiveDirective));
  await fetch("http://example.invalid/").catch(() => null);
  new Image().src = "http://example.invalid/x.png";
  const form = document.createElement("form");
  form.action = "http://example.invalid/";
  document.body.append(form);
  form.submit();
  const base = document.createElement("base");
  base.href = "http://example.invalid/";
  document.head.append(base);
  await new Promise(done => setTimeout(done, 200));
  return blocked.sort();
}"""


def test_the_browser_forbids_the_page_to_send(browser, tmp_path):
    page = opened(browser, mnistgpu.export(made(), tmp_path / "page.html"))[1]
    assert page.evaluate(SENDING) == ["base-uri", "connect-src", "form-action", "img-src"]


@pytest.mark.slow
def test_what_a_page_cannot_hold_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(alone, "MOST_PARAMETERS", 100)
    with pytest.raises(mnistgpu.UsageError, match="too many for a page, which may have 100"):
        mnistgpu.export(made(), tmp_path / "digits.html")
    assert list(tmp_path.iterdir()) == []
