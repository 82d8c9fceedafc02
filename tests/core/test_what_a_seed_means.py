"""Which numbers a seed means. Checkpoints, recorded figures and documents depend on them.

Most of the values were computed apart from the package, with Python's integers and
`statistics.NormalDist`, from the formulas in the docstring of `counter_rng`.
"""

import numpy as np
import pytest

from mnistgpu import counter_rng as rng
from mnistgpu import data, network
from mnistgpu.backend import NUMPY
from mnistgpu.engine.trainer import Batches, Trainer
from mnistgpu.settings import Settings

KEY = rng.key(0, like=np.zeros(1))
STEP_5 = rng.fold_in(rng.fold_in(KEY, 3), 5)  # 3 is the purpose STEP


def test_each_purpose_has_its_key():
    assert int(KEY) == 16294208416658607535
    names = ("INIT", "SPLIT", "SHUFFLE", "STEP", "NOISE", "DROPOUT", "DEFORM", "ADVERSARIAL")
    keys = {name: int(rng.fold_in(KEY, getattr(rng, name))) for name in names}
    assert keys == {
        "INIT": 9735418304920043012,
        "SPLIT": 4249279899635324798,
        "SHUFFLE": 7222645150599776839,
        "STEP": 10925820680034682913,
        "NOISE": 9594664942755157703,
        "DROPOUT": 13337846187975954752,
        "DEFORM": 2074954308485092842,
        "ADVERSARIAL": 3228210303111631885,
    }


def test_each_kind_of_number():
    assert rng.integers(STEP_5, 8, 10).tolist() == [4, 2, 3, 1, 2, 6, 3, 9]
    coins = rng.coins(rng.fold_in(STEP_5, 5), (12,), 0.25)
    assert coins.tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1]
    key = rng.fold_in(STEP_5, 4)
    normals = [
        *(-0.061676537480853784, 0.2833624071752996, 0.7907014244646626, 0.21137565417143442),
        *(-0.9697037240073216, -0.28129261842143644, -1.1157322038305277, -1.231135182307259),
    ]
    np.testing.assert_allclose(rng.normals(key, (8,), "float64"), normals, rtol=1e-12)
    # recorded: which row of the table of noise is drawn, and the order of the table
    noise = rng.noise(key, (20,), "float64")
    np.testing.assert_allclose(noise[[0, 1, 16, 19]], [
        0.74736267, -1.46286307, 1.06594532, 1.02034155
    ], rtol=1e-7)  # fmt: skip


def test_the_first_weights_of_the_tutorials_network():
    """Uniform numbers: two of 24 bits from each word, all high ones before all low ones."""
    trainer = Trainer(Settings(), few_digits(), NUMPY)
    drawn = [0.5443965196609497, 0.1794724464416504, 0.830707848072052]
    assert (trainer.theta[:3] + 0.5).tolist() == pytest.approx(drawn, abs=1e-7)
    assert trainer.theta[-1] + 0.5 == pytest.approx(0.02366429567337036, abs=1e-7)
    np.testing.assert_array_equal(trainer.theta, network.init(rng.fold_in(KEY, 0), (784, 10, 10),
                                                              "uniform"))  # fmt: skip


def few_digits(count=100):
    """Images of which each has its index in its first pixel."""
    images = np.zeros((count, 784), dtype=np.uint8)
    images[:, 0] = np.arange(count)
    return data.Digits(images, (np.arange(count) % 10).astype(np.uint8), "some")


def test_which_images_are_held_out():
    kept, held_out = data.split(few_digits(), 10, seed=0)
    ten = [2, 31, 38, 39, 62, 65, 73, 84, 87, 93]
    assert held_out.images[:, 0].tolist() == ten
    assert held_out.labels.tolist() == [each % 10 for each in ten]
    assert kept.images[:, 0].tolist() == [each for each in range(100) if each not in ten]


def test_the_order_of_the_batches():
    """Ten images in batches of four: the third batch of an epoch has two."""
    batches = Batches(KEY, 10, 4)
    assert [batches.rows(step).tolist() for step in range(6)] == [
        *([5, 7, 4, 8], [2, 6, 9, 0], [3, 1]),
        *([7, 3, 6, 9], [1, 8, 2, 0], [5, 4]),
    ]
    assert batches.rows(3, 2).tolist() == [7, 3, 6, 9, 1, 8, 2, 0]  # two steps together
    assert Batches(KEY, 10, None).rows(7) == slice(0, 10)


def test_the_numbers_of_a_step_are_its_own(digits):
    """Step 5 draws from the key of step 5, in a resumed run too."""
    images, labels = digits[0][:40], digits[1][:40]
    train = data.Digits(images, labels, "some")
    settings = Settings(layers="784-6-10", init="he", validation=0, hidden_noise=0.3)
    trainer, drawn = Trainer(settings, train, NUMPY), []
    gradient = trainer.engine.gradient

    def noted(rows, keys, deform):
        drawn.append([int(key) for key in keys.values()])
        return gradient(rows, keys, deform)

    trainer.engine.gradient = noted
    trainer.restore(trainer.vectors(), 5)
    trainer.step()
    trainer.step()
    step_6 = rng.fold_in(KEY, 3, 6)
    # the noise (4) of layer 0
    assert drawn == [[int(rng.fold_in(key, 4, 0))] for key in (STEP_5, step_6)]


def test_float64_noise_is_float64_after_float32_noise():
    """The table of quantiles is kept in each type apart."""
    for draw in (rng.normals, rng.noise):
        first = draw(KEY, (64,), "float32")
        second = draw(KEY, (64,), "float64")
        assert (first.dtype, second.dtype) == (np.float32, np.float64)
        np.testing.assert_allclose(first, second, rtol=1e-6)
        assert not np.array_equal(first, second)
