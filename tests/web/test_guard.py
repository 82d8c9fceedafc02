"""Abuse of the drawing page's server: nonsense, foreign pages, huge bodies, slow clients."""

import base64
import hashlib
import json
import socket
import time

import pytest
from helpers.web import ask, body_of, says

from mnistgpu.web import server
from mnistgpu.web.door import Door

draw = pytest.importorskip("mnistgpu.web.draw", reason="starlette is missing")
guard = pytest.importorskip("mnistgpu.web.guard", reason="starlette is missing")

NUMBERS = [0] * 784


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "not valid JSON"),
        (b"{", 400, "not valid JSON"),
        (b"\xff\xfe\x00", 400, "not valid JSON"),
        (b"[" * 100_000, 400, "not valid JSON"),
        (b"7" * 20_000, 400, "not valid JSON"),
        (b"[]", 422, "send an object"),
        (b"null", 422, "send an object"),
        ({}, 422, "rows and columns"),
        ({"rows": 28, "columns": 28}, 422, "pixels must be rows x columns"),
        ({"rows": 28, "columns": 28, "pixels": NUMBERS[1:]}, 422, "= 784 numbers"),
        ({"rows": 0, "columns": 28, "pixels": []}, 422, "from 1 to 200"),
        ({"rows": -28, "columns": -28, "pixels": NUMBERS}, 422, "from 1 to 200"),
        ({"rows": 10**9, "columns": 10**9, "pixels": []}, 422, "from 1 to 200"),
        ({"rows": 28.0, "columns": 28, "pixels": NUMBERS}, 422, "whole numbers"),
        ({"rows": True, "columns": 784, "pixels": NUMBERS}, 422, "whole numbers"),
        ({"rows": "28", "columns": 28, "pixels": NUMBERS}, 422, "whole numbers"),
        ({"rows": 28, "columns": 28, "pixels": [0.5] * 784}, 422, "from 0 (paper) to 255"),
        ({"rows": 28, "columns": 28, "pixels": [256] * 784}, 422, "from 0 (paper) to 255"),
        ({"rows": 28, "columns": 28, "pixels": [-1] * 784}, 422, "from 0 (paper) to 255"),
        ({"rows": 28, "columns": 28, "pixels": ["0"] * 784}, 422, "from 0 (paper) to 255"),
        ({"rows": 28, "columns": 28, "pixels": [None] * 784}, 422, "from 0 (paper) to 255"),
        ({"rows": 1, "columns": 1, "pixels": [10**400]}, 422, "from 0 (paper) to 255"),
        (b'{"rows": 1, "columns": 1, "pixels": [NaN]}', 400, "not valid JSON"),
        (b'{"rows": 1, "columns": 1, "pixels": [-Infinity]}', 400, "not valid JSON"),
        (b'{"rows": 1, "columns": 1, "pixels": [1e999]}', 422, "from 0 (paper) to 255"),
        (b"[" + b"1," * 200_000 + b"1]", 413, "at most 262,144 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_nonsense_is_refused_with_a_sentence(address, body, status, sentence):
    got, error = says(address, body=body)
    assert got == status
    assert sentence in error
    assert ask(address, body=body_of(1))[0] == 200  # and the server is as well as before


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:{port}", None, 200),
        ("localhost:{port}", "http://localhost:{port}", 200),
        ("LOCALHOST:{port}", None, 200),
        ("[::1]:{port}", None, 200),
        ("127.0.0.1", None, 200),
        ("evil.example", None, 403),
        ("127.0.0.1.evil.example", None, 403),
        ("evil.example:{port}", "http://evil.example:{port}", 403),
        ("localhost@evil.example", None, 403),
        ("192.168.1.5:{port}", None, 403),
        ("", None, 403),
        ("127.0.0.1:{port}", "http://evil.example", 403),
        ("127.0.0.1:{port}", "https://127.0.0.1:{port}", 403),
        ("127.0.0.1:{port}", "http://127.0.0.1:1", 403),
        ("127.0.0.1:{port}", "null", 403),
    ],
)
def test_foreign_hosts_and_origins(address, host, origin, status):
    port = address[1]
    headers = {"Host": host.format(port=port)}
    if origin is not None:
        headers["Origin"] = origin.format(port=port)
    for method, path, body in (("POST", "/predict", body_of(2)), ("GET", "/", None)):
        assert ask(address, method, path, body, headers)[0] == status


def digests(*parts):
    """What a policy says of parts of a page that may be used."""
    found = [base64.b64encode(hashlib.sha256(part.encode()).digest()) for part in parts]
    return [f"'sha256-{each.decode()}'" for each in found]


SCRIPTS, STYLE = ("let a = '<b>';\n", "b()"), "p { margin: 0 }"
INLINE = f"<style>{STYLE}</style><script>{SCRIPTS[0]}</script><p></p><script>{SCRIPTS[1]}</script>"
SCRIPT = '<script defer src="a.js"></script>'
LINKED = '<link rel="stylesheet" href="a.css">' + SCRIPT


@pytest.mark.parametrize(
    ("page", "scripts", "styles"),
    [
        (INLINE, digests(*SCRIPTS), digests(STYLE)),
        (LINKED, ["'self'"], ["'self'"]),
        (f"<style>{STYLE}</style>" + SCRIPT, ["'self'"], digests(STYLE)),
    ],
    ids=["inline", "linked", "both"],
)
def test_a_page_may_use_its_own_scripts_and_styles_alone(page, scripts, styles):
    rules = dict(rule.split(" ", 1) for rule in guard.policy_of(page).split("; "))
    assert rules["script-src"].split() == scripts
    assert rules["style-src"].split() == styles
    assert rules["default-src"] == rules["frame-ancestors"] == "'none'"


def test_a_server_for_others_answers_to_addresses_but_not_to_names():
    ward = Door(local=False, name="mybox")
    for host in ("192.168.1.5:80", "[fe80::1]:8028", "mybox:8028", "localhost"):
        assert ward.is_mine(host), host
    for host in ("evil.example", "1.2.3.4.evil.example", "mybox.evil", "[evil]", "a b", "x:y:z"):
        assert not ward.is_mine(host), host


def test_what_a_refusal_quotes_is_cut(address):
    """A page of another origin could fill a screen with it otherwise."""
    long = "a" * 100
    _, error = says(address, headers={"Host": long})
    assert error.startswith(f"this server does not answer to {'a' * 80}: open the address")
    _, error = says(address, headers={"Origin": f"http://{long}"})
    assert error.startswith(f"pages of http://{'a' * 73} may not use this server: open its own")
    assert says(address, path="/" + long) == (404, f"POST /{'a' * 79}: Not Found")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/predict", 405), ("DELETE", "/", 405), ("GET", "/../etc/passwd", 404)],
)
def test_wrong_paths_and_methods(address, method, path, status):
    got, error = says(address, method=method, path=path)
    assert got == status
    assert method in error


@pytest.mark.parametrize("kind", ["text/plain", "text/plain; application/json", ""])
def test_a_form_of_another_page_is_no_json(address, kind):
    status, error = says(address, body=body_of(1), headers={"Content-Type": kind})
    assert (status, "application/json" in error) == (415, True)


@pytest.mark.parametrize("more", ["; charset=utf-8", " ;charset=utf-8"])
def test_json_may_name_its_encoding(address, more):
    headers = {"Content-Type": "application/json" + more}
    assert ask(address, body=body_of(1), headers=headers)[0] == 200


def test_a_body_may_have_as_many_bytes_as_it_is_said(address):
    body = json.dumps(body_of(1)).encode().ljust(262_144)
    assert ask(address, body=body)[0] == 200
    status, error = says(address, body=body + b" ")
    assert (status, error) == (413, "the body may have at most 262,144 bytes")


def test_a_body_that_says_it_is_huge_or_lies(address):
    for length in ("99999999999", "-1", "1e3"):
        with socket.create_connection(address, timeout=5) as client:
            client.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: " + length.encode() + b"\r\n\r\n"
            )
            received = b""
            while part := client.recv(65536):
                received += part
            if length.isdecimal():
                assert received.startswith(b"HTTP/1.1 413")
                assert b"the body may have at most 262,144 bytes" in received
            else:
                assert received.startswith(b"HTTP/1.1 400")
    chunked = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"10000\r\n" + b"1" * 0x10000 + b"\r\n"
    with socket.create_connection(address, timeout=5) as client:  # no length at all, in pieces
        client.sendall(chunked + 4 * piece + b"1\r\n1\r\n")  # one byte more than is read
        received = b""
        while part := client.recv(65536):
            received += part
        assert received.startswith(b"HTTP/1.1 413")
        assert b"the body may have at most 262,144 bytes" in received
    with socket.create_connection(address, timeout=5) as client:  # and without end
        client.sendall(chunked)
        with pytest.raises(OSError, match=r"."):  # the server answers and hangs up
            for _ in range(200):
                client.sendall(piece)


def test_what_is_no_http(address):
    for noise in (b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        with socket.create_connection(address, timeout=5) as client:
            client.sendall(noise + b"\r\n\r\n")
            assert client.recv(100)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 403", b"")
    with socket.create_connection(address, timeout=5) as client:  # headers without end
        client.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000)
        assert client.recv(100)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431")


@pytest.mark.slow
def test_slow_clients_are_hung_up_on(trained, monkeypatch):
    monkeypatch.setattr(guard, "PATIENCE", 0.5)
    bound = server.listen("127.0.0.1", 0)
    starts = {
        "nothing": b"",
        "half a head": b"GET / HTTP/1.1\r\nHost: local",
        "half a body": b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
        "half a second head": b"GET /about HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT",
    }
    with server.Background(draw.make_app(trained, "x"), bound):
        for name, start in starts.items():
            with socket.create_connection(bound.getsockname(), timeout=10) as client:
                begun = time.monotonic()
                client.sendall(start)
                received = b""
                while part := client.recv(65536):
                    received += part
                assert 0.3 < time.monotonic() - begun < 5.0, name
                assert (b"408" in received) == (name == "half a body"), name
