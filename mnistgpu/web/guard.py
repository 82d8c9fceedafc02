"""What a local server must refuse, whatever page it serves.

A page on the web can make a browser send requests to this machine (cross-site requests, DNS
rebinding); any client can send too much, too slowly, or invalid data. Each such request is answered
with a status 4xx and one sentence, before the rest of the program sees it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 2**18  # of a request's body: 200x200 pixels as JSON need 160,000
PATIENCE = 10.0  # seconds in which a client must have sent its request
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}


class RefusedError(Exception):
    """A request that gets a 4xx and a sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Guard:
    """Passes on only requests addressed to this server, and adds security headers to answers.

    local: the server is bound to loopback, and a Host header must be a name of loopback. Otherwise
    `name`, which the server was bound to, and any numeric address are accepted as well: DNS
    rebinding needs a name.
    """

    def __init__(self, app: ASGIApp, local: bool, name: str, policy: str):
        self.app, self.local, self.name, self.policy = app, local, name.lower(), policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        sentence = self.refusal(Headers(scope=scope))

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = self.policy
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-resource-policy"] = "same-origin"
                headers["cache-control"] = "no-store"
            await send(message)

        if sentence is None:
            await self.app(scope, receive, send_safely)
        else:
            await JSONResponse({"error": sentence}, 403)(scope, receive, send_safely)

    def refusal(self, headers: Headers) -> str | None:
        """Why a request with these headers is not for this server; None if it is."""
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if not self.is_mine(host):
            return "this server answers only to its own address: open the address that it printed"
        if origin is not None and origin.lower() != f"http://{host}":
            return f"pages of {origin[:80]} may not use this server: open its own page"
        return None

    def is_mine(self, host: str) -> bool:
        """Whether a Host header names this server."""
        found = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^:\[\]/@]+)(:[0-9]{1,5})?", host)
        if found is None:
            return False
        if found[1] in LOCAL_NAMES:
            return True
        return not self.local and (found[1] == self.name or is_address(found[1].strip("[]")))


def is_address(host: str) -> bool:
    """Whether a host is an IP address in numbers."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def policy_of(page: str) -> str:
    """A content security policy under which a page's own style and script run, and nothing else.

    What stands in the page is allowed by its digest. A page whose script is a file may load it from
    this server, where nothing else is served as JavaScript.
    """

    def digests(tag: str) -> str:
        parts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()) for part in parts]
        return " ".join(f"'sha256-{value.decode()}'" for value in hashes)

    scripts = "'self'" if "<script src=" in page else digests("script")
    return (
        f"default-src 'none'; script-src {scripts}; style-src {digests('style')}; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


async def json_body(request: Request) -> Any:
    """The JSON in a request's body; RefusedError if it is too large, too slow or no JSON."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise RefusedError(415, "send JSON, with the header Content-Type: application/json")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > MOST_BYTES:
        raise RefusedError(413, f"the body may have at most {MOST_BYTES:,} bytes")
    try:
        body = await asyncio.wait_for(bounded(request), PATIENCE)
    except TimeoutError:
        raise RefusedError(408, f"the body did not arrive within {PATIENCE:g} seconds") from None
    except ClientDisconnect:
        raise RefusedError(400, "the body ended before it was whole") from None
    try:
        return json.loads(body, parse_constant=no_number)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is not valid JSON") from None


async def bounded(request: Request) -> bytes:
    """The body of a request; RefusedError once it is larger than MOST_BYTES."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise RefusedError(413, f"the body may have at most {MOST_BYTES:,} bytes")
    return bytes(body)


def no_number(name: str) -> None:
    """Refuse NaN and Infinity, which Python's reader accepts although they are not JSON."""
    raise ValueError(name)


async def refused(request: Request, error: Exception) -> JSONResponse:
    """The answer to a refused request; it closes the connection, since a body may be unread."""
    assert isinstance(error, RefusedError)
    return JSONResponse({"error": error.sentence}, error.status, headers={"connection": "close"})


async def not_here(request: Request, error: Exception) -> JSONResponse:
    """The answer to an unknown path or method."""
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": f"{request.method} {request.url.path[:80]}: {error.detail}"},
        error.status_code,
        headers=error.headers,
    )
