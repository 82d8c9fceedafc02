"""`mnistgpu export`: writes a network for other programs and says what it wrote."""

from __future__ import annotations

from pathlib import Path

from mnistgpu.api import exporting
from mnistgpu.errors import printable


def export(
    run: Path, path: Path, hub: bool, input: str | None, data: Path | None, force: bool
) -> None:
    """Write a file, or a folder with --hub, and print how large it is."""
    written = exporting.export(run, path, data, hub=hub, input=input, force=force)
    parts = sorted(written.iterdir()) if hub else [written]
    for part in parts:
        print(printable(f"{part}: {part.stat().st_size:,} bytes"))
