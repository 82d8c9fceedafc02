"""Who may use a local server: the names it answers to, and the token that a request must carry."""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass

LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}


@dataclass(frozen=True)
class Door:
    """Who may use a server.

    local: it is bound to loopback, so that only this machine reaches it.
    name: the name or address that it was bound to.
    allowed: further names that it answers to: those of a proxy in front of it.
    token: what a request for figures must carry; None if nothing is needed.
    """

    local: bool = True
    name: str = "127.0.0.1"
    allowed: tuple[str, ...] = ()
    token: str | None = None

    def is_mine(self, host: str) -> bool:
        """Whether a Host header names this server.

        If it is not local, any numeric address does: DNS rebinding needs a name.
        """
        name = name_of(host)
        if name is None:
            return False
        if name in LOCAL_NAMES or name in self.allowed:
            return True
        return not self.local and (name == self.name.lower() or is_address(name.strip("[]")))

    def is_my_origin(self, origin: str, host: str) -> bool:
        """Whether an Origin header names a page of this server.

        A proxy may speak https for it, and may change the Host header on the way.
        """
        if origin == f"http://{host}":
            return True
        scheme, _, rest = origin.partition("://")
        return scheme in ("http", "https") and name_of(rest) in self.allowed

    def has_token(self, given: str) -> bool:
        """Whether a request carries the token, if one is needed."""
        return self.token is None or hmac.compare_digest(given.encode(), self.token.encode())


def name_of(host: str) -> str | None:
    """The name in a Host header, without the port; None if it is no host."""
    found = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^:\[\]/@]+)(:[0-9]{1,5})?", host)
    return None if found is None else found[1]


def is_address(host: str) -> bool:
    """Whether a host is an IP address in numbers."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
