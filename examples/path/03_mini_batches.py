"""Stage 3, mini-batches: a hundred images tell nearly as much as ten thousand.

Run:  python examples/path/03_mini_batches.py

Stage 2 looks at all images before it moves a weight. The derivative of a hundred images, chosen at
random, is nearly the same and costs a hundredth. So each pass over the images, an epoch, takes a
hundred steps instead of one.
"""

import numpy as np

from mnistgpu import data

digits = data.load()
X = digits.train.images[:10_000].T / np.float32(255)  # (784, images)
labels = digits.train.labels[:10_000]
X_test, test_labels = digits.test.images.T / np.float32(255), digits.test.labels
Y = np.eye(10, dtype=np.float32)[:, labels]  # one-hot, (10, images)

alpha, hidden, batch_size, epochs = 0.3, 32, 100, 6
random = np.random.default_rng(0)


def softmax(Z):
    """Sums (10, m) to probabilities (10, m)."""
    E = np.exp(Z - Z.max(axis=0))
    return E / E.sum(axis=0)


def uniform(*shape):
    """Random numbers from -0.5 to 0.5."""
    return random.uniform(-0.5, 0.5, shape).astype(np.float32)


def accuracy(X, labels):
    """The share of right answers."""
    A1 = np.maximum(W1 @ X + b1, 0)
    return (softmax(W2 @ A1 + b2).argmax(axis=0) == labels).mean()


W1, b1 = uniform(hidden, 784), uniform(hidden, 1)
W2, b2 = uniform(10, hidden), uniform(10, 1)

# %%
# Every epoch has a new random order, which is cut into batches. If the images were sorted by digit,
# the network would learn one digit after the other, and forget the first.

for epoch in range(1, epochs + 1):
    order = random.permutation(X.shape[1])
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        A0, m = X[:, rows], len(rows)  # m is the size of the batch, not of the set
        Z1 = W1 @ A0 + b1
        A1 = np.maximum(Z1, 0)
        A2 = softmax(W2 @ A1 + b2)

        dZ2 = (A2 - Y[:, rows]) / m
        dZ1 = W2.T @ dZ2 * (Z1 > 0)
        W2 -= alpha * (dZ2 @ A1.T)
        b2 -= alpha * dZ2.sum(axis=1, keepdims=True)
        W1 -= alpha * (dZ1 @ A0.T)
        b1 -= alpha * dZ1.sum(axis=1, keepdims=True)
    print(f"epoch {epoch}  training accuracy {accuracy(X, labels):.4f}")

found = accuracy(X_test, test_labels)
print(f"test accuracy {found:.4f}")
assert found > 0.87, "six epochs of batches do better than a hundred of one step each"
