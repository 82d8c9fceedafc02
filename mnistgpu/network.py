"""The dense network: its equations, one line each, for any depth and on any backend.

One image is one column, as in the mathematics: X (784, m), W_l (n_l, n_{l-1}), b_l (n_l, 1).

    Z_l = W_l A_{l-1} + b_l          A_l = ReLU(Z_l)          A_0 = X          A_L = softmax(Z_L)
    dZ_L = (A_L - Y) / m             dZ_l = W_{l+1}^T dZ_{l+1} * ReLU'(Z_l)
    dW_l = dZ_l A_{l-1}^T            db_l = row sums of dZ_l
    W_l := W_l - alpha dW_l          b_l := b_l - alpha db_l

Every function is pure: arrays in, arrays out, on the device where the arrays live.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from mnistgpu import counter_rng
from mnistgpu.backend import Array, array_namespace, on_device_of
from mnistgpu.errors import ShapeError, UsageError

Layer = tuple[Array, Array]  # W (n_l, n_{l-1}) and b (n_l, 1)


def parameter_count(sizes: Sequence[int]) -> int:
    """How many weights and biases a network of these layer sizes has: 784-10-10 has 7960."""
    return sum(n_out * n_in + n_out for n_in, n_out in pairwise(sizes))


def layers(theta: Array, sizes: Sequence[int]) -> list[Layer]:
    """Views of the parameter vector theta (parameter_count,): [(W_1, b_1), ..., (W_L, b_L)]."""
    xp = array_namespace(theta)
    if theta.shape != (parameter_count(sizes),):
        raise ShapeError(
            f"a network {'-'.join(map(str, sizes))} has a parameter vector of shape "
            f"({parameter_count(sizes)},), not {theta.shape}"
        )
    views, start = [], 0
    for n_in, n_out in pairwise(sizes):
        W = xp.reshape(theta[start : start + n_out * n_in], (n_out, n_in))
        start += n_out * n_in
        b = xp.reshape(theta[start : start + n_out], (n_out, 1))
        start += n_out
        views.append((W, b))
    return views


def flatten(params: Sequence[Layer]) -> Array:
    """The inverse of `layers`: all weights and biases in one vector."""
    xp = array_namespace(*(array for layer in params for array in layer))
    return xp.concat([xp.reshape(array, (-1,)) for layer in params for array in layer])


def init(
    key: Array, sizes: Sequence[int], how: str = "he", dtype: str = "float32", gain: float = 2.0
) -> Array:
    """A parameter vector to start from.

    "uniform": every weight and bias uniform in [-0.5, 0.5), as in the documents. "he": normal
    weights of variance gain / n_in, where 2 is the gain of ReLU (He et al. 2015; `activations` has
    others), and 1 before the softmax; biases zero. "glorot": the same with the mean of n_in and
    n_out (Glorot and Bengio 2010).
    """
    xp = array_namespace(key)
    if how not in ("uniform", "he", "glorot"):
        raise UsageError(f"unknown initialisation {how!r}: choose uniform, he or glorot")
    if how == "uniform":
        return counter_rng.uniforms(key, (parameter_count(sizes),), dtype) - 0.5
    theta = counter_rng.normals(key, (parameter_count(sizes),), dtype)
    params = layers(theta, sizes)
    for layer, (W, b) in enumerate(params):
        n_out, n_in = W.shape
        fan = n_in if how == "he" else (n_in + n_out) / 2
        W *= math.sqrt((1.0 if layer == len(params) - 1 else gain) / fan)
        b[...] = xp.zeros_like(b)
    return theta


def relu(Z: Array) -> Array:
    """max(Z, 0), element by element."""
    return array_namespace(Z).maximum(Z, 0.0)


def relu_derivative(Z: Array, A: Array) -> Array:
    """1 where Z > 0, else 0. Derivatives take Z and A = activation(Z), and use what is cheaper."""
    return array_namespace(Z).astype(Z > 0, Z.dtype)


def softmax(Z: Array) -> Array:
    """exp(Z) / column sums of exp(Z): logits (classes, m) to probabilities (classes, m).

    The largest logit of a column is subtracted first: exp stays finite, and nothing changes.
    """
    xp = array_namespace(Z)
    E = xp.exp(Z - xp.max(Z, axis=0, keepdims=True))
    return E / xp.sum(E, axis=0, keepdims=True)


def one_hot(labels: Array, classes: int, dtype: str = "float32") -> Array:
    """Labels (m,) to Y (classes, m) with Y[labels[i], i] = 1 and 0 elsewhere.

    Labels lie in 0 ... classes - 1, which `data` checks on the host: here it would be a sync point.
    """
    xp = array_namespace(labels)
    if labels.ndim != 1:
        raise ShapeError(f"labels are a vector (m,), not an array of shape {labels.shape}")
    digits = xp.arange(classes, dtype=labels.dtype, **on_device_of(labels))
    return xp.astype(digits[:, None] == labels[None, :], getattr(xp, dtype))


def cross_entropy(Z: Array, Y: Array) -> Array:
    """Mean over the columns of -log softmax(Z)[label], from logits Z and one-hot Y (classes, m).

    From logits, not probabilities: log(softmax) would be log(0) where softmax underflows.
    """
    xp = array_namespace(Z, Y)
    if Z.shape != Y.shape:
        raise ShapeError(f"logits {Z.shape} and one-hot labels {Y.shape} must have one shape")
    shifted = Z - xp.max(Z, axis=0, keepdims=True)
    log_sum = xp.log(xp.sum(xp.exp(shifted), axis=0))
    return xp.mean(log_sum - xp.sum(Y * shifted, axis=0))


def check_columns(A: Array, W: Array, b: Array) -> None:
    """ShapeError unless the columns A (n_in, m) can enter a layer W (n_out, n_in), b (n_out, 1)."""
    n_out, n_in = W.shape
    if A.ndim != 2 or A.shape[0] != n_in or b.shape != (n_out, 1):
        raise ShapeError(
            f"a layer W {W.shape} needs columns of shape ({n_in}, m) and b of shape ({n_out}, 1), "
            f"not {A.shape} and {b.shape}"
        )


def forward(
    params: Sequence[Layer], X: Array, activation: Callable[[Array], Array] = relu
) -> tuple[list[Array], list[Array]]:
    """From images X (n_0, m) to activations [A_0, ..., A_L] and pre-activations [Z_1, ..., Z_L].

    A_L (classes, m) are the probabilities, Z_L (classes, m) the logits.
    """
    A, Z = [X], []  #                             A_0 = X                  (n_0, m)
    for W, b in params:
        check_columns(A[-1], W, b)
        Z.append(W @ A[-1] + b)  #                Z_l = W_l A_{l-1} + b_l  (n_l, m)
        last = len(Z) == len(params)
        A.append(softmax(Z[-1]) if last else activation(Z[-1]))  # A_l = ReLU(Z_l), at last softmax
    return A, Z


def backward(
    params: Sequence[Layer],
    A: Sequence[Array],
    Z: Sequence[Array],
    Y: Array,
    derivative: Callable[[Array, Array], Array] = relu_derivative,
) -> list[Layer]:
    """Gradients [(dW_1, db_1), ...] of the mean cross-entropy, by the chain rule, last layer first.

    A and Z are what `forward` returned, Y (classes, m) the one-hot labels.
    """
    xp = array_namespace(*A, Y)
    if A[-1].shape != Y.shape:
        raise ShapeError(f"one-hot labels must have shape {A[-1].shape}, not {Y.shape}")
    m = Y.shape[1]
    dZ = (A[-1] - Y) / m  #                       dZ_L: valid for cross-entropy after softmax alone
    gradients = []
    for layer in reversed(range(len(params))):
        dW = dZ @ A[layer].T  #                   dW_l = dZ_l A_{l-1}^T    (n_l, n_{l-1})
        db = xp.sum(dZ, axis=1, keepdims=True)  # db_l, one sum for each unit: (n_l, 1)
        gradients.append((dW, db))
        if layer > 0:  #                          dZ_{l-1} = W_l^T dZ_l * ReLU'(Z_{l-1})
            dZ = (params[layer][0].T @ dZ) * derivative(Z[layer - 1], A[layer])
    return gradients[::-1]


def gradient_descent(theta: Array, gradient: Array, alpha: float) -> Array:
    """theta - alpha * gradient: one step downhill for all W and b at once."""
    if gradient.shape != theta.shape:
        raise ShapeError(f"a gradient must have shape {theta.shape}, not {gradient.shape}")
    return theta - alpha * gradient
