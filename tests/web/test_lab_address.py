"""The address of a run of the lab: it gives the same network elsewhere, and what is refused."""

import base64
import json
import zlib

import pytest
from helpers import lab as labs

link = pytest.importorskip("mnistgpu.web.link", reason="starlette is missing")


@pytest.fixture
def lab(digits, tmp_path):
    with labs.running(labs.small_set(digits), tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def resting(digits, tmp_path_factory):
    """A lab that no test changes, so that all of them can have the same."""
    with labs.running(labs.small_set(digits), tmp_path_factory.mktemp("lab")) as running:
        yield running


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
        (lambda link: packed(link, taken=-1), "link.damaged"),
        (lambda link: packed(link, events=[[1, "l2"]]), "link.damaged"),
        (lambda link: packed(link, events=[[1, "layers", "a", "b"]]), "link.events"),
        (lambda link: packed(link, settings={"layers": "784-99999-10"}), "run.too_large"),
    ],
)
def test_addresses_that_cannot_be_opened(resting, change, words):
    before = resting.state()["run"]
    refused = resting.do(
        "open", 422 if words != "link.other_data" else 409, link=change(resting.get("link")["link"])
    )
    assert refused["words"] == words
    assert refused["error"].count("{") == 0
    assert resting.state()["run"] == before  # the run stays


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
