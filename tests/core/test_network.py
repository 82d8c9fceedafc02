"""The maths: known values, gradients against central differences, shapes at the door."""

import math

import numpy as np
import pytest

from mnistgpu import counter_rng, network
from mnistgpu.errors import ShapeError, UsageError

ZERO = np.zeros(1)


def sample(sizes, m, seed=0, dtype="float64"):
    """A parameter vector and a batch: theta, X (n_0, m), labels (m,)."""
    key = counter_rng.key(seed, like=ZERO)
    theta = network.init(counter_rng.fold_in(key, 0), sizes, "uniform", dtype)
    X = counter_rng.uniforms(counter_rng.fold_in(key, 1), (sizes[0], m), dtype)
    return theta, X, counter_rng.integers(counter_rng.fold_in(key, 2), m, sizes[-1])


def loss(theta, sizes, X, Y):
    _, Z = network.forward(network.layers(theta, sizes), X)
    return float(network.cross_entropy(Z[-1], Y))


def gradient(theta, sizes, X, Y):
    params = network.layers(theta, sizes)
    A, Z = network.forward(params, X)
    return network.flatten(network.backward(params, A, Z, Y))


def kink_distance(theta, sizes, X):
    """How near any hidden unit is to the kink of ReLU, where no derivative exists."""
    A, nearest = X, math.inf
    for W, b in network.layers(theta, sizes)[:-1]:
        Z = W @ A + b
        nearest, A = min(nearest, float(np.abs(Z).min())), np.maximum(Z, 0)
    return nearest


def sample_away_from_kinks(sizes, m):
    for seed in range(1000):
        theta, X, labels = sample(sizes, m, seed)
        if kink_distance(theta, sizes, X) > 1e-4:
            return theta, X, network.one_hot(labels, sizes[-1], "float64")
    raise AssertionError("every sample is near a kink")


@pytest.mark.parametrize("sizes", [(5, 4), (5, 6, 4), (5, 6, 7, 4)], ids=["1", "2", "3"])
def test_every_entry_of_the_gradient_against_central_differences(sizes):
    theta, X, Y = sample_away_from_kinks(sizes, 6)
    analytic = gradient(theta, sizes, X, Y)
    numeric = np.empty_like(theta)
    h = 1e-6
    for i in range(len(theta)):
        step = np.zeros_like(theta)
        step[i] = h
        difference = loss(theta + step, sizes, X, Y) - loss(theta - step, sizes, X, Y)
        numeric[i] = difference / (2 * h)
    assert np.abs(analytic).max() > 0.01
    assert np.abs(analytic - numeric).max() / np.abs(analytic).max() < 1e-8
    # entry by entry as well, where the entry is larger than the rounding of the differences
    large = np.abs(analytic) > 1e-3
    relative = np.abs(analytic - numeric)[large] / np.abs(analytic)[large]
    assert large.mean() > 0.5
    assert relative.max() < 1e-6


def test_gradient_along_a_random_direction_at_784_64_10():
    sizes = (784, 64, 10)
    theta, X, labels = sample(sizes, 16)
    Y = network.one_hot(labels, 10, "float64")
    direction = counter_rng.normals(counter_rng.key(99, like=ZERO), theta.shape, "float64")
    direction /= np.linalg.norm(direction)
    h = 1e-6
    step = h * direction
    numeric = (loss(theta + step, sizes, X, Y) - loss(theta - step, sizes, X, Y)) / (2 * h)
    analytic = float(gradient(theta, sizes, X, Y) @ direction)
    assert abs(analytic - numeric) / abs(analytic) < 1e-6


def test_gradient_against_pytorch_autograd():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    sizes = (784, 32, 16, 10)
    theta, X, labels = sample(sizes, 20)
    parameters = []
    for W, b in network.layers(theta, sizes):
        parameters += [torch.tensor(W, requires_grad=True), torch.tensor(b, requires_grad=True)]
    A = torch.tensor(X)
    for i in range(0, len(parameters) - 2, 2):
        A = torch.relu(parameters[i] @ A + parameters[i + 1])
    Z = parameters[-2] @ A + parameters[-1]
    expected = torch.nn.functional.cross_entropy(Z.T, torch.tensor(labels))
    expected.backward()
    Y = network.one_hot(labels, 10, "float64")
    assert loss(theta, sizes, X, Y) == pytest.approx(expected.item(), rel=1e-12)
    reference = np.concatenate([p.grad.numpy().ravel() for p in parameters])
    np.testing.assert_allclose(gradient(theta, sizes, X, Y), reference, rtol=1e-9, atol=1e-12)


def test_softmax_of_huge_logits_is_finite_and_sums_to_one():
    Z = np.asarray([[1e4, -1e4, 0.0], [-1e4, -1e4, 0.0], [0.0, 1e4, 0.0]], dtype=np.float32)
    P = network.softmax(Z)
    assert np.isfinite(P).all()
    np.testing.assert_allclose(P.sum(axis=0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(P[:, 0], [1, 0, 0])
    np.testing.assert_allclose(P[:, 2], 1 / 3, rtol=1e-6)


def test_softmax_does_not_change_when_a_constant_is_added():
    Z = counter_rng.normals(counter_rng.key(0, like=ZERO), (10, 7), "float64")
    np.testing.assert_allclose(network.softmax(Z + 123.0), network.softmax(Z), rtol=1e-12)


def test_softmax_by_hand():
    P = network.softmax(np.log(np.asarray([[1.0], [2.0], [5.0]])))
    np.testing.assert_allclose(P[:, 0], [1 / 8, 2 / 8, 5 / 8])


def test_cross_entropy_by_hand_and_at_huge_logits():
    Z = np.log(np.asarray([[1.0, 4.0], [3.0, 4.0]]))
    Y = np.asarray([[1.0, 0.0], [0.0, 1.0]])
    assert network.cross_entropy(Z, Y) == pytest.approx((math.log(4) + math.log(2)) / 2)
    surely_wrong = np.asarray([[1e4], [0.0]])
    assert network.cross_entropy(surely_wrong, np.asarray([[0.0], [1.0]])) == pytest.approx(1e4)


def test_loss_at_init_is_near_log_of_the_classes():
    sizes = (784, 100, 10)
    theta = network.init(counter_rng.key(0, like=ZERO), sizes, "he")
    params = network.layers(theta, sizes)
    params[-1][0][...] *= 0.01
    X = counter_rng.uniforms(counter_rng.key(1, like=ZERO), (784, 50))
    labels = counter_rng.integers(counter_rng.key(2, like=ZERO), 50, 10)
    _, Z = network.forward(params, X)
    Y = network.one_hot(labels, 10)
    assert network.cross_entropy(Z[-1], Y) == pytest.approx(math.log(10), rel=0.01)


def test_zeroed_input_teaches_nothing_but_how_common_each_class_is(digits):
    """Without ink accuracy is chance: the share of the commonest digit, whatever is learnt."""
    labels = digits[1][:1000]
    sizes = (784, 10, 10)
    X, Y = np.zeros((784, 1000), dtype=np.float32), network.one_hot(labels, 10)
    theta = network.init(counter_rng.key(0, like=ZERO), sizes, "uniform")
    for _ in range(500):
        theta = network.gradient_descent(theta, gradient(theta, sizes, X, Y), 0.5)
    A, Z = network.forward(network.layers(theta, sizes), X)
    shares = np.bincount(labels) / 1000
    assert (A[-1].argmax(axis=0) == labels).mean() == shares.max()
    np.testing.assert_allclose(A[-1][:, 0], shares, atol=0.01)
    entropy = -(shares * np.log(shares)).sum()
    assert network.cross_entropy(Z[-1], Y) == pytest.approx(entropy, abs=1e-5)


def test_a_batch_of_32_is_learnt_by_heart(digits):
    images, labels = digits
    sizes = (784, 32, 10)
    X, Y = (images[:32].astype(np.float32) / 255).T, network.one_hot(labels[:32], 10)
    theta = network.init(counter_rng.key(0, like=ZERO), sizes, "he")
    for _ in range(200):
        theta = network.gradient_descent(theta, gradient(theta, sizes, X, Y), 0.5)
    A, _ = network.forward(network.layers(theta, sizes), X)
    assert (A[-1].argmax(axis=0) == labels[:32]).all()


def test_one_hot_does_not_need_every_class_in_the_batch():
    Y = network.one_hot(np.asarray([0, 2], dtype=np.uint8), 4)
    np.testing.assert_array_equal(Y, [[1, 0], [0, 0], [0, 1], [0, 0]])
    assert Y.dtype == np.float32


def test_bias_gradient_is_one_sum_for_each_unit():
    sizes = (5, 6, 4)
    theta, X, Y = sample_away_from_kinks(sizes, 8)
    params = network.layers(theta, sizes)
    A, Z = network.forward(params, X)
    db = network.backward(params, A, Z, Y)[-1][1]
    np.testing.assert_allclose(db[:, 0], (A[-1] - Y).mean(axis=1))
    assert np.abs(db).max() > 1e-3
    assert db.sum() == pytest.approx(0, abs=1e-12)  # so that one sum for the layer never learns


def test_layers_are_views_and_flatten_is_their_inverse():
    sizes = (4, 3, 2)
    theta = np.arange(network.parameter_count(sizes), dtype=np.float64)
    params = network.layers(theta, sizes)
    assert [(W.shape, b.shape) for W, b in params] == [((3, 4), (3, 1)), ((2, 3), (2, 1))]
    np.testing.assert_array_equal(network.flatten(params), theta)
    params[1][1][...] = -1
    assert theta[-2:].tolist() == [-1, -1]


def test_parameter_count():
    assert network.parameter_count((784, 10, 10)) == 7960
    assert network.parameter_count((784, 2500, 2000, 1500, 1000, 500, 10)) == 11_972_510


def test_init_uniform_and_he():
    sizes = (784, 100, 10)
    uniform = network.init(counter_rng.key(0, like=ZERO), sizes, "uniform")
    assert uniform.min() >= -0.5
    assert uniform.max() < 0.5
    assert uniform.var() == pytest.approx(1 / 12, rel=0.02)
    (W1, b1), (W2, b2) = network.layers(network.init(counter_rng.key(0, like=ZERO), sizes), sizes)
    assert W1.var() == pytest.approx(2 / 784, rel=0.03)
    assert W2.var() == pytest.approx(1 / 100, rel=0.15)
    assert not b1.any()
    assert not b2.any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: network.layers(np.zeros(7), (2, 3)), r"shape \(9,\), not \(7,\)"),
        (
            lambda: network.forward(network.layers(np.zeros(9), (2, 3)), np.zeros((3, 5))),
            r"columns of shape \(2, m\) and b of shape \(3, 1\), not \(3, 5\)",
        ),
        (
            lambda: network.forward(network.layers(np.zeros(9), (2, 3)), np.zeros(2)),
            r"columns of shape \(2, m\) and b of shape \(3, 1\), not \(2,\)",
        ),
        (
            lambda: network.forward(
                [(np.zeros((4, 2)), np.zeros((4, 1))), (np.zeros((3, 5)), np.zeros((3, 1)))],
                np.zeros((2, 6)),
            ),
            r"W \(3, 5\) needs columns of shape \(5, m\) .*, not \(4, 6\)",
        ),
        (
            lambda: network.gradient_descent(np.zeros(3), np.zeros(1), 0.1),
            r"shape \(3,\), not \(1,\)",
        ),
        (lambda: network.cross_entropy(np.zeros((3, 2)), np.zeros((3, 1))), "must have one shape"),
        (
            lambda: network.backward(
                network.layers(np.zeros(9), (2, 3)),
                [np.zeros((2, 5)), np.zeros((3, 5))],
                [np.zeros((3, 5))],
                np.zeros((4, 5)),
            ),
            r"shape \(3, 5\), not \(4, 5\)",
        ),
        (lambda: network.one_hot(np.zeros((2, 1), dtype=int), 3), r"vector \(m,\)"),
    ],
)
def test_wrong_shapes_name_the_expected_shape(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


@pytest.mark.parametrize("how", network.INITIALIZATIONS)
def test_a_seed_does_for_a_key(how):
    theta = network.init(7, (5, 4, 3), how)
    np.testing.assert_array_equal(
        theta, network.init(counter_rng.key(7, like=ZERO), (5, 4, 3), how)
    )
    assert not np.array_equal(theta, network.init(8, (5, 4, 3), how))


def test_biases_are_zero_and_not_minus_zero():
    (_, b1), (_, b2) = network.layers(network.init(0, (5, 4, 3), "glorot"), (5, 4, 3))
    for b in (b1, b2):
        assert not b.any()
        assert not np.signbit(b).any()


def test_the_lines_of_the_docstring_are_a_training_step(digits):
    images, labels = digits
    lines = [line for line in network.__doc__.splitlines() if line.startswith("    ")]
    code = "\n".join(line.strip() for line in lines[lines.index("    sizes = (784, 10, 10)") :])
    X = (images[:100] / 255.0).T
    names = {"network": network, "X": X, "labels": labels[:100]}
    exec(code, names)
    _, Z = network.forward(network.layers(names["theta"], (784, 10, 10)), X)
    Y = network.one_hot(labels[:100], 10)
    assert network.cross_entropy(Z[-1], Y) < network.cross_entropy(names["Z"][-1], Y)


def test_unknown_init_lists_the_choices():
    with pytest.raises(UsageError, match="uniform, he, glorot"):
        network.init(counter_rng.key(0, like=ZERO), (2, 3), "zeros")
