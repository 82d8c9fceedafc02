"""Activations of the hidden layers, each with its derivative.

An activation takes pre-activations Z of any shape; its derivative takes Z and A = activation(Z) and
uses whichever is cheaper. All are written in the array API standard and run where Z lives.
ACTIVATIONS is the one place where their names stand: a new one is two functions and a row.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

from mnistgpu import network
from mnistgpu.backend import Array, array_namespace
from mnistgpu.errors import UsageError
from mnistgpu.maths import exact

Function = Callable[..., Array]

LEAK = 0.01
SCALE, SLOPE = 1.7159, 2.0 / 3.0  # LeCun et al. 1998, "Efficient BackProp", section 4.4


@dataclass(frozen=True)
class Activation:
    """An activation, its derivative, and its gain, by which `network.init` scales first weights.

    The gain is 1 / E[activation'(Z)^2] for standard normal Z: with it gradients keep their length
    through a layer (He et al. 2015, section 2.2, which holds for any activation).

    exact: value and derivative once more, for `--precision exact`, if they can be computed with the
    operations of `maths/exact.py` alone; without it that precision refuses the activation.
    """

    value: Callable[[Array], Array]
    derivative: Callable[[Array, Array], Array]
    gain: float
    exact: tuple[Function, Function] | None = None


def leaky_relu(Z: Array) -> Array:
    """Z where Z > 0, else 0.01 Z (Maas et al. 2013)."""
    return array_namespace(Z).maximum(Z, LEAK * Z)


def leaky_relu_derivative(Z: Array, A: Array) -> Array:
    """1 where Z > 0, else 0.01."""
    return network.relu_derivative(Z, A) * (1.0 - LEAK) + LEAK


def tanh(Z: Array) -> Array:
    """The hyperbolic tangent, as the library of Z has it; the functions below can take another."""
    value: Array = array_namespace(Z).tanh(Z)
    return value


def tanh_derivative(Z: Array, A: Array) -> Array:
    """1 - A^2."""
    return 1.0 - A * A


def scaled_tanh(Z: Array, tanh: Function = tanh) -> Array:
    """1.7159 tanh(2/3 Z), which keeps variance 1 (LeCun et al. 1998; Ciresan et al. 2010)."""
    return SCALE * tanh(SLOPE * Z)


def scaled_tanh_derivative(Z: Array, A: Array) -> Array:
    """1.7159 * 2/3 * (1 - (A / 1.7159)^2)."""
    return SCALE * SLOPE - (SLOPE / SCALE) * A * A


def sigmoid(Z: Array, tanh: Function = tanh) -> Array:
    """1 / (1 + exp(-Z)), as a tanh, which never overflows."""
    return 0.5 * tanh(0.5 * Z) + 0.5


def sigmoid_derivative(Z: Array, A: Array) -> Array:
    """A (1 - A)."""
    return A * (1.0 - A)


def gelu(Z: Array, tanh: Function = tanh) -> Array:
    """Z Phi(Z), by the tanh approximation (Hendrycks and Gimpel 2016, section 2)."""
    return 0.5 * Z * (1.0 + _gelu_tanh(Z, tanh))


def gelu_derivative(Z: Array, A: Array, tanh: Function = tanh) -> Array:
    """The derivative of the tanh approximation."""
    t = _gelu_tanh(Z, tanh)
    slope = math.sqrt(2.0 / math.pi) * (1.0 + 3 * 0.044715 * Z * Z)
    return 0.5 * (1.0 + t) + 0.5 * Z * (1.0 - t * t) * slope


def _gelu_tanh(Z: Array, tanh: Function) -> Array:
    return tanh(math.sqrt(2.0 / math.pi) * (Z + 0.044715 * Z * Z * Z))


def with_exact(function: Function) -> Function:
    """The function with the hyperbolic tangent of `maths/exact.py`."""
    return functools.partial(function, tanh=exact.tanh)


RELU = network.relu, network.relu_derivative
LEAKY_RELU = leaky_relu, leaky_relu_derivative
ACTIVATIONS = {
    "relu": Activation(*RELU, 2.0, RELU),
    "leaky-relu": Activation(*LEAKY_RELU, 2.0 / (1.0 + LEAK * LEAK), LEAKY_RELU),
    "tanh": Activation(tanh, tanh_derivative, 2.1533, (exact.tanh, tanh_derivative)),
    "scaled-tanh": Activation(
        scaled_tanh,
        scaled_tanh_derivative,
        1.2438,
        (with_exact(scaled_tanh), scaled_tanh_derivative),
    ),
    "sigmoid": Activation(
        sigmoid, sigmoid_derivative, 22.303, (with_exact(sigmoid), sigmoid_derivative)
    ),
    "gelu": Activation(
        gelu, gelu_derivative, 2.1939, (with_exact(gelu), with_exact(gelu_derivative))
    ),
}


def exact_activation(name: str) -> tuple[Function, Function]:
    """Value and derivative of an activation in exact arithmetic; UsageError if it has none."""
    found = ACTIVATIONS[name].exact
    if found is None:
        raise UsageError(
            f"--precision exact has no exact form of --activation {name}, so the bits would depend "
            "on the machine; choose another activation or --precision"
        )
    return found
