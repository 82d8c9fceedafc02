"""Stage 8, dropout: units that cannot rely on one another.

Run:  python examples/path/08_dropout.py

A network that knows its images by heart has units that only work together. With dropout
(Srivastava et al. 2014) each hidden unit is left out of each training step with probability a half,
so each must be of use with any others. The rest are doubled, so that sums keep their size, and for
the test all units are there.
"""

import numpy as np

from mnistgpu import data, network
from mnistgpu.maths.optimizers import OPTIMIZERS

digits = data.load()
X, y = digits.train.images[:2_000].T / np.float32(255), digits.train.labels[:2_000]
X_test, y_test = digits.test.images.T / np.float32(255), digits.test.labels
Y = network.one_hot(y, 10)
sizes, batch_size, epochs = (784, 512, 10), 100, 20


def accuracy(theta, X, y):
    """The share of right answers, with all units."""
    A, _ = network.forward(network.layers(theta, sizes), X)
    return (A[-1].argmax(axis=0) == y).mean()


# %%
# The mask of a step multiplies the hidden activations, and on the way back their derivatives.


def gradient_of(theta, X, Y, mask):
    """The derivative of the loss by theta; mask (hidden, m) has 0 for units that are left out."""
    (W1, b1), (W2, b2) = network.layers(theta, sizes)
    Z1 = W1 @ X + b1
    A1 = np.maximum(Z1, 0) * mask
    dZ2 = (network.softmax(W2 @ A1 + b2) - Y) / Y.shape[1]
    dZ1 = W2.T @ dZ2 * mask * (Z1 > 0)
    return network.flatten(
        [
            (dZ1 @ X.T, dZ1.sum(axis=1, keepdims=True)),
            (dZ2 @ A1.T, dZ2.sum(axis=1, keepdims=True)),
        ]
    )


def trained(left_out):
    """The parameters after training with this share of the hidden units left out."""
    random = np.random.default_rng(0)
    theta = network.init(0, sizes, "he")
    adam = OPTIMIZERS["adam"]
    state, step = adam.start(theta), 0
    for _ in range(epochs):
        order = random.permutation(X.shape[1])
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            kept = random.random((sizes[1], len(rows))) >= left_out
            mask = kept.astype(np.float32) / np.float32(1 - left_out)
            gradient = gradient_of(theta, X[:, rows], Y[:, rows], mask)
            adam.update(theta, gradient, state, 0.002, step)
            step += 1
    return theta


# %%
# Of 2,000 images each is known by heart in the end. With dropout, others are answered better.

plain, dropped = trained(0.0), trained(0.5)
for name, theta in (("without dropout", plain), ("with dropout", dropped)):
    of = accuracy(theta, X, y), accuracy(theta, X_test, y_test)
    print(f"{name:<15}  training {of[0]:.4f}  test {of[1]:.4f}")
found = accuracy(dropped, X_test, y_test)
print(f"test accuracy {found:.4f}")
assert found > 0.915, "with dropout 2,000 images suffice for 91.5%"
