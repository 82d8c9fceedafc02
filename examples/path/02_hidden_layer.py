"""Stage 2, a hidden layer: the eight equations.

Run:  python examples/path/02_hidden_layer.py

One layer can only add up evidence for a digit, pixel by pixel. A layer of hidden units between
pixels and answers can find parts of digits first. Each of its units is a weighted sum, of which
negative values become 0 (ReLU). Four equations lead forward to the probabilities, four lead back,
by the chain rule, to the derivative of the loss by every weight.
"""

import numpy as np

from mnistgpu import data

digits = data.load()
X = digits.train.images[:10_000].T / np.float32(255)  # (784, m)
labels = digits.train.labels[:10_000]
X_test, test_labels = digits.test.images.T / np.float32(255), digits.test.labels

m, alpha, hidden = X.shape[1], 0.5, 32
Y = np.zeros((10, m), np.float32)
Y[labels, np.arange(m)] = 1


def softmax(Z):
    """Sums (10, m) to probabilities (10, m)."""
    E = np.exp(Z - Z.max(axis=0))
    return E / E.sum(axis=0)


# %%
# The first weights must be random: hidden units with equal weights would get equal derivatives, and
# stay equal for ever. As in the tutorial that this project follows, they are between -0.5 and 0.5.

random = np.random.default_rng(0)


def uniform(*shape):
    """Random numbers from -0.5 to 0.5."""
    return random.uniform(-0.5, 0.5, shape).astype(np.float32)


W1, b1 = uniform(hidden, 784), uniform(hidden, 1)
W2, b2 = uniform(10, hidden), uniform(10, 1)

# %%
# Each step: forward, backward, update.

for step in range(1, 101):
    Z1 = W1 @ X + b1  # (hidden, m)
    A1 = np.maximum(Z1, 0)  # ReLU
    Z2 = W2 @ A1 + b2  # (10, m)
    A2 = softmax(Z2)

    dZ2 = (A2 - Y) / m  # (10, m)
    dW2 = dZ2 @ A1.T  # (10, hidden)
    dZ1 = W2.T @ dZ2 * (Z1 > 0)  # back through the weights, and through ReLU
    dW1 = dZ1 @ X.T  # (hidden, 784)

    W1 -= alpha * dW1
    b1 -= alpha * dZ1.sum(axis=1, keepdims=True)
    W2 -= alpha * dW2
    b2 -= alpha * dZ2.sum(axis=1, keepdims=True)
    if step % 25 == 0:
        loss = -np.log(A2[labels, np.arange(m)]).mean()
        print(f"step {step:3}  loss {loss:.3f}")

# %%
# After a hundred steps it is behind one layer still: it has three times as many weights to find,
# from a random beginning. The next stages take more steps, and begin better.

A1 = np.maximum(W1 @ X_test + b1, 0)
accuracy = (softmax(W2 @ A1 + b2).argmax(axis=0) == test_labels).mean()
print(f"test accuracy {accuracy:.4f}")
assert accuracy > 0.80, "a hundred steps suffice for 80% of the test images"
