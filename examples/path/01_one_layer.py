"""Stage 1, one layer: each digit has a weight for every pixel.

Run:  python examples/path/01_one_layer.py

An image is 784 numbers. For each of the ten digits a weighted sum of them says how much the image
looks like that digit; softmax makes ten probabilities of the ten sums. Training moves the weights
so that the right digit becomes more probable. This is called softmax regression.
"""

import numpy as np

from mnistgpu import data

# %%
# The images: 10,000 to train on, 10,000 others for the test. One image is one column, and 0 to 255
# becomes 0 to 1, without which the first sums are so large that nothing is learnt.

digits = data.load()
X = digits.train.images[:10_000].T / np.float32(255)  # (784, m)
labels = digits.train.labels[:10_000]  # (m,)
X_test, test_labels = digits.test.images.T / np.float32(255), digits.test.labels

m, alpha = X.shape[1], 0.5
Y = np.zeros((10, m), np.float32)  # one-hot: a 1 in the row of the right digit
Y[labels, np.arange(m)] = 1

# %%
# From sums to probabilities. The largest sum is subtracted first: the probabilities stay the same,
# and exp cannot overflow.


def softmax(Z):
    """Sums (10, m) to probabilities (10, m), of which each column adds up to 1."""
    E = np.exp(Z - Z.max(axis=0))
    return E / E.sum(axis=0)


# %%
# Gradient descent: compute how the loss changes with every weight, and move each a little the other
# way. The loss is the mean of -log(probability of the right digit), and its derivative by the sums
# is what the network said minus what was right.

W, b = np.zeros((10, 784), np.float32), np.zeros((10, 1), np.float32)
for step in range(1, 101):
    A = softmax(W @ X + b)  # (10, m)
    dZ = (A - Y) / m  # (10, m)
    W -= alpha * (dZ @ X.T)  # (10, 784)
    b -= alpha * dZ.sum(axis=1, keepdims=True)  # (10, 1)
    if step % 25 == 0:
        loss = -np.log(A[labels, np.arange(m)]).mean()
        print(f"step {step:3}  loss {loss:.3f}")

# %%
# On images that it has not seen:

accuracy = (softmax(W @ X_test + b).argmax(axis=0) == test_labels).mean()
print(f"test accuracy {accuracy:.4f}")
assert accuracy > 0.86, "one layer answers at least 86% of the test images right"
