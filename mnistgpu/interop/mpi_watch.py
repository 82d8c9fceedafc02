"""Whether the ranks of a job are alive: each gives a sign of life every second.

A thread of every rank does that, over a TCP connection of its own to rank 0, and computes nothing:
so a rank that is slow, or busy with a report, is not taken for dead, and a rank that hangs in MPI
is still heard. Rank 0 sees at once when a connection breaks, since its process was killed, and ends
the job; so do all other ranks if rank 0 is gone or silent. MPI itself would wait for ever.

Lines from a rank to rank 0: its token and number, then "." each second, and when it ends a line of
JSON: exit status, whether all ranks agreed to end, and its last words. From rank 0: "." each
second, "go" when all ranks have ended, or "stop" and the reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

EVERY = 1.0  # seconds between two signs of life
LOOK = 0.2  # seconds between two looks at the others
GRACE = 3.0  # seconds for all other ranks to end with the same error
KILL = 3.0  # seconds after which a process that MPI has not ended ends itself
HEARD = 0.3  # seconds in which the launcher passes on what a rank has said, before MPI ends it
CONNECT = 3.0  # seconds to reach an address of rank 0
TIMEOUT = 60.0  # seconds of silence, unless --rank-timeout says otherwise


@dataclass
class End:
    """How a rank has ended: exit status, whether all ranks agreed to it, and its last words."""

    status: int
    agreed: bool
    words: str


class Watch(ABC):
    """What both kinds share. `abort` ends the job on all ranks, by MPI."""

    def __init__(self, rank: int, size: int, abort: Callable[[int], object]):
        self.rank, self.size, self._abort = rank, size, abort
        self.timeout = TIMEOUT
        self.kept: Callable[[], str] = lambda: ""  # what is left of the run, in words
        self.over = threading.Event()  # all ranks have ended

    def start(self) -> None:
        """Begin to watch, in a thread."""
        self.thread = threading.Thread(target=self._watch, name="signs of life", daemon=True)
        self.thread.start()

    @abstractmethod
    def end(self, end: End) -> None:
        """This rank has ended; returns when all have. The job is ended if another rank has not."""

    @abstractmethod
    def _watch(self) -> None:
        """Look, until the end of the job, for ranks that are dead or silent."""

    def stop_job(self, reason: str, status: int = 1) -> None:
        """Print why the job ends, and end it on all ranks; never returns to the training."""
        kept = ""
        with contextlib.suppress(Exception):
            kept = self.kept()
        say(f"{reason}; the job was ended on all ranks{'; ' + kept if kept else ''}")
        threading.Timer(KILL, os._exit, (status,)).start()
        time.sleep(HEARD)
        self._abort(status)
        os._exit(status)


class Connection:
    """Lines over a socket."""

    def __init__(self, link: socket.socket):
        self.link, self.rest, self.heard, self.rank = link, b"", time.monotonic(), -1

    def send(self, line: str) -> bool:
        """Whether the line could be sent. A peer that reads nothing must not block the thread."""
        try:
            self.link.sendall(f"{line}\n".encode())
            return True
        except OSError:
            return False

    def lines(self) -> list[str] | None:
        """The lines that have come; None if the connection is broken."""
        try:
            found = self.link.recv(65536)
        except (BlockingIOError, TimeoutError):
            return []
        except OSError:
            return None
        if not found:
            return None
        self.heard = time.monotonic()
        *lines, self.rest = (self.rest + found).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


class First(Watch):
    """Rank 0: listens to all other ranks."""

    def __init__(self, size: int, abort: Callable[[int], object]):
        super().__init__(0, size, abort)
        self.token = os.urandom(16).hex()
        self._server = socket.create_server(("", 0), backlog=size)
        self.addresses = [(host, self._server.getsockname()[1]) for host in own_addresses()]
        self._ends: dict[int, End] = {}
        self._links: dict[int, Connection] = {}
        self._failed_at = 0.0

    def end(self, end: End) -> None:
        """See `Watch`."""
        self._ends.setdefault(0, end)
        self.over.wait()

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as held:
            held.enter_context(self._server)
            self._held = held  # closes every connection
            self._listen(selector)

    def _listen(self, selector: Any) -> None:
        looked, sent = time.monotonic(), 0.0
        self._server.setblocking(False)
        selector.register(self._server, selectors.EVENT_READ)
        while not self.over.is_set():
            ready = selector.select(LOOK)
            now = time.monotonic()
            if now - looked > EVERY + LOOK:  # this process itself was stopped for a while
                for link in self._links.values():
                    link.heard = now
            looked = now
            for key, _ in ready:
                self._read(key.fileobj, key.data, selector)
            if now - sent >= EVERY:
                sent = now
                for link in self._links.values():
                    link.send(".")
            self._judge(now)

    def _read(self, source: Any, link: Connection | None, selector: Any) -> None:
        if link is None:
            with contextlib.suppress(OSError):
                accepted, _ = source.accept()
                self._held.enter_context(accepted)
                accepted.settimeout(LOOK)
                selector.register(accepted, selectors.EVENT_READ, Connection(accepted))
            return
        lines = link.lines()
        if lines is None:
            selector.unregister(link.link)
            link.link.close()
            if link.rank > 0 and link.rank not in self._ends:
                self.stop_job(f"rank {link.rank} has ended without a word: it was killed")
            return
        for line in lines:
            if link.rank < 0:
                token, _, rank = line.partition(" ")
                if token == self.token and rank.isdigit():
                    link.rank = int(rank)
                    self._links[link.rank] = link
            elif line != ".":
                self._ends[link.rank] = End(**json.loads(line))

    def _judge(self, now: float) -> None:
        for rank, link in self._links.items():
            if rank not in self._ends and now - link.heard > self.timeout:
                seconds = f"{self.timeout:g} seconds"
                self.stop_job(f"rank {rank} has given no sign of life for {seconds}")
        wanted = {0, *self._links}
        failed = [rank for rank, end in self._ends.items() if end.status and not end.agreed]
        if wanted <= set(self._ends):
            if failed and self._ends[0].status == 0:  # which has printed nothing of it
                say(f"rank {failed[0]} has failed: {self._ends[failed[0]].words}")
            for link in self._links.values():
                link.send("go")
            self.over.set()
            return
        if failed and not self._failed_at:
            self._failed_at = now
        if failed and now - self._failed_at > GRACE:
            rank = failed[0]
            said = "" if rank == 0 else f": {self._ends[rank].words}"
            self.stop_job(f"rank {rank} has failed{said}", self._ends[rank].status)


class Other(Watch):
    """Another rank than 0: tells rank 0 that it is alive, and looks whether rank 0 is."""

    def __init__(
        self,
        rank: int,
        size: int,
        abort: Callable[[int], object],
        token: str,
        addresses: Sequence[tuple[str, int]],
    ):
        super().__init__(rank, size, abort)
        self._link, self._has_ended = reach(addresses), False
        self.connected = self._link is not None
        if self._link is not None:
            self._link.send(f"{token} {rank}")

    def end(self, end: End) -> None:
        """See `Watch`."""
        if self._link is None:
            if end.status and not end.agreed:
                self.stop_job(f"rank {self.rank} has failed: {end.words}", end.status)
            return
        if not self._has_ended:
            self._has_ended = True
            self._link.send(json.dumps(vars(end)))
        self.over.wait()

    def _watch(self) -> None:
        if self._link is not None:
            with self._link.link:
                self._talk(self._link)

    def _talk(self, link: Connection) -> None:
        sent, looked = 0.0, time.monotonic()
        while not self.over.is_set():
            lines = link.lines()
            now = time.monotonic()
            if now - looked > EVERY + LOOK:
                link.heard = now
            looked = now
            if lines is None:
                time.sleep(0.1 * (self.rank - 1))  # one of them speaks
                self.stop_job(f"rank 0 has ended without a word (seen by rank {self.rank})")
            elif "go" in lines:
                self.over.set()
                return
            if now - link.heard > self.timeout:
                seconds = f"{self.timeout:g} seconds"
                self.stop_job(
                    f"rank 0 has given no sign of life for {seconds} (seen by rank {self.rank})"
                )
            if now - sent >= EVERY:
                sent = now
                link.send(".")


def say(reason: str) -> None:
    """Print an error, also where the standard error of Python was replaced."""
    with contextlib.suppress(OSError):
        os.write(2, f"error: {reason}\n".encode(errors="backslashreplace"))


def reach(addresses: Sequence[tuple[str, int]]) -> Connection | None:
    """A connection to the first of these addresses that answers, or None."""
    for address in addresses:
        with contextlib.suppress(OSError):
            link = socket.create_connection(address, CONNECT)
            link.settimeout(LOOK)
            return Connection(link)
    return None


def own_addresses() -> list[str]:
    """Names and addresses under which other machines may reach this one, the likeliest first."""
    names = [
        os.environ.get("PMI_HOSTNAME", ""),  # what mpich's mpiexec calls it
        os.environ.get("SLURMD_NODENAME", ""),
        socket.gethostname(),
    ]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: asks for the address of the way out
        names.append(probe.getsockname()[0])
    names.append("localhost")
    return list(dict.fromkeys(name for name in names if name))


def last_words(text: str) -> str:
    """The line of a failed rank's output that says why: its last error, or its last line."""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("error: ").strip()


class Tail:
    """A standard error that keeps the last characters and prints nothing."""

    MOST = 8000
    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text = (self.text + text)[-self.MOST :]
        return len(text)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
