"""Stage 6, Adam: each weight has a step of its own length.

Run:  python examples/path/06_adam.py

With one learning rate for all, weights of pixels that seldom have ink hardly move, and others move
too far. Adam (Kingma and Ba 2015) remembers for each weight a moving average of its derivatives,
the direction (this is momentum), and one of their squares, the usual size. The step is their
quotient, so that every weight moves by about the learning rate.
"""

from itertools import pairwise

import numpy as np

from mnistgpu import data

digits = data.load()
X = digits.train.images[:10_000].T / np.float32(255)
labels = digits.train.labels[:10_000]
X_test, test_labels = digits.test.images.T / np.float32(255), digits.test.labels
Y = np.eye(10, dtype=np.float32)[:, labels]

sizes, batch_size, epochs = (784, 64, 32, 10), 100, 4
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


def he(n, before):
    """Normal weights of variance 2 / before."""
    return random.normal(0, np.sqrt(2 / before), (n, before)).astype(np.float32)


# %%
# The two averages begin at 0, and so are too small at first. Adam divides them by what they have
# seen so far of 1, which is 1 - beta^step.


def adam(theta, gradient, first, second, step, alpha):
    """Change one array of weights and its two averages in place; steps count from 1."""
    first += 0.1 * (gradient - first)
    second += 0.001 * (gradient * gradient - second)
    direction, size = first / (1 - 0.9**step), np.sqrt(second / (1 - 0.999**step))
    theta -= alpha * direction / (size + 1e-8)


params = [(he(n, before), np.zeros((n, 1), np.float32)) for before, n in pairwise(sizes)]
arrays = [array for layer in params for array in layer]  # W_1, b_1, W_2, ...
averages = [(np.zeros_like(array), np.zeros_like(array)) for array in arrays]
step = 0
for epoch in range(1, epochs + 1):
    order = random.permutation(X.shape[1])
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        gradients = backward(params, forward(params, X[:, rows]), Y[:, rows])
        step += 1
        flat = [array for layer in gradients for array in layer]
        for theta, gradient, (first, second) in zip(arrays, flat, averages, strict=True):
            adam(theta, gradient, first, second, step, alpha=0.003)
    accuracy = (forward(params, X)[-1].argmax(axis=0) == labels).mean()
    print(f"epoch {epoch}  training accuracy {accuracy:.4f}")

accuracy = (forward(params, X_test)[-1].argmax(axis=0) == test_labels).mean()
print(f"test accuracy {accuracy:.4f}")
assert accuracy > 0.935, "four epochs of Adam reach 93.5%"
