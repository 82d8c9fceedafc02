"""Stage 7, held-out images: when to stop, without looking at the test.

Run:  python examples/path/07_held_out.py

Training accuracy grows until the network knows its images by heart; on others it stops growing, and
falls. Which epoch was best must not be read off the test images, or they would no longer show what
to expect of new ones. So some training images are held out, the network of the best epoch on them
is kept, and training stops when three epochs in a row were not better (early stopping).

From here on the network and Adam are those of the package, which are the same equations as before:
mnistgpu.network has all weights and biases in one vector, theta, and layers(theta, sizes) gives
them as matrices.
"""

import numpy as np

from mnistgpu import data, network
from mnistgpu.maths.optimizers import OPTIMIZERS

digits = data.load()
images, labels = digits.train.images.T / np.float32(255), digits.train.labels
X, X_held = images[:, :10_000], images[:, 10_000:15_000]
y, y_held = labels[:10_000], labels[10_000:15_000]
X_test, y_test = digits.test.images.T / np.float32(255), digits.test.labels
Y = network.one_hot(y, 10)

sizes, batch_size, patience = (784, 64, 32, 10), 100, 3
random = np.random.default_rng(0)


def accuracy(theta, X, y):
    """The share of right answers of the network with these parameters."""
    A, _ = network.forward(network.layers(theta, sizes), X)
    return (A[-1].argmax(axis=0) == y).mean()


# %%
# An epoch of training, as in stage 6.

theta = network.init(0, sizes, "he")
adam = OPTIMIZERS["adam"]
state, step = adam.start(theta), 0


def train_an_epoch():
    """Change theta by one pass over the images."""
    global step
    order = random.permutation(X.shape[1])
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        params = network.layers(theta, sizes)
        A, Z = network.forward(params, X[:, rows])
        gradient = network.flatten(network.backward(params, A, Z, Y[:, rows]))
        adam.update(theta, gradient, state, 0.003, step)
        step += 1


# %%
# Keep the best, and stop when it is no longer surpassed.

best, best_theta, best_epoch, epoch = 0.0, theta, 0, 0
while epoch - best_epoch < patience and epoch < 20:
    epoch += 1
    train_an_epoch()
    held = accuracy(theta, X_held, y_held)
    print(f"epoch {epoch:2}  training {accuracy(theta, X, y):.4f}  held out {held:.4f}")
    if held > best:
        best, best_theta, best_epoch = held, theta.copy(), epoch

found = accuracy(best_theta, X_test, y_test)
print(f"test accuracy {found:.4f} of epoch {best_epoch}")
assert found > 0.94, "the best epoch on held-out images has 94% of the test images right"
