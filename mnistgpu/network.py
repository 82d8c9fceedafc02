"""The dense network: its equations, one line each, for any depth and on any backend.

Outside, in files and data sets, images are rows: (N, pixels). Here, as in the mathematics, each
image is a column: X (pixels, m) for a batch of m images, W_l (n_l, n_{l-1}) and b_l (n_l, 1), where
n_l is the number of units in layer l.

    Z_l = W_l A_{l-1} + b_l          A_l = ReLU(Z_l)          A_0 = X          A_L = softmax(Z_L)
    dZ_L = (A_L - Y) / m             dZ_l = W_{l+1}^T dZ_{l+1} * ReLU'(Z_l)
    dW_l = dZ_l A_{l-1}^T            db_l = row sums of dZ_l
    W_l := W_l - alpha dW_l          b_l := b_l - alpha db_l

Every function is pure: arrays in, arrays out, on the device where the arrays live. All weights and
biases lie in one vector, theta; `layers` gives them as matrices, which are views of theta:

    sizes = (784, 10, 10)
    theta = network.init(0, sizes)               # first weights from seed 0, (7960,)
    params = network.layers(theta, sizes)        # [(W_1, b_1), (W_2, b_2)]
    A, Z = network.forward(params, X)            # A[-1] (10, m): the probabilities
    gradient = network.flatten(network.backward(params, A, Z, network.one_hot(labels, 10)))
    theta = network.gradient_descent(theta, gradient, 0.25)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from mnistgpu import counter_rng
from mnistgpu.backend import NUMPY, Array, array_namespace, on_device_of
from mnistgpu.counter_rng import Key
from mnistgpu.errors import ShapeError, UsageError, did_you_mean

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
    key: Key | int,
    sizes: Sequence[int],
    how: str = "he",
    dtype: str = "float32",
    gain: float = 2.0,
) -> Array:
    """A parameter vector theta to start from, by one of INITIALIZATIONS.

    key: a seed such as 0, for NumPy; or a key of `counter_rng`, for the device of that key.
    gain: 2 for ReLU; `maths/activations.py` has those of other activations.
    """
    if how not in INITIALIZATIONS:
        names = ", ".join(INITIALIZATIONS)
        hint = did_you_mean(how, INITIALIZATIONS)
        raise UsageError(f"unknown initialisation {how!r}: choose one of {names}{hint}")
    if isinstance(key, int):
        key = counter_rng.key(key, like=NUMPY.asarray(0.0))
    return INITIALIZATIONS[how](key, sizes, dtype, gain)


def uniform(key: Key, sizes: Sequence[int], dtype: str, gain: float) -> Array:
    """Every weight and bias uniform in [-0.5, 0.5), as in the tutorial; no gain."""
    return counter_rng.uniforms(key, (parameter_count(sizes),), dtype) - 0.5


def he(key: Key, sizes: Sequence[int], dtype: str, gain: float) -> Array:
    """Normal weights of variance gain / n_in, or 1 / n_in before the softmax; biases 0.

    He et al. 2015, section 2.2: signals keep their length from layer to layer.
    """
    return _normal(key, sizes, dtype, gain, lambda n_in, n_out: n_in)


def glorot(key: Key, sizes: Sequence[int], dtype: str, gain: float) -> Array:
    """As `he`, with the mean of n_in and n_out in place of n_in (Glorot and Bengio 2010)."""
    return _normal(key, sizes, dtype, gain, lambda n_in, n_out: (n_in + n_out) / 2)


def _normal(
    key: Key, sizes: Sequence[int], dtype: str, gain: float, fan: Callable[[int, int], float]
) -> Array:
    """Normal weights of variance gain / fan(n_in, n_out), 1 / fan in the last layer; biases 0."""
    theta = counter_rng.normals(key, (parameter_count(sizes),), dtype)
    params = layers(theta, sizes)
    gains = [gain] * (len(params) - 1) + [1.0]
    for (W, b), layer_gain in zip(params, gains, strict=True):
        n_out, n_in = W.shape
        W *= math.sqrt(layer_gain / fan(n_in, n_out))
        b[...] = 0.0
    return theta


INITIALIZATIONS = {"uniform": uniform, "he": he, "glorot": glorot}


def relu(Z: Array) -> Array:
    """max(Z, 0), element by element."""
    return array_namespace(Z).maximum(Z, 0.0)


def relu_derivative(Z: Array, A: Array) -> Array:
    """1 where Z > 0, else 0. A derivative takes Z and A = relu(Z), and uses the one it needs."""
    return array_namespace(Z).astype(Z > 0, Z.dtype)


def softmax(Z: Array) -> Array:
    """exp(Z) / column sums of exp(Z): logits (classes, m) to probabilities (classes, m).

    The largest logit of each column is subtracted first, so that exp never overflows; the
    probabilities stay the same.
    """
    xp = array_namespace(Z)
    E = xp.exp(Z - xp.max(Z, axis=0, keepdims=True))
    return E / xp.sum(E, axis=0, keepdims=True)


def one_hot(labels: Array, classes: int, dtype: str = "float32") -> Array:
    """Labels (m,) to Y (classes, m) with Y[labels[i], i] = 1 and 0 elsewhere.

    Labels are in 0 ... classes - 1, which `data` checks on the host; a check here would be a sync
    point.
    """
    xp = array_namespace(labels)
    if labels.ndim != 1:
        raise ShapeError(f"labels are a vector (m,), not an array of shape {labels.shape}")
    digits = xp.arange(classes, dtype=labels.dtype, **on_device_of(labels))
    return xp.astype(digits[:, None] == labels[None, :], getattr(xp, dtype))


def shares(m: int, weights: Array | None = None) -> Array | float:
    """The share of each of m images in the mean loss: w_i / (w_1 + ... + w_m), (m,), or 1/m.

    weights: (m,), positive. Divided by their sum, as in PyTorch's CrossEntropyLoss(weight) and
    scikit-learn's MLPClassifier, so their scale means nothing, a weight of 2 is an image that is
    there twice, and with equal weights the mean is the plain one.
    """
    return 1.0 / m if weights is None else weights / array_namespace(weights).sum(weights)


def cross_entropy(Z: Array, Y: Array, weights: Array | None = None) -> Array:
    """Mean over the columns of -log softmax(Z)[label], from logits Z and one-hot Y (classes, m).

    weights: those of the images (m,), for the weighted mean of `shares`. From logits, not
    probabilities: log(softmax) would be log(0) where softmax underflows.
    """
    xp = array_namespace(Z, Y)
    if Z.shape != Y.shape:
        raise ShapeError(f"logits {Z.shape} and one-hot labels {Y.shape} must have one shape")
    shifted = Z - xp.max(Z, axis=0, keepdims=True)
    log_sum = xp.log(xp.sum(xp.exp(shifted), axis=0))
    losses = log_sum - xp.sum(Y * shifted, axis=0)
    if weights is None:
        return xp.mean(losses)
    return xp.sum(losses * shares(losses.shape[0], weights))


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
        A.append(softmax(Z[-1]) if last else activation(Z[-1]))  # A_l = ReLU(Z_l); A_L: softmax
    return A, Z


def backward(
    params: Sequence[Layer],
    A: Sequence[Array],
    Z: Sequence[Array],
    Y: Array,
    derivative: Callable[[Array, Array], Array] = relu_derivative,
    weights: Array | None = None,
) -> list[Layer]:
    """Gradients [(dW_1, db_1), ...] of the mean cross-entropy, by the chain rule, last layer first.

    A and Z are what `forward` returned, Y (classes, m) the one-hot labels. weights: those of the
    images (m,), as for `cross_entropy`.
    """
    xp = array_namespace(*A, Y)
    if A[-1].shape != Y.shape:
        raise ShapeError(f"one-hot labels must have shape {A[-1].shape}, not {Y.shape}")
    m = Y.shape[1]
    dZ = (A[-1] - Y) / m  #                       dZ_L: valid for cross-entropy after softmax alone
    if weights is not None:  #                    dZ_L = (A_L - Y) * shares
        dZ = (A[-1] - Y) * shares(m, weights)
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
