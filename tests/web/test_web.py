"""The drawing page's server, asked by real clients: its answers, many clients, the command."""

import asyncio
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
from helpers import processes
from helpers.command import run
from helpers.pictures import HAND, drawing
from helpers.web import ask, body_of

from mnistgpu.errors import RunError
from mnistgpu.models import committee, model
from mnistgpu.pictures import preparing
from mnistgpu.web import server
from mnistgpu.web.door import Door

draw = pytest.importorskip("mnistgpu.web.draw", reason="starlette is missing")
guard = pytest.importorskip("mnistgpu.web.guard", reason="starlette is missing")

NEXT_POINT = 0.05  # seconds: a hand draws some twenty points a second


# Answers


@pytest.mark.parametrize("digit", HAND)
def test_every_digit_is_read(address, trained, digit):
    status, text, _ = ask(address, body=body_of(digit))
    answer = json.loads(text)
    assert status == 200
    assert answer["digit"] == digit == int(np.argmax(answer["probabilities"]))
    assert answer["image"] == preparing.prepare(drawing(digit, 64).astype(float)).tolist()
    assert [layer["units"] for layer in answer["hidden"]] == [480, 240]
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
    image = preparing.prepare(ink)[None]
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


# Many clients, and the command


async def client_of_load(address, until, body, times):
    """Send requests over one connection until a time; collects the seconds of each answer."""
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
        await asyncio.sleep(NEXT_POINT)
    writer.close()


def load(address, clients, seconds):
    """The seconds of each answer to so many clients at once."""
    times = []
    body = json.dumps(body_of(4)).encode()

    async def everyone():
        until = time.monotonic() + seconds
        await asyncio.gather(*(client_of_load(address, until, body, times) for _ in range(clients)))

    asyncio.run(everyone())
    return times


def started(*arguments):
    """`mnistgpu draw` as a process of its own, and its address."""
    process = processes.start(
        [sys.executable, "-m", "mnistgpu.cli", "draw", "--no-browser", "--port", "0", *arguments]
    )
    line = process.stdout.readline()
    return process, ("127.0.0.1", int(line.split("127.0.0.1:")[1].split("/")[0]))


@pytest.mark.slow
@pytest.mark.timing
def test_fifty_clients_at_once():
    """With MNISTGPU_LOAD_SECONDS=60 it lasts a whole minute."""
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
        assert statistics.median(alone) < NEXT_POINT / 2
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
    place = server.open_door("127.0.0.1", 0)
    assert place.address == f"http://127.0.0.1:{place.bound.getsockname()[1]}/"
    assert place.door == Door(local=True, name="127.0.0.1")
    assert place.addresses_for_others() == []
    assert place.lines() == []
    everywhere = server.open_door("0.0.0.0", 0)
    assert not everywhere.door.local
    assert len(everywhere.door.token) == 16
    again = server.open_door("0.0.0.0", 0)
    assert everywhere.door.token != again.door.token
    for address in everywhere.addresses_for_others():  # none on a machine without a network
        host, _, rest = address.removeprefix("http://").partition(":")
        assert rest.endswith(f"/?token={everywhere.door.token}")
        assert not ipaddress.ip_address(host).is_loopback
        assert everywhere.door.is_mine(host)
        with socket.create_connection((host, everywhere.bound.getsockname()[1]), timeout=5):
            pass
    for each in (place, everywhere, again):
        each.bound.close()
