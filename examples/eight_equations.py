"""The tutorial's network by hand: two layers, one line for each equation.

Run:  python examples/eight_equations.py [--iterations 100]

784 pixels, 10 ReLU units, 10 softmax outputs, full-batch gradient descent. After each step the same
step is taken with `mnistgpu.network`, for any number of layers, and the results are compared.
"""

import argparse

import numpy as np

from mnistgpu import data, network

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--iterations", type=int, default=100)
parser.add_argument("--images", type=int, default=60_000)
parser.add_argument("--alpha", type=float, default=0.25)
arguments = parser.parse_args()

train = data.load().train
X = (train.images[: arguments.images].astype(np.float32) / 255).T  # (784, m): an image is a column
labels = train.labels[: arguments.images]
m, alpha = X.shape[1], arguments.alpha

Y = np.zeros((10, m), dtype=np.float32)  # one-hot: a 1 in the row of the right digit
Y[labels, np.arange(m)] = 1

sizes = (784, 10, 10)
theta = network.init(0, sizes, "uniform")  # all weights and biases, uniform in [-0.5, 0.5)
(W1, b1), (W2, b2) = network.layers(theta, sizes)  # (10, 784), (10, 1), (10, 10), (10, 1)

for iteration in range(1, arguments.iterations + 1):
    # Forward: from the pixels to ten probabilities.
    Z1 = W1 @ X + b1  #                                   1. Z1 = W1 X + b1
    A1 = np.maximum(Z1, 0)  #                             2. A1 = ReLU(Z1)
    Z2 = W2 @ A1 + b2  #                                  3. Z2 = W2 A1 + b2
    E = np.exp(Z2 - Z2.max(axis=0))  #                       (shifted, so that exp never overflows)
    A2 = E / E.sum(axis=0)  #                             4. A2 = softmax(Z2)
    loss = -np.log(A2[labels, np.arange(m)]).mean()  #       (how wrong: the mean cross-entropy)

    # Backward: how the loss changes with every weight, by the chain rule.
    dZ2 = (A2 - Y) / m  #                                 5. dZ2 = A2 - Y, for the mean loss
    dW2 = dZ2 @ A1.T  #                                   6. dW2 = dZ2 A1^T
    db2 = dZ2.sum(axis=1, keepdims=True)  #                  db2 = sum of dZ2 over the images
    dZ1 = W2.T @ dZ2 * (Z1 > 0)  #                        7. dZ1 = W2^T dZ2 * ReLU'(Z1)
    dW1 = dZ1 @ X.T  #                                    8. dW1 = dZ1 X^T
    db1 = dZ1.sum(axis=1, keepdims=True)  #                  db1 = sum of dZ1 over the images

    # Update: one step downhill.
    W1 = W1 - alpha * dW1
    b1 = b1 - alpha * db1
    W2 = W2 - alpha * dW2
    b2 = b2 - alpha * db2

    # The same step in the project's code, for any number of layers.
    params = network.layers(theta, sizes)
    A, Z = network.forward(params, X)
    gradient = network.flatten(network.backward(params, A, Z, Y))
    theta = network.gradient_descent(theta, gradient, alpha)

    by_hand = network.flatten([(W1, b1), (W2, b2)])
    difference = np.abs(by_hand - theta).max()
    if iteration % 10 == 0 or iteration == arguments.iterations:
        accuracy = (A2.argmax(axis=0) == labels).mean()
        print(
            f"iteration {iteration:4}  loss {loss:.4f}  accuracy {accuracy:.4f}  "
            f"difference {difference:.1e}"
        )
    if difference > 1e-4:
        raise SystemExit("the equations by hand and network.py disagree")

print("equal: network.py computes the eight equations")
