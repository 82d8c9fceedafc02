"""Stage 9, deformations: a hand that writes a 4 does not write it twice in the same way.

Run:  python examples/path/09_deformations.py

A digit that is turned, stretched or moved a little is the same digit, and a new image for the
network. So every batch is deformed anew, and no image is seen twice. With stronger deformations
and more time, dense networks reach 99.5% in this way (docs/recipes.md), and nothing else on this
path gains as much.
"""

import numpy as np

from mnistgpu import data, network
from mnistgpu.maths.optimizers import OPTIMIZERS

digits = data.load()
X, y = digits.train.images[:5_000].T / np.float32(255), digits.train.labels[:5_000]
X_test, y_test = digits.test.images.T / np.float32(255), digits.test.labels
Y = network.one_hot(y, 10)
sizes, batch_size, epochs = (784, 128, 10), 50, 12

# %%
# For each pixel of the deformed image: the place that it is taken from. A random matrix near the
# identity turns, stretches and slants; a random vector moves. Of a place between pixels the nearest
# pixel is taken. All images of a batch share a map, so that it is one choice of rows.

places = np.stack(np.meshgrid(np.arange(28), np.arange(28), indexing="ij")).reshape(2, 784)
centre = np.full((2, 1), 13.5)


def sources(random):
    """For each of the 784 pixels, the number of the pixel that it is taken from."""
    matrix = np.eye(2) + random.normal(0, 0.1, (2, 2))
    moved = matrix @ (places - centre) + centre + random.normal(0, 1, (2, 1))
    row, column = np.clip(np.rint(moved), 0, 27).astype(int)
    return 28 * row + column


def trained(deform):
    """The parameters after training, on deformed images or on the same ones in each epoch."""
    random = np.random.default_rng(0)
    theta = network.init(0, sizes, "he")
    adam = OPTIMIZERS["adam"]
    state, step = adam.start(theta), 0
    for _ in range(epochs):
        order = random.permutation(X.shape[1])
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = X[:, rows]
            if deform:
                batch = batch[sources(random)]
            params = network.layers(theta, sizes)
            A, Z = network.forward(params, batch)
            gradient = network.flatten(network.backward(params, A, Z, Y[:, rows]))
            adam.update(theta, gradient, state, 0.002, step)
            step += 1
    return theta


def accuracy(theta, X, y):
    """The share of right answers."""
    A, _ = network.forward(network.layers(theta, sizes), X)
    return (A[-1].argmax(axis=0) == y).mean()


plain, deformed = trained(False), trained(True)
for name, theta in (("the same images", plain), ("deformed anew", deformed)):
    of = accuracy(theta, X, y), accuracy(theta, X_test, y_test)
    print(f"{name:<15}  training {of[0]:.4f}  test {of[1]:.4f}")
found = accuracy(deformed, X_test, y_test)
print(f"test accuracy {found:.4f}")
assert found > accuracy(plain, X_test, y_test), "deformed images teach more than the same ones"
assert found > 0.95, "5,000 deformed images suffice for 95%"
