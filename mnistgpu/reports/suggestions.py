"""Which images a person should label next, as a sheet of pictures and a table to fill in.

BADGE (Ash, Zhang, Krishnamurthy, Langford and Agarwal 2020, arXiv:1906.03671): images of which the
network is unsure, and which differ from each other. The gradient of the last layer, if the answer
were right, is long where the network is unsure:

    g = (p - one_hot(answer)) h^T             p: probabilities, h: the last hidden activations
    |g - g'|^2 = |u|^2 |h|^2 + |u'|^2 |h'|^2 - 2 (u^T u') (h^T h')          u = p - one_hot(answer)

Images are drawn as the first centres of k-means++ are: each with a probability that grows with the
square of its distance to the nearest one that is chosen already.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnistgpu import counter_rng, network
from mnistgpu.backend import NUMPY, Backend
from mnistgpu.engine import inference
from mnistgpu.engine.inputs import scale_of
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models.model import Model
from mnistgpu.reports.page import FULL, GREY, HEAD, blank, styled, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 10  # of the sheet
MARK = b"id,label,pixel0"  # how the table begins


def choose(P: np.ndarray, H: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """The places (count,) of images to label, the first is the one of which least is known.

    P: probabilities (classes, N); H: activations (n, N) of the last hidden layer. At most N.
    """
    U = P.astype(np.float64)
    U[P.argmax(axis=0), np.arange(P.shape[1])] -= 1.0
    lengths = (U * U).sum(axis=0) * (H * H).sum(axis=0)
    key = counter_rng.key(seed, like=lengths)
    drawn = counter_rng.uniforms(key, (count,), "float64")
    chosen = [int(lengths.argmax())]
    nearest = np.full(P.shape[1], np.inf)
    while len(chosen) < min(count, P.shape[1]):
        last = chosen[-1]
        apart = lengths + lengths[last] - 2.0 * (U[:, last] @ U) * (H[:, last] @ H)
        nearest = np.minimum(nearest, np.maximum(apart, 0.0))
        nearest[chosen] = 0.0
        total = nearest.cumsum()
        if total[-1] > 0:
            place = int(np.searchsorted(total, drawn[len(chosen)] * total[-1], side="right"))
        else:  # all others are the same as those chosen
            place = int(np.setdiff1d(np.arange(P.shape[1]), chosen)[0])
        chosen.append(place)
    return np.array(chosen)


def last_hidden(model: Model, images: np.ndarray, backend: Backend = NUMPY) -> np.ndarray:
    """The activations (n, N) of the last hidden layer; the pixels if there is none."""
    found = []
    value = ACTIVATIONS[model.activation].value
    params = network.layers(backend.asarray(model.theta), model.sizes)
    for start in range(0, len(images), inference.ROWS):
        rows = backend.asarray(images[start : start + inference.ROWS])
        A = backend.xp.astype(rows.T, params[0][0].dtype) * scale_of(rows)
        for W, b in params[:-1]:
            A = value(W @ A + b)
        found.append(backend.to_numpy(A))
    return np.concatenate(found, axis=1)


def table(ids: Sequence[object], images: np.ndarray) -> bytes:
    """The images as a CSV with an empty label each, which `--data` reads once these are filled in.

    ids: what numbers or names the images (k,); images (k, pixels) uint8.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "label", *(f"pixel{i}" for i in range(images.shape[1]))])
    for name, row in zip(ids, images.tolist(), strict=True):
        writer.writerow([name, "", *row])
    return text.getvalue().encode()


def sheet(
    ids: Sequence[object],
    images: np.ndarray,
    image_shape: tuple[int, int],
    answers: Sequence[object],
    believed: Sequence[float],
    title: str,
) -> Figure:
    """The images (k, pixels), each with its id, and below it the answer and how sure it is."""
    height, width = image_shape
    tile = FULL / COLUMNS
    row = tile * height / width + 0.42
    lines = math.ceil(len(images) / COLUMNS)
    with styled():
        figure = blank(HEAD + 0.5 + lines * row)
        across, down = figure.get_size_inches()
        write(figure, 0.45, 0.2, title, size=10.5, weight="bold")
        for i, (name, image) in enumerate(zip(ids, images, strict=True)):
            left = 0.45 + i % COLUMNS * tile
            top = HEAD + 0.4 + i // COLUMNS * row
            size = 0.9 * tile
            bottom = down - top - 0.16 - size * height / width
            box = (left / across, bottom / down, size / across, size * height / width / down)
            ax = figure.add_axes(box)
            ax.imshow(image.reshape(image_shape), cmap="gray_r", vmin=0, vmax=255)
            ax.set_axis_off()
            write(figure, left, top, str(name)[:14], size=7.5)
            below = top + 0.18 + size * height / width
            write(figure, left, below, f"{answers[i]}? {believed[i]:.0%}", size=7.5, color=GREY)
    return figure
