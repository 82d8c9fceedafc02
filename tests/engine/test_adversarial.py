"""Virtual adversarial training in the engine: its gradient, its direction, its cost."""

import itertools

import numpy as np
import pytest
from helpers.learning import check_steps, times_as_long

from mnistgpu import counter_rng, network
from mnistgpu.backend import NUMPY
from mnistgpu.data import Dataset, Digits
from mnistgpu.engine import stepping
from mnistgpu.engine.adversarial import AdversarialShard
from mnistgpu.engine.gradient import Engine
from mnistgpu.engine.inputs import Chance, Inputs
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.maths.adversarial import divergence
from mnistgpu.runs import checks
from mnistgpu.settings import Settings

ZERO = np.zeros(1)
SIZE = 0.7
BASE = Settings(layers="784-9-8-10", precision="float64", init="he").changed(adversarial=SIZE)
FORMS = {
    "alone": {},
    "batch norm": {"batch_norm": True},
    "noise and dropout": {"hidden_noise": 0.3, "input_noise": 0.2, "hidden_dropout": 0.2},
    "input dropout": {"input_dropout": 0.2, "batch_norm": True},
    "gelu": {"activation": "gelu", "batch_norm": True, "hidden_noise": 0.1},
    "tanh": {"activation": "tanh", "hidden_dropout": 0.3},
    "centre and crop": {"center": True, "min_ink": 0.05},
    "deformed": {"rotation": 10.0, "elastic": 1.0, "images_per_map": 4},
    "weighted": {"label_smoothing": 0.1},
}


def engine_of(settings, digits, count=24, **how):
    images, labels = (each[:count] for each in digits)
    inputs = Inputs(images, settings, (28, 28), ZERO)
    sizes = (inputs.pixels, *settings.sizes[1:])
    theta = network.init(counter_rng.key(1, like=ZERO), sizes, "he", settings.dtype)
    theta *= 2.0  # answers that differ
    return Engine(theta, settings, images, labels, inputs, count, **how)


def gradient_of(settings, digits, keys=None, count=24, **how):
    engine = engine_of(settings, digits, count, **how)
    keys = engine.keys(counter_rng.key(7, like=ZERO)) if keys is None else keys
    with engine.running():
        gradient, loss, right = engine.gradient(slice(0, count), keys)
    return engine, keys, gradient.copy(), float(loss), int(right)


@pytest.mark.parametrize("name", FORMS)
def test_gradient_against_central_differences(digits, name, monkeypatch):
    """Of KL(p || q(x + r)) with p and r held fixed, through every entry of all layers but W_1."""
    settings = BASE.changed(**FORMS[name])
    weights = 1.0 + np.arange(24) % 3 if name == "weighted" else None
    seen = {}
    directed = AdversarialShard.direction

    def direction(self, P, V, buffers, *more):
        seen.update(P=P.copy(), V=directed(self, P, V, buffers, *more).copy())
        return seen["V"]

    changed = []
    forward = AdversarialShard.forward

    def noted(self, X, buffers, chance):
        changed.append(X)
        return forward(self, X, buffers, chance)

    monkeypatch.setattr(AdversarialShard, "direction", direction)
    monkeypatch.setattr(AdversarialShard, "forward", noted)
    how = {"workers": 1, "shard_rows": 24, "weights": weights}
    engine, keys, whole, *_ = gradient_of(settings, digits, **how)
    plain = gradient_of(settings.changed(adversarial=0.0), digits, keys, **how)[2]
    analytic = whole - plain
    np.testing.assert_allclose(changed[1], changed[0] + SIZE * seen["V"], atol=1e-12)
    lengths = np.linalg.norm(seen["V"], axis=0)
    assert np.all(np.isclose(lengths, 1.0) | (lengths == 0.0))  # 0 where all units are off
    assert lengths.mean() > 0.8

    shard, chance = engine.shards[0], Chance(keys, 0, True)
    buffers, shares = shard.buffers_for(24), network.shares(24, weights)

    def loss():
        logits = forward(shard, changed[1], buffers, chance) + shard.params[-1][1]
        return float(np.sum(divergence(seen["P"], logits) * shares))

    theta, h = engine.theta, 1e-6
    first = engine.sizes[0] * engine.sizes[1]
    places = np.concatenate([np.arange(0, first, 501), np.arange(first, len(theta))])
    numeric = np.empty(len(places))
    for i, at in enumerate(places):
        before = theta[at]
        theta[at] = before + h
        above = loss()
        theta[at] = before - h
        numeric[i] = (above - loss()) / (2 * h)
        theta[at] = before
    found = analytic[places]
    assert np.abs(found).max() > 1e-3
    # a hidden unit nearer than h to a kink would spoil an entry or two, so count them
    wrong = np.abs(found - numeric) > 1e-6 * np.abs(found).max() + 1e-8
    assert wrong.mean() < 0.01, np.abs(found - numeric).max()


def reference(torch, settings, engine, images, labels, start):
    """The cross-entropy in PyTorch, and by autograd the gradient of it and the adversarial loss."""
    theta = torch.tensor(np.array(engine.theta), requires_grad=True)
    X = torch.tensor(images.astype(np.float64) / 255)
    group = engine.group

    def logits(x):
        at, sizes = 0, engine.sizes
        for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
            W = theta[at : at + n_in * n_out].reshape(n_out, n_in)
            at += n_in * n_out
            b = theta[at : at + n_out]
            at += n_out
            x = x @ W.T
            if i == len(sizes) - 2:
                return x + b
            if settings.batch_norm:
                x = torch.cat([
                    (part - part.mean(0)) / (part.var(0, unbiased=False) + 1e-5).sqrt()
                    for part in x.split(group)
                ])  # fmt: skip
            x = torch.relu(x + b)
        raise AssertionError

    clean = logits(X)
    p = clean.softmax(1).detach()
    # F v as the paper has it: the slope of the gradient of KL at x + v, at no distance
    v = torch.tensor(start.T / np.linalg.norm(start.T, axis=1, keepdims=True))
    step = torch.zeros_like(X, requires_grad=True)

    def slope(r):
        kl = (p * (p.log() - logits(X + r).log_softmax(1))).sum()
        return torch.autograd.grad(kl, r, create_graph=True)[0]

    (Fv,) = torch.autograd.grad((slope(step) * v).sum(), step)
    Fv = Fv * torch.tensor(engine.inputs.changing[:, 0])
    r = SIZE * Fv / Fv.norm(dim=1, keepdim=True)
    adversarial = (p * (p.log() - logits(X + r.detach()).log_softmax(1))).sum(1).mean()
    entropy = torch.nn.functional.cross_entropy(clean, torch.tensor(labels.astype(np.int64)))
    (entropy + adversarial).backward()
    return float(entropy.detach()), theta.grad.numpy()


@pytest.mark.parametrize("batch_norm", [False, True])
def test_loss_and_gradient_are_those_of_pytorch(digits, batch_norm, monkeypatch):
    """There F v is a derivative of the gradient of KL, and all the rest is by autograd."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    settings = BASE.changed(batch_norm=batch_norm)
    starts = []
    start = AdversarialShard.start

    def noted(self, X, chance):
        starts.append(start(self, X, chance))
        return starts[-1]

    monkeypatch.setattr(AdversarialShard, "start", noted)
    engine, _, gradient, loss, _ = gradient_of(settings, digits, workers=1, shard_rows=24)
    how = settings, engine, digits[0][:24], digits[1][:24], starts[0]
    expected_loss, expected = reference(torch, *how)
    assert loss / 24 == pytest.approx(expected_loss, rel=1e-10)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_power_iteration_ends_at_the_dominant_eigenvector_of_the_fisher_matrix(activation):
    """Of a network 6-8-7-5 whose matrix is computed whole, from differences of its logits."""
    settings = Settings(layers="6-8-7-5", precision="float64", activation=activation)
    settings = settings.changed(adversarial=SIZE)
    images = np.random.default_rng(1).integers(0, 256, (9, 6), dtype=np.uint8)
    inputs = Inputs(images, settings, (2, 3), ZERO)
    theta = 0.7 * network.init(counter_rng.key(3, like=ZERO), settings.sizes, "he", "float64")
    engine = Engine(theta, settings, images, np.arange(9) % 5, inputs, 9, workers=1)
    shard, chance = engine.shards[0], Chance(engine.keys(counter_rng.key(2, like=ZERO)))
    X = inputs.columns(images, engine.labels, Chance({}, deform=False), np.float64)
    buffers = shard.buffers_for(9)
    h, J = 1e-6, np.empty((9, 5, 6))

    def logits(X):
        return shard.forward(X, buffers, chance) + shard.params[-1][1]

    for pixel in range(6):
        step = np.zeros((6, 1))
        step[pixel] = h
        J[:, :, pixel] = (logits(X + step) - logits(X - step)).T / (2 * h)
    P, V = network.softmax(logits(X)), shard.start(X, chance)
    angles = {}
    for iterations in (1, 3, 200):
        found = shard.direction(P, V, buffers, iterations)
        for image in range(9):
            p = P[:, image]
            F = J[image].T @ (np.diag(p) - np.outer(p, p)) @ J[image]
            values, vectors = np.linalg.eigh(F)
            assert values[-1] > 1e-6
            cosine = min(1.0, abs(float(vectors[:, -1] @ found[:, image])))
            angles.setdefault(iterations, []).append(np.degrees(np.arccos(cosine)))
    along = np.abs((V / np.linalg.norm(V, axis=0) * found).sum(axis=0))
    assert np.degrees(np.arccos(along)).mean() > 40  # where it began
    assert max(angles[200]) < 0.01
    assert max(angles[200]) < np.mean(angles[3]) < np.mean(angles[1]) < 35


def test_labels_have_no_part_in_the_adversarial_loss(digits):
    """Its gradient, and the direction, are the same whatever the labels are."""
    found = []
    for labels in (digits[1], (digits[1] + 3) % 10):
        whole = gradient_of(BASE, (digits[0], labels))
        plain = gradient_of(BASE.changed(adversarial=0.0), (digits[0], labels))
        found.append(whole[2] - plain[2])
        assert whole[3:] == pytest.approx(plain[3:])  # loss and answers that are shown
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-13)
    assert np.abs(found[0]).max() > 1e-3


def test_pixels_that_never_change_are_left_alone(digits):
    """They have no ink in any image, and a change of them could not happen."""
    engine, keys, *_ = gradient_of(BASE, digits, workers=1)
    shard = engine.shards[0]
    moves = digits[0][:24].min(axis=0) < digits[0][:24].max(axis=0)
    assert 0 < moves.sum() < 784
    assert np.array_equal(shard.inputs.changing[:, 0], moves)
    X = np.zeros((784, 24))
    start = shard.start(X, Chance(keys))
    assert np.all(start[~moves] == 0)
    assert np.all(np.any(start[moves] != 0, axis=1))
    buffers = shard.buffers_for(24)
    P = network.softmax(shard.forward(X, buffers, Chance(keys)))
    assert np.all(shard.direction(P, start, buffers)[~moves] == 0)


def test_images_that_are_all_the_same_are_refused():
    same = Digits(np.full((20, 784), 7, np.uint8), np.arange(20) % 10, "grey")
    with pytest.raises(UsageError, match=r"no column of grey ever changes"):
        checks.check_fit(BASE.changed(validation=0), Dataset(same, None, "grey"))


@pytest.mark.parametrize("size", [-1.0, float("nan"), float("inf")])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(UsageError, match="--adversarial must be a finite number of at least 0"):
        Settings(adversarial=size)


def test_exact_arithmetic_refuses_it_by_name(digits):
    settings = BASE.changed(precision="exact", validation=0)
    with pytest.raises(UsageError, match="--precision exact has no virtual adversarial loss"):
        checks.check_fit(settings, Dataset(Digits(*digits, "digits"), None, "digits"))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("changes", [{}, {"batch_norm": True, "input_noise": 0.2}])
def test_steps_on_every_backend(other_space, digits, precision, changes):
    settings = Settings(layers="784-20-15-10", precision=precision, iterations=100).changed(
        adversarial=1.0, batch_size=100, init="he", validation=0, **changes
    )
    check_steps(settings, digits, other_space.backend())


def test_no_other_form_of_step_takes_its_place(digits):
    """Bound calls and shared hidden units are for plain steps, and would leave the loss out."""
    settings = BASE.changed(precision="float32", batch_size=500, validation=0)
    trainer = Trainer(settings, Digits(*digits, "digits"), NUMPY)
    with trainer.engine.running(), stepping.stepping(trainer, pytest.fail) as step:
        assert all(type(each) is AdversarialShard for each in trainer.engine.shards)
        step()


@pytest.mark.slow
@pytest.mark.timing
def test_a_step_takes_at_most_three_times_as_long(digits):
    """Two products forward and one back for the direction, two and one for the changed images:
    5 of them more than the 3 of a plain step, all but the first and last layer's.
    """
    settings = Settings(layers="784-1200-600-10").changed(
        batch_size=256, init="he", batch_norm=True, min_ink=0.01, adversarial=2.0,
        optimizer="adam", validation=0,
    )  # fmt: skip
    assert times_as_long(digits, settings, settings.changed(adversarial=0.0)) < 3.0
