"""Activations of the hidden layers, each with its derivative.

An activation takes pre-activations Z of any shape; its derivative takes Z and A = activation(Z) and
uses whichever is cheaper. All are written in the array API standard and run where Z lives.
ACTIVATIONS is the one place where their names stand: a new one is two functions and a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from mnistgpu import network
from mnistgpu.backend import Array, array_namespace

LEAK = 0.01
SCALE, SLOPE = 1.7159, 2.0 / 3.0  # LeCun et al. 1998, "Efficient BackProp", section 4.4


@dataclass(frozen=True)
class Activation:
    """An activation, its derivative, and its gain, by which `network.init` scales first weights.

    The gain is 1 / E[activation'(Z)^2] for standard normal Z: with it gradients keep their length
    through a layer (He et al. 2015, section 2.2, which holds for any activation).
    """

    value: Callable[[Array], Array]
    derivative: Callable[[Array, Array], Array]
    gain: float


def leaky_relu(Z: Array) -> Array:
    """Z where Z > 0, else 0.01 Z (Maas et al. 2013)."""
    return array_namespace(Z).maximum(Z, LEAK * Z)


def leaky_relu_derivative(Z: Array, A: Array) -> Array:
    """1 where Z > 0, else 0.01."""
    return network.relu_derivative(Z, A) * (1.0 - LEAK) + LEAK


def tanh(Z: Array) -> Array:
    """The hyperbolic tangent."""
    return array_namespace(Z).tanh(Z)


def tanh_derivative(Z: Array, A: Array) -> Array:
    """1 - A^2."""
    return 1.0 - A * A


def scaled_tanh(Z: Array) -> Array:
    """1.7159 tanh(2/3 Z), which keeps variance 1 (LeCun et al. 1998; Ciresan et al. 2010)."""
    return SCALE * array_namespace(Z).tanh(SLOPE * Z)


def scaled_tanh_derivative(Z: Array, A: Array) -> Array:
    """1.7159 * 2/3 * (1 - (A / 1.7159)^2)."""
    return SCALE * SLOPE - (SLOPE / SCALE) * A * A


def sigmoid(Z: Array) -> Array:
    """1 / (1 + exp(-Z)), as a tanh, which never overflows."""
    return 0.5 * array_namespace(Z).tanh(0.5 * Z) + 0.5


def sigmoid_derivative(Z: Array, A: Array) -> Array:
    """A (1 - A)."""
    return A * (1.0 - A)


def gelu(Z: Array) -> Array:
    """Z Phi(Z), by the tanh approximation (Hendrycks and Gimpel 2016, section 2)."""
    return 0.5 * Z * (1.0 + _gelu_tanh(Z))


def gelu_derivative(Z: Array, A: Array) -> Array:
    """The derivative of the tanh approximation."""
    t = _gelu_tanh(Z)
    slope = math.sqrt(2.0 / math.pi) * (1.0 + 3 * 0.044715 * Z * Z)
    return 0.5 * (1.0 + t) + 0.5 * Z * (1.0 - t * t) * slope


def _gelu_tanh(Z: Array) -> Array:
    return array_namespace(Z).tanh(math.sqrt(2.0 / math.pi) * (Z + 0.044715 * Z * Z * Z))


ACTIVATIONS = {
    "relu": Activation(network.relu, network.relu_derivative, 2.0),
    "leaky-relu": Activation(leaky_relu, leaky_relu_derivative, 2.0 / (1.0 + LEAK**2)),
    "tanh": Activation(tanh, tanh_derivative, 2.1533),
    "scaled-tanh": Activation(scaled_tanh, scaled_tanh_derivative, 1.2438),
    "sigmoid": Activation(sigmoid, sigmoid_derivative, 22.303),
    "gelu": Activation(gelu, gelu_derivative, 2.1939),
}
