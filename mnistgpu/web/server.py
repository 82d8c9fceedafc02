"""A server for a local page: bound to a host and port, with time limits, ended by Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ipaddress
import re
import secrets
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnistgpu.errors import RunError, UsageError
from mnistgpu.storage.system import set_address_reuse
from mnistgpu.storage.terminal import has_screen
from mnistgpu.web.door import Door

if TYPE_CHECKING:
    import uvicorn

LOOPBACK = "127.0.0.1"
MOST_CLIENTS = 500


def require_extra() -> None:
    """RunError, with the command that installs them, if what the pages need is missing."""
    try:
        import segno  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise RunError(f"the page needs {error.name}: pip install -e '.[web]'") from None


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to host and port (0: any free one); UsageError if that fails."""
    try:
        if not isinstance(host, str) or not isinstance(port, int):
            raise OSError("a host is text, and a port is a whole number")
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        tcp = socket.SOCK_STREAM, socket.IPPROTO_TCP
        with contextlib.ExitStack() as unless_bound:
            # asyncio sets TCP_NODELAY where the protocol is said: else the body of an answer waits
            # some 40 ms until its head is acknowledged
            bound = unless_bound.enter_context(socket.socket(family, *tcp))
            set_address_reuse(bound)
            bound.bind((host, port))
            bound.listen(1024)
            unless_bound.pop_all()
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"--host {host} --port {port}: no page can be served there ({reason}); choose another "
            "--host or --port (0 takes any free port)"
        ) from None
    return bound


def open_door(host: str, port: int, allow_hosts: Sequence[str] = ()) -> Place:
    """A place to serve at; UsageError if that fails, or a name to allow is none.

    Where other machines can reach it, requests must carry a random token, which is part of the
    address that is printed.
    """
    if not isinstance(allow_hosts, (list, tuple)):
        raise UsageError(f"allow_hosts: must be a list of names, not {allow_hosts!r}")
    allowed = tuple(allowed_name(name) for name in allow_hosts)
    bound = listen(host, port)
    local = ipaddress.ip_address(bound.getsockname()[0]).is_loopback
    token = None if local and not allowed else secrets.token_urlsafe(12)
    return Place(bound, Door(local, host, allowed, token))


def allowed_name(name: str) -> str:
    """A name for --allow-host, in lower case; UsageError if it is none."""
    lower = name.lower() if isinstance(name, str) else ""
    if not re.fullmatch(r"[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?|\[[0-9a-f:.]+\]", lower):
        raise UsageError(
            f"--allow-host {name}: not the name of a host; give it without http:// and port, such "
            "as my-space.example.org"
        )
    return lower


@dataclass(frozen=True)
class Place:
    """Where a page is served, and who may use it."""

    bound: socket.socket
    door: Door

    @property
    def address(self) -> str:
        """The address of the page, for a browser on this machine."""
        host, port = self.bound.getsockname()[:2]
        host = LOOPBACK if host == "0.0.0.0" else "::1" if host == "::" else host
        return self.with_token(
            f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
        )

    def addresses_for_others(self) -> list[str]:
        """The addresses of the page for other machines; none if it is bound to one address only."""
        host, port = self.bound.getsockname()[:2]
        if host not in ("0.0.0.0", "::"):
            return []
        # the address this machine would send from; connecting a datagram socket sends nothing
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect(("192.0.2.1", 9))  # an address for documentation only (RFC 5737)
            if (own := way.getsockname()[0]) != LOOPBACK:
                return [self.with_token(f"http://{own}:{port}/")]
        return []

    def with_token(self, address: str) -> str:
        """The address with the token, if there is one."""
        return address if self.door.token is None else f"{address}?token={self.door.token}"

    def lines(self) -> list[str]:
        """What to print for people on other machines, with a code for the camera of a phone."""
        lines = []
        for address in self.addresses_for_others():
            lines += [f"from a phone or another machine in the same network: {address}"]
            lines += qr_code(address)
        for name in self.door.allowed:
            lines.append(f"through {name}: the address of its proxy, then {self.with_token('')}")
        if not self.door.local:
            lines.append("note: other machines can reach this page with the token in its address")
        return lines


def qr_code(text: str) -> list[str]:
    """The lines of a QR code on a terminal that can show it; none elsewhere."""
    output = sys.stdout
    if output is None or not output.isatty() or not output.encoding.lower().startswith("utf"):
        return []
    import segno

    drawn = io.StringIO()
    segno.make(text, micro=False).terminal(drawn, compact=True)
    return drawn.getvalue().splitlines()


def make_server(app: Any) -> uvicorn.Server:
    """A uvicorn server of an ASGI application, without log output, with limits of time and size."""
    import uvicorn

    from mnistgpu.web import guard

    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=patient_protocol(),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_level="critical",
            access_log=False,
            server_header=False,
            limit_concurrency=MOST_CLIENTS,
            timeout_keep_alive=guard.PATIENCE,  # type: ignore[arg-type]  # a float works as well
            timeout_graceful_shutdown=1,
        )
    )


def patient_protocol() -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, with a time limit for the head of a request.

    uvicorn itself would wait for ever; `guard.json_body` limits the time for a body.
    """
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from mnistgpu.web.guard import PATIENCE

    class PatientProtocol(H11Protocol):
        deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self.stop_watching()
            super().connection_lost(exc)

        def watch(self) -> None:
            if self.conn.their_state is not h11.IDLE:  # the head is complete
                self.stop_watching()
            elif self.deadline is None:
                self.deadline = self.loop.call_later(PATIENCE, self.transport.close)

        def stop_watching(self) -> None:
            if self.deadline is not None:
                self.deadline.cancel()
                self.deadline = None

    return PatientProtocol


def serve(app: Any, bound: socket.socket) -> None:
    """Serve until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        make_server(app).run(sockets=[bound])


class Background:
    """A server in a thread of this process, for as long as the `with` lasts."""

    def __init__(self, app: Any, bound: socket.socket):
        self.server, self.bound = make_server(app), bound
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        asyncio.run(self.server.serve(sockets=[self.bound]))

    def __enter__(self) -> Background:
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=5)


def open_browser(address: str) -> bool:
    """Show the page if there is a screen; returns whether a browser was opened."""
    import webbrowser

    return has_screen() and webbrowser.open(address)
