"""The pages behind the proxy of a hosted machine: another name, https, and a path before theirs."""

import http.client
import json
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import trustme
from helpers.web import ask, body_of, says

from mnistgpu.data import Dataset, Digits
from mnistgpu.errors import UsageError
from mnistgpu.runs.watching import Snapshots
from mnistgpu.web import server
from mnistgpu.web.door import Door

draw = pytest.importorskip("mnistgpu.web.draw", reason="starlette is missing")
watch = pytest.importorskip("mnistgpu.web.watch", reason="starlette is missing")

NAME = "box-8028.hub.example"
PREFIX = "/user/me/proxy/8028"


class Proxy(BaseHTTPRequestHandler):
    """Passes requests below PREFIX on to `port`, with the Host header that the browser sent."""

    port = 0

    def pass_on(self):
        if not self.path.startswith(PREFIX + "/"):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        inner = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name != "Connection"}
        inner.request(self.command, self.path.removeprefix(PREFIX), body, headers)
        answer = inner.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        inner.close()

    do_GET = do_POST = pass_on  # noqa: N815  # the names that the base class looks for

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def proxied(authority):
    """A function that puts a proxy with TLS in front of a port; its own port."""
    running = []

    def begin(port):
        proxy = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Proxy,), {"port": port}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(NAME).configure_cert(context)
        proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        running.append((proxy, thread))
        return proxy.server_address[1]

    yield begin
    for proxy, thread in running:
        proxy.shutdown()
        proxy.server_close()
        thread.join(timeout=5)


def through(authority, port, method, path, body=None, **headers):
    """One request over TLS to the proxy, as a browser at NAME sends it; status and text."""
    context = ssl.create_default_context()
    context.check_hostname = False  # it is reached by its address
    authority.configure_trust(context)
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    sent = {"Host": NAME, "Origin": f"https://{NAME}", "Content-Type": "application/json"}
    connection.request(method, PREFIX + path, body, sent | headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_drawing_page_behind_a_proxy(trained, authority, proxied):
    place = server.open_door("127.0.0.1", 0, [NAME])
    token = {"X-Mnistgpu-Token": place.door.token}
    assert place.lines() == [
        f"through {NAME}: the address of its proxy, then ?token={place.door.token}"
    ]
    with server.Background(draw.make_app(trained, "x", door=place.door), place.bound):
        port = proxied(place.bound.getsockname()[1])
        body = json.dumps(body_of(7))
        status, page = through(authority, port, "GET", "/?token=any")
        assert status == 200
        for target in re.findall(r"""(?:src|href)="([^"]+)\"""", page):
            assert target.startswith("data:") or not target.startswith(("/", "http")), target
        assert through(authority, port, "GET", "/draw.js")[0] == 200
        status, text = through(authority, port, "POST", "/predict", body, **token)
        assert (status, json.loads(text)["digit"]) == (200, 7)
        for wrong in ({}, {"X-Mnistgpu-Token": "guess"}, {"X-Mnistgpu-Token": "\xe9"}):
            status, text = through(authority, port, "POST", "/predict", body, **wrong)
            assert (status, "token is missing" in text) == (403, True)
        evil = {"Origin": "https://evil.example"}
        assert through(authority, port, "POST", "/predict", body, **token, **evil)[0] == 403


def test_the_page_of_a_run_behind_a_proxy(authority, proxied):
    some = Digits(np.zeros((2, 784), np.uint8), np.array([0, 1], np.uint8), "two")
    notes = []
    page = watch.WatchPage(
        "a run", Snapshots.of(Dataset(some, None, "two")), notes.append, allow_hosts=[NAME.upper()]
    )
    with page:
        port = proxied(page.place.bound.getsockname()[1])
        token = {"X-Mnistgpu-Token": page.place.door.token}
        assert through(authority, port, "GET", "/")[0] == 200
        status, text = through(authority, port, "GET", "/state?after=0", **token)
        assert (status, json.loads(text)["title"]) == (200, "a run")
        assert through(authority, port, "GET", "/state?after=0")[0] == 403
        page.asked.clear()  # so that nothing is waited for
        assert notes[0] == f"watch     {page.place.address}"
    assert "?token=" in notes[0]


def test_a_name_that_is_not_allowed_is_told_how(address):
    status, error = says(address, method="GET", path="/about", headers={"Host": NAME})
    assert status == 403
    assert f"does not answer to {NAME}" in error
    assert "--allow-host" in error
    status, error = says(
        address, method="GET", path="/about", headers={"Origin": f"https://{NAME}"}
    )
    assert (status, "--allow-host" in error) == (403, True)
    assert ask(address, "GET", "/about")[0] == 200  # by loopback no token is needed


@pytest.mark.parametrize(
    ("host", "origin", "mine"),
    [
        (NAME, f"https://{NAME}", True),
        ("localhost:8028", f"https://{NAME}", True),  # a proxy that changes the Host header
        (NAME, f"https://{NAME}:443", True),
        (NAME, f"https://{NAME}.evil.example", False),
        (NAME, f"https://evil.example/{NAME}", False),
        (NAME, f"https://evil@{NAME}", False),
        (NAME, f"ftp://{NAME}", False),
        ("localhost", "https://localhost", False),
    ],
)
def test_origins_of_an_allowed_name(host, origin, mine):
    assert Door(allowed=(NAME,)).is_my_origin(origin, host) is mine


@pytest.mark.parametrize("name", ["http://x.example", "x.example:80", "", "a b", "-x", "x/y"])
def test_what_is_no_name_of_a_host_is_refused(name):
    with pytest.raises(UsageError, match="not the name of a host; give it without http"):
        server.open_door("127.0.0.1", 0, [name])


def test_a_code_for_phones_is_drawn_on_terminals_alone(monkeypatch):
    assert server.qr_code("http://192.168.1.5:8028/") == []

    class Terminal:
        encoding = "utf-8"

        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdout", Terminal())
    lines = server.qr_code("http://192.168.1.5:8028/?token=abcdefghijklmnop")
    monkeypatch.undo()
    assert len(lines) > 15
    assert len({len(line) for line in lines}) == 1
