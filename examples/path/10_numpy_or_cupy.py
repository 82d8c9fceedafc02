"""Stage 10, NumPy or CuPy: the arrays say where to compute.

Run:  python examples/path/10_numpy_or_cupy.py [--backend cupy]

CuPy has the functions of NumPy for arrays on an NVIDIA GPU. A function that asks its own arguments
for their library, xp, computes wherever they are, so nothing is written twice. What is chosen once
is the backend that the data are put on.

All functions here keep to the array API standard, which NumPy and CuPy share: xp.sum(A, axis=1)
and not A.sum(axis=1), xp.take(images, rows, axis=0) and not images[rows].
"""

import argparse
from itertools import pairwise

import numpy as np

from mnistgpu import backend, data, errors
from mnistgpu.backend import array_namespace

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--backend", default="numpy", help="numpy, cupy or auto")
errors.said_in_one_sentence()
chosen = backend.select(parser.parse_args().backend)

sizes, alpha, batch_size, epochs = (784, 64, 10), 0.3, 100, 4

# %%
# The network of stage 4, with xp in place of np.


def forward(params, X):
    """All activations [A_0, ..., A_L]; the last are the probabilities."""
    xp = array_namespace(X)
    A = [X]
    for W, b in params[:-1]:
        A.append(xp.maximum(W @ A[-1] + b, 0.0))
    W, b = params[-1]
    Z = W @ A[-1] + b
    E = xp.exp(Z - xp.max(Z, axis=0, keepdims=True))
    return [*A, E / xp.sum(E, axis=0, keepdims=True)]


def backward(params, A, Y):
    """The derivatives [(dW_1, db_1), ..., (dW_L, db_L)] of the mean loss."""
    xp = array_namespace(Y)
    dZ = (A[-1] - Y) / Y.shape[1]
    gradients = []
    for layer in reversed(range(len(params))):
        gradients.insert(0, (dZ @ A[layer].T, xp.sum(dZ, axis=1, keepdims=True)))
        if layer > 0:
            dZ = (params[layer][0].T @ dZ) * xp.astype(A[layer] > 0, dZ.dtype)
    return gradients


# %%
# Data and first weights are made on the host and put on the backend once. Then everything stays
# there: to read a number back makes the program wait for the GPU.

random = np.random.default_rng(0)
digits = data.load()
images = chosen.asarray(digits.train.images[:10_000] / np.float32(255))  # as rows: quick to pick
Y = chosen.asarray(np.eye(10, dtype=np.float32)[digits.train.labels[:10_000]])  # as rows too
X_test = chosen.asarray(digits.test.images.T / np.float32(255))
params = []
for before, n in pairwise(sizes):
    W = random.normal(0, np.sqrt(2 / before), (n, before)).astype(np.float32)
    params.append((chosen.asarray(W), chosen.asarray(np.zeros((n, 1), np.float32))))

xp = array_namespace(images)
for _ in range(epochs):
    order = random.permutation(images.shape[0])
    for start in range(0, len(order), batch_size):
        rows = chosen.asarray(order[start : start + batch_size])
        batch, right = xp.take(images, rows, axis=0).T, xp.take(Y, rows, axis=0).T
        for (W, b), (dW, db) in zip(
            params, backward(params, forward(params, batch), right), strict=True
        ):
            W -= alpha * dW
            b -= alpha * db

answers = chosen.to_numpy(xp.argmax(forward(params, X_test)[-1], axis=0))
accuracy = (answers == digits.test.labels).mean()
print(f"computed by {xp.__name__}")
print(f"test accuracy {accuracy:.4f}")
assert accuracy > 0.91, "the answer is as good on every backend"
