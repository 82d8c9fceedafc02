"""What every unit of a network says to some images, layer by layer."""

from __future__ import annotations

import numpy as np

from mnistgpu import network
from mnistgpu.backend import Array, array_namespace
from mnistgpu.engine.inputs import scale_of
from mnistgpu.errors import ShapeError, UsageError
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models.model import Model

AT_ONCE = 1000  # images


def columns(model: Model, images: Array, dtype: str | None = None) -> Array:
    """Images (N, pixels) as the first activations A_0 (pixels, N), grey levels from 0 to 1."""
    if images.ndim != 2 or images.shape[1] != model.sizes[0]:
        raise ShapeError(
            f"this network reads images of {model.sizes[0]} pixels as rows, not an array of shape "
            f"{tuple(images.shape)}"
        )
    xp = array_namespace(images)
    A: Array = xp.astype(images, getattr(xp, dtype or str(model.theta.dtype)))
    A *= scale_of(images)
    return A.T


def of_unit(model: Model, images: np.ndarray, layer: int, unit: int) -> np.ndarray:
    """What a unit says to images (N, pixels): (N,) activations, in the last layer probabilities."""
    check_unit(model, layer, unit)
    params, found = model.layers[:layer], []
    for start in range(0, len(images), AT_ONCE):
        A = columns(model, images[start : start + AT_ONCE])
        value = ACTIVATIONS[model.activation].value
        for W, b in params[:-1]:
            A = value(W @ A + b)
        W, b = params[-1]
        if layer == len(model.layers):
            found.append(network.softmax(W @ A + b)[unit])
        else:
            found.append(value(W[unit : unit + 1] @ A + b[unit])[0])
    return np.concatenate(found) if found else np.zeros(0, model.theta.dtype)


def check_unit(model: Model, layer: int, unit: int | None = None) -> None:
    """UsageError unless the network has this layer, from 1 on, and this unit of it, from 0 on."""
    last = len(model.sizes) - 1
    if not is_whole(layer) or not 1 <= layer <= last:
        raise UsageError(f"layer must be a whole number from 1 to {last}, not {layer!r}")
    if unit is not None and (not is_whole(unit) or not 0 <= unit < model.sizes[layer]):
        raise UsageError(
            f"unit must be a whole number from 0 to {model.sizes[layer] - 1} in layer {layer}, not "
            f"{unit!r}"
        )


def is_whole(value: object) -> bool:
    """Whether this is a whole number, of Python or NumPy."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
