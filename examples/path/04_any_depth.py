"""Stage 4, any depth: a loop over layers in place of names with numbers.

Run:  python examples/path/04_any_depth.py [--layers 784-64-32-10]

The equations of a layer are the same for every layer. So the network becomes a list of pairs
(W, b), forward a loop over it, and backward a loop from the last to the first. This is the form of
mnistgpu/network.py.
"""

import argparse
from itertools import pairwise

import numpy as np

from mnistgpu import data

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--layers", default="784-64-32-10")
sizes = [int(size) for size in parser.parse_args().layers.split("-")]

digits = data.load()
X = digits.train.images[:10_000].T / np.float32(255)
labels = digits.train.labels[:10_000]
X_test, test_labels = digits.test.images.T / np.float32(255), digits.test.labels
Y = np.eye(10, dtype=np.float32)[:, labels]

alpha, batch_size, epochs = 0.1, 100, 6
random = np.random.default_rng(0)

# %%
# The two loops.


def forward(params, X):
    """All activations [A_0, ..., A_L]; the last are the probabilities."""
    A = [X]
    for W, b in params[:-1]:
        A.append(np.maximum(W @ A[-1] + b, 0))
    W, b = params[-1]
    Z = W @ A[-1] + b
    E = np.exp(Z - Z.max(axis=0))
    return [*A, E / E.sum(axis=0)]


def backward(params, A, Y):
    """The derivatives [(dW_1, db_1), ..., (dW_L, db_L)] of the mean loss."""
    dZ = (A[-1] - Y) / Y.shape[1]
    gradients = []
    for layer in reversed(range(len(params))):
        gradients.insert(0, (dZ @ A[layer].T, dZ.sum(axis=1, keepdims=True)))
        if layer > 0:  # A > 0 where Z > 0
            dZ = params[layer][0].T @ dZ * (A[layer] > 0)
    return gradients


# %%
# Training does not know how many layers there are.


def uniform(*shape):
    """Random numbers from -0.5 to 0.5."""
    return random.uniform(-0.5, 0.5, shape).astype(np.float32)


params = [(uniform(n, before), uniform(n, 1)) for before, n in pairwise(sizes)]
for epoch in range(1, epochs + 1):
    order = random.permutation(X.shape[1])
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        gradients = backward(params, forward(params, X[:, rows]), Y[:, rows])
        for (W, b), (dW, db) in zip(params, gradients, strict=True):
            W -= alpha * dW
            b -= alpha * db
    accuracy = (forward(params, X)[-1].argmax(axis=0) == labels).mean()
    print(f"epoch {epoch}  training accuracy {accuracy:.4f}")

accuracy = (forward(params, X_test)[-1].argmax(axis=0) == test_labels).mean()
print(f"test accuracy {accuracy:.4f}")
assert accuracy > 0.84, "three layers learn by the same loops"
