"""What the drawing page is told about its network, by the server or in the page itself."""

from __future__ import annotations

from typing import Any

from mnistgpu import network
from mnistgpu.models import model
from mnistgpu.models.committee import Committee

MOST_UNITS = 1024  # shown of a hidden layer


def described(
    trained: model.Model | Committee, name: str, keep: str | None = None
) -> dict[str, Any]:
    """Facts about the network that the page shows. keep: the folder that drawings are kept in."""
    first = trained.members[0] if isinstance(trained, Committee) else trained
    return {
        "name": name,
        "layers": "-".join(map(str, first.sizes)),
        "parameters": network.parameter_count(first.sizes),
        "members": len(trained.members) if isinstance(trained, Committee) else 1,
        "classes": trained.sizes[-1],
        "names": [str(each) for each in trained.classes or range(trained.sizes[-1])],
        "most_units": MOST_UNITS,
        "image_shape": list(trained.image_shape),
        "keep": keep,
    }
