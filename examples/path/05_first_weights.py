"""Stage 5, first weights: as large as lets a signal keep its size.

Run:  python examples/path/05_first_weights.py

A unit adds up n products. If the weights are between -0.5 and 0.5 whatever n is, sums of 784 pixels
are large, and grow from layer to layer: the first probabilities are near 0 and 1, and mostly wrong.
He et al. (2015) draw normal weights of variance 2 / n, with which sums keep their size through any
number of ReLU layers.
"""

from itertools import pairwise

import numpy as np

from mnistgpu import data

digits = data.load()
X = digits.train.images[:10_000].T / np.float32(255)
labels = digits.train.labels[:10_000]
X_test, test_labels = digits.test.images.T / np.float32(255), digits.test.labels
Y = np.eye(10, dtype=np.float32)[:, labels]

sizes, alpha, batch_size, epochs = (784, 64, 32, 10), 0.1, 100, 4
random = np.random.default_rng(0)


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
        if layer > 0:
            dZ = params[layer][0].T @ dZ * (A[layer] > 0)
    return gradients


# %%
# Two ways to begin. Biases may be 0, since the weights already make the units different.


def uniform(n, before):
    """Between -0.5 and 0.5, as in the stages before."""
    return random.uniform(-0.5, 0.5, (n, before)).astype(np.float32)


def he(n, before):
    """Normal of variance 2 / before. The 2 makes up for what ReLU sets to 0, which is half."""
    return random.normal(0, np.sqrt(2 / before), (n, before)).astype(np.float32)


def trained(first):
    """The test accuracy after a few epochs from these first weights."""
    params = [(first(n, before), np.zeros((n, 1), np.float32)) for before, n in pairwise(sizes)]
    signal = ", ".join(f"{A.std():.2f}" for A in forward(params, X)[:-1])
    print(f"{first.__name__}: size of the activations, layer by layer: {signal}")
    for _ in range(epochs):
        order = random.permutation(X.shape[1])
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            gradients = backward(params, forward(params, X[:, rows]), Y[:, rows])
            for (W, b), (dW, db) in zip(params, gradients, strict=True):
                W -= alpha * dW
                b -= alpha * db
    return (forward(params, X_test)[-1].argmax(axis=0) == test_labels).mean()


before, accuracy = trained(uniform), trained(he)
print(f"test accuracy {accuracy:.4f} (from uniform weights {before:.4f})")
assert accuracy > 0.90, "with He's first weights four epochs reach 90%"
assert accuracy > before, "He's first weights learn faster than uniform ones"
