"""The drawing page's server: it receives a drawing and sends the network's answer to it.

`draw.html` is the page and `draw.js` its script.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from mnistgpu import network
from mnistgpu.errors import MnistGpuError
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models import model
from mnistgpu.models.committee import Committee
from mnistgpu.pictures import preparing
from mnistgpu.web.about import MOST_UNITS, described
from mnistgpu.web.door import Door
from mnistgpu.web.guard import (
    Guard,
    RefusedError,
    json_body,
    not_here,
    policy_of,
    refused,
)
from mnistgpu.web.keep import Kept

if TYPE_CHECKING:
    from starlette.requests import Request

PAGE = Path(__file__).with_name("draw.html")
SCRIPT = Path(__file__).with_name("draw.js")
NEEDS_TOKEN = frozenset({"/about", "/predict", "/keep"})
LARGEST_SIDE = 200  # pixels of a drawing; the page sends 64


def make_app(
    trained: model.Model | Committee,
    name: str,
    kept: Kept | None = None,
    door: Door = Door(),  # noqa: B008  # frozen
) -> Starlette:
    """The application: the page and its script, facts about the network, its answers, `keep`.

    kept: where drawings are kept; without it they are refused. door: who may use it.
    """
    html, script = PAGE.read_text(encoding="utf-8"), SCRIPT.read_text(encoding="utf-8")
    facts = described(trained, name, None if kept is None else str(kept.path))

    async def page(request: Request) -> HTMLResponse:
        return HTMLResponse(html)

    async def page_script(request: Request) -> Response:
        return Response(script, media_type="text/javascript")

    async def about(request: Request) -> JSONResponse:
        return JSONResponse(facts | {"kept": 0 if kept is None else kept.count})  # it grows

    async def predict(request: Request) -> JSONResponse:
        ink = drawing(await json_body(request))
        return JSONResponse(answer(trained, ink))

    async def keep(request: Request) -> JSONResponse:
        body = await json_body(request)
        if kept is None:
            raise RefusedError(409, "start the page with --keep FOLDER to keep drawings")
        ink, label = drawing(body), body.get("label")
        if type(label) is not int or not 0 <= label < trained.sizes[-1]:
            raise RefusedError(
                422, f"label must be a whole number from 0 to {trained.sizes[-1] - 1}"
            )
        if not ink.any():
            raise RefusedError(422, "no digit found: draw one first")
        try:
            count = kept.add(preparing.prepare(ink), label)
        except MnistGpuError as error:
            raise RefusedError(409, str(error)) from None
        return JSONResponse({"kept": count, "path": str(kept.path)})

    return Starlette(
        routes=[
            Route("/", page),
            Route("/draw.js", page_script),
            Route("/about", about),
            Route("/predict", predict, methods=["POST"]),
            Route("/keep", keep, methods=["POST"]),
        ],
        middleware=[
            Middleware(Guard, door=door, policy=policy_of(html), needs_token=NEEDS_TOKEN),
        ],
        exception_handlers={RefusedError: refused, HTTPException: not_here},
    )


def drawing(body: Any) -> np.ndarray:
    """The ink (H, W) of {"rows": H, "columns": W, "pixels": [0, 255, ...]}, or RefusedError."""
    if not isinstance(body, dict):
        raise RefusedError(422, 'send an object: {"rows": 28, "columns": 28, "pixels": [...]}')
    rows: Any = body.get("rows")
    columns: Any = body.get("columns")
    if not all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in (rows, columns)):
        raise RefusedError(422, f"rows and columns must be whole numbers from 1 to {LARGEST_SIDE}")
    pixels = body.get("pixels")
    if not isinstance(pixels, list) or len(pixels) != rows * columns:
        raise RefusedError(422, f"pixels must be rows x columns = {rows * columns} numbers")
    if not set(map(type, pixels)) <= {int} or min(pixels) < 0 or max(pixels) > 255:
        raise RefusedError(422, "pixels must be whole numbers from 0 (paper) to 255 (ink)")
    return np.array(pixels, dtype=np.float32).reshape(rows, columns)


def answer(trained: model.Model | Committee, ink: np.ndarray) -> dict[str, Any]:
    """The network's answer to ink (H, W): the digit, its input, and the activity of hidden units.

    Of a committee the hidden units are those of its first member.
    """
    if not ink.any():
        return {"digit": None}
    image = preparing.prepare(ink, trained.image_shape)
    first = trained.members[0] if isinstance(trained, Committee) else trained
    X = image[:, None].astype(first.theta.dtype) / 255.0
    A, _ = network.forward(first.layers, X, ACTIVATIONS[first.activation].value)
    shares = A[-1] if first is trained else np.asarray(trained.probabilities(image[None]))
    return {
        "digit": int(np.argmax(shares)),
        "probabilities": [round(float(share), 5) for share in shares[:, 0]],
        "image": image.tolist(),
        "hidden": [activity(layer[:, 0]) for layer in A[1:-1]],
    }


def activity(units: np.ndarray) -> dict[str, Any]:
    """How active each unit of a hidden layer (n,) is, from 0 to 255 for the most active one."""
    strength = np.abs(units)
    shown = strength[:MOST_UNITS] * (255.0 / max(float(strength.max()), 1e-9))
    return {
        "units": len(units),
        "active": int(np.sum(strength > 0.01 * strength.max())),
        "strengths": np.round(shown).astype(int).tolist(),
    }
