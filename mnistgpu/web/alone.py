"""The drawing page as one file that needs no server and no internet: it answers by itself.

`draw.html` and `draw.js` are those of the served page; `alone.js` answers instead of the server.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu.errors import UsageError
from mnistgpu.network import Layer

HERE = Path(__file__).parent
MARK: bytes = b'<meta name="generator" content="mnistgpu'
MOST_PARAMETERS = 30_000_000  # 160 MB of page
# nothing may be loaded or sent
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'none'; base-uri 'none'"  # of which default-src says nothing
)


def page(
    about: Mapping[str, Any],
    members: Sequence[tuple[str, Sequence[Layer]]],
    facts: Mapping[str, str],
) -> str:
    """The page. about: what the served page asks its server for, see `about.described`.

    members: the activation and the layers of each network, whose mean probabilities are the answer.
    facts: what the file says about itself, by name. UsageError for an activation that `alone.js`
    does not have, or a network too large for a page.
    """
    texts = {name: (HERE / name).read_text(encoding="utf-8") for name in FILES}
    known = re.findall(r'^    "([a-z-]+)": ', texts["alone.js"], re.MULTILINE)
    for activation, _ in members:
        if activation not in known:
            raise UsageError(
                f"--activation {activation}: .html files have no form of it; export to .npz or "
                ".json, which hold the parameters alone"
            )
    count = sum(W.size + b.size for _, layers in members for W, b in layers)
    if count > MOST_PARAMETERS:
        raise UsageError(
            f"{count:,} parameters are too many for a page, which may have {MOST_PARAMETERS:,}; "
            "export to .onnx"
        )
    record = {"facts": dict(about), "members": [in_text(*member) for member in members]}
    head = "".join(
        f'<meta name="{name}" content="{html.escape(text)}">\n'
        for name, text in {"generator": f"mnistgpu {facts['mnistgpu']}", **own(facts)}.items()
    )
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    # "<" in a text could end the script that holds it
    data = json.dumps(record).replace("<", "\\u003c")
    scripts = (
        f'<script type="application/json" id="network">{data}</script>\n'
        f"<script>\n{texts['alone.js']}</script>\n<script>\n{texts['draw.js']}</script>"
    )
    text = texts["draw.html"]
    text = text.replace('<meta charset="utf-8">\n', f'<meta charset="utf-8">\n{head}{policy}', 1)
    return text.replace('<script src="draw.js"></script>', scripts, 1)


FILES = ("draw.html", "draw.js", "alone.js")


def own(facts: Mapping[str, str]) -> dict[str, str]:
    """The facts, named so that no page has other ones of these names."""
    return {f"mnistgpu:{name}": text for name, text in facts.items() if name != "mnistgpu"}


def in_text(activation: str, layers: Sequence[Layer]) -> dict[str, Any]:
    """A network for JSON: its numbers as they lie in memory, little-endian, in base64."""
    return {
        "activation": activation,
        "dtype": str(layers[0][0].dtype),
        "layers": [{"W": packed(W), "b": packed(b)} for W, b in layers],
    }


def packed(numbers: np.ndarray) -> str:
    """The bytes of an array in base64."""
    plain = np.ascontiguousarray(numbers, dtype=numbers.dtype.newbyteorder("<"))
    return base64.b64encode(plain.tobytes()).decode()
