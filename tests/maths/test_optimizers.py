"""Update rules against PyTorch and against recorded values; schedules at their corners."""

import math

import numpy as np
import pytest

from mnistgpu import counter_rng, network
from mnistgpu.maths import optimizers, regularize

N, STEPS, RATE = 50, 20, 0.03


def gradients():
    """The same 20 gradients every time, of very different lengths from entry to entry."""
    key = counter_rng.key(7, like=np.zeros(1))
    scale = 10.0 ** np.linspace(-3, 1, N)
    return counter_rng.normals(key, (STEPS, N), "float64") * scale


def path(name):
    """Parameters after 20 steps from zero."""
    optimizer = optimizers.OPTIMIZERS[name]
    theta = np.zeros(N)
    state = optimizer.start(theta)
    for step, gradient in enumerate(gradients()):
        optimizer.update(theta, gradient.copy(), state, RATE, step)
    return theta


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_against_pytorch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theta = torch.zeros(N, dtype=torch.float64, requires_grad=True)
    reference = {
        "gradient-descent": lambda p: torch.optim.SGD(p, RATE),
        "momentum": lambda p: torch.optim.SGD(p, RATE, momentum=0.9),
        "nesterov": lambda p: torch.optim.SGD(p, RATE, momentum=0.9, nesterov=True),
        "adam": lambda p: torch.optim.Adam(p, RATE),
    }[name]([theta])
    for gradient in gradients():
        theta.grad = torch.tensor(gradient)
        reference.step()
    np.testing.assert_allclose(path(name), theta.detach().numpy(), rtol=1e-9, atol=1e-12)


DECAY, SIZES = 0.1, (5, 6, 2)


def adamw_path():
    """AdamW over a network's parameters from ones, in the order in which a run takes its parts."""
    optimizer = optimizers.OPTIMIZERS["adam"]
    theta = np.ones(N)
    state, params = optimizer.start(theta), network.layers(theta, SIZES)
    for step, gradient in enumerate(gradients()):
        regularize.decay(params, 1.0 - RATE * DECAY)
        optimizer.update(theta, gradient.copy(), state, RATE, step)
    return theta


def test_adamw_against_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    parts = [
        torch.ones(array.shape, dtype=torch.float64, requires_grad=True)
        for layer in network.layers(np.ones(N), SIZES)
        for array in layer
    ]
    weights, biases = parts[::2], parts[1::2]
    groups = [{"params": weights}, {"params": biases, "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, RATE, weight_decay=DECAY)
    for gradient in gradients():
        of_parts = [array for layer in network.layers(gradient, SIZES) for array in layer]
        for part, array in zip(parts, of_parts, strict=True):
            part.grad = torch.tensor(array.copy())
        reference.step()
    expected = np.concatenate([part.detach().numpy().reshape(-1) for part in parts])
    np.testing.assert_allclose(adamw_path(), expected, rtol=1e-9)


def test_adamw_against_recorded_values():
    theta = adamw_path()
    assert (theta[0], theta[-1]) == pytest.approx(RECORDED["adamw"], rel=1e-9)


# The first and the last entry after 20 steps, recorded from PyTorch 2.13.
RECORDED = {
    "gradient-descent": (-0.00020558052029190642, -1.0257480708413997),
    "momentum": (-0.0009878663968596437, -9.09387946089656),
    "nesterov": (-0.0010946602774655858, -9.210239585648303),
    "adam": (-0.14817311392798999, -0.1647767005308729),
    "adamw": (0.7962649242811818, 0.8352232994691272),
}


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_against_recorded_values(name):
    theta = path(name)
    assert (theta[0], theta[-1]) == pytest.approx(RECORDED[name], rel=1e-9)


def test_the_rate_of_adam_bounds_its_first_step():
    theta = np.zeros(3)
    adam = optimizers.OPTIMIZERS["adam"]
    adam.update(theta, np.asarray([1e-3, -5.0, 0.0]), adam.start(theta), 0.1, 0)
    np.testing.assert_allclose(theta, [-0.1, 0.1, 0.0], rtol=1e-4)


def test_the_state_is_all_there_is():
    """An optimiser stopped after 10 steps and gone on with from copies ends with the same bits."""
    for name, optimizer in optimizers.OPTIMIZERS.items():
        theta = np.zeros(N)
        state = optimizer.start(theta)
        for step, gradient in enumerate(gradients()):
            if step == 10:
                theta, state = theta.copy(), {k: v.copy() for k, v in state.items()}
            optimizer.update(theta, gradient.copy(), state, RATE, step)
        assert np.array_equal(theta, path(name)), name


@pytest.mark.parametrize(
    ("name", "corners"),
    [
        ("constant", {0: 1, 0.5: 1, 0.999: 1}),
        ("linear", {0: 1, 0.5: 0.5, 0.9: 0.1}),
        ("cosine", {0: 1, 0.5: 0.5, 1 / 3: 0.75}),
        ("step", {0: 1, 0.33: 1, 0.34: 0.1, 0.67: 0.01, 0.999: 0.01}),
        ("exponential", {0: 1, 1 / 3: 0.1, 2 / 3: 0.01}),
        ("one-cycle", {0: 1 / 25, 0.15: (1 + 1 / 25) / 2, 0.3: 1, 0.65: 0.5}),
    ],
)
def test_schedules_at_their_corners(name, corners):
    for progress, factor in corners.items():
        assert optimizers.SCHEDULES[name](progress) == pytest.approx(factor), progress
    for progress in np.linspace(0, 1, 1000, endpoint=False):
        assert 0 < optimizers.SCHEDULES[name](float(progress)) <= 1 + 1e-12


def test_warmup_rises_from_a_tenth_and_then_the_schedule_begins():
    rates = [optimizers.learning_rate(2.0, "linear", 0.2, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[10] == pytest.approx(1.1)
    assert rates[20] == pytest.approx(2.0)
    assert rates[60] == pytest.approx(1.0)
    assert rates[99] == pytest.approx(2.0 / 80)
    assert max(rates) == rates[20]


def test_without_warmup_the_first_rate_is_the_peak():
    assert optimizers.learning_rate(0.5, "cosine", 0.0, 0, 10) == 0.5
    assert math.isclose(optimizers.learning_rate(0.5, "constant", 0.0, 9, 10), 0.5)
