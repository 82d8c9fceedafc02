"""The fast gradient equals the plain one, whatever the shards and workers."""

import math
from itertools import chain

import numpy as np
import pytest
from helpers.tape import Tape, Taped

from mnistgpu import counter_rng, network
from mnistgpu.engine import gradient as engine_module
from mnistgpu.engine import inputs, shard
from mnistgpu.engine.cpu.bound_calls import BoundShard, bind_calls, count_right
from mnistgpu.engine.gradient import Engine
from mnistgpu.engine.inputs import Inputs
from mnistgpu.engine.shard import Shard
from mnistgpu.errors import UsageError
from mnistgpu.settings import Settings

threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is missing")

SIZES = (784, 12, 10)


@pytest.fixture(params=["plain form", "bound calls"])
def make_engine(request):
    """Makes an engine for a plain network of these sizes, in each form in turn."""

    def make(theta, sizes, images, labels, batch_rows, workers=None, shard_rows=None):
        precision = "float32" if theta.dtype == np.float32 else "float64"
        settings = Settings(layers="-".join(map(str, sizes)), precision=precision)
        pixels = Inputs(images, settings, (28, 28), theta)
        engine = Engine(theta, settings, images, labels, pixels, batch_rows, workers, shard_rows)
        if request.param == "bound calls":
            bind_calls(engine)
        kind = BoundShard if request.param == "bound calls" else Shard
        assert all(type(each) is kind for each in engine.shards)
        return engine

    return make


def plain(theta, images, labels, sizes=SIZES):
    X = (images.astype(theta.dtype) / 255).T
    params = network.layers(theta, sizes)
    A, Z = network.forward(params, X)
    Y = network.one_hot(labels, sizes[-1], str(theta.dtype))
    right = (A[-1].argmax(axis=0) == labels).sum()
    loss = network.cross_entropy(Z[-1], Y) * len(labels)
    return network.flatten(network.backward(params, A, Z, Y)), loss, right


def start(sizes=SIZES, dtype="float64"):
    return network.init(counter_rng.key(0, like=np.zeros(1)), sizes, "he", dtype)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1000, 1023, 1025, 2000])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_shards_and_workers_change_nothing_but_rounding(digits, count, workers, make_engine):
    images, labels = digits
    theta = start()
    engine = make_engine(theta, SIZES, images, labels, count, workers, shard_rows=64)
    assert len(engine.shards) == min(workers, math.ceil(count / 64))  # none without work
    expected, expected_loss, expected_right = plain(theta, images[:count], labels[:count])
    with engine.running():
        for _ in range(2):  # the second time in used buffers
            gradient, loss, right = engine.gradient(slice(0, count))
            np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)
            assert loss == pytest.approx(expected_loss, rel=1e-12)
            assert right == expected_right


@pytest.mark.parametrize("sizes", [(784, 10), (784, 9, 8, 7, 10)])
def test_any_depth(digits, sizes, make_engine):
    images, labels = digits
    theta = start(sizes)
    gradient, *_ = make_engine(theta, sizes, images, labels, 100).gradient(slice(100, 200))
    expected, *_ = plain(theta, images[100:200], labels[100:200], sizes)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


def test_rows_by_index_and_a_short_last_batch(digits, make_engine):
    images, labels = digits
    theta = start()
    engine = make_engine(theta, SIZES, images, labels, 128)
    for rows in (np.arange(0, 2000, 16)[:125], np.asarray([7, 3, 3])):
        gradient, loss, _ = engine.gradient(rows)
        expected, expected_loss, _ = plain(theta, images[rows], labels[rows])
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)
        assert loss == pytest.approx(expected_loss)


@pytest.mark.parametrize("sizes", [SIZES, (784, 10), (784, 9, 8, 7, 10)])
@pytest.mark.parametrize("workers", [1, 2])
def test_bound_calls_see_other_images_and_weights(digits, sizes, workers, make_engine):
    """Shards of the same shape, in batches of other sizes too."""
    images, labels = digits
    theta = start(sizes)
    engine = make_engine(theta, sizes, images, labels, 400, workers, shard_rows=100)
    with engine.running():
        for rows in (slice(0, 400), slice(500, 700), slice(900, 1300), slice(1300, 1650)):
            expected, expected_loss, expected_right = plain(
                theta, images[rows], labels[rows], sizes
            )
            gradient, loss, right = engine.gradient(rows)
            np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)
            assert loss == pytest.approx(expected_loss, rel=1e-12)
            assert right == expected_right
            theta -= 0.5 * gradient


def test_shards_of_many_sizes(digits, make_engine):
    """More than there are buffers for."""
    images, labels = digits
    theta = start()
    engine = make_engine(theta, SIZES, images, labels, 60)
    for count in (10, 20, 30, 40, 50, 10, 20, 60, 10):
        expected, *results = plain(theta, images[:count], labels[:count])
        gradient, loss, right = engine.gradient(slice(0, count))
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose((loss, right), results, rtol=1e-12)


def test_buffers_of_a_few_sizes_are_made_once(digits, make_engine):
    """A full shard, the last of a batch, the last of an epoch; and never are many kept."""
    shard = make_engine(start(), SIZES, *digits, 60).shards[0]
    kept = [shard.buffers_for(m) for m in (60, 40, 20)]
    assert all(shard.buffers_for(m) is own for m, own in zip((60, 40, 20), kept, strict=True))
    for m in range(1, 20):
        shard.buffers_for(m)
    assert len(shard._buffers) <= 4


def test_of_equal_logits_the_first_counts():
    Z = np.array([[0.0, -1, 0, 0], [0, 0, -2, 0], [-3, 0, -1, 0]])
    assert count_right(Z, np.array([0, 1, 0, 0])) == 4
    assert count_right(Z, np.array([1, 2, 2, 2])) == 0
    assert count_right(Z[:, 2:3], np.array([0])) == 1
    assert count_right(np.full((3, 1), np.nan), np.array([0])) == 1  # as argmax has it


def test_repeated_runs_are_equal_to_the_bit(digits, make_engine):
    images, labels = digits
    theta = start(dtype="float32")
    results = []
    for _ in range(3):
        engine = make_engine(theta, SIZES, images, labels, 2000, workers=2, shard_rows=128)
        with engine.running():
            results.append(engine.gradient(slice(0, 2000))[0].copy())
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


class Recorder:
    """NumPy, with a note of the type of every result."""

    __name__ = "numpy"

    def __init__(self):
        self.dtypes = {}

    def __getattr__(self, name):
        real = getattr(np, name)
        if not callable(real) or isinstance(real, type):
            return real

        def noted(*args, **kwargs):
            result = real(*args, **kwargs)
            self.dtypes.setdefault(str(result.dtype), []).append(name)
            return result

        return noted


def test_a_float32_step_makes_no_float64_array(digits, monkeypatch, make_engine):
    images, labels = digits
    recorder = Recorder()
    theta = start(dtype="float32")
    for module in (engine_module, inputs, shard, network):
        monkeypatch.setattr(module, "array_namespace", lambda *arrays: recorder)
    engine = make_engine(theta, SIZES, images, labels, 100)
    gradient, loss, right = engine.gradient(np.arange(100))
    bound = getattr(engine.shards[0].buffers_for(100), "calls", {})
    for call in chain(*bound.values()):
        arrays = [*call.args, *call.keywords.values()]
        seen = {str(each.dtype) for each in arrays if isinstance(each, np.ndarray)}
        assert seen <= {"float32", "bool"}
    assert (gradient.dtype, loss.dtype, right.dtype) == (np.float32, np.float32, np.int64)
    assert len(recorder.dtypes["float32"]) > (1 if bound else 10)
    assert set(recorder.dtypes) <= {"float32", "uint8", "int64", "bool"}, recorder.dtypes


def blas_threads():
    """Of NumPy's BLAS; SciPy, if another test has imported it, has one of its own."""
    libraries = [lib for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]
    others = ("scipy.libs", "opencv")  # which bring a BLAS of their own
    return [
        lib["num_threads"]
        for lib in libraries
        if not any(other in lib["filepath"] for other in others)
    ]


def test_blas_threads_are_given_back_after_an_exception(digits, make_engine):
    images, labels = digits
    engine = make_engine(start(), SIZES, images, labels, 2000, workers=2, shard_rows=64)
    with threadpoolctl.threadpool_limits(3, "blas"):  # the tests may have been given one alone
        with pytest.raises(ZeroDivisionError), engine.running():
            assert set(blas_threads()) == {1}
            raise ZeroDivisionError
        assert set(blas_threads()) == {3}


@pytest.mark.parametrize(("units", "threads"), [(12, 1), (600, 3)])
def test_blas_has_one_thread_for_small_products_and_all_for_large_ones(
    digits, make_engine, units, threads
):
    images, labels = digits
    sizes = (784, units, 10)
    engine = make_engine(start(sizes), sizes, images, labels, 100)
    with threadpoolctl.threadpool_limits(3, "blas"), engine.running():
        assert set(blas_threads()) == {threads}


def test_workers_are_refused_where_no_cpu_computes(digits):
    images, labels = (Taped(each, Tape()) for each in digits)
    tape = images.tape
    labels.tape = tape
    theta, settings = Taped(start(dtype="float32"), tape), Settings(layers="784-12-10")
    pixels = Inputs(digits[0], settings, (28, 28), theta)
    with pytest.raises(UsageError, match=r"2 workers are threads of a CPU.*leave workers out"):
        Engine(theta, settings, images, labels, pixels, 2000, workers=2)
    assert len(Engine(theta, settings, images, labels, pixels, 2000, workers=1).shards) == 1


def test_an_error_in_a_worker_reaches_the_caller(digits, make_engine):
    images, labels = digits
    engine = make_engine(start(), SIZES, images, labels, 2000, workers=2, shard_rows=64)
    engine.images = images[:, :700]
    with engine.running(), pytest.raises(ValueError, match="700"):
        engine.gradient(slice(0, 2000))


DISTURBED = {
    "noise": {"hidden_noise": 0.5},
    "dropout": {"hidden_dropout": 0.3},
    "dropout, tanh": {"hidden_dropout": 0.3, "activation": "tanh"},
    "normalised": {"batch_norm": True, "hidden_noise": 0.5, "l2": 0.1},
    "inputs": {"input_noise": 0.5, "input_dropout": 0.2},
    "deformed": {"rotation": 10.0, "input_noise": 0.5, "images_per_map": 10},
}


@pytest.mark.parametrize("changes", DISTURBED.values(), ids=DISTURBED)
def test_a_disturbed_gradient_is_the_slope_of_its_loss_wherever_it_is_cut(digits, changes):
    images, labels = digits[0][:40], digits[1][:40]
    settings = Settings(layers="784-9-8-10", precision="float64").changed(**changes)
    theta = start((784, 9, 8, 10)) + 0.01  # so that no sum is just 0, where ReLU has its kink
    pixels = Inputs(images, settings, (28, 28), theta)
    rows, found = slice(0, 40), []
    for shard_rows in (40, 20, 10):
        engine = Engine(theta, settings, images, labels, pixels, 40, 1, shard_rows)
        keys = engine.keys(counter_rng.key(5, like=np.zeros(1)))
        found.append(engine.gradient(rows, keys)[0].copy())
        np.testing.assert_allclose(found[-1], found[0], rtol=1e-9, atol=1e-12)

    def loss():
        squares = sum(float((W**2).sum()) for W, _ in network.layers(theta, engine.sizes))
        return float(engine.gradient(rows, keys)[1]) / 40 + settings.l2 / 2 * squares

    direction = counter_rng.normals(counter_rng.key(6, like=np.zeros(1)), theta.shape, "float64")
    before, losses = theta.copy(), []
    for step in (1e-8, -1e-8):
        theta[...] = before + step * direction
        losses.append(loss())
    slope = (losses[0] - losses[1]) / 2e-8
    assert float(found[0] @ direction) == pytest.approx(slope, rel=1e-4, abs=1e-6)
