"""The same training step on NumPy and on CuPy: how far apart, and how long each takes.

Run:  python examples/numpy_and_cupy.py [--layers 784-1024-1024-10] [--batch-size 1024]

Without an NVIDIA GPU it times NumPy alone, says why, and ends with exit status 0.
"""

import argparse
import statistics
import time

import numpy as np

from mnistgpu import backend, counter_rng, data, errors, network
from mnistgpu.errors import BackendError
from mnistgpu.settings import Settings

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--layers", default="784-128-10")
parser.add_argument("--batch-size", type=int, default=1024)
parser.add_argument("--repeats", type=int, default=20)
arguments = parser.parse_args()
errors.said_in_one_sentence()
sizes = Settings(layers=arguments.layers).sizes


def step(theta, images, labels):
    """One step of gradient descent; the arrays carry their backend."""
    X = images.T / 255.0
    params = network.layers(theta, sizes)
    A, Z = network.forward(params, X)
    Y = network.one_hot(labels, sizes[-1])
    gradient = network.flatten(network.backward(params, A, Z, Y))
    return network.gradient_descent(theta, gradient, 0.1)


def run(chosen):
    """The parameters after one step, and the median time of a step in seconds."""
    train = data.load().train
    images = chosen.asarray(train.images[: arguments.batch_size].astype(np.float32))
    labels = chosen.asarray(train.labels[: arguments.batch_size])
    theta = network.init(counter_rng.key(0, like=labels), sizes, "he")
    after = step(theta, images, labels)  # the first call also compiles and warms up
    seconds = []
    for _ in range(arguments.repeats):
        chosen.synchronize()
        started = time.perf_counter()
        step(theta, images, labels)
        chosen.synchronize()  # a GPU computes on its own: wait for it before reading the clock
        seconds.append(time.perf_counter() - started)
    return chosen.to_numpy(after), statistics.median(seconds)


on_cpu, cpu_seconds = run(backend.select("numpy"))
print(f"numpy  {cpu_seconds * 1e3:8.3f} ms a step")
try:
    gpu = backend.select("cupy")
except BackendError as error:
    print(f"no comparison: {error}")
    raise SystemExit(0) from None
on_gpu, gpu_seconds = run(gpu)
print(f"cupy   {gpu_seconds * 1e3:8.3f} ms a step, {cpu_seconds / gpu_seconds:.1f} times as fast")
print(f"largest difference of a parameter after one step: {np.abs(on_cpu - on_gpu).max():.1e}")
