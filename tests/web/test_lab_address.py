"""The address of a run of the lab: it gives the same network elsewhere, and what is refused."""

import base64
import json
import zlib

import pytest
from helpers import lab as labs
from helpers.web import ask

link = pytest.importorskip("mnistgpu.web.link", reason="starlette is missing")


def test_an_address_gives_the_same_network(digits, tmp_path):
    with labs.running(labs.small_set(digits), tmp_path / "..", precision="exact") as lab:
        lab.do("epoch")
        lab.reach(13)
        lab.do("change", name="learning_rate", value=0.125)
        lab.do("change", name="batch_size", value=50)
        lab.do("step")
        found = lab.reach(14)
        link, first = lab.get("link")["link"], lab.run.steering.during(lambda m: m.model(), 5)
        lab.do("again", other_seed=True)
        labs.until(lab.state, lambda state: state["run"] != found["run"])
        assert lab.do("open", link=link) == {}
        opened = lab.reach(14)
        second = lab.run.steering.during(lambda m: m.model(), 5)
        assert (opened["step"], opened["settings"]["seed"]) == (14, 0)
        assert opened["events"] == found["events"]
        assert first.digest == second.digest


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda link: link[:-9], "link.damaged"),
        (lambda link: "x" + link, "link.damaged"),
        (lambda link: "", "link.damaged"),
        (lambda link: packed(link, format=2, version="9.9"), "link.other_format"),
        (lambda link: packed(link, data="0" * 64), "link.other_data"),
        (lambda link: packed(link, settings={"layerz": 3}), "link.settings"),
        (lambda link: packed(link, settings={"learning_rate": -1.0}), "link.settings"),
        (lambda link: packed(link, settings={"teacher": "/etc/passwd"}), "link.files"),
        (lambda link: packed(link, settings={"from_run": "//host/run", "freeze": 1}), "link.files"),
        (lambda link: packed(link, settings={"unlabeled": "x", "adversarial": 2.0}), "link.files"),
        (lambda link: packed(link, taken=-1), "link.damaged"),
        (lambda link: packed(link, events=[[1, "l2"]]), "link.damaged"),
        (lambda link: packed(link, events=[[1, "layers", "a", "b"]]), "link.events"),
        (lambda link: packed(link, settings={"layers": "784-99999-10"}), "run.too_large"),
    ],
)
def test_addresses_that_cannot_be_opened(resting, change, words):
    before = resting.state()["run"]
    status = 422 if words != "link.other_data" else 409
    text = change(resting.get("link")["link"])
    refused = resting.do("open", status, link=text)
    assert refused["words"] == words
    assert resting.post("address", status, link=text) == refused
    assert refused["error"].count("{") == 0
    assert resting.state()["run"] == before  # the run stays


def test_what_an_address_would_train_is_shown_and_not_trained(lab):
    lab.do("epoch")
    found = lab.reach(13)
    lab.do("change", name="learning_rate", value=0.125)
    lab.do("step")
    lab.reach(14)
    shown = lab.post("address", link=lab.get("link")["link"])
    settings = dict(shown["settings"])
    assert (settings["layers"], settings["epochs"]) == ("784-16-10", 20)
    assert "learning_rate" not in settings  # it began with the default
    assert (shown["events"], shown["taken"]) == (1, 14)
    assert lab.state()["run"] == found["run"]  # the run stays


@pytest.mark.parametrize("name", link.FILES)
def test_no_address_is_made_of_a_run_that_learns_from_files(lab, name):
    state = lab.run.steering.state
    lab.run.steering.state = lambda: state() | {"begun": state()["begun"] | {name: "FILE"}}
    status, text, _ = ask(lab.place, "GET", "/link")
    assert (status, json.loads(text)["words"]) == (422, "link.files")
    assert "an address cannot name files" in json.loads(text)["error"]


def test_an_address_of_another_version_says_so(lab):
    answer = lab.do("open", link=packed(lab.get("link")["link"], version="0.0.1"))
    assert answer["version"] == "0.0.1"


def test_an_address_that_unpacks_to_very_much(resting):
    """A short text can unpack to gigabytes; no more is unpacked than an address may hold."""
    content = json.dumps(link.unpacked(resting.get("link")["link"])).encode()
    many = base64.urlsafe_b64encode(zlib.compress(content + b" " * 2**24, 9)).decode()
    assert len(many) < 50_000
    assert resting.do("open", 422, link=many)["words"] == "link.damaged"


def packed(text, **changes):
    """A link with something else in it."""
    content = link.unpacked(text) | changes
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(content).encode())).decode()
