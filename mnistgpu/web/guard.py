"""What a local server must refuse, whatever page it serves.

A page on the web can make a browser send requests to this machine (cross-site requests, DNS
rebinding); any client can send too much, too slowly, or invalid data. Each such request is answered
with a status 4xx and one sentence, before the rest of the program sees it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from mnistgpu.web.door import Door

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 2**18  # of a request's body: 200x200 pixels as JSON need 160,000
PATIENCE = 10.0  # seconds in which a client must have sent its request
TOKEN_HEADER = "x-mnistgpu-token"  # the page sends what stands in its address


class RefusedError(Exception):
    """A request that gets a 4xx and a sentence.

    words, values: the name of the sentence among the words of the page, which has it in its own
    language, and what is filled in; "" if it is there in English alone.
    """

    def __init__(self, status: int, sentence: str, words: str = "", /, **values: object):
        super().__init__(sentence)
        self.status, self.sentence, self.words, self.values = status, sentence, words, values


class Guard:
    """Passes on only requests that may use this server, and adds security headers to answers."""

    def __init__(self, app: ASGIApp, door: Door, policy: str, needs_token: frozenset[str]):
        """needs_token: the last parts of the paths whose requests must carry the token."""
        self.app, self.door, self.policy, self.needs_token = app, door, policy, needs_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        sentence = self.refusal(Headers(scope=scope), scope["path"])

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

    def refusal(self, headers: Headers, path: str) -> str | None:
        """Why a request with these headers is not for this server; None if it is."""
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if not self.door.is_mine(host):
            return (
                f"this server does not answer to {host[:80] or 'no name'}: open the address that "
                "it printed, or start it with --allow-host and that name"
            )
        if origin is not None and not self.door.is_my_origin(origin.lower(), host):
            return (
                f"pages of {origin[:80]} may not use this server: open its own page, or start it "
                "with --allow-host and that name"
            )
        if path in self.needs_token and not self.door.has_token(headers.get(TOKEN_HEADER, "")):
            return "the token is missing: open the whole address that the server printed"
        return None


def policy_of(page: str) -> str:
    """A content security policy under which a page's own style and script run, and nothing else.

    What stands in the page is allowed by its digest. A page whose script or style is a file may
    load it from this server, where nothing else is served as JavaScript or CSS.
    """

    def digests(tag: str) -> str:
        parts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()) for part in parts]
        return " ".join(f"'sha256-{value.decode()}'" for value in hashes)

    scripts = "'self'" if re.search("<script [^>]*src=", page) else digests("script")
    styles = "'self'" if '<link rel="stylesheet"' in page else digests("style")
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


async def json_body(request: Request) -> Any:
    """The JSON in a request's body; RefusedError if it is too large, too slow or no JSON."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise RefusedError(415, "send JSON, with the header Content-Type: application/json")
    body = await whole_body(request)
    try:
        return json.loads(body, parse_constant=no_number)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is not valid JSON") from None


async def file_body(request: Request, most: int) -> bytes:
    """The file in a request's body; RefusedError if it is too large or too slow.

    Its content type is one that a page of another origin cannot send without asking first.
    """
    if request.headers.get("content-type", "") != "application/octet-stream":
        raise RefusedError(415, "send a file, with Content-Type: application/octet-stream")
    return await whole_body(request, most)


async def whole_body(request: Request, most: int = MOST_BYTES) -> bytes:
    """The body of a request; RefusedError if it is too large or too slow."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > most:
        raise RefusedError(413, f"the body may have at most {most:,} bytes")
    try:
        return await asyncio.wait_for(bounded(request, most), PATIENCE)
    except TimeoutError:
        raise RefusedError(408, f"the body did not arrive within {PATIENCE:g} seconds") from None
    except ClientDisconnect:
        raise RefusedError(400, "the body ended before it was whole") from None


async def bounded(request: Request, most: int) -> bytes:
    """The body of a request; RefusedError once it is larger than so many bytes."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise RefusedError(413, f"the body may have at most {most:,} bytes")
    return bytes(body)


def no_number(name: str) -> None:
    """Refuse NaN and Infinity, which Python's reader accepts although they are not JSON."""
    raise ValueError(name)


async def refused(request: Request, error: Exception) -> JSONResponse:
    """The answer to a refused request; it closes the connection, since a body may be unread."""
    assert isinstance(error, RefusedError)
    found: dict[str, object] = {"error": error.sentence}
    if error.words:
        found |= {"words": error.words, "values": error.values}
    return JSONResponse(found, error.status, headers={"connection": "close"})


async def not_here(request: Request, error: Exception) -> JSONResponse:
    """The answer to an unknown path or method."""
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": f"{request.method} {request.url.path[:80]}: {error.detail}"},
        error.status_code,
        headers=error.headers,
    )
