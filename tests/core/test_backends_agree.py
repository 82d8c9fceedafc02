"""One test body for NumPy, array-api-strict on a device of its own, and CuPy.

Each function runs once on NumPy and once elsewhere, on the same numbers; the result must live
where its arguments live. Where the operations are the same (random bits, gathers, integers) it must
be equal to the bit, elsewhere it differs by rounding alone. The largest difference per tensor is
printed (`pytest -rP`) and collected in a report when MNISTGPU_PARITY_REPORT names a file.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from helpers.spaces import SPACES

from mnistgpu import counter_rng, network
from mnistgpu.backend import NUMPY, array_namespace
from mnistgpu.data import Digits
from mnistgpu.engine import inputs
from mnistgpu.engine.gradient import Engine
from mnistgpu.engine.stepping import kernels_on
from mnistgpu.engine.trainer import Batches, Trainer
from mnistgpu.errors import BackendError
from mnistgpu.maths import augment, optimizers, regularize
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.settings import Settings

SIZES = (784, 20, 15, 10)
NUMPY_ZERO = np.zeros(1)


@pytest.fixture(scope="session")
def differences():
    """Largest differences, by backend and tensor; written as a report if one is asked for."""
    found: dict[str, dict[str, float]] = {}
    yield found
    if report := os.environ.get("MNISTGPU_PARITY_REPORT"):
        Path(report).write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


@pytest.fixture
def compare(other_space, differences):
    """compare(name, there, here, tolerance): relative to the largest entry of `here`.

    With tolerance 0 they must be equal to the bit.
    """

    def check(name, there, here, tolerance):
        found, here = other_space.get(there), np.asarray(here)
        assert found.dtype == here.dtype, name
        assert found.shape == here.shape, name
        scale = max(float(np.abs(here).max()), 1e-30)
        largest = float(np.abs(found.astype(np.float64) - here.astype(np.float64)).max()) / scale
        differences.setdefault(other_space.name, {})[name] = largest
        print(f"{other_space.name:>16}  {name:<24} {largest:.2e}")
        assert largest <= tolerance, name
        if tolerance == 0.0:  # float64 does not tell all integers of 64 bits apart
            np.testing.assert_array_equal(found, here, err_msg=name)

    return check


def make_engine(put, theta, images, labels, batch_rows, **changes):
    """An engine on the device where theta is and `put` puts arrays."""
    settings = Settings(layers="-".join(map(str, SIZES)), **changes)
    pixels = inputs.Inputs(images, settings, (28, 28), theta)
    return Engine(theta, settings, put(images), put(labels), pixels, batch_rows)


def batch(digits, count=64):
    images, labels = digits
    X = np.ascontiguousarray((images[:count].astype(np.float32) / 255).T)
    theta = network.init(counter_rng.key(3, like=NUMPY_ZERO), SIZES, "he")
    return theta, X, labels[:count]


@pytest.mark.parametrize("how", ["uniform", "he"])
def test_init(other_space, compare, how):
    here = network.init(counter_rng.key(3, like=NUMPY_ZERO), SIZES, how)
    there = network.init(counter_rng.key(3, like=other_space.put(NUMPY_ZERO)), SIZES, how)
    compare(f"init {how}", there, here, 0.0 if how == "uniform" else 1e-6)


def test_random_numbers_and_gathers(other_space, compare, digits):
    settings = Settings(layers="784-10-10", min_ink=0.02)
    results = []
    for put in (np.asarray, other_space.put):
        key, images = counter_rng.key(3, like=put(NUMPY_ZERO)), put(digits[0])
        batches = Batches(key, len(digits[0]), 96)
        cropped = inputs.Inputs(digits[0], settings, (28, 28), put(NUMPY_ZERO)).crop(images)
        rows = batches.rows(1 + batches.per_epoch)
        results.append(
            {
                "random bits": counter_rng.bits(key, 1001),
                "random integers": counter_rng.integers(key, 1001, 60_000),
                "uniforms": counter_rng.uniforms(key, (77, 13)),
                "normals": counter_rng.normals(key, (77, 13)),
                "coins": counter_rng.coins(key, (77, 13), 0.3),
                "rows of a batch": rows,
                "images of a batch": array_namespace(images).take(images, rows, axis=0),
                "cropped images": cropped,
            }
        )
    for name, here in results[0].items():
        compare(name, results[1][name], here, 0.0)


def test_every_function(other_space, compare, digits):
    theta, X, labels = batch(digits)
    results = []
    for put in (np.asarray, other_space.put):
        params = network.layers(put(theta), SIZES)
        A, Z = ([put(each) for each in found] for found in network.forward(params, put(X)))
        Y = put(network.one_hot(put(labels), 10))
        gradient = put(network.flatten(network.backward(params, A, Z, Y)))
        results.append(
            {
                "relu": network.relu(put(X - 0.5)),
                "softmax": network.softmax(Z[-1]),
                "one_hot": Y,
                "logits": Z[-1],
                "probabilities": A[-1],
                "hidden 1": A[1],
                "hidden 2": A[2],
                "loss": network.cross_entropy(Z[-1], Y),
                "gradient": gradient,
                "update": network.gradient_descent(put(theta), gradient, 0.1),
            }
        )
    here, there = results
    for name in here:
        compare(name, there[name], here[name], 0.0 if name in ("relu", "one_hot") else 1e-5)


def test_one_training_step_per_tensor(other_space, compare, digits):
    theta, _, labels = batch(digits)
    images = digits[0][:64]
    tensors = []
    for put in (np.asarray, other_space.put):
        engine = make_engine(put, put(theta), images, labels, 64)
        gradient, loss, right = engine.gradient(slice(0, 64))
        stepped = network.gradient_descent(put(theta), gradient, 0.1)
        named = {"step loss": loss, "step right": right}
        for i, (W, b) in enumerate(network.layers(stepped, SIZES), 1):
            named |= {f"step W{i}": W, f"step b{i}": b}
        tensors.append(named)
    for name, here in tensors[0].items():
        compare(name, tensors[1][name], here, 1e-5)


@pytest.mark.parametrize("other_space", SPACES[2:], indirect=True)
@pytest.mark.parametrize("full", [False, True], ids=["rows", "slice"])
def test_a_step_that_multiplies_bytes(other_space, compare, digits, monkeypatch, full):
    """It has the plain step's gradient, and no copy of the images as numbers."""
    images, labels = digits[0], digits[1]
    settings = Settings(layers="784-10-10")
    theta = network.init(counter_rng.key(3, like=NUMPY_ZERO), settings.sizes, "he")
    results = []
    for put in (np.asarray, other_space.put):
        monkeypatch.setattr(inputs, "BYTE_PRODUCTS", put is not np.asarray)
        there = put(theta)
        pixels = inputs.Inputs(images, settings, (28, 28), there)
        assert pixels.in_bytes == (put is not np.asarray)
        engine = Engine(there, settings, put(images), put(labels), pixels, 300)
        rows = slice(100, 400) if full else put(np.arange(300) * 7 % len(images))
        with kernels_on(other_space.backend() if pixels.in_bytes else NUMPY):
            gradient, loss, right = engine.gradient(rows)
        results.append({"gradient": gradient, "loss": loss, "right": right})
    for name, here in results[0].items():
        compare(f"bytes, {name}", results[1][name], here, 1e-5)


@pytest.mark.parametrize("other_space", SPACES[2:], indirect=True)
@pytest.mark.parametrize(
    "changes",
    [
        *({"center": True}, {"input_noise": 0.3}, {"input_dropout": 0.1}, {"shift": 2.0}),
        *({"precision": "tf32"}, {"precision": "float64"}, {"layers": "784-17-10"}),
    ],
)
def test_bytes_are_multiplied_where_nothing_changes_them(monkeypatch, other_space, digits, changes):
    monkeypatch.setattr(inputs, "BYTE_PRODUCTS", True)
    like = other_space.put(NUMPY_ZERO)
    settings = Settings(layers="784-16-10")
    assert inputs.Inputs(digits[0], settings, (28, 28), like).in_bytes
    changed = settings.changed(**changes)
    assert not inputs.Inputs(digits[0], changed, (28, 28), like).in_bytes
    assert not inputs.Inputs(digits[0], settings, (28, 28), NUMPY_ZERO).in_bytes
    assert not inputs.Inputs(digits[0][:, :783], settings, (27, 29), like).in_bytes


def loss_curve(put, own, theta, images, labels, steps):
    engine = make_engine(put, own(theta), images, labels, 128)
    theta = engine.theta
    key, curve = counter_rng.key(1, like=theta), []
    for step in range(steps):
        rows = counter_rng.integers(counter_rng.fold_in(key, step), 128, images.shape[0])
        gradient, loss, _ = engine.gradient(rows)
        theta -= 0.1 * gradient
        curve.append(float(loss) / 128)
    return np.asarray(curve)


def test_the_loss_curve_of_100_steps(other_space, digits, differences):
    theta, _, _ = batch(digits)
    here = loss_curve(np.asarray, np.array, theta, *digits, 100)
    there = loss_curve(other_space.put, other_space.own, theta, *digits, 100)
    relative = np.abs(there / here - 1)
    differences.setdefault(other_space.name, {})["loss curve"] = float(relative.max())
    assert here[-1] < 0.5 * here[0]
    assert relative[0] < 1e-5
    assert relative.max() < 1e-3


def test_results_live_where_their_arguments_live(space, digits):
    theta, X, labels = batch(digits, 8)
    params = network.layers(space.put(theta), SIZES)
    A, Z = network.forward(params, space.put(X))
    Y = network.one_hot(space.put(labels), 10)
    for array in (*A, *Z, Y, network.cross_entropy(Z[-1], Y), network.softmax(Z[-1])):
        space.get(array)  # asserts type and device
    for layer in network.backward(params, A, Z, Y):
        for array in layer:
            space.get(array)


@pytest.mark.parametrize("other_space", SPACES[2:], indirect=True)
def test_mixing_backends_is_an_error_that_names_the_fix(other_space):
    with pytest.raises(BackendError, match=r"numpy and .*backend\.asarray"):
        array_namespace(NUMPY_ZERO, other_space.put(NUMPY_ZERO))
    with pytest.raises(BackendError, match=r"asarray"):
        network.cross_entropy(np.zeros((2, 3)), other_space.put(np.zeros((2, 3))))


@pytest.mark.parametrize("thing", [[1.0, 2.0], 3.0, None, "x"])
def test_what_is_no_array_is_refused(thing):
    with pytest.raises(BackendError, match=r"backend\.asarray"):
        array_namespace(thing)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(other_space, compare, name):
    Z = counter_rng.normals(counter_rng.key(2, like=NUMPY_ZERO), (30, 40)) * 3
    activation = ACTIVATIONS[name]
    here = activation.value(Z)
    there = other_space.put(activation.value(other_space.put(Z)))
    compare(name, there, here, 1e-6)
    slope = activation.derivative(other_space.put(Z), there)
    compare(f"{name}'", slope, activation.derivative(Z, here), 1e-5)


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_optimizers(other_space, compare, name):
    theta = counter_rng.normals(counter_rng.key(1, like=NUMPY_ZERO), (500,))
    results = []
    for own in (np.array, other_space.own):
        moved = own(theta)
        state = optimizers.OPTIMIZERS[name].start(moved)
        for step in range(5):
            gradient = counter_rng.normals(counter_rng.key(step, like=moved), (500,))
            optimizers.OPTIMIZERS[name].update(moved, gradient, state, 0.01, step)
        results.append({"theta": moved, **state})
    for tensor, here in results[0].items():
        same = name != "adam"  # additions and multiplications, one after the other
        compare(f"{name} {tensor}", results[1][tensor], here, 0.0 if same else 1e-5)


def test_regularisation(other_space, compare):
    sizes, key = (30, 20, 10), counter_rng.key(4, like=NUMPY_ZERO)
    theta = counter_rng.normals(key, (network.parameter_count(sizes),))
    Z, dZ = (
        counter_rng.normals(counter_rng.key(seed, like=NUMPY_ZERO), (20, 50)) for seed in (5, 6)
    )
    results = []
    for put, own in ((np.asarray, np.array), (other_space.put, other_space.own)):
        there_key = counter_rng.key(4, like=put(NUMPY_ZERO))
        noisy, dropped, normal, slope = (own(A) for A in (Z, Z, Z, dZ))
        regularize.add_noise(noisy, there_key, 0.3)
        regularize.drop(dropped, there_key, 0.3)
        mean, deviation = regularize.normalize(normal)
        regularize.normalize_backward(slope, put(normal), put(deviation))
        weights, gradient = own(theta), own(theta)
        params = network.layers(weights, sizes)
        regularize.add_l2(network.layers(gradient, sizes), network.layers(put(theta), sizes), 0.1)
        regularize.clip(gradient, 1.5)
        regularize.decay(params, 0.9)
        regularize.limit_norms(params, 2.0)
        results.append(
            {
                "noise": noisy,
                "dropout": dropped,
                "normalised": normal,
                "mean": mean,
                "deviation": deviation,
                "normalised backward": slope,
                "clipped": gradient,
                "decayed and limited": weights,
            }
        )
    for name, here in results[0].items():
        compare(name, results[1][name], here, 0.0 if name in ("noise", "dropout") else 1e-5)


DEFORMED = {
    "rotation": 12.0, "scaling": 0.12, "shear": 0.15, "shift": 2.0, "mirror": 0.5, "elastic": 1.1,
}  # fmt: skip


def test_deformations(other_space, compare, digits):
    images, labels = digits[0][:70], digits[1][:70]
    deformation = Settings().changed(**DEFORMED, rotation_1_7=6.0).deformation
    results = []
    for put in (np.asarray, other_space.put):
        there = put(labels)
        limited = augment.is_1_or_7(there)
        keys = augment.keys_of(counter_rng.key(8, like=there))
        rows, columns = augment.source(keys, range(3), deformation, (28, 28))
        moved = augment.deform(put(images), keys, deformation, limited=limited, first=64)
        results.append({"source rows": rows, "source columns": columns, "deformed": moved})
    for name, here in results[0].items():
        compare(name, results[1][name], here, 1e-4)


class OnePass:
    """NumPy, under the name of the backend that scales pixels in one pass."""

    __name__ = "cupy"

    def __getattr__(self, name):
        assert name != "astype", "a pass of its own"
        return getattr(np, name)


@pytest.mark.parametrize("precision", ["float32", "float64", "tf32"])
def test_pixels_scaled_in_one_pass_have_the_same_bits(monkeypatch, precision):
    images = np.arange(256, dtype=np.uint8)[None, :]
    settings = Settings(layers="784-128-10", precision=precision)
    pixels = inputs.Inputs(images, settings, (16, 16), NUMPY_ZERO)
    columns = images, None, inputs.Chance({}, deform=False), np.dtype(settings.dtype)
    expected = pixels.columns(*columns)
    monkeypatch.setattr(inputs, "array_namespace", lambda *arrays: OnePass())
    found = pixels.columns(*columns)
    assert found.dtype == expected.dtype == settings.dtype
    np.testing.assert_array_equal(found, expected)


def test_a_regularised_training_step(other_space, compare, digits):
    """Everything at once: deformed, cropped, centred, normalised, noisy, Adam, averaged."""
    changes = DEFORMED | {
        "batch_norm": True, "input_noise": 0.3, "hidden_noise": 0.3, "hidden_dropout": 0.1,
        "input_dropout": 0.1, "label_smoothing": 0.05, "center": True, "min_ink": 0.01,
        "l2": 1e-4, "weight_decay": 0.01, "clip_norm": 1.0, "max_norm": 3.0, "ema": 0.9,
        "optimizer": "adam", "learning_rate": 0.01, "batch_size": 100, "init": "he",
        "adversarial": 1.0, "information": 0.5,
    }  # fmt: skip
    settings = Settings(layers="784-20-15-10", iterations=100, rotation_1_7=6.0).changed(**changes)
    train = Digits(*digits, "the first digits")
    results = []
    for chosen in (NUMPY, other_space.backend()):
        trainer = Trainer(settings, train, chosen)
        for _ in range(3):
            loss, right, _ = trainer.step()
        results.append(
            {"theta": trainer.theta, "loss": loss, "right": right, "plain": trainer.plain()}
        )
    for name, here in results[0].items():
        compare(f"3 regularised steps, {name}", results[1][name], here, 2e-3)
