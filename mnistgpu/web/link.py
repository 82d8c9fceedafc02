"""The state of a run in the address of the page: settings, seed, data, events and the step.

A run is a function of these, so that the address, opened elsewhere, gives the same network: to the
bit with --precision exact, otherwise up to rounding.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from mnistgpu import __version__
from mnistgpu.errors import DataError
from mnistgpu.knobs import flags_of
from mnistgpu.settings import Settings, from_dict
from mnistgpu.web.refusals import refusal

FORMAT = 1
MOST_BYTES = 2**18  # of what a link unpacks to: ten thousand events are 100,000 bytes
MOST_STEPS = 10**12
FILES = ("teacher", "from_run", "unlabeled")  # settings that are paths: an address has none


@dataclass(frozen=True)
class Link:
    """What an address says of a run."""

    settings: Settings
    events: tuple[dict[str, Any], ...]
    digest: str  # of its data
    taken: int  # steps
    version: str  # of the mnistgpu that made it


def encode(
    begun: Mapping[str, Any], events: Sequence[Mapping[str, Any]], digest: str, taken: int
) -> str:
    """The text of a link. begun: the settings that the run began with; events: since then.

    RefusedError if the run learns from more than its data: an address cannot name files.
    """
    refuse_files(begun)
    plain = {knob.name: knob.default for knob in fields(Settings)}
    if begun.get("epochs") is not None:
        plain["iterations"] = None
    settings = {
        name: value
        for name, value in begun.items()
        if name not in plain or plain[name] != value or type(plain[name]) is not type(value)
    }
    content = {
        "format": FORMAT,
        "version": __version__,
        "settings": settings,
        "events": [list(each.values()) for each in events],
        "data": digest,
        "taken": taken,
    }
    packed = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 9)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(text: str) -> Link:
    """The inverse of `encode`; RefusedError for what is damaged or of another format."""
    content = unpacked(text)
    if not isinstance(content, dict) or type(content.get("format")) is not int:
        raise refusal(422, "link.damaged")
    version = str(content.get("version"))[:20]
    if content["format"] != FORMAT:
        raise refusal(422, "link.other_format", version=version, own=__version__)
    settings, events = content.get("settings"), content.get("events")
    digest, taken = content.get("data"), content.get("taken")
    if not isinstance(events, list) or not isinstance(settings, dict):
        raise refusal(422, "link.damaged")
    if not isinstance(digest, str) or type(taken) is not int:
        raise refusal(422, "link.damaged")
    if not 0 <= taken <= MOST_STEPS:
        raise refusal(422, "link.damaged")
    refuse_files(settings)
    try:
        made = from_dict(settings, "this address")
    except DataError as error:
        raise refusal(422, "link.settings", why=str(error), version=version) from None
    return Link(made, tuple(map(event_of, events)), digest, taken, version)


def refuse_files(settings: Mapping[str, Any]) -> None:
    """RefusedError if settings name files, which whoever made an address could choose."""
    for name in FILES:
        if settings.get(name) is not None:
            flag = {knob.name: flags_of(knob)[0] for knob in fields(Settings)}[name]
            raise refusal(422, "link.files", flag=flag)


def event_of(values: Any) -> dict[str, Any]:
    """The event of four values; RefusedError if they are not those of one."""
    if not isinstance(values, list) or len(values) != 4:
        raise refusal(422, "link.damaged")
    return dict(zip(("step", "name", "old", "new"), values, strict=True))


def unpacked(text: str) -> Any:
    """The JSON in a link; RefusedError if it is damaged or too large."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(packed, MOST_BYTES)
        if not unpacking.eof:
            raise ValueError("too large, or cut off")
        return json.loads(content)
    except (ValueError, RecursionError, binascii.Error, zlib.error):
        raise refusal(422, "link.damaged") from None
