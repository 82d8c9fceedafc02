"""The page that shows a network learning: the lab's page without its controls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse
from starlette.routing import Route

from mnistgpu.runs.watching import Snapshots
from mnistgpu.web import encoded, server
from mnistgpu.web.pages import guarded, page_of, page_routes, rows_seen

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

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
        language: str = "en",
    ):
        self.title, self.snapshots, self.note = title, snapshots, note
        self.language, self.finished = language, False
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
        html = page_of("watch", self.language)

        async def state(request: Request) -> JSONResponse:
            after = rows_seen(request)
            self.asked.set()
            finished = self.finished  # read before the rows are, so that none is missed
            answer = self.state(after) | {"finished": finished}
            if finished:
                self.seen_to_the_end.set()
            return JSONResponse(answer)

        return guarded([*page_routes(html), Route("/state", state)], self.place.door, html)

    def state(self, after: int) -> dict[str, Any]:
        """The rows after the first `after` ones, and the newest snapshot if there are rows."""
        seen = self.snapshots
        count = len(seen.rows)
        rows = encoded.rows_of(seen.rows[after:count])
        found: dict[str, Any] = {"title": self.title, "steps": seen.steps, "rows": rows}
        if rows:
            found |= encoded.of_run(
                seen.image_shape,
                seen.units[count - 1],
                seen.images,
                seen.labels,
                seen.probabilities[count - 1],
            )
        return found
