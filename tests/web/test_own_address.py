"""To whom the drawing page's server answers, and where it can be started again."""

import socket
from pathlib import Path

import pytest
from helpers.web import ask

from mnistgpu.commands import pages
from mnistgpu.web import server
from mnistgpu.web.door import Door

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
    pages.draw(Path("shipped"), host=host, port=0, browser=False)
    (app,) = made
    (middleware,) = app.user_middleware
    ward = middleware.kwargs["door"]
    assert ward.local is local
    assert ward.is_mine("192.168.1.5:8028") is answers_to_names
    assert ward.is_mine(f"{host}:8028")
    assert not ward.is_mine("evil.example")


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("path", ["/about", "/predict", "/keep"])
def test_every_request_for_figures_carries_the_whole_token(path, local):
    """Behind a proxy a server is bound to loopback, and needs one all the same."""
    door = Door(local=local, token="secret")
    ward = guard.Guard(None, door, policy="", needs_token=draw.NEEDS_TOKEN)

    def refusal(**token):
        return ward.refusal(guard.Headers({"host": "localhost", **token}), path)

    assert refusal(**{guard.TOKEN_HEADER: "secret"}) is None
    for wrong in ("", "s", "secret!", "Secret"):
        assert "token is missing" in refusal(**{guard.TOKEN_HEADER: wrong})
    assert "token is missing" in refusal()


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
