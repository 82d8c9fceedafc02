"""What the lab's page costs: nobody computes, sends or draws what nobody sees, and nobody waits."""

import http.client
import statistics
import time

import numpy as np
import pytest
from helpers.lab import opened, text_of, until

pytest.importorskip("mnistgpu.web.lab", reason="starlette is missing")
from mnistgpu.models import edits
from mnistgpu.web import at_hand, lab_view

PIXELS = "document.querySelector('#units canvas').toDataURL()"


def test_an_answer_on_a_kept_connection_does_not_wait_for_the_network(resting):
    """A head that waits to be acknowledged before its body follows takes 40 ms."""
    connection = http.client.HTTPConnection(*resting.place)
    seconds = []
    for _ in range(21):
        begun = time.perf_counter()
        connection.request("GET", "/state?after=0&brief=1")
        connection.getresponse().read()
        seconds.append(time.perf_counter() - begun)
    connection.close()
    assert statistics.median(seconds[5:]) < 0.03


def test_pictures_are_made_only_for_who_sees_them(lab, monkeypatch):
    view = lab.run.view
    until(lab.state, lambda found: "units" in found)
    monkeypatch.setattr(lab_view, "WANTED", 0.0)  # seconds for which the last request counts
    looks = view.looks
    lab.do("epoch")
    found = until(
        lambda: lab.state(brief=1), lambda found: found["step"] == 13 and len(found["rows"]) == 2
    )
    assert "units" not in found
    assert view.looks == looks
    monkeypatch.setattr(lab_view, "WANTED", 2.0)
    found = until(lab.state, lambda found: found.get("view", 0) > looks)  # of the same step
    assert found["step"] == view.seen.taken == 13


def test_layers_that_a_page_has_are_not_sent_again(lab):
    def twice():
        first = lab.post("layers", layer=1)
        return first, lab.post("layers", layer=1, known=first["number"])

    first, again = until(twice, lambda found: found[0]["number"] == found[1]["number"])
    assert again == {"step": 0, "number": first["number"]}
    assert len(lab.post("layers", layer=2, known="0.0")["points"]) == len(first["points"])
    lab.do("step")
    lab.reach(1)
    found = until(
        lambda: lab.post("layers", layer=1, known=first["number"]), lambda found: "points" in found
    )
    assert (found["step"], found["number"] != first["number"]) == (1, True)


@pytest.mark.parametrize("path", ["edits", "edit/rest"])
def test_where_time_is_short_some_images_are_judged_at_once_and_the_others_then(
    lab, monkeypatch, path
):
    monkeypatch.setattr(edits, "BLOCK", 100)
    monkeypatch.setattr(at_hand, "WITHIN", 0.0)
    found = lab.post("edit", what="prune", layer=1, value=0.5)
    assert (found["judged"], found["images"]) == (100, 500)
    for _ in range(4):
        found = lab.post("edit/rest")
    digits = lab.run.view.digits
    right = lab.run.steering.during(lambda moment: moment.model()).predict(digits.images)
    assert (found["judged"], found["before"]) == (500, np.mean(right == digits.labels))
    edited = lab.page.at_hand.model().predict(digits.images)
    assert found["accuracy"] == np.mean(edited == digits.labels)
    assert (lab.get(path) if path == "edits" else lab.post(path)) == found


def test_what_is_not_seen_is_drawn_when_it_is(browser, lab, monkeypatch):
    """The weights stand below the window: they are neither made nor drawn until one goes there."""
    monkeypatch.setattr(lab_view, "WANTED", 0.3)
    view, page = opened(browser, lab)
    page.wait_for_selector("#units canvas", state="attached")
    assert page.locator("#units").bounding_box()["y"] > 1100
    before = page.evaluate(PIXELS)
    until(lambda: lab.run.view.wants(), lambda wants: not wants)
    looks = lab.run.view.looks
    lab.do("epoch")
    text_of(page, "#where", "At iteration 13")
    assert lab.run.view.looks == looks
    assert page.evaluate(PIXELS) == before
    page.locator("#units").scroll_into_view_if_needed()
    page.wait_for_function(f"before => {PIXELS} !== before", arg=before)
    found = lab.state()
    best = [int(np.argmax(shares)) for shares in found["probabilities"]]
    said = page.locator("#digits .said").all_inner_texts()
    assert [int(text[0]) for text in said] == best
    heights = page.evaluate(
        "[...document.querySelectorAll('#digits i')].map(bar => parseInt(bar.style.height))"
    )
    np.testing.assert_allclose(heights, 100 * np.ravel(found["probabilities"]), atol=0.51)
    assert view.complaints == []


TAKES = """async () => {
  const page = document.querySelector("script[src]").src;
  const { run, take } = await import(new URL("train.js", page));
  const none = { validation_accuracy: null, validation_loss: null, epoch: 1, seconds: 1 };
  for (let i = 0; i < 5000; i += 7) {
    const rows = Array.from({ length: Math.min(7, 5000 - i) }, (_, j) =>
      ({ ...none, iteration: i + j, train_accuracy: .5, train_loss: 1 + (i + j) / 5000 }));
    take({ run: run.id, steps: 5000, events: [], rows });
  }
  return document.querySelector("#loss polyline.train").getAttribute("points");
}"""


@pytest.mark.slow
def test_a_curve_of_a_long_run_keeps_its_beginning(browser, resting):
    """The page keeps some hundred rows, evenly spaced over the whole run, and the newest."""
    view, page = opened(browser, resting)
    page.wait_for_function("() => document.querySelector('#where').textContent !== ''")
    places = [tuple(map(float, each.split(","))) for each in page.evaluate(TAKES).split()]
    across = np.array(places)[:, 0]
    assert 150 < len(across) <= 401
    assert (across[0], across[-1]) == (46.0, pytest.approx(450, abs=0.2))
    assert np.diff(across).max() < 2 * np.median(np.diff(across)) + 0.11
    assert view.complaints == []


@pytest.mark.slow
def test_where_drawing_takes_long_the_page_asks_less_often(browser, lab):
    """While it learns: pictures that take 80 ms of its thread are asked for every two seconds."""
    view, page = opened(browser, lab)
    page.evaluate(
        """() => {
          const put = CanvasRenderingContext2D.prototype.putImageData;
          CanvasRenderingContext2D.prototype.putImageData = function (...given) {
            const begun = performance.now();
            while (performance.now() - begun < 5 * window.slow) ;
            put.apply(this, given);
          };
          window.slow = 0;
        }"""
    )
    asked = []
    page.on("request", lambda request: "/state" in request.url and asked.append(time.monotonic()))
    lab.do("pace", pace="5")
    page.locator("#units").scroll_into_view_if_needed()
    lab.do("start")
    page.wait_for_timeout(1500)
    assert min(np.diff(asked)) < 1.0
    page.evaluate("window.slow = 1")
    page.wait_for_timeout(4000)  # until the median is of such pictures
    asked.clear()
    page.wait_for_timeout(5000)
    assert min(np.diff(asked)) > 1.8
    lab.do("pace", pace="full")
    assert view.complaints == []
