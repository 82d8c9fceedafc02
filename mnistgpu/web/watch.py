"""The page that shows a network learning: it requests the state of the run twice a second."""

from __future__ import annotations

import base64
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from mnistgpu.runs.watching import Snapshots
from mnistgpu.web import server
from mnistgpu.web.guard import Guard, RefusedError, not_here, policy_of, refused

if TYPE_CHECKING:
    from starlette.requests import Request

PAGE = Path(__file__).with_name("watch.html")
LINGER = 10.0  # seconds at most that the page is served after the end, for a browser to fetch it
UNNOTICED = 1.0  # seconds of these before a note is printed
OTHERS = 0.6  # seconds more for other browsers, which ask twice a second


class WatchPage:
    """A page about a run, served by a thread for as long as the `with` lasts.

    note: called with a line that may be printed on a terminal. host, port, allow_hosts: where it
    is served and to whom, as for `server.open_door`; port 0 takes any free one.
    """

    def __init__(
        self,
        title: str,
        snapshots: Snapshots,
        note: Callable[[str], None],
        host: str = server.LOOPBACK,
        port: int = 0,
        allow_hosts: Sequence[str] = (),
    ):
        self.title, self.snapshots, self.note = title, snapshots, note
        self.finished = False
        self.asked, self.seen_to_the_end = threading.Event(), threading.Event()
        self.place = server.open_door(host, port, allow_hosts)
        self.background = server.Background(self.app(), self.place.bound)
        self.opened = False

    def __enter__(self) -> WatchPage:
        self.note(f"watch     {self.place.address}")
        for line in self.place.lines():
            self.note(line)
        self.background.__enter__()
        self.opened = server.open_browser(self.place.address)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.finished = True
        if kind is None and (self.opened or self.asked.is_set()):
            if not self.seen_to_the_end.wait(UNNOTICED):
                self.note(f"watch     the page shows the end, for {LINGER:.0f} s at most")
            if self.seen_to_the_end.wait(LINGER - UNNOTICED):
                time.sleep(OTHERS)
        self.background.__exit__()

    def app(self) -> Starlette:
        """The application: the page, and the state of the run after a given row."""
        html = PAGE.read_text(encoding="utf-8")

        async def page(request: Request) -> HTMLResponse:
            return HTMLResponse(html)

        async def state(request: Request) -> JSONResponse:
            after = request.query_params.get("after", "0")
            if not (after.isascii() and after.isdecimal() and len(after) < 9):
                raise RefusedError(422, "after must be a whole number of rows, as in state?after=0")
            self.asked.set()
            finished = self.finished  # read before the rows are, so that none is missed
            answer = self.state(int(after)) | {"finished": finished}
            if finished:
                self.seen_to_the_end.set()
            return JSONResponse(answer)

        return Starlette(
            routes=[Route("/", page), Route("/state", state)],
            middleware=[
                Middleware(
                    Guard,
                    door=self.place.door,
                    policy=policy_of(html),
                    needs_token=frozenset({"/state"}),
                )
            ],
            exception_handlers={RefusedError: refused, HTTPException: not_here},
        )

    def state(self, after: int) -> dict[str, Any]:
        """The rows after the first `after` ones, and the newest snapshot if there are rows."""
        seen = self.snapshots
        count = len(seen.rows)
        rows = [
            {
                name: None if isinstance(value, float) and not math.isfinite(value) else value
                for name, value in asdict(row).items()
            }
            for row in seen.rows[after:count]
        ]
        found: dict[str, Any] = {"title": self.title, "steps": seen.steps, "rows": rows}
        if rows:
            height, width = seen.image_shape
            units = seen.units[count - 1]
            limit = float(np.max(np.abs(units))) or 1.0
            found |= {
                "height": height,
                "width": width,
                "limit": limit,
                "units": [as_text(np.round(127.5 + 127.5 * unit / limit)) for unit in units],
                "digits": [as_text(image) for image in seen.images],
                "labels": seen.labels.tolist(),
                "probabilities": [
                    [round(float(share), 4) for share in shares]
                    for shares in seen.probabilities[count - 1]
                ],
            }
        return found


def as_text(levels: np.ndarray) -> str:
    """Levels from 0 to 255 as base64, a quarter as long as a list of numbers."""
    return base64.b64encode(levels.astype(np.uint8).tobytes()).decode()
