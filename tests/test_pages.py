"""The pages in a real browser: drawn on with mouse, finger and keys, at a desk and on a phone."""

import numpy as np
import pytest
from browser import Watched, launched
from conftest import read_idx
from pictures import HAND

from mnistgpu import backend, data, evaluation, html_report, model, models
from mnistgpu.web import server
from mnistgpu.web.keep import Kept

draw = pytest.importorskip("mnistgpu.web.draw", reason="starlette is missing")


@pytest.fixture(scope="module")
def browser():
    playwright, options = launched()
    with playwright as api:
        chromium = api.chromium.launch(**options)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def trained():
    return model.load(models.SHIPPED)


@pytest.fixture
def served(trained, tmp_path):
    """The address of a drawing page, and the folder it keeps drawings in."""
    bound = server.listen("127.0.0.1", 0)
    folder = tmp_path / "mine"
    kept = Kept(folder, (28, 28), 10)
    with server.Background(draw.make_app(trained, "a test", kept), bound):
        yield server.address_of(bound), folder


def points(page, digit):
    """The strokes of a digit as places on the sheet."""
    box = page.locator("#canvas").bounding_box()
    side = box["width"]
    return [
        [(box["x"] + side * (0.2 + 0.6 * x), box["y"] + side * (0.2 + 0.6 * y)) for x, y in line]
        for line in HAND[digit]
    ]


def draw_with_mouse(page, digit):
    for line in points(page, digit):
        page.mouse.move(*line[0])
        page.mouse.down()
        for place in line[1:]:
            page.mouse.move(*place, steps=3)
        page.mouse.up()


def draw_with_finger(page, digit):
    """Real touches, as the browser's own protocol sends them."""
    touch = page.context.new_cdp_session(page)
    for line in points(page, digit):
        for i, (x, y) in enumerate(line):
            kind = "touchMove" if i else "touchStart"
            touch.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]}
            )
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def wait_for(page, digit):
    page.wait_for_function(
        "digit => document.getElementById('digit').textContent === digit", arg=digit, timeout=5000
    )


def opened(browser, address, **options):
    watched = Watched(browser, **options)
    watched.page.goto(address)
    page = watched.page
    page.wait_for_function("() => document.querySelectorAll('#labels button').length === 10")
    return watched, page


def test_every_digit_by_mouse(browser, served):
    watched, page = opened(browser, served[0])
    for digit in HAND:
        draw_with_mouse(page, digit)
        wait_for(page, str(digit))
        if digit == 5:
            watched.picture("draw-desktop-light")
        heights = page.eval_on_selector_all(
            ".fill", "fills => fills.map(fill => parseFloat(fill.style.height))"
        )
        assert np.argmax(heights) == digit
        assert sum(heights) == pytest.approx(100, abs=0.1)
        page.click("#clear")
        wait_for(page, "?")
        assert page.is_disabled("#undo")
    assert watched.fits()
    assert watched.complaints == []


@pytest.mark.parametrize("digit", [3, 4, 8])
def test_on_a_phone_by_touch(browser, served, digit):
    watched, page = opened(browser, served[0], size="phone", has_touch=True, is_mobile=True)
    sheet = page.locator("#canvas").bounding_box()
    assert sheet["y"] + sheet["height"] < 844  # the whole sheet and the answer on one screen
    draw_with_finger(page, digit)
    wait_for(page, str(digit))
    watched.picture(f"draw-phone-light-{digit}")
    assert page.evaluate("scrollY") == 0
    assert watched.fits()
    sizes = page.eval_on_selector_all(
        "button", "buttons => buttons.map(b => Math.min(b.offsetWidth, b.offsetHeight))"
    )
    assert min(sizes) >= 40  # a fingertip
    assert watched.complaints == []


def test_undo_takes_back_a_stroke(browser, served):
    watched, page = opened(browser, served[0], scheme="dark")
    draw_with_mouse(page, 1)
    wait_for(page, "1")
    before = page.evaluate("document.getElementById('canvas').toDataURL()")
    draw_with_mouse(page, 8)
    wait_for(page, "8")
    watched.picture("draw-desktop-dark")
    page.click("#undo")
    wait_for(page, "1")
    page.mouse.move(1, 1)
    assert page.evaluate("document.getElementById('canvas').toDataURL()") == before
    page.click("#undo")
    wait_for(page, "?")
    assert watched.complaints == []


def test_the_brush(browser, served):
    _, page = opened(browser, served[0])
    ink = "[...pen.getImageData(0, 0, canvas.width, canvas.height).data].filter(v => v).length"
    drawn = []
    for width in ("3", "15"):
        page.evaluate("width => { brush().constructor; $('brush').value = width }", width)
        draw_with_mouse(page, 1)
        wait_for(page, "1")
        drawn.append(page.evaluate(ink))
        page.click("#clear")
    assert drawn[1] > 3 * drawn[0]


def test_by_keys_alone(browser, served):
    address, folder = served
    watched, page = opened(browser, address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "canvas"
    for key, times in (("ArrowUp", 9), (" ", 1), ("ArrowDown", 18), (" ", 1)):
        for _ in range(times):
            page.keyboard.press(key)
    wait_for(page, "1")
    watched.picture("draw-by-keys")
    page.keyboard.press("]")
    assert page.input_value("#brush") == "9"
    page.keyboard.press("[")
    page.keyboard.press("z")
    wait_for(page, "?")
    for key in (" ", *["ArrowDown"] * 9, " "):
        page.keyboard.press(key)
    wait_for(page, "1")
    page.keyboard.press("7")
    page.wait_for_function(
        "() => document.getElementById('note').textContent.includes('Kept as a 7')"
    )
    assert data.load(folder).train.labels.tolist() == [7]
    for key in (" ", "ArrowDown", "c"):
        page.keyboard.press(key)
    wait_for(page, "?")
    assert watched.complaints == []


def test_a_correction_is_kept(browser, served):
    address, folder = served
    watched, page = opened(browser, address)
    assert page.is_disabled("#labels button")
    draw_with_mouse(page, 2)
    wait_for(page, "2")
    page.wait_for_function("() => !asking")
    seen = page.evaluate(
        "[...$('image').getContext('2d').getImageData(0, 0, 28, 28).data]"
        ".filter((_, i) => i % 4 === 0)"
    )
    page.click("#labels button >> nth=3")
    page.wait_for_function(
        "() => document.getElementById('note').textContent.includes('Kept as a 3')"
    )
    watched.picture("draw-kept")
    wait_for(page, "?")
    kept = data.load(folder).train
    assert kept.labels.tolist() == [3]
    assert kept.images[0].tolist() == seen  # what the page showed is what was kept
    assert watched.complaints == []


def test_without_a_folder_it_says_how(browser, trained):
    bound = server.listen("127.0.0.1", 0)
    with server.Background(draw.make_app(trained, "x"), bound):
        watched, page = opened(browser, server.address_of(bound), size="phone", scheme="dark")
        watched.picture("draw-phone-dark-empty")
        draw_with_mouse(page, 6)
        wait_for(page, "6")
        watched.picture("draw-phone-dark")
        assert "--keep FOLDER" in page.inner_text("#note")
        assert page.is_disabled("#labels button")
    draw_with_mouse(page, 6)  # the server has gone
    page.wait_for_function("() => document.getElementById('note').textContent.includes('has gone')")


def test_the_answer_follows_the_pen(browser, served):
    _, page = opened(browser, served[0])
    (line,) = points(page, 7)
    page.mouse.move(*line[0])
    page.mouse.down()
    for place in line[1:]:
        page.mouse.move(*place, steps=5)
    wait_for(page, "7")  # the button is still down
    page.mouse.up()


@pytest.fixture(scope="module")
def found(trained):
    images = read_idx("t10k-images-idx3-ubyte", 1000)
    digits = data.Digits(images, read_idx("t10k-labels-idx1-ubyte", 1000), "some digits")
    return evaluation.evaluate(trained, digits, backend.select("numpy"))


@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_without_network(browser, trained, found, tmp_path, size, scheme):
    path = tmp_path / "report.html"
    path.write_text(html_report.page(found, trained, "a test", "mnistgpu evaluate x"))
    watched = Watched(browser, size, scheme, offline=True)
    asked = []
    watched.page.on("request", lambda request: asked.append(request.url))
    watched.page.goto(path.as_uri())
    watched.picture(f"report-{size}-{scheme}")
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert watched.complaints == []
    assert watched.fits()
    shown = watched.page.evaluate("[...document.images].filter(i => i.naturalWidth === 28).length")
    assert shown == min(len(found.worst), html_report.WORST) > 0
    assert watched.page.locator("svg").count() == 5
