"""Each kernel computes what its plain function says; on a GPU, or on CuPy on the CPU."""

import inspect

import numpy as np
import pytest

from mnistgpu import backend, counter_rng
from mnistgpu.backend import NUMPY, select, using_kernels
from mnistgpu.data import Digits
from mnistgpu.engine import shard, stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import BackendError
from mnistgpu.maths import augment, optimizers
from mnistgpu.settings import Settings

PLAIN = {
    each.__name__: each
    for each in (
        *(counter_rng.bits, counter_rng.parts, augment.moved),
        *(optimizers.gradient_descent, optimizers.adam),
        *(shard.head, shard.add_bias_relu, shard.keep_where_positive, shard.multiply_bytes),
    )
}


@pytest.fixture
def cupy():
    try:
        return select("cupy").xp
    except BackendError as error:
        pytest.skip(str(error))


def both(cupy, name, make):
    """What the plain function and its kernel give and leave in their arguments, on the host.

    make(seed) gives the arguments, new ones in each call.
    """
    from mnistgpu.engine.gpu.kernels import KERNELS

    found = []
    for function in (PLAIN[name].__wrapped__, KERNELS[name]):
        arguments = make()
        results = function(*arguments)
        held = [*arguments, *(results if isinstance(results, tuple) else [results])]
        state = next((each for each in held if isinstance(each, dict)), {})
        held += [state[key] for key in sorted(state)]
        found.append([cupy.asnumpy(each) for each in held if isinstance(each, cupy.ndarray)])
    return found


def normals(cupy, seed, shape, dtype="float32"):
    key = counter_rng.key(seed, like=np.zeros(1))
    return cupy.asarray(counter_rng.normals(key, shape, dtype))


@pytest.mark.gpu
@pytest.mark.parametrize(("axis", "first"), [(None, 0), (1, 0), (1, 77), (0, 2**33 + 5)])
@pytest.mark.parametrize(("shifts", "width"), [((11,), 53), ((40, 16), 24), ((0, 16, 32, 48), 16)])
@pytest.mark.parametrize("shape", [(1, 1), (13, 34), (34, 13)])
def test_random_bits(cupy, shape, shifts, width, axis, first):
    key = counter_rng.key(7, like=cupy.zeros(1))
    on_device = counter_rng.Key(cupy.asarray([int(key)], dtype="uint64"), key.like)
    found = both(cupy, "parts", lambda: (key, shape, shifts, width, axis, first))
    again = both(cupy, "parts", lambda: (on_device, shape, shifts, width, axis, first))
    for other in (found[1], *again):
        np.testing.assert_array_equal(other[0], found[0][0])


@pytest.mark.gpu
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("places", [range(1), range(3, 50), range(2**40, 2**40 + 2)])
def test_random_words(cupy, places, axis):
    key = counter_rng.key(8, like=cupy.zeros(1))
    plain, kernel = both(cupy, "bits", lambda: (key, 37, places, axis))
    np.testing.assert_array_equal(kernel[0], plain[0])


@pytest.mark.gpu
@pytest.mark.parametrize(("count", "group"), [(1, 1), (70, 32), (64, 32), (50, 1)])
@pytest.mark.parametrize("shape", [(28, 28), (14, 28)])
def test_deformed_pixels(cupy, count, group, shape):
    pixels = shape[0] * shape[1]
    images = np.random.default_rng(0).integers(0, 256, (count, pixels), dtype=np.uint8)
    deformation = Settings(rotation=40.0, shift=25.0, elastic=3.0).deformation
    keys = augment.keys_of(counter_rng.key(3, like=np.zeros(1)))
    maps = augment.source(keys, range(-(-count // group)), deformation, shape)
    wanted = np.arange(0, pixels, 3)
    rows, columns = (cupy.asarray(each[:, wanted]) for each in maps)
    plain, kernel = both(cupy, "moved", lambda: (cupy.asarray(images), group, rows, columns, shape))
    assert plain[-1].shape == (len(wanted), count)
    assert (plain[-1] == 0).any()
    np.testing.assert_array_equal(kernel[-1], plain[-1])


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("classes", "count"), [(10, 1), (10, 129), (3, 40)])
def test_the_head(cupy, classes, count, dtype, weighted):
    """The sums are in the memory of Z, or as with batch normalisation in their own."""
    made = []
    targets = cupy.asarray(0.9 * np.eye(classes) + 0.1 / classes, dtype=dtype)
    labels = cupy.asarray(np.arange(count) % classes)

    def arguments():
        sums, b = (5 * normals(cupy, i, (classes, n), dtype) for i, n in enumerate((count, 1)))
        buffers = shard.Buffers(sums, (4, classes), count, False)
        buffers.exp[...] = buffers.Z[-1][...] = np.nan
        if count == 40:
            buffers.Z[-1] = sums
        made.append(buffers)
        weights = cupy.asarray(0.25 + np.arange(count) % 7, dtype=dtype) if weighted else None
        return sums, b, labels, targets, 0.25, buffers, cupy.matmul, weights

    plain, kernel = both(cupy, "head", arguments)
    exact = 1e-12 if dtype == "float64" else 1e-5
    for here, there in zip(plain[-3:], kernel[-3:], strict=True):  # dZ, loss, right answers
        assert there.dtype == here.dtype
        assert there.shape == here.shape
        np.testing.assert_allclose(there, here, rtol=exact, atol=exact)
    assert int(kernel[-1]) == int(plain[-1])
    of_plain, of_kernel = (cupy.asnumpy(buffers.Z[-1]) for buffers in made)
    np.testing.assert_allclose(of_kernel, of_plain, rtol=exact, atol=exact)
    np.testing.assert_allclose(of_kernel.max(axis=0), 0, atol=0)


@pytest.mark.gpu
def test_of_equal_logits_the_first_counts(cupy):
    from mnistgpu.engine.gpu.kernels import KERNELS

    Z = cupy.asarray([[0.0, -1, 0, 0], [0, 0, -2, 0], [-3, 0, -1, 0]], dtype="float32")
    targets, b = cupy.asarray(np.eye(3), dtype="float32"), cupy.zeros((3, 1), "float32")
    for labels, right in (([0, 1, 0, 0], 4), ([1, 2, 2, 2], 0)):
        buffers = shard.Buffers(Z, (4, 3), 4, False)
        found = KERNELS["head"](Z, b, cupy.asarray(labels), targets, 1.0, buffers, None)
        assert int(found[2]) == right


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bias_relu_and_its_mask(cupy, dtype):
    def bias():
        sums, b = normals(cupy, 1, (20, 30), dtype), normals(cupy, 2, (20, 1), dtype)
        return sums, b, 0.0, cupy.empty_like(sums)

    def mask():
        A = cupy.maximum(normals(cupy, 3, (20, 30), dtype), 0.0)
        return normals(cupy, 4, (20, 30), dtype), A

    for name, make in (("add_bias_relu", bias), ("keep_where_positive", mask)):
        plain, kernel = both(cupy, name, make)
        for here, there in zip(plain, kernel, strict=True):
            np.testing.assert_array_equal(there, here, err_msg=name)
    assert 0.3 < (both(cupy, "add_bias_relu", bias)[1][-1] == 0).mean() < 0.7


@pytest.mark.gpu
@pytest.mark.parametrize("units", [1, 10, 16])
@pytest.mark.parametrize("count", [1, 128, 129, 300])
def test_products_of_bytes(cupy, units, count):
    """W_1 X and dZ X^T: one image, a whole part of a sum over images, one more."""
    images = np.random.default_rng(0).integers(0, 256, (count, 784), dtype=np.uint8)
    for forward, shape in ((True, (units, 784)), (False, (units, count))):
        left = normals(cupy, 5, shape)

        def arguments(forward=forward, left=left):
            held = cupy.asarray(images)
            out = cupy.full((units, count if forward else 784), np.nan, "float32")
            return left, held.T if forward else held, out, cupy.matmul

        plain, kernel = both(cupy, "multiply_bytes", arguments)
        wide = np.abs(plain[0]) @ np.abs(plain[1].astype("float32"))
        assert (np.abs(kernel[2] - plain[2]) <= 3e-6 * wide).all()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_of_gradient_descent(cupy, dtype):
    found = both(
        cupy,
        "gradient_descent",
        lambda: (*(normals(cupy, seed, (501,), dtype) for seed in range(2)), {}, (0.3,)),
    )
    np.testing.assert_array_equal(found[1][0], found[0][0])


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("on_device", [False, True])
def test_steps_of_adam(cupy, dtype, on_device):
    """With the numbers of a step as floats, and as a captured step reads them."""
    numbers = optimizers.adam_numbers(0.01, 3)
    if on_device:
        numbers = tuple(cupy.asarray(numbers, dtype=dtype)[i] for i in range(2))

    def arguments():
        theta, gradient, first = (normals(cupy, seed, (501,), dtype) for seed in range(3))
        return theta, gradient, {"first": first, "second": normals(cupy, 3, (501,), dtype) ** 2}

    plain, kernel = both(cupy, "adam", lambda: (*arguments(), numbers))
    for i in (0, -2, -1):  # theta, first, second
        np.testing.assert_array_equal(kernel[i], plain[i])
    assert not np.array_equal(plain[0], cupy.asnumpy(arguments()[0]))


@pytest.mark.gpu
def test_there_is_a_kernel_for_each_and_it_takes_the_same_arguments(cupy):
    from mnistgpu.engine.gpu.kernels import KERNELS

    assert KERNELS.keys() == PLAIN.keys()
    for name, plain in PLAIN.items():
        wanted, found = (
            [(each.name, each.default) for each in inspect.signature(function).parameters.values()]
            for function in (plain.__wrapped__, KERNELS[name])
        )
        assert found == wanted, name


# The seam, which needs no GPU


def test_kernels_are_used_for_their_namespace_alone_and_no_longer_than_asked():
    calls = []

    def adam(theta, gradient, state, numbers):
        calls.append(theta)

    theta, gradient = np.ones(3), np.ones(3)
    state = optimizers.OPTIMIZERS["adam"].start(theta)
    with using_kernels({"adam": adam}, "numpy"):
        optimizers.OPTIMIZERS["adam"].update(theta, gradient, state, 0.1, 0)
        with using_kernels({}, "numpy"):
            optimizers.OPTIMIZERS["adam"].update(theta, np.ones(3), state, 0.1, 0)
        assert theta[0] < 1.0
        optimizers.OPTIMIZERS["adam"].update(theta, gradient, state, 0.1, 0)
    with using_kernels({"adam": adam}, "cupy"):
        optimizers.OPTIMIZERS["adam"].update(theta, gradient, state, 0.1, 0)
    optimizers.OPTIMIZERS["adam"].update(theta, gradient, state, 0.1, 0)
    assert len(calls) == 2
    assert not backend.are_kernels_used()


def test_a_key_decides_by_the_device_of_its_numbers():
    with using_kernels({"bits": lambda *arguments: "kernel"}, "numpy"):
        assert counter_rng.bits(counter_rng.key(0, like=np.zeros(1)), 3) == "kernel"


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """NumPy as the backend with kernels: `stepping` uses those that it is given."""

    def install(kernels):
        monkeypatch.setattr(stepping, "kernels_on", lambda backend: using_kernels(kernels, "numpy"))
        monkeypatch.setattr(stepping, "bind_calls", lambda *arguments: None)

    return install


SETTINGS = Settings(layers="784-12-10").changed(
    epochs=1, batch_size=250, init="he", learning_rate=0.05, validation=0, optimizer="adam"
)


def wrong_adam(theta, gradient, state, numbers):
    """Forgets the second moment's share of the gradient."""
    optimizers.adam.__wrapped__(theta, gradient, state, numbers)
    state["second"] *= 0.5


def test_kernels_that_go_wrong_are_found_before_the_first_step(digits, as_on_a_gpu):
    as_on_a_gpu({"adam": wrong_adam})
    train, said = Digits(*digits, "digits"), []
    trainer, plain = (Trainer(SETTINGS, train, NUMPY, workers=1) for _ in range(2))
    with stepping.stepping(trainer, said.append, processes=1) as step:
        for _ in range(3):
            step()
            plain.step()
    assert len(said) == 1
    assert "differently than plain steps" in said[0]
    np.testing.assert_array_equal(trainer.theta, plain.theta)


def test_kernels_that_agree_take_the_steps(digits, as_on_a_gpu):
    calls = []

    def adam(*arguments):
        calls.append(arguments)
        optimizers.adam.__wrapped__(*arguments)

    as_on_a_gpu({"adam": adam})
    train, said = Digits(*digits, "digits"), []
    trainer = Trainer(SETTINGS, train, NUMPY, workers=1)
    with stepping.stepping(trainer, said.append, processes=1) as step:
        checked = len(calls)
        step()
    assert said == []
    assert len(calls) == checked + 1 > 1
