"""Stage 11, saving and going on: a stopped run ends with the same bits.

Run:  python examples/path/11_save_and_go_on.py

A long run will be stopped: by a person, by a power cut. To go on as if nothing had happened it
must save all that a step depends on: theta, Adam's two averages, the number of the step. And the
random numbers: a generator has a state, which must be saved as well, and is another on a GPU. So
here a random number is a function of a key and a counter (SplitMix64): "the order of epoch 3" is
the same whenever and wherever it is asked for, and there is nothing to save.
"""

import tempfile
from pathlib import Path

import numpy as np

from mnistgpu import counter_rng, data, network
from mnistgpu.maths.optimizers import OPTIMIZERS

digits = data.load()
X, y = digits.train.images[:10_000].T / np.float32(255), digits.train.labels[:10_000]
X_test, y_test = digits.test.images.T / np.float32(255), digits.test.labels
Y = network.one_hot(y, 10)
sizes, batch_size = (784, 64, 10), 100
key = counter_rng.key(0, like=X)  # of seed 0, for the device where X is
adam = OPTIMIZERS["adam"]


def start():
    """A run before its first step."""
    theta = network.init(counter_rng.fold_in(key, counter_rng.INIT), sizes, "he")
    return {"theta": theta, "step": np.asarray(0), **adam.start(theta)}


def train(run, steps):
    """Take so many more steps."""
    per_epoch = X.shape[1] // batch_size
    for _ in range(steps):
        epoch, batch = divmod(int(run["step"]), per_epoch)
        epoch_key = counter_rng.fold_in(key, counter_rng.SHUFFLE, epoch)
        order = counter_rng.permutation(epoch_key, X.shape[1])
        rows = order[batch * batch_size : (batch + 1) * batch_size]
        params = network.layers(run["theta"], sizes)
        A, Z = network.forward(params, X[:, rows])
        gradient = network.flatten(network.backward(params, A, Z, Y[:, rows]))
        adam.update(run["theta"], gradient, run, 0.003, int(run["step"]))
        run["step"] += 1


# %%
# One run of 300 steps, and one that ends after 130 and is read from its file. The file is written
# under another name and then renamed, so that it is never half there. It holds arrays alone:
# allow_pickle=False, because a pickle may run any code of whoever made the file.

whole = start()
train(whole, 300)

with tempfile.TemporaryDirectory() as folder:
    first = start()
    train(first, 130)
    path = Path(folder) / "run.npz"
    np.savez(path.with_suffix(".new.npz"), **first)
    path.with_suffix(".new.npz").replace(path)
    del first

    with np.load(path, allow_pickle=False) as saved:
        again = {name: saved[name] for name in saved}
train(again, 170)

same = np.array_equal(whole["theta"], again["theta"])
print(f"the same bits: {same}")
assert same, "a run that goes on from its file ends with the same bits"

A, _ = network.forward(network.layers(again["theta"], sizes), X_test)
accuracy = (A[-1].argmax(axis=0) == y_test).mean()
print(f"test accuracy {accuracy:.4f}")
assert accuracy > 0.92, "300 steps reach 92%"
