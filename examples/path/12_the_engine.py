"""Stage 12, the engine: the same steps as before, faster, and everything around them.

Run:  python examples/path/12_the_engine.py

mnistgpu.fit takes the steps of stage 11. The engine computes them in buffers that are made once,
sums a large batch over parts that fit the cache, and shares the work among processes, or among a
GPU's kernels. What it gives is the result of the plain equations, up to rounding: here the two are
compared, weight by weight.
"""

import numpy as np

import mnistgpu
from mnistgpu import counter_rng, errors, network
from mnistgpu.maths.optimizers import OPTIMIZERS

errors.said_in_one_sentence()
digits = mnistgpu.load_data()
images, labels = digits.train.images[:10_000], digits.train.labels[:10_000]
sizes, batch_size, epochs, alpha, seed = (784, 64, 10), 100, 3, 0.003, 0

# %%
# By the equations, as in stage 11.

X, Y = images.T / np.float32(255), network.one_hot(labels, 10)
key = counter_rng.key(seed, like=X)
theta = network.init(counter_rng.fold_in(key, counter_rng.INIT), sizes, "he")
adam = OPTIMIZERS["adam"]
state, step = adam.start(theta), 0
for epoch in range(epochs):
    epoch_key = counter_rng.fold_in(key, counter_rng.SHUFFLE, epoch)
    order = counter_rng.permutation(epoch_key, len(labels))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        params = network.layers(theta, sizes)
        A, Z = network.forward(params, X[:, rows])
        gradient = network.flatten(network.backward(params, A, Z, Y[:, rows]))
        adam.update(theta, gradient, state, alpha, step)
        step += 1

# %%
# By the package. All of these settings are flags of "mnistgpu train", too; with out="runs/first"
# the run would be saved, and could be stopped and resumed.

run = mnistgpu.fit(
    images,
    labels,
    test=(digits.test.images, digits.test.labels),
    layers=sizes,
    init="he",
    optimizer="adam",
    alpha=alpha,
    batch_size=batch_size,
    epochs=epochs,
    seed=seed,
    validation=0,
    progress=False,
)

# %%
# Sums are taken in another order, so that last bits differ; with precision="exact" not even these.

difference = np.abs(network.flatten(run.model.layers) - theta).max()
print(f"largest difference of a weight: {difference:.1e}")
assert difference < 1e-3, "the engine computes the equations"

A, _ = network.forward(network.layers(theta, sizes), digits.test.images.T / np.float32(255))
by_hand = (A[-1].argmax(axis=0) == digits.test.labels).mean()
print(f"by the equations {by_hand:.4f}, by the engine {run.test_accuracy:.4f}")
assert abs(by_hand - run.test_accuracy) < 0.002, "both answer alike"
print(f"test accuracy {run.test_accuracy:.4f}")
assert run.test_accuracy > 0.92, "three epochs reach 92%"
