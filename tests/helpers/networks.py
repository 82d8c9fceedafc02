"""Small networks that are made in no time, for tests of what is done with them."""

from dataclasses import replace

import numpy as np

from mnistgpu import counter_rng, network
from mnistgpu.backend import NUMPY
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.settings import Settings


def made(activation="relu", layers="784-24-16-10", seed=3, precision="float32", **fields):
    """A network with first weights, large enough that its answers differ, and biases."""
    settings = Settings(layers=layers, activation=activation, precision=precision)
    key = counter_rng.key(seed, like=NUMPY.asarray(0.0))
    theta = network.init(key, settings.sizes, "he", "float32", 4 * ACTIVATIONS[activation].gain)
    noise = counter_rng.uniforms(counter_rng.fold_in(key, 1), theta.shape, "float32")
    theta = (theta + np.float32(0.02) * (noise - np.float32(0.5))).astype(settings.dtype)
    side = {784: (28, 28), 64: (8, 8)}[settings.sizes[0]]
    found = Model(theta, settings.sizes, side, activation, settings.as_dict(), "ab" * 32)
    return replace(found, **fields)


def committee():
    """Three networks that differ in their layers and activations."""
    kinds = (("relu", "784-24-16-10"), ("gelu", "784-12-10"), ("tanh", "784-10"))
    return Committee(tuple(made(kind, layers, seed) for seed, (kind, layers) in enumerate(kinds)))
