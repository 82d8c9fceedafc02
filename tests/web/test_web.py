"""The drawing page's server, by real clients: answers, abuse, slowness, many at once."""

import asyncio
import http.client
import ipaddress
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers.command import run
from helpers.pictures import HAND, drawing

from mnistgpu import data, models
from mnistgpu.errors import DataError, RunError, UsageError
from mnistgpu.models import committee, model
from mnistgpu.pictures import images
from mnistgpu.web import server
from mnistgpu.web.keep import Kept

draw = pytest.importorskip("mnistgpu.web.draw", reason="starlette is missing")
guard = pytest.importorskip("mnistgpu.web.guard", reason="starlette is missing")


@pytest.fixture(scope="module")
def trained():
    return model.load(models.SHIPPED)


@pytest.fixture(scope="module")
def address(trained):
    """Host and port of a running server that keeps nothing."""
    bound = server.listen("127.0.0.1", 0)
    with server.Background(draw.make_app(trained, "a test"), bound):
        yield bound.getsockname()


@pytest.fixture
def keeping(trained, tmp_path):
    """A running server that keeps drawings, and its folder."""
    bound = server.listen("127.0.0.1", 0)
    folder = tmp_path / "mine"
    with server.Background(draw.make_app(trained, "x", Kept(folder, (28, 28), 10)), bound):
        yield bound.getsockname(), folder


def body_of(digit, side=64, **more):
    pixels = drawing(digit, side).reshape(-1).tolist()
    return {"rows": side, "columns": side, "pixels": pixels, **more}


def ask(address, method="POST", path="/predict", body=None, headers=None):
    """One request; its status, what it says, its headers."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    connection.request(method, path, content, sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, answer.headers


def says(address, **request):
    """The status and the sentence of a refusal."""
    status, text, _ = ask(address, **request)
    return status, json.loads(text)["error"]


# Answers


@pytest.mark.parametrize("digit", HAND)
def test_every_digit_is_read(address, trained, digit):
    status, text, _ = ask(address, body=body_of(digit))
    answer = json.loads(text)
    assert status == 200
    assert answer["digit"] == digit == int(np.argmax(answer["probabilities"]))
    assert answer["image"] == images.prepare(drawing(digit, 64).astype(float)).tolist()
    assert [layer["units"] for layer in answer["hidden"]] == [256, 128]
    assert max(answer["hidden"][0]["strengths"]) == 255


def test_an_empty_drawing_has_no_answer(address):
    body = {"rows": 28, "columns": 28, "pixels": [0] * 784}
    assert json.loads(ask(address, body=body)[1]) == {"digit": None}


def test_a_committee_votes(trained):
    other = model.Model(-trained.theta, trained.sizes)
    both = committee.Committee((trained, other))
    ink = drawing(3, 64).astype(np.float32)
    one, two = draw.answer(trained, ink), draw.answer(both, ink)
    assert two["hidden"] == one["hidden"]
    image = images.prepare(ink)[None]
    assert np.allclose(two["probabilities"], both.probabilities(image)[:, 0], atol=1e-5)
    assert draw.described(both, "both", None)["members"] == 2


def test_the_page_and_its_headers(address):
    status, text, headers = ask(address, "GET", "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<title>Draw a digit</title>" in text
    assert "http" not in text.replace("http-equiv", "")  # nothing from elsewhere
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


def test_the_script_is_served_and_only_scripts_of_this_server_may_run(address):
    _, page, headers = ask(address, "GET", "/")
    assert re.findall("<script[^>]*>", page) == ['<script src="draw.js">']
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["script-src"] == "'self'"
    assert re.fullmatch(r"'sha256-[0-9A-Za-z+/]{43}='", policy["style-src"])
    status, text, headers = ask(address, "GET", "/draw.js")
    assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert headers["x-content-type-options"] == "nosniff"
    assert text == draw.SCRIPT.read_text(encoding="utf-8")
    assert "http" not in text  # it loads nothing from elsewhere


# Abuse

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


def test_a_server_for_others_answers_to_addresses_but_not_to_names():
    ward = guard.Guard(None, local=False, name="mybox", policy="")
    for host in ("192.168.1.5:80", "[fe80::1]:8028", "mybox:8028", "localhost"):
        assert ward.is_mine(host), host
    for host in ("evil.example", "1.2.3.4.evil.example", "mybox.evil", "[evil]", "a b", "x:y:z"):
        assert not ward.is_mine(host), host


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/predict", 405), ("DELETE", "/", 405), ("GET", "/../etc/passwd", 404)],
)
def test_wrong_paths_and_methods(address, method, path, status):
    got, error = says(address, method=method, path=path)
    assert got == status
    assert method in error


def test_a_form_of_another_page_is_no_json(address):
    headers = {"Content-Type": "text/plain"}
    status, error = says(address, body=body_of(1), headers=headers)
    assert (status, "application/json" in error) == (415, True)


def test_a_body_that_says_it_is_huge_or_lies(address):
    for length in ("99999999999", "-1", "1e3"):
        with socket.create_connection(address, timeout=5) as client:
            client.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: " + length.encode() + b"\r\n\r\n"
            )
            heard = b""
            while part := client.recv(65536):
                heard += part
            if length.isdecimal():
                assert heard.startswith(b"HTTP/1.1 413")
                assert b"the body may have at most 262,144 bytes" in heard
            else:
                assert heard.startswith(b"HTTP/1.1 400")
    chunked = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"10000\r\n" + b"1" * 0x10000 + b"\r\n"
    with socket.create_connection(address, timeout=5) as client:  # no length at all, in pieces
        client.sendall(chunked + 4 * piece + b"1\r\n1\r\n")  # one byte more than is read
        heard = b""
        while part := client.recv(65536):
            heard += part
        assert heard.startswith(b"HTTP/1.1 413")
        assert b"the body may have at most 262,144 bytes" in heard
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
            with socket.create_connection(bound.getsockname(), timeout=5) as client:
                begun = time.monotonic()
                client.sendall(start)
                heard = b""
                while part := client.recv(65536):
                    heard += part
                assert 0.3 < time.monotonic() - begun < 3.0, name
                assert (b"408" in heard) == (name == "half a body"), name


# Drawings that are kept


def test_a_corrected_drawing_can_be_trained_on(keeping):
    address, folder = keeping
    for count, label in enumerate((7, 1, 7), 1):
        status, text, _ = ask(address, path="/keep", body=body_of(1, label=label))
        assert (status, json.loads(text)) == (
            200,
            {"kept": count, "path": str(folder / "train.csv")},
        )
    assert json.loads(ask(address, path="/about", method="GET")[1])["kept"] == 3
    dataset = data.load(folder)
    assert dataset.train.labels.tolist() == [7, 1, 7]
    assert (dataset.train.images == images.prepare(drawing(1, 64).astype(float))).all()
    assert [path.name for path in folder.iterdir()] == ["train.csv"]
    again = Kept(folder, (28, 28), 10)  # a later session goes on where this one ended
    assert (again.count, again.add(dataset.train.images[0], 4)) == (3, 4)
    done = run(
        "train", "--data", folder, "--validation", 0, "--iterations", 2, "--out", folder / "r"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"label": 10}, "from 0 to 9"),
        ({"label": -1}, "from 0 to 9"),
        ({"label": "7"}, "from 0 to 9"),
        ({"label": True}, "from 0 to 9"),
        ({}, "from 0 to 9"),
        ({"label": 7, "pixels": [0] * 64**2}, "no digit found"),
    ],
)
def test_what_is_not_kept(keeping, change, sentence):
    address, folder = keeping
    status, error = says(address, path="/keep", body=body_of(1) | change)
    assert (status, sentence in error) == (422, True)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written(keeping):
    address, folder = keeping
    folder.write_text("a file is in the way")
    status, error = says(address, path="/keep", body=body_of(1, label=1))
    assert status == 409
    assert str(folder) in error


def test_a_server_that_keeps_nothing_says_how(address):
    status, error = says(address, path="/keep", body=body_of(1, label=1))
    assert (status, "--keep FOLDER" in error) == (409, True)


def test_a_table_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "train.csv").write_text("label,1x1\n3,0\n")
    with pytest.raises(DataError, match="name another folder"):
        Kept(tmp_path, (28, 28), 10)
    with pytest.raises(UsageError, match="is a file"):
        Kept(tmp_path / "train.csv", (28, 28), 10)
    with pytest.raises(UsageError, match="8x8"):
        Kept(tmp_path / "new", (8, 8), 10)


# Many clients, and the command


async def client_of_load(address, until, body, times):
    """Ask again and again over one connection; collects how long each answer took."""
    reader, writer = await asyncio.open_connection(*address)
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{address[1]}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    while time.monotonic() < until:
        begun = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        content = await reader.readexactly(length)
        assert b'"digit":4' in content
        times.append(time.perf_counter() - begun)
        await asyncio.sleep(0.05)  # a hand draws some twenty points a second
    writer.close()


def load(address, clients, seconds):
    """How long each of the answers to `clients` at once took, in seconds."""
    times = []
    body = json.dumps(body_of(4)).encode()

    async def everyone():
        until = time.monotonic() + seconds
        await asyncio.gather(*(client_of_load(address, until, body, times) for _ in range(clients)))

    asyncio.run(everyone())
    return times


def started(*arguments):
    """`mnistgpu draw` as a process of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mnistgpu.cli", "draw", "--no-browser", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    return process, ("127.0.0.1", int(line.split("127.0.0.1:")[1].split("/")[0]))


def test_fifty_clients_at_once():
    """MNISTGPU_LOAD_SECONDS=60 makes it the full minute."""
    process, address = started()
    try:
        alone = load(address, 1, 2)
        times = load(address, 50, float(os.environ.get("MNISTGPU_LOAD_SECONDS", "6")))
        print(
            f"alone: median {1e3 * statistics.median(alone):.1f} ms; 50 clients: {len(times)} "
            f"answers, median {1e3 * statistics.median(times):.1f} ms, "
            f"longest {1e3 * max(times):.0f} ms"
        )
        assert len(times) > 500
        assert statistics.median(alone) < 0.010
        assert statistics.median(times) < 0.2  # they share the cores, and the page still follows
        assert ask(address, body=body_of(5))[0] == 200
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")


def test_the_port_is_taken(address):
    done = run("draw", "--no-browser", "--port", address[1])
    assert done.returncode == 2
    assert f"--port {address[1]}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--port", "99999"], 2, "--port 99999"),
        (["--host", "no such host"], 2, "--host"),
        (["no/such/run"], 1, "no/such/run"),
    ],
)
def test_draw_refuses_in_one_sentence(arguments, status, message):
    done = run("draw", "--no-browser", *arguments)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(RunError, match=r"pip install -e '.\[web\]'"):
        server.require_extra()


def test_the_command_line_starts_without_heavy_imports():
    code = "import sys, mnistgpu.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"PIL", "matplotlib", "pandas", "starlette", "uvicorn", "cupy"}


def test_loopback_is_the_default():
    bound = server.listen("127.0.0.1", 0)
    assert server.is_loopback(bound)
    assert server.address_of(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}/"
    everywhere = server.listen("0.0.0.0", 0)
    assert not server.is_loopback(everywhere)
    assert server.addresses_for_others(bound) == []
    for address in server.addresses_for_others(everywhere):  # none on a machine without a network
        host = address.removeprefix("http://").split(":")[0]
        assert not ipaddress.ip_address(host).is_loopback
        assert guard.Guard(None, local=False, name="0.0.0.0", policy="").is_mine(host)
        with socket.create_connection((host, everywhere.getsockname()[1]), timeout=5):
            pass
    bound.close()
    everywhere.close()
