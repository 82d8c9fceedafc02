"""To whom the drawing page's server answers, and where it can be started again."""

import json
import math
import socket
from pathlib import Path

import numpy as np
import pytest
from helpers.web import ask

from mnistgpu import cli, data
from mnistgpu.runs import watching
from mnistgpu.runs.history import Row
from mnistgpu.web import server
from mnistgpu.web.door import Door
from mnistgpu.web.keep import Kept

watch = pytest.importorskip("mnistgpu.web.watch", reason="starlette is missing")
draw = pytest.importorskip("mnistgpu.web.draw", reason="starlette is missing")
guard = pytest.importorskip("mnistgpu.web.guard", reason="starlette is missing")


@pytest.mark.parametrize(
    ("host", "origin", "answered"),
    [
        ("localhost", "http://localhost", True),
        ("localhost:8028", "http://localhost:8028", True),
        ("LOCALHOST:8028", "http://localhost:8028", True),
        ("localhost", "http://localhost.evil.example", False),
        ("localhost:80", "http://localhost:8028", False),
        ("localhost", "http://evil.example/http://localhost", False),
        ("localhost", "", False),
    ],
)
def test_only_pages_of_this_very_address_may_ask(host, origin, answered):
    ward = guard.Guard(None, Door(), policy="", needs_token=frozenset())
    refusal = ward.refusal(guard.Headers({"host": host, "origin": origin}), "/")
    assert (refusal is None) == answered


def test_a_page_that_begins_like_this_address_is_refused(address):
    headers = {"Host": "localhost", "Origin": "http://localhost.evil.example"}
    assert ask(address, "GET", "/about", headers=headers)[0] == 403


@pytest.mark.parametrize(
    ("host", "local", "answers_to_names"),
    [("0.0.0.0", False, True), ("127.0.0.1", True, False)],
)
def test_the_command_serves_whom_it_was_started_for(monkeypatch, host, local, answers_to_names):
    """With 0.0.0.0, a phone that opens the printed address must not be refused."""
    made, make_app = [], draw.make_app

    def noted(*arguments):
        made.append(make_app(*arguments))
        return made[-1]

    monkeypatch.setattr(draw, "make_app", noted)
    monkeypatch.setattr(server, "serve", lambda app, bound: bound.close())
    cli.draw(Path("shipped"), host=host, port=0, browser=False)
    (app,) = made
    (middleware,) = app.user_middleware
    ward = middleware.kwargs["door"]
    assert ward.local is local
    assert ward.is_mine("192.168.1.5:8028") is answers_to_names
    assert ward.is_mine(f"{host}:8028")
    assert not ward.is_mine("evil.example")


def test_a_port_can_be_used_again_at_once():
    """Although the system remembers, for a minute, a connection that the server hung up on."""
    bound = server.listen("127.0.0.1", 0)
    place = bound.getsockname()
    with socket.create_connection(place, timeout=5) as client:
        connection, _ = bound.accept()
        connection.close()  # the server first
        assert client.recv(1) == b""
    bound.close()
    again = server.listen(*place)
    assert again.getsockname() == place
    again.close()


def test_each_kept_drawing_is_added_to_the_others(tmp_path):
    kept = Kept(tmp_path / "mine", (28, 28), 10)
    drawings = np.random.default_rng(0).integers(0, 256, (3, 784), dtype=np.uint8)
    for count, (drawing, label) in enumerate(zip(drawings, (3, 1, 9), strict=True), 1):
        assert kept.add(drawing, label) == count
    found = data.load(tmp_path / "mine").train
    assert found.labels.tolist() == [3, 1, 9]
    np.testing.assert_array_equal(found.images, drawings)


def test_units_of_tanh_are_shown_by_how_far_they_are_from_zero():
    found = draw.activity(np.array([-1.0, 0.5, 0.0, 0.004]))
    assert found == {"units": 4, "active": 2, "strengths": [255, 128, 0, 1]}


def test_the_page_gets_each_row_once():
    """It asks for the rows after those that it has."""
    rows = [Row(i, float(i), 0.1, 2.0, 0.5, math.nan, math.nan, 0.1) for i in range(1, 6)]
    units, shares = [np.ones((2, 6), np.float32)] * 5, [np.full((1, 10), 0.1, np.float32)] * 5
    images, labels = np.zeros((1, 6), np.uint8), np.zeros(1, np.uint8)
    seen = watching.Snapshots((2, 3), images, labels, rows, units, shares, 9)
    page = watch.WatchPage("a test", seen, print)
    page.place.bound.close()
    for after in range(6):
        found = page.state(after)
        assert [row["iteration"] for row in found["rows"]] == list(range(after + 1, 6))
        assert all(row["validation_loss"] is None for row in found["rows"])
        assert (found["steps"], "units" in found) == (9, after < 5)


def test_a_page_that_is_told_of_the_end_has_all_rows():
    """A run may end while its rows are read: then the page must ask once more."""
    seen = watching.Snapshots((2, 3), np.zeros((1, 6), np.uint8), np.zeros(1), [], [], [], 9)
    page = watch.WatchPage("a test", seen, print)
    rows_of = page.state

    def ending(after):
        found = rows_of(after)
        page.finished = True  # and another row may have come before
        return found

    page.state = ending
    with page.background:
        answers = [
            json.loads(ask(page.bound.getsockname(), "GET", "/state?after=0")[1])["finished"]
            for _ in range(2)
        ]
    assert answers == [False, True]
