"""Answers of trained networks in place of labels: the gradient, and what the teacher sees."""

import numpy as np
import pytest

from mnistgpu import counter_rng, network
from mnistgpu.backend import NUMPY
from mnistgpu.data import Dataset, Digits
from mnistgpu.engine.gradient import Engine
from mnistgpu.engine.inputs import Chance, Inputs
from mnistgpu.engine.teacher import Teacher
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import UsageError
from mnistgpu.models.model import Model
from mnistgpu.runs import checks, training
from mnistgpu.settings import Settings

ZERO = np.zeros(1)
SETTINGS = Settings(layers="784-9-10", precision="float64", init="he", teacher="x", validation=0)


def member(seed, layers="784-12-10", activation="relu"):
    sizes = tuple(map(int, layers.split("-")))
    theta = 2 * network.init(counter_rng.key(seed, like=ZERO), sizes, "he", "float32")
    return Model(theta, sizes, activation=activation)


MEMBERS = (member(3), member(4, "784-7-8-10", "tanh"))


@pytest.mark.parametrize(
    "changes",
    [{}, {"center": True, "min_ink": 0.02}, {"batch_norm": True, "hidden_noise": 0.2}],
    ids=["plain", "centred", "normalised"],
)
def test_the_gradient_is_that_of_the_cross_entropy_with_the_answers(digits, changes):
    """In every direction: central differences of -sum Y log softmax(Z), with Y by the members."""
    images, labels = (each[:40] for each in digits)
    settings = SETTINGS.changed(**changes)
    inputs = Inputs(images, settings, (28, 28), ZERO)
    sizes = (inputs.pixels, *settings.sizes[1:])
    theta = network.init(counter_rng.key(1, like=ZERO), sizes, "he", "float64")
    engine = Engine(theta, settings, images, labels, inputs, 40, 1, 40)
    engine.learn_from(Teacher(MEMBERS, inputs, NUMPY, "float64"))
    keys = engine.keys(counter_rng.key(5, like=ZERO))
    gradient, loss, right = engine.gradient(slice(0, 40), keys)
    gradient = gradient.copy()
    seen = images.copy()
    seen[:, np.setdiff1d(np.arange(784), inputs.keep)] = 0  # what the student does not see
    Y = np.mean([each.probabilities(seen) for each in MEMBERS], axis=0)
    shard = engine.shards[0]
    chance = Chance(keys, 0, False)
    X = inputs.columns(inputs.crop(images), labels, Chance({}, 0, False), np.float64)

    def entropy():
        Z = shard.forward(X, shard.buffers_for(40), chance) + shard.params[-1][1]
        return float(np.sum(np.log(np.exp(Z - Z.max(0)).sum(0)) + Z.max(0) - (Y * Z).sum(0)))

    assert float(loss) == pytest.approx(entropy(), rel=1e-6)  # the members are float32
    for seed in range(5):
        direction = counter_rng.normals(counter_rng.key(seed, like=ZERO), theta.shape, "float64")
        start, h = theta.copy(), 1e-6
        theta[...] = start + h * direction
        above = entropy()
        theta[...] = start - h * direction
        slope = (above - entropy()) / (2 * h) / 40
        theta[...] = start
        assert float(gradient @ direction) == pytest.approx(slope, rel=1e-4, abs=1e-6)
    Z = shard.forward(X, shard.buffers_for(40), chance) + shard.params[-1][1]
    assert int(right) == (Z.argmax(axis=0) == labels).sum()


def test_labels_are_for_the_accuracy_alone(digits):
    images, labels = (each[:300] for each in digits)
    found = []
    for own in (labels, (labels + 1) % 10):
        settings = SETTINGS.changed(batch_size=100, rotation=5.0)
        trainer = Trainer(settings, Digits(images, own, "x"), NUMPY, teachers=MEMBERS)
        sums = [trainer.step() for _ in range(4)]
        found.append((trainer.theta.copy(), [int(right) for _, right, _ in sums]))
    assert np.array_equal(found[0][0], found[1][0])
    assert found[0][1] != found[1][1]
    plain = Trainer(SETTINGS.changed(teacher=None, batch_size=100), Digits(images, labels, "x"),
                    NUMPY)  # fmt: skip
    plain.step()
    assert not np.allclose(plain.theta, found[0][0])


def test_a_deformed_image_is_answered_as_it_is(digits, monkeypatch):
    """The teacher sees the columns that the student learns from."""
    images, labels = (each[:64] for each in digits)
    settings = SETTINGS.changed(rotation=20.0, elastic=2.0, images_per_map=4)
    trainer = Trainer(settings, Digits(images, labels, "x"), NUMPY, 1, teachers=MEMBERS)
    shard, seen = trainer.engine.shards[0], []
    answers = shard.teacher.answers

    def noted(X, matmul):
        seen.append(X.copy())
        return answers(X, matmul)

    monkeypatch.setattr(shard.teacher, "answers", noted)
    trainer.step()
    X = np.concatenate(seen, axis=1)
    assert X.shape == (784, 64)
    assert np.abs(X - images.T / 255).max() > 0.3


def test_on_every_backend(other_space, digits):
    images, labels = (each[:200] for each in digits)
    settings = SETTINGS.changed(precision="float32", batch_size=100, min_ink=0.01, center=True)
    found = []
    for chosen in (NUMPY, other_space.backend()):
        trainer = Trainer(settings, Digits(images, labels, "x"), chosen, teachers=MEMBERS)
        sums = [trainer.step() for _ in range(3)]
        found.append((trainer.vectors()["theta"], [(float(a), int(b), c) for a, b, c in sums]))
    np.testing.assert_allclose(found[1][0], found[0][0], atol=1e-4)
    for ours, theirs in zip(found[1][1], found[0][1], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_settings_and_teachers_must_agree(digits):
    dataset = Dataset(Digits(digits[0][:100], digits[1][:100], "x"), None, "x")
    for settings, teachers in ((SETTINGS, ()), (SETTINGS.changed(teacher=None), MEMBERS)):
        with pytest.raises(UsageError, match="do not agree"):
            training.train(settings.changed(iterations=1), dataset, NUMPY, teachers=teachers)


def test_exact_arithmetic_refuses_it_by_name(digits):
    dataset = Dataset(Digits(*digits, "x"), None, "x")
    with pytest.raises(UsageError, match="--precision exact has no teacher"):
        checks.check_fit(SETTINGS.changed(precision="exact"), dataset)
