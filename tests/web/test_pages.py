"""The pages in a real browser: drawn on with mouse, finger and keys, at a desk and on a phone."""

import numpy as np
import pytest
from helpers.browser import Watched
from helpers.mnist import read_idx
from helpers.pictures import HAND

from mnistgpu import backend, data
from mnistgpu.reports import evaluation, html_report
from mnistgpu.web import server
from mnistgpu.web.keep import Kept

draw = pytest.importorskip("mnistgpu.web.draw", reason="starlette is missing")


@pytest.fixture
def served(trained, tmp_path):
    """The address of a drawing page, and the folder it keeps drawings in."""
    place = server.open_door("127.0.0.1", 0)
    folder = tmp_path / "mine"
    kept = Kept(folder, (28, 28))
    with server.Background(draw.make_app(trained, "a test", kept), place.bound):
        yield place.address, folder


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


def draw_with_pen(page, digit, force):
    """A pen that reports its pressure."""
    pen = page.context.new_cdp_session(page)
    event = {"button": "left", "pointerType": "pen", "force": force, "clickCount": 1, "buttons": 1}
    for line in points(page, digit):
        for i, (x, y) in enumerate(line):
            kind = "mouseMoved" if i else "mousePressed"
            pen.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **event})
        pen.send("Input.dispatchMouseEvent", {"type": "mouseReleased", "x": x, "y": y, **event})


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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    "digit", [each if each == 5 else pytest.param(each, marks=pytest.mark.slow) for each in HAND]
)
def test_on_a_phone_by_touch(browser, served, digit):
    watched, page = opened(browser, served[0], size="phone", has_touch=True, is_mobile=True)
    sheet = page.locator("#canvas").bounding_box()
    assert sheet["y"] + sheet["height"] < 844  # the whole sheet and the answer on one screen
    draw_with_finger(page, digit)
    wait_for(page, str(digit))
    if digit == 8:
        watched.picture("draw-phone-light")
    assert page.evaluate("scrollY") == 0
    assert watched.fits()
    sizes = page.eval_on_selector_all(
        "button", "buttons => buttons.map(b => Math.min(b.offsetWidth, b.offsetHeight))"
    )
    assert min(sizes) >= 40  # a fingertip
    assert watched.complaints == []


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_pen_s_pressure(browser, served):
    _, page = opened(browser, served[0])
    widths = []
    for force in (0.1, 0.9):
        draw_with_pen(page, 3, force)
        wait_for(page, "3")
        widths.append(page.evaluate("strokes[0].map(point => point[2])"))
        page.click("#clear")
    assert min(widths[1]) == pytest.approx(0.08 * (0.6 + 0.8 * 0.9))
    assert max(widths[0]) == pytest.approx(0.08 * (0.6 + 0.8 * 0.1))


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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("way", ["double click", "held key"])
def test_a_drawing_is_kept_once(browser, served, way):
    address, folder = served
    watched, page = opened(browser, address)
    draw_with_mouse(page, 2)
    wait_for(page, "2")
    if way == "double click":
        page.dblclick("#labels button >> nth=2")
    else:
        page.focus("#canvas")
        for _ in range(6):  # a key that is down already repeats
            page.keyboard.down("2")
    page.wait_for_function(
        "() => document.getElementById('note').textContent.includes('1 drawing in')"
    )
    page.wait_for_function("() => !keeping && !asking")
    assert data.load(folder).train.labels.tolist() == [2]
    assert watched.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("refused", [False, True])
def test_what_is_drawn_while_a_drawing_is_kept_is_not_lost(browser, served, refused):
    address, folder = served
    if refused:
        folder.write_text("a file is in the way")
    _, page = opened(browser, address)
    draw_with_mouse(page, 4)
    wait_for(page, "4")
    waiting = []
    page.route("**/keep", lambda route: waiting.append(route))  # the answer takes its time
    page.click("#labels button >> nth=4")
    wait_for(page, "?")
    draw_with_mouse(page, 1)
    wait_for(page, "1")
    assert page.is_disabled("#labels button")  # one after the other
    waiting[0].continue_()
    page.wait_for_function("() => !keeping")
    assert page.evaluate("strokes.length") == (3 if refused else 1)  # the 4 comes back
    assert ("Kept as a 4" in page.inner_text("#note")) is not refused


@pytest.mark.slow
def test_screen_readers_get_the_digit_and_its_probability_together(browser, served):
    _, page = opened(browser, served[0])
    draw_with_mouse(page, 7)
    wait_for(page, "7")
    page.wait_for_function("() => !asking")
    live = page.locator("[aria-live]")
    assert live.count() == 1
    assert live.text_content().startswith("7, ")
    assert " sure" in live.text_content()
    assert live.get_attribute("aria-atomic") == "true"
    assert page.is_visible("#spoken")  # read by screen readers, though it is not seen on the page
    assert page.get_attribute("#digit", "aria-hidden") == "true"


@pytest.mark.slow
@pytest.mark.parametrize("size", ["small phone", "phone on its side", "small phone on its side"])
def test_on_small_screens_all_is_within_reach(browser, served, size):
    watched, page = opened(browser, served[0], size=size, has_touch=True, is_mobile=True)
    draw_with_finger(page, 3)
    wait_for(page, "3")
    page.wait_for_timeout(200)  # the bars have grown
    watched.picture(f"draw-{size.replace(' ', '-')}")
    assert watched.fits()
    sheet = page.locator("#canvas").bounding_box()
    assert sheet["height"] <= page.viewport_size["height"] - 60
    heights = page.eval_on_selector_all(".layer span", "all => all.map(span => span.offsetHeight)")
    assert max(heights) < 24  # on one line


@pytest.mark.slow
def test_without_a_folder_it_says_how(browser, trained):
    place = server.open_door("127.0.0.1", 0)
    with server.Background(draw.make_app(trained, "x"), place.bound):
        watched, page = opened(browser, place.address, size="phone", scheme="dark")
        watched.picture("draw-phone-dark-empty")
        draw_with_mouse(page, 6)
        wait_for(page, "6")
        watched.picture("draw-phone-dark")
        assert "--keep FOLDER" in page.inner_text("#note")
        assert page.is_disabled("#labels button")
    draw_with_mouse(page, 6)  # the server has gone
    page.wait_for_function(
        "() => document.getElementById('note').textContent.includes('has stopped')"
    )


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_where_other_machines_reach_it_the_page_sends_its_token(browser, trained):
    place = server.open_door("0.0.0.0", 0)
    with server.Background(draw.make_app(trained, "x", door=place.door), place.bound):
        _, page = opened(browser, place.address)
        draw_with_mouse(page, 3)
        wait_for(page, "3")
        watched = Watched(browser)
        watched.page.goto(place.address.partition("?")[0])
        watched.page.wait_for_function(
            "() => document.getElementById('note').textContent.includes('token is missing')"
        )
