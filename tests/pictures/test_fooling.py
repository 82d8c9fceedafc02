"""The change of pixels that makes another digit of an image."""

import numpy as np
import pytest
from helpers.mnist import read_idx

from mnistgpu import models
from mnistgpu.models import model
from mnistgpu.pictures.fooling import fooled


@pytest.fixture(scope="module")
def trained():
    return model.load(models.SHIPPED)


@pytest.fixture(scope="module")
def three(trained):
    images = read_idx("t10k-images-idx3-ubyte", 100)
    labels = read_idx("t10k-labels-idx1-ubyte", 100)
    return images[np.flatnonzero((labels == 3) & (trained.predict(images) == 3))[0]]


def test_the_answer_changes_by_the_smallest_step_and_no_pixel_goes_further(trained, three):
    found = fooled(trained, three, 3, 8)
    assert trained.predict(found.image[None])[0] == 3
    assert trained.predict(found.changed[None])[0] == 8
    distance = found.changed.astype(int) - found.image
    assert np.abs(distance).max() == found.step
    # a step less is not enough
    nearer = found.image + np.sign(distance) * np.minimum(np.abs(distance), found.step - 1)
    assert trained.probabilities(nearer.astype(np.uint8)[None])[8, 0] <= 0.5


def test_by_chance_the_same_step_goes_the_other_way_as_often(trained, three):
    found = fooled(trained, three, 3, 8)
    free = (three > found.step) & (three < 255 - found.step)
    moved = found.at_random.astype(int)[free] - three[free]
    assert set(np.abs(moved)) == {found.step}
    assert 0.2 < np.mean(moved > 0) < 0.8
    before, after, by_chance = trained.probabilities(
        np.stack([found.image, found.changed, found.at_random])
    ).T
    assert found.before == pytest.approx(before[3])
    assert found.after == pytest.approx(after[8])
    assert found.by_chance == pytest.approx(by_chance[3])


def test_there_is_none_for_a_network_that_never_says_8(trained, three):
    theta = np.array(trained.theta)
    never = model.Model(theta, trained.sizes, activation=trained.activation)
    never.layers[-1][1][8] = -1e6
    assert fooled(never, three, 3, 8) is None
