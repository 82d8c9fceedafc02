"""Answers that stay when an image is deformed: the gradient, its cost, what is refused."""

import itertools
import math

import numpy as np
import pytest
from helpers.learning import check_steps, times_as_long

from mnistgpu import counter_rng, network
from mnistgpu.backend import NUMPY
from mnistgpu.data import Dataset, Digits
from mnistgpu.engine import stepping
from mnistgpu.engine.consistency import ConsistentShard
from mnistgpu.engine.gradient import Engine
from mnistgpu.engine.inputs import Chance, Inputs
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.runs import checks
from mnistgpu.settings import Settings

ZERO = np.zeros(1)
WEIGHT, COUNT = 1.7, 24
BASE = Settings(layers="784-9-8-10", precision="float64", init="he").changed(
    consistency=WEIGHT, rotation=20.0, elastic=1.0, images_per_map=4
)
FORMS = {
    "alone": {},
    "batch norm": {"batch_norm": True},
    "noise and dropout": {"hidden_noise": 0.3, "input_noise": 0.2, "hidden_dropout": 0.2},
    "tanh": {"activation": "tanh", "input_dropout": 0.3},
    "centre and crop": {"center": True, "min_ink": 0.05},
    "information": {"information": 0.5},
    "weighted": {"label_smoothing": 0.1},
}


def gradient_of(settings, digits, keys=None, labels=None, deform=True, weights=None, **how):
    """An engine, the keys of a step, and its gradient, loss and right answers."""
    images = digits[0][:COUNT]
    labels = digits[1][:COUNT] if labels is None else labels
    inputs = Inputs(images, settings, (28, 28), ZERO)
    sizes = (inputs.pixels, *settings.sizes[1:])
    theta = network.init(counter_rng.key(1, like=ZERO), sizes, "he", settings.dtype)
    theta *= 2.0  # answers that differ
    how = {"workers": 1, "shard_rows": COUNT, "weights": weights} | how
    engine = Engine(theta, settings, images, labels, inputs, COUNT, **how)
    keys = engine.keys(counter_rng.key(7, like=ZERO)) if keys is None else keys
    with engine.running():
        gradient, loss, right = engine.gradient(slice(0, COUNT), keys, deform)
    return engine, keys, gradient.copy(), float(loss), int(right)


def without(settings):
    """The settings without the loss and what it needs: a step on the images as they are."""
    return settings.changed(consistency=0.0, rotation=0.0, elastic=0.0)


def columns(engine, keys, deform):
    """The images of the engine as a pass of a step sees them."""
    inputs, how = engine.inputs, (Chance(keys, 0, deform), engine.theta.dtype)
    X = inputs.clean(inputs.crop(engine.images), engine.labels, *how)
    return inputs.disturbed(X, Chance(keys, 0, deform=False))


@pytest.mark.parametrize("name", FORMS)
def test_gradient_against_central_differences(digits, name):
    """Of KL(p || q(d(x))) with p held fixed, through every entry of all layers but W_1."""
    settings = BASE.changed(**FORMS[name])
    weights = 1.0 + np.arange(COUNT) % 3 if name == "weighted" else None
    engine, keys, whole, *_ = gradient_of(settings, digits, weights=weights)
    analytic = whole - gradient_of(without(settings), digits, keys, weights=weights)[2]

    shard, chance = engine.shards[0], Chance(keys, 0, True)
    buffers, shares = shard.buffers_for(COUNT), network.shares(COUNT, weights)
    clean, deformed = (columns(engine, keys, deform) + 0.0 for deform in (False, True))
    assert np.abs(clean - deformed).max() > 0.5
    assert np.abs(clean - deformed).max(axis=0).min() > 0.1  # each image is

    def logits_of(X):
        return shard.forward(X, buffers, chance) + shard.params[-1][1]

    P = network.softmax(logits_of(clean))

    def loss():
        logits = logits_of(deformed)
        logits -= logits.max(axis=0)
        log_q = logits - np.log(np.exp(logits).sum(axis=0))
        return WEIGHT * float((P * (np.log(P) - log_q) * shares).sum())

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


def test_both_passes_have_the_same_noise(digits, monkeypatch):
    """So that the answers differ by the deformation alone."""
    seen, forward = [], ConsistentShard.forward

    def noted(self, X, buffers, chance):
        seen.append(X.copy())
        return forward(self, X, buffers, chance)

    monkeypatch.setattr(ConsistentShard, "forward", noted)
    settings = BASE.changed(input_noise=0.3)
    engine = gradient_of(settings, digits)[0]
    blank = (engine.images == 0).all(axis=0)  # where rotations bring no ink either, at the edge
    blank[np.delete(np.arange(784), [0, 27, 756, 783])] = False
    assert blank.sum() == 4
    np.testing.assert_array_equal(seen[0][blank], seen[1][blank])
    assert seen[0][blank].std() > 0.2


@pytest.mark.parametrize("batch_norm", [False, True])
def test_loss_and_gradient_are_those_of_pytorch(digits, batch_norm):
    """Of the same deformed images, by autograd."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    settings = BASE.changed(batch_norm=batch_norm)
    engine, keys, gradient, loss, _ = gradient_of(settings, digits)
    theta = torch.tensor(np.array(engine.theta), requires_grad=True)

    def logits(x):
        at, sizes = 0, engine.sizes
        for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
            W = theta[at : at + n_in * n_out].reshape(n_out, n_in)
            at += n_in * n_out
            x, b = x @ W.T, theta[at : at + n_out]
            at += n_out
            if i == len(sizes) - 2:
                return x + b
            if batch_norm:
                parts = x.split(engine.group)
                normal = torch.nn.functional.batch_norm
                x = torch.cat([normal(part, None, None, training=True) for part in parts])
            x = torch.relu(x + b)
        raise AssertionError

    clean, deformed = (torch.tensor(columns(engine, keys, each).T.copy()) for each in (False, True))
    answers = logits(clean)
    labels = torch.tensor(digits[1][:COUNT].astype(np.int64))
    entropy = torch.nn.functional.cross_entropy(answers, labels)
    p, log_q = answers.softmax(1).detach(), logits(deformed).log_softmax(1)
    divergence = torch.nn.functional.kl_div(log_q, p, reduction="batchmean")
    (entropy + WEIGHT * divergence).backward()
    assert loss / COUNT == pytest.approx(float(entropy.detach()), rel=1e-10)
    np.testing.assert_allclose(gradient, theta.grad.numpy(), rtol=1e-6, atol=1e-9)


def test_sums_over_shards_are_those_of_one(digits):
    """A map belongs to a place in the batch, and a shard has whole maps."""
    one = gradient_of(BASE, digits)
    two = gradient_of(BASE, digits, one[1], shard_rows=8)
    np.testing.assert_allclose(one[2], two[2], rtol=1e-9, atol=1e-13)
    assert one[3:] == pytest.approx(two[3:])


def test_labels_have_no_part_in_the_loss(digits):
    found = []
    for labels in (digits[1][:COUNT], (digits[1][:COUNT] + 3) % 10):
        whole = gradient_of(BASE, digits, labels=labels)
        plain = gradient_of(without(BASE), digits, labels=labels)
        found.append(whole[2] - plain[2])
        assert whole[3:] == pytest.approx(plain[3:])  # loss and answers that are shown
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-13)
    assert np.abs(found[0]).max() > 1e-3


def test_images_without_labels_count_alike(digits):
    """Where some have none, the weights say which have, and are those of the other loss alone."""
    weights = (np.arange(COUNT) < 6) * 4.0
    mixed = BASE.changed(unlabeled="arrays")
    here = gradient_of(mixed, digits, weights=weights)
    plain = gradient_of(without(BASE), digits, weights=weights)
    alike = gradient_of(BASE, digits)[2] - gradient_of(without(BASE), digits)[2]
    np.testing.assert_allclose(here[2] - plain[2], alike, rtol=1e-9, atol=1e-13)


def test_the_clean_ending_has_one_pass(digits):
    """The images are as they are then, and so are the answers."""
    ending = gradient_of(BASE, digits, deform=False)
    plain = gradient_of(without(BASE), digits)
    np.testing.assert_allclose(ending[2], plain[2], rtol=1e-9, atol=1e-13)
    assert ending[3:] == pytest.approx(plain[3:])


def test_the_loss_grows_with_its_weight(digits):
    found = [gradient_of(BASE.changed(consistency=each), digits)[2] for each in (1.0, 2.0, 4.0)]
    np.testing.assert_allclose(found[2] - found[1], 2 * (found[1] - found[0]), atol=1e-12)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("changes", [{}, {"batch_norm": True, "input_noise": 0.2}])
def test_steps_on_every_backend(other_space, digits, precision, changes):
    settings = Settings(layers="784-20-15-10", precision=precision, iterations=100).changed(
        consistency=1.0, rotation=15.0, batch_size=100, init="he", validation=0, **changes
    )
    check_steps(settings, digits, other_space.backend())


def test_no_other_form_of_step_takes_its_place(digits):
    """Bound calls and shared hidden units are for plain steps, and would leave the loss out."""
    settings = BASE.changed(precision="float32", batch_size=500, validation=0)
    trainer = Trainer(settings, Digits(*digits, "digits"), NUMPY)
    with trainer.engine.running(), stepping.stepping(trainer, pytest.fail) as step:
        assert all(type(each) is ConsistentShard for each in trainer.engine.shards)
        step()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"consistency": -1.0}, "--consistency must be a finite number of at least 0, not -1.0"),
        ({"consistency": math.nan}, "--consistency must be a finite number of at least 0"),
        ({"rotation": 0.0, "elastic": 0.0}, "give a deformation as well, such as --deform strong"),
        ({"adversarial": 1.0}, "--consistency and --adversarial cannot be combined"),
        (
            {"denoising": 1.0, "batch_norm": True, "input_noise": 0.3},
            "--consistency and --denoising cannot be combined; leave one of them out",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(changes, words):
    with pytest.raises(UsageError, match=words):
        BASE.changed(**changes)


def test_exact_arithmetic_refuses_it_by_name(digits):
    settings = BASE.changed(precision="exact", validation=0)
    with pytest.raises(UsageError, match="--precision exact has no consistency loss"):
        checks.check_fit(settings, Dataset(Digits(*digits, "digits"), None, "digits"))


def test_a_table_is_refused():
    """Its columns are no pixels."""
    rows = np.random.default_rng(0).normal(size=(50, 784)).astype(np.float32)
    features = Digits(rows, np.arange(50) % 10, "a table")
    settings = BASE.changed(precision="float32", validation=0)
    with pytest.raises(UsageError, match="deform images, but X has features"):
        checks.check_fit(settings, Dataset(features, None, "a table"))


@pytest.mark.slow
@pytest.mark.timing
def test_a_step_takes_about_twice_as_long(digits):
    """As one on deformed images: there is one pass more of each kind."""
    settings = Settings(layers="784-1200-600-10").changed(
        batch_size=256, init="he", batch_norm=True, min_ink=0.01, consistency=2.0,
        optimizer="adam", validation=0, rotation=10.0,
    )  # fmt: skip
    assert times_as_long(digits, settings, settings.changed(consistency=0.0)) < 2.2
