"""The decoder of `--denoising` in the engine: its gradient, its size, its cost."""

import itertools
import math

import numpy as np
import pytest
from helpers.learning import check_steps, times_as_long

from mnistgpu import counter_rng, network
from mnistgpu.backend import NUMPY
from mnistgpu.data import Dataset, Digits
from mnistgpu.engine import stepping
from mnistgpu.engine.denoising import DenoisingShard
from mnistgpu.engine.inputs import Chance
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.maths import denoising
from mnistgpu.runs import checks, training
from mnistgpu.settings import Settings

ZERO = np.zeros(1)
COST = 20.0
BASE = Settings(layers="784-9-8-10", precision="float64", init="he", validation=0).changed(
    denoising=COST, batch_norm=True, input_noise=0.3, batch_size=24
)
FORMS = {
    "alone": {},
    "noise and dropout": {"hidden_noise": 0.3, "hidden_dropout": 0.2, "input_dropout": 0.2},
    "gelu": {"activation": "gelu", "hidden_noise": 0.1},
    "tanh": {"activation": "tanh", "hidden_dropout": 0.3},
    "centre and crop": {"center": True, "min_ink": 0.05},
    "deformed": {"rotation": 10.0, "elastic": 1.0, "images_per_map": 4},
    "weighted": {"class_weight": "1:3,4:0.5"},
    "one layer": {"layers": "784-10"},
}


def trainer_of(settings, digits, count=24, **how):
    """A trainer whose decoder says something already."""
    images, labels = (each[:count] for each in digits)
    trainer = Trainer(settings, Digits(images, labels, "x"), NUMPY, **how)
    noise = np.random.default_rng(0).normal(size=trainer.theta.shape)
    trainer.theta += 0.2 * noise.astype(trainer.theta.dtype)
    return trainer


def gradient_of(trainer, keys=None, count=24):
    keys = trainer.keys(0) if keys is None else keys
    with trainer.engine.running():
        gradient, loss, right = trainer.engine.gradient(slice(0, count), keys)
    return gradient.copy(), float(loss), int(right)


def decoded(theta, sizes, Z, X, P, group):
    """D_0 by the equations of maths/denoising.py, from theta and what the network has."""
    at = network.parameter_count(sizes)
    rungs = []
    for n, above in itertools.pairwise(sizes):
        V = theta[at : at + n * above].reshape(n, above)
        at += n * above
        rungs.append((V, theta[at : at + 10 * n].reshape(10, n, 1)))
        at += 10 * n
    assert at == len(theta)
    D = P
    for layer in reversed(range(len(rungs))):
        V, a = rungs[layer]
        U = V @ D
        parts = np.split(U, range(group, U.shape[1], group), axis=1)
        U = np.concatenate([
            (each - each.mean(1, keepdims=True))
            / np.sqrt(each.var(1, keepdims=True) + 1e-5) for each in parts
        ], axis=1)  # fmt: skip
        z = Z[layer - 1] if layer else X
        mu = a[0] / (1 + np.exp(-a[1] * U - a[2])) + a[3] * U + a[4]
        nu = a[5] / (1 + np.exp(-a[6] * U - a[7])) + a[8] * U + a[9]
        D = (z - mu) * nu + mu
    return D


@pytest.mark.parametrize("name", FORMS)
def test_gradient_against_central_differences(digits, name):
    """Of the cost alone, through every entry of network and decoder but most of W_1 and V_0."""
    settings = BASE.changed(**FORMS[name])
    trainer = trainer_of(settings, digits, workers=1)
    engine, keys = trainer.engine, trainer.keys(0)
    engine.shard_rows = 24
    whole, *_ = gradient_of(trainer, keys)
    plain = trainer_of(settings.changed(denoising=0.0), digits, workers=1)
    plain.theta[...] = trainer.theta[: len(plain.theta)]
    plain.engine.shard_rows = 24
    analytic = whole
    analytic[: len(plain.theta)] -= gradient_of(plain, keys)[0]

    shard, chance = engine.shards[0], Chance(keys, 0, engine.inputs.deforming)
    buffers, theta = shard.buffers_for(24), trainer.theta
    images, labels = engine.images[:24], engine.labels[:24]
    clean = engine.inputs.clean(images, labels, chance, np.float64) + 0.0
    noisy = engine.inputs.columns(images, labels, chance, np.float64)
    assert (noisy - clean).std() > 0.25
    weights = engine.relative_weights(slice(0, 24))
    shares = np.ones(24) / 24 if weights is None else weights / 24

    def cost():
        logits = shard.forward(noisy, buffers, chance) + shard.params[-1][1]
        P = network.softmax(logits)
        D = decoded(theta, engine.sizes, buffers.Z, noisy, P, engine.group)
        return COST / len(clean) * float((((D - clean) ** 2) * shares).sum())

    h, n = 1e-6, engine.sizes[0]
    first, begin = n * engine.sizes[1], len(plain.theta)
    places = np.concatenate([
        np.arange(0, first, 501), np.arange(first, begin), np.arange(begin, begin + first, 501),
        np.arange(begin + first, begin + first + 10 * n, 37),
        np.arange(begin + first + 10 * n, len(theta)),
    ])  # fmt: skip
    numeric = np.empty(len(places))
    for i, at in enumerate(places):
        before = theta[at]
        theta[at] = before + h
        above = cost()
        theta[at] = before - h
        numeric[i] = (above - cost()) / (2 * h)
        theta[at] = before
    found = analytic[places]
    for part in (found[places < begin], found[places >= begin]):
        assert np.abs(part).max() > 1e-3
    # a hidden unit nearer than h to a kink would spoil an entry or two, so count them
    wrong = np.abs(found - numeric) > 1e-6 * np.abs(found).max() + 1e-8
    assert wrong.mean() < 0.01, np.abs(found - numeric).max()


def reference(torch, engine, theta, noisy, clean, labels, hidden):
    """Cross-entropy in PyTorch, and by autograd the gradient of it and the decoder's cost."""
    theta = torch.tensor(np.array(theta), requires_grad=True)
    x, at, sizes = torch.tensor(noisy.T), 0, engine.sizes

    def normalized(x):
        parts = x.split(engine.group)
        return torch.cat([
            (part - part.mean(0)) / (part.var(0, unbiased=False) + 1e-5).sqrt() for part in parts
        ])  # fmt: skip

    def taken(*shape):
        nonlocal at
        at += math.prod(shape)
        return theta[at - math.prod(shape) : at].reshape(shape)

    sums = [x]
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        W, b = taken(n_out, n_in), taken(n_out)
        x = x @ W.T
        if i < len(sizes) - 2:
            sums.append(normalized(x) + b + torch.tensor(hidden[i].T))
            x = torch.relu(sums[-1])
    logits = x + b
    rungs = [(taken(n, above), taken(10, n)) for n, above in itertools.pairwise(sizes)]
    d = logits.softmax(1)
    for z, (V, a) in zip(sums[::-1], rungs[::-1], strict=True):
        u = normalized(d @ V.T)
        mu = a[0] * torch.sigmoid(a[1] * u + a[2]) + a[3] * u + a[4]
        nu = a[5] * torch.sigmoid(a[6] * u + a[7]) + a[8] * u + a[9]
        d = (z - mu) * nu + mu
    cost = COST * ((d - torch.tensor(clean.T)) ** 2).mean()
    entropy = torch.nn.functional.cross_entropy(logits, torch.tensor(labels.astype(np.int64)))
    (entropy + cost).backward()
    return float(entropy.detach()), theta.grad.numpy()


def test_loss_and_gradient_are_those_of_pytorch(digits):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    settings = BASE.changed(hidden_noise=0.2)
    trainer = trainer_of(settings, digits)
    engine, keys = trainer.engine, trainer.keys(0)
    chance = Chance(keys, 0, False)
    clean, noisy = (
        f(engine.images[:24], engine.labels[:24], chance, np.float64) + 0.0
        for f in (engine.inputs.clean, engine.inputs.columns)
    )
    hidden = [
        0.2 * counter_rng.noise(keys[counter_rng.NOISE, layer], (n, 24), np.float64, 1, 0)
        for layer, n in enumerate(engine.sizes[1:-1])
    ]
    how = engine, trainer.theta, noisy, clean, digits[1][:24], hidden
    expected_loss, expected = reference(torch, *how)
    gradient, loss, _ = gradient_of(trainer, keys)  # in two shards
    assert loss / 24 == pytest.approx(expected_loss, rel=1e-10)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)


def test_labels_have_no_part_in_the_cost(digits):
    found = []
    for labels in (digits[1], (digits[1] + 3) % 10):
        whole = trainer_of(BASE, (digits[0], labels))
        plain = trainer_of(BASE.changed(denoising=0.0), (digits[0], labels))
        plain.theta[...] = whole.theta[: len(plain.theta)]
        (gradient, *shown), (other, *shown_there) = map(gradient_of, (whole, plain))
        gradient[: len(other)] -= other
        found.append(gradient)
        assert shown == pytest.approx(shown_there)  # loss and answers
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("labelled", [40, 100])
def test_images_without_labels_count_as_much_as_the_others(digits, labelled):
    """At first D_0 is 0, so the slope by a_4 of the pixels is the mean image, times a number."""
    images, labels = digits[0][:100], digits[1][:100]
    alone = Digits(images[:labelled], labels[:labelled], "x")
    settings = BASE.changed(batch_size=None, iterations=1)
    if labelled < 100:
        alone = Digits(images[:labelled], labels[:labelled], "x", unlabeled=images[labelled:])
        settings = settings.changed(unlabeled="arrays")
    trainer = Trainer(settings, alone, NUMPY)
    gradient, *_ = gradient_of(trainer, count=100)
    begin = network.parameter_count(settings.sizes)
    found = denoising.rungs(gradient[begin:], settings.sizes)[0].a[4, :, 0]
    expected = -2.0 * COST / 784 * (images / 255.0).mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


def test_what_is_saved_is_a_plain_network_without_the_decoder(digits):
    settings = BASE.changed(batch_size=100, epochs=1, ema=0.9)
    train = Digits(*digits, "digits")
    trainer = Trainer(settings, train, NUMPY)
    sizes = settings.sizes
    count = network.parameter_count(sizes)
    assert len(trainer.theta) == count + denoising.decoder_count(sizes)
    model = training.train(settings, Dataset(train, None, "x"), NUMPY).model
    assert model.theta.shape == (count,)


def test_the_network_begins_as_without_a_decoder(digits):
    with_one, without = (
        Trainer(BASE.changed(denoising=cost), Digits(*digits, "x"), NUMPY).theta
        for cost in (COST, 0.0)
    )
    assert np.array_equal(with_one[: len(without)], without)


def test_no_other_form_of_step_takes_its_place(digits):
    settings = BASE.changed(precision="float32", batch_size=500)
    trainer = Trainer(settings, Digits(*digits, "digits"), NUMPY)
    with trainer.engine.running(), stepping.stepping(trainer, pytest.fail) as step:
        assert all(type(each) is DenoisingShard for each in trainer.engine.shards)
        step()


def test_products_are_written_row_by_row(digits):
    """As cuBLAS takes them, though images come as columns of a transposed array."""
    trainer = trainer_of(BASE, digits, workers=1)
    (shard,) = trainer.engine.shards
    matmul, seen = shard.matmul, []

    def noted(left, right, out):
        seen.append(out.flags.c_contiguous)
        return matmul(left, right, out=out)

    shard.matmul = noted
    trainer.step()
    assert len(seen) > 12
    assert all(seen)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("changes", [{}, {"hidden_noise": 0.3, "rotation": 5.0}])
def test_steps_on_every_backend(other_space, digits, precision, changes):
    settings = BASE.changed(precision=precision, batch_size=100, iterations=100, **changes)
    check_steps(settings, digits, other_space.backend())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"denoising": -1.0}, "--denoising must be a finite number of at least 0, not -1.0"),
        ({"input_noise": 0.0}, "layer by layer: give --input-noise 0.3 as well"),
        ({"batch_norm": False}, "layer by layer: give --batch-norm as well"),
        (
            {"from_run": "x"},
            "which a network of --from has in its weights already; leave --denoising",
        ),
        ({"adversarial": 1.0}, "--denoising and --adversarial cannot be combined"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(changes, words):
    with pytest.raises(UsageError, match=words):
        BASE.changed(**changes)


def test_exact_arithmetic_refuses_it_by_name(digits):
    settings = BASE.changed(precision="exact")
    with pytest.raises(UsageError, match="--precision exact has no decoder"):
        checks.check_fit(settings, Dataset(Digits(*digits, "digits"), None, "digits"))


@pytest.mark.slow
@pytest.mark.timing
def test_a_step_takes_at_most_three_and_a_half_times_as_long(digits):
    """The decoder has 3 products a layer, where a plain step has 3, and 2 in the first and widest;
    the optimiser has twice as many numbers.
    """
    settings = Settings(layers="784-1200-600-10").changed(
        batch_size=256, init="he", batch_norm=True, denoising=1000.0, input_noise=0.3,
        hidden_noise=0.3, optimizer="adam", validation=0,
    )  # fmt: skip
    assert times_as_long(digits, settings, settings.changed(denoising=0.0)) < 3.5
