"""`--information` in the engine: the gradient is that of cross-entropy less mutual information."""

import itertools
import math

import numpy as np
import pytest

from mnistgpu.backend import NUMPY
from mnistgpu.data import Digits
from mnistgpu.engine.trainer import Trainer
from mnistgpu.settings import Settings

WEIGHT, IMAGES = 0.7, 24
BASE = Settings(layers="784-9-8-10", precision="float64", init="he", validation=0).changed(
    information=WEIGHT, batch_size=IMAGES
)


def trainer_of(settings, digits, labelled=IMAGES):
    """A trainer that has learnt a little; images after so many have no labels."""
    images, labels = (each[:IMAGES] for each in digits)
    others = images[labelled:] if labelled < IMAGES else None
    if others is not None:
        settings = settings.changed(unlabeled="arrays", batch_size=None, iterations=1)
    made = Digits(images[:labelled], labels[:labelled], "x", unlabeled=others)
    trainer = Trainer(settings, made, NUMPY)
    noise = np.random.default_rng(0).normal(size=trainer.theta.shape)
    trainer.theta += 0.3 * noise
    return trainer


def gradient_of(trainer):
    with trainer.engine.running():
        gradient, loss, _ = trainer.engine.gradient(slice(0, IMAGES), trainer.keys(0))
    return gradient.copy(), float(loss)


def information(P, group):
    """The mean over images of KL(p || mean p of the group), of probabilities (N, classes)."""
    total = 0.0
    for start in range(0, len(P), group):
        part = P[start : start + group]
        total = total + (part * (part / part.mean(0)).log()).sum()
    return total / len(P)


@pytest.mark.parametrize("labelled", [IMAGES, 10], ids=["all have labels", "ten have"])
def test_the_gradient_is_that_of_pytorch(digits, labelled):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    trainer = trainer_of(BASE, digits, labelled)
    theta = torch.tensor(np.array(trainer.theta), requires_grad=True)
    x, at, sizes = torch.tensor(digits[0][:IMAGES] / 255.0), 0, trainer.engine.sizes
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        W, b = theta[at : at + n_in * n_out].reshape(n_out, n_in), at + n_in * n_out
        at = b + n_out
        x = x @ W.T + theta[b:at]
        x = torch.relu(x) if i < len(sizes) - 2 else x
    known = torch.tensor(digits[1][:labelled].astype(np.int64))
    entropy = torch.nn.functional.cross_entropy(x[:labelled], known)
    (entropy - WEIGHT * information(x.softmax(1), trainer.engine.group)).backward()
    gradient, loss = gradient_of(trainer)
    assert loss / IMAGES == pytest.approx(float(entropy.detach()), rel=1e-10)
    np.testing.assert_allclose(gradient, theta.grad.numpy(), rtol=1e-7, atol=1e-11)


def test_a_step_along_it_makes_the_information_larger(digits):
    """By the definition, in NumPy alone: the slope of the loss along its own gradient."""
    trainer = trainer_of(BASE, digits)
    plain = trainer_of(BASE.changed(information=0.0), digits)
    assert np.array_equal(plain.theta, trainer.theta)
    own = gradient_of(trainer)[0] - gradient_of(plain)[0]  # of the information alone

    def found(theta):
        A, at = digits[0][:IMAGES].T / 255.0, 0
        for n_in, n_out in itertools.pairwise(trainer.engine.sizes):
            W = theta[at : at + n_in * n_out].reshape(n_out, n_in)
            at += n_in * n_out
            Z = W @ A + theta[at : at + n_out, None]
            A, at = np.maximum(Z, 0), at + n_out
        P = np.exp(Z - Z.max(axis=0))
        P /= P.sum(axis=0)
        parts = np.split(P, range(trainer.engine.group, IMAGES, trainer.engine.group), axis=1)
        return sum((p * np.log(p / p.mean(axis=1, keepdims=True))).sum() for p in parts) / IMAGES

    length, theta = math.sqrt(own @ own), np.array(trainer.theta)
    h = 1e-6 / length
    slope = (found(theta - h * own) - found(theta + h * own)) / (2 * h)
    assert slope > 0
    assert WEIGHT * slope == pytest.approx(length**2, rel=1e-5)
