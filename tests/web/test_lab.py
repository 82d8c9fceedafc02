"""The lab's page as programs see it: what each action does to the run, and what is refused."""

import json
import time

import numpy as np
import pytest
from helpers import lab as labs
from helpers.web import ask

from mnistgpu import data
from mnistgpu.runs import checkpoint

pytest.importorskip("mnistgpu.web.link", reason="starlette is missing")
PLAIN = {"Content-Type": "text/plain"}


def test_it_rests_first_and_takes_one_step(lab):
    assert (lab.state()["running"], lab.state()["step"]) == ("paused", 0)
    lab.do("step")
    found = labs.until(lambda: lab.reach(1), lambda found: found["rows"])
    assert (found["step"], len(found["rows"])) == (1, 1)
    lab.do("epoch")
    found = lab.reach(13)
    assert found["step"] == 13  # 1,300 images in batches of 100
    lab.do("start")
    assert labs.until(lab.state, lambda found: found["step"] > 20)["running"] == "running"
    lab.do("pause")
    stopped = labs.until(lab.state, lambda found: found["running"] == "paused")["step"]
    assert lab.state()["step"] == stopped < 260


def test_a_change_is_an_event_and_undo_takes_it_back(lab):
    lab.do("step")
    lab.reach(1)
    lab.do("change", name="learning_rate", value=0.125)
    found = labs.until(lab.state, lambda found: found["events"])
    assert found["events"] == [
        {"number": 1, "step": 1, "name": "learning_rate", "old": 0.25, "new": 0.125}
    ]
    assert found["settings"]["learning_rate"] == 0.125
    lab.do("epoch")
    assert lab.reach(13)["points"][0] == 0
    lab.do("undo")
    found = labs.until(lab.state, lambda found: found["step"] < 13)
    assert (found["step"], found["events"]) == (1, [])
    assert found["settings"]["learning_rate"] == 0.25
    found = labs.until(lab.state, lambda found: len(found["rows"]) == 1)  # looked at anew
    assert [row["iteration"] for row in found["rows"]] == [1]


def test_rows_that_were_taken_back_are_sent_anew(lab):
    """A page has rows of steps that are then undone: it must get the others whole."""
    lab.do("epoch")
    first = labs.until(lambda: lab.reach(13), lambda found: len(found["rows"]) == 2)
    after = len(first["rows"])
    assert lab.state(after=after, run=first["run"])["rows"] == []
    lab.do("back", step=0)
    labs.until(lab.state, lambda found: found["step"] == 0)
    lab.do("epoch")
    again = labs.until(
        lambda: lab.state(after=after, run=first["run"]), lambda found: found["step"] == 13
    )
    again = labs.until(lambda: lab.state(after=after, run=first["run"]), lambda f: f["rows"])
    assert again["run"] != first["run"]
    assert [row["iteration"] for row in again["rows"]] == [1, 13]


def test_what_cannot_change_in_the_middle_starts_anew(lab):
    lab.do("step")
    number = lab.reach(1)["run"]
    lab.do("anew", name="layers", value="784-8-10")
    found = labs.until(lab.state, lambda found: found["run"] != number)
    assert (found["step"], found["settings"]["layers"]) == (0, "784-8-10")
    assert found["running"] == "paused"
    lab.do("again", other_seed=True)
    found = labs.until(lab.state, lambda state: state["run"] != found["run"])
    assert (found["settings"]["seed"], found["settings"]["layers"]) == (1, "784-8-10")
    lab.do("recipe", recipe="fast")
    found = labs.until(lab.state, lambda state: state["settings"]["layers"] != "784-8-10")
    assert found["settings"]["optimizer"] == "adam"


def test_a_change_that_cannot_be_in_the_middle_starts_anew(lab):
    """As from a page that has not seen yet what can change in the run that has just begun."""
    lab.do("step")
    number = lab.reach(1)["run"]
    lab.do("change", name="layers", value="784-9-10")
    found = labs.until(lab.state, lambda found: found["run"] != number)
    assert (found["step"], found["settings"]["layers"]) == (0, "784-9-10")
    assert found["events"] == []


def test_the_same_seed_again_learns_the_same(lab):
    lab.do("epoch")
    first = labs.until(lambda: lab.reach(13), lambda found: len(found["rows"]) == 2)
    lab.do("again", other_seed=False)
    labs.until(lab.state, lambda found: found["step"] == 0)
    lab.do("epoch")
    second = labs.until(lambda: lab.reach(13), lambda found: len(found["rows"]) == 2)
    wanted = ("iteration", "train_loss", "validation_accuracy")
    for one, other in zip(first["rows"], second["rows"], strict=True):
        assert [one[name] for name in wanted] == [other[name] for name in wanted]


def test_a_change_that_diverges_is_taken_back_and_said(lab):
    lab.do("epoch")
    lab.reach(13)
    lab.do("change", name="learning_rate", value=1e30)
    lab.do("start")
    found = labs.until(lab.state, lambda state: any(n["bad"] for n in state["notices"]))
    (said,) = [each for each in found["notices"] if each["bad"]]
    assert "alpha from 0.25 to 1e+30" in said["values"]["text"]
    assert (found["running"], found["step"], found["events"]) == ("paused", 13, [])


def test_two_browsers_see_every_change_and_the_later_wins(lab):
    seen = lab.state()["revision"]
    lab.do("change", name="l2", value=0.001, browser="one", seen=seen)
    labs.until(lab.state, lambda found: found["settings"]["l2"] == 0.001)
    lab.do("change", name="l2", value=0.002, browser="two", seen=seen)  # had not seen it
    found = labs.until(lab.state, lambda found: found["settings"]["l2"] == 0.002)
    assert [(each["browser"], each["words"]) for each in found["notices"]] == [
        ("one", "run.changed"),
        ("two", "run.overruled"),
    ]
    assert found["notices"][1]["values"] == {"name": "l2", "from": 0.001, "to": 0.002}
    lab.do("change", name="l2", value=0.003, browser="one", seen=found["revision"])
    found = labs.until(lab.state, lambda found: found["settings"]["l2"] == 0.003)
    assert found["notices"][-1]["words"] == "run.changed"


def test_save_writes_a_checkpoint_that_can_be_resumed(lab):
    lab.do("change", name="learning_rate", value=0.125)
    lab.do("epoch")
    lab.reach(13)
    path = lab.do("save")["path"]
    saved = checkpoint.load(lab.run.plan.path)
    assert (str(lab.run.plan.path), saved.taken) == (path, 13)
    assert [event.new for event in saved.progress.events.all] == [0.125]


@pytest.mark.parametrize(("closed", "step"), [("stops", 13), ("goes-on", None)])
def test_when_the_last_browser_is_closed(lab, monkeypatch, closed, step):
    from mnistgpu.web import lab_run

    monkeypatch.setattr(lab_run, "GRACE", 0.05)
    lab.do("closed", closed=closed)
    lab.state(browser="one")
    lab.state(browser="two")
    lab.do("pace", pace="5")
    lab.do("start")
    lab.post("leave", browser="one")
    labs.until(lab.state, lambda found: found["step"] > 0)
    assert lab.state()["running"] == "running"  # the other one looks on
    lab.post("leave", browser="two")
    if closed == "stops":
        found = labs.until(lab.state, lambda state: state["notices"])
        assert found["notices"][0]["words"] == "run.saved_alone"
        assert found["running"] == "paused"
        assert checkpoint.load(lab.run.plan.path).taken == found["step"]
    else:
        at = lab.state()["step"]
        labs.until(lab.state, lambda found: found["step"] > at)


def test_a_page_that_is_loaded_again_was_not_closed(lab, monkeypatch):
    from mnistgpu.web import lab_run

    monkeypatch.setattr(lab_run, "GRACE", 0.3)
    lab.do("closed", closed="stops")
    lab.do("pace", pace="5")
    lab.do("start")
    lab.state(browser="before")
    labs.until(lab.state, lambda found: found["step"] > 0)
    lab.post("leave", browser="before")
    lab.state(browser="after")
    time.sleep(0.5)
    assert lab.state()["running"] == "running"
    assert lab.state()["notices"] == []


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ([], 422, "send an object"),
        ({}, 422, "action must be one of"),
        ({"action": "explode"}, 422, "action must be one of"),
        ({"action": "start"}, 422, "browser must be a text"),
        ({"action": "start", "browser": "x" * 100}, 422, "browser must be a text"),
        ({"action": "pace", "browser": "a", "pace": "0"}, 422, "pace must be one of"),
        ({"action": "change", "browser": "a", "name": "nonsense"}, 422, "name must be one of"),
        (
            {"action": "change", "browser": "a", "name": "learning_rate", "value": -1},
            422,
            "alpha must be a finite number greater than 0",
        ),
        (
            {"action": "change", "browser": "a", "name": "l2", "value": "much"},
            422,
            "l2 must be float",
        ),
        (
            {"action": "change", "browser": "a", "name": "layers", "value": "784-y-10"},
            422,
            "--layers must be",
        ),
        (
            {"action": "anew", "browser": "a", "name": "layers", "value": "784-x-10"},
            422,
            "--layers must be",
        ),
        (
            {"action": "anew", "browser": "a", "name": "layers", "value": "20-10"},
            422,
            "784",
        ),
        ({"action": "back", "browser": "a", "step": 7}, 422, "no point is kept after step 7"),
        ({"action": "back", "browser": "a", "step": "0"}, 422, "step must be a whole number"),
        ({"action": "undo", "browser": "a"}, 409, "no earlier step"),
        ({"action": "recipe", "browser": "a", "recipe": "cake"}, 422, "recipe must be one of"),
        ({"action": "closed", "browser": "a", "closed": "?"}, 422, "closed must be one of"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_cannot_be_is_refused_with_a_sentence(resting, body, status, sentence):
    got, text, _ = ask(resting.place, "POST", "/do", body)
    assert (got, sentence in json.loads(text)["error"]) == (status, True), text
    found = resting.state()
    assert (found["running"], found["step"], found["events"]) == ("paused", 0, [])


@pytest.mark.parametrize("after", ["-1", "x", "1e3", "%C2%B2", "9" * 30])
def test_rows_that_are_no_number_are_refused(resting, after):
    status, text, _ = ask(resting.place, "GET", f"/state?after={after}")
    assert (status, json.loads(text)["error"]) == (
        422,
        "after must be a whole number of rows, as in state?after=0",
    )


def test_no_page_of_another_origin_can_change_anything(resting):
    """Every way in, also those of later versions: the routes say which there are."""
    paths = [
        (route.path, method)
        for route in resting.page.background.server.config.app.routes
        for method in route.methods - {"HEAD"}
    ]
    assert ("/do", "POST") in paths
    for path, method in paths:
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
            path = path.replace("{name}", "main.js")
            body = {"action": "step", "browser": "a"} if method == "POST" else None
            status, text, _ = ask(resting.place, method, path, body, headers)
            assert (path, status) == (path, 403), text
        if method == "POST":  # as a form of another page would send it
            status, text, _ = ask(resting.place, method, path, b"{}", PLAIN)
            assert (path, status) == (path, 415), text
    assert resting.state()["step"] == 0


def test_where_others_reach_it_every_request_needs_the_token():
    from starlette.routing import Route

    from mnistgpu.web import pages, server
    from mnistgpu.web.door import Door

    async def endpoint(request):
        raise AssertionError

    html = pages.page_of("lab", "en")
    app = pages.guarded(
        [*pages.page_routes(html), Route("/do", endpoint), Route("/edit/save", endpoint)],
        Door(token="secret"),
        html,
    )
    bound = server.listen("127.0.0.1", 0)
    with server.Background(app, bound):
        place = bound.getsockname()
        for path in ("/do", "/edit/save"):
            status, text, _ = ask(place, "GET", path)
            assert (status, "token is missing" in text) == (403, True)
        assert ask(place, "GET", "/")[0] == ask(place, "GET", "/page/main.js")[0] == 200
        assert ask(place, "GET", "/page/..%2Fdoor.py")[0] == 404
        assert ask(place, "GET", "/page/nothing.js")[0] == 404


def test_nobody_looks_and_nothing_is_looked_at(digits, tmp_path):
    with labs.running(labs.small_set(digits), tmp_path) as lab:
        calls = []
        look = lab.run.view.__call__
        lab.run.steering.view = lambda moment: calls.append(moment.taken) or look(moment)
        lab.do("start")
        labs.until(lambda: lab.run.steering.state(), lambda found: found["taken"] > 50)
        assert len(calls) <= 1  # what the last request had asked for


def test_a_run_that_took_no_step_leaves_no_directory(digits, tmp_path):
    with labs.running(labs.small_set(digits), tmp_path) as lab:
        lab.do("again", other_seed=False)
        labs.until(lab.state, lambda found: found["run"].startswith("2."))
        lab.do("step")
        lab.reach(1)
    assert [path.name for path in tmp_path.iterdir()] == ["run-2"]
    assert checkpoint.load(tmp_path / "run-2").taken == 1


def test_a_run_that_cannot_begin_says_why_and_rests(lab):
    lab.do("anew", name="learning_rate", value=1e30)
    labs.until(lab.state, lambda found: found["settings"]["learning_rate"] == 1e30)
    lab.do("start")
    found = labs.until(lab.state, lambda state: any(n["bad"] for n in state["notices"]))
    assert "diverge" in found["notices"][-1]["values"]["why"]
    assert (labs.until(lab.state, lambda s: s["step"] == 0))["running"] == "paused"


def test_the_digits_of_others(tmp_path):
    """Nothing on the page knows MNIST: another size of image, and other classes."""
    made = np.random.default_rng(0)
    images = made.integers(0, 256, (300, 12), dtype=np.uint8)
    labels = made.integers(0, 3, 300).astype(np.uint8)
    one = data.Digits(images[:200], labels[:200], "small", (4, 3))
    other = data.Digits(images[200:], labels[200:], "small", (4, 3))
    with labs.running(
        data.Dataset(one, other, "small"), tmp_path, layers="12-5-3", validation=20
    ) as lab:
        lab.do("step")
        found = lab.reach(1)
        assert (found["height"], found["width"], len(found["units"])) == (4, 3, 5)
        assert len(found["digits"]) == 3


def test_numbers_that_are_not_finite_are_none(lab):
    """As the loss between two rows of a run that overflows: the page must go on."""
    state = lab.run.steering.state
    lab.run.steering.state = lambda: state() | {"loss": float("inf")}
    assert lab.state()["loss"] is None
