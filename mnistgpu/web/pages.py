"""What the lab's page and that of --watch share: they are one page, with controls or without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from mnistgpu.web import words
from mnistgpu.web.guard import Guard, RefusedError, not_here, policy_of, refused

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from mnistgpu.web.door import Door

FOLDER = Path(__file__).with_name("page")
TYPES = {".js": "text/javascript", ".css": "text/css"}


def page_of(mode: str, language: str) -> str:
    """The page. mode: "lab", or "watch" for one that only looks."""
    html = (FOLDER / "lab.html").read_text(encoding="utf-8")
    return words.filled(html, language, mode=mode)


def page_routes(html: str) -> list[BaseRoute]:
    """The page, its style and its scripts."""
    files = {
        path.name: path.read_text(encoding="utf-8")
        for path in FOLDER.iterdir()
        if path.suffix in TYPES
    }

    async def page(request: Request) -> HTMLResponse:
        return HTMLResponse(html)

    async def part(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise HTTPException(404)
        return Response(files[name], media_type=TYPES[Path(name).suffix])

    return [Route("/", page), Route("/page/{name}", part)]


def rows_seen(request: Request) -> int:
    """How many rows of history the page has already; RefusedError if the request says no number."""
    after = request.query_params.get("after", "0")
    if not (after.isascii() and after.isdecimal() and len(after) < 9):
        raise RefusedError(422, "after must be a whole number of rows, as in state?after=0")
    return int(after)


def guarded(routes: Sequence[BaseRoute], door: Door, html: str) -> Starlette:
    """An application of these routes, each of which but the page's needs the token."""
    own = {"/", "/page/{name}"}
    paths = {route.path for route in routes if isinstance(route, Route)} - own
    policy = policy_of(html)
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, door=door, policy=policy, needs_token=frozenset(paths))],
        exception_handlers={RefusedError: refused, HTTPException: not_here},
    )
