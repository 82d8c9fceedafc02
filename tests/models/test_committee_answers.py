"""A committee averages over gentle deformations, and has its directory to itself."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import processes
from helpers.mnist import ROOT

from mnistgpu import counter_rng, network
from mnistgpu.backend import NUMPY
from mnistgpu.errors import RunError, UsageError
from mnistgpu.models import committee
from mnistgpu.models.model import Model
from mnistgpu.settings import Settings


def seen_by_a_member(maps, **deformation):
    """The images that a member is asked about, for one bright pixel in the middle of 41x41."""
    image, seen = np.zeros((41, 41), dtype=np.uint8), []
    image[20, 20] = 255
    settings = Settings(layers="1681-10", **deformation).as_dict()

    def probabilities(images, backend):
        seen.append(images.reshape(-1, 41, 41).astype(np.float64))
        return np.full((10, len(images)), 0.1)

    member = SimpleNamespace(settings=settings, image_shape=(41, 41), probabilities=probabilities)
    images = np.stack([image.reshape(-1)] * 3)
    answers = committee.averaged(member, images, NUMPY, maps)
    np.testing.assert_allclose(answers, 0.1)
    return seen


def test_copies_are_deformed_at_half_strength():
    """A shift of up to 10 pixels in training is one of up to 5 here, and each map has its own."""
    seen = seen_by_a_member(32, shift=10.0)
    assert len(seen) == 32
    y, x = np.mgrid[:41, :41] - 20
    moved = np.array([[(a * y).sum() / a.sum(), (a * x).sum() / a.sum()] for a, *_ in seen])
    assert 4.0 < np.abs(moved).max() < 5.1
    assert len(np.unique(moved.round(3), axis=0)) == 32
    for first, *others in seen:
        assert all(np.array_equal(first, other) for other in others)  # one map for all images


def test_maps_share_no_numbers_with_a_run_of_their_seed(monkeypatch):
    """The purposes of a run are the first numbers that are folded into the key of its seed."""
    seed, used, deform = counter_rng.key(0, like=np.zeros(1)), set(), committee.augment.deform

    def noted(images, keys, *others, **more):
        used.update(map(int, keys))
        return deform(images, keys, *others, **more)

    monkeypatch.setattr(committee.augment, "deform", noted)
    seen_by_a_member(16, shift=10.0)
    assert len(used) == 32
    of_purposes = (committee.augment.keys_of(counter_rng.fold_in(seed, i)) for i in range(16))
    assert used.isdisjoint(int(key) for keys in of_purposes for key in keys)


def test_without_maps_images_are_answered_as_they_are():
    (images,) = seen_by_a_member(0, shift=10.0)
    assert [np.flatnonzero(image).tolist() for image in images] == [[20 * 41 + 20]] * 3


HOLD = """
import sys
from pathlib import Path
from mnistgpu.storage.lock import only_writer

with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def some_committee(seeds=(0, 1)):
    thetas = [network.init(seed, (784, 10)) for seed in seeds]
    return committee.Committee(tuple(Model(theta, (784, 10)) for theta in thetas))


def test_two_commands_do_not_save_into_one_directory_at_once(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path]
    other = processes.start(command, stdin=subprocess.PIPE, cwd=ROOT)
    assert other.stdout.readline() == "held\n"
    with pytest.raises(RunError, match=rf"another run \(process {other.pid} on "):
        committee.save(some_committee(), tmp_path, ["a", "b"])
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    other.communicate("")
    committee.save(some_committee(), tmp_path, ["a", "b"])
    assert len(committee.load(tmp_path).members) == 2


def test_a_committee_that_is_replaced_is_whole_until_its_list_is(tmp_path, monkeypatch):
    """Killed before the new list is written, the directory still holds the old committee."""
    old, new = some_committee(), some_committee((2, 3))
    committee.save(old, tmp_path, ["a", "b"])

    def killed(path, record):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(committee.files, "replace_json", killed)
        committee.save(new, tmp_path, ["c", "d"], force=True)
    images = np.random.default_rng(0).integers(0, 256, (5, 784), dtype=np.uint8)
    expected = old.probabilities(images)
    np.testing.assert_array_equal(committee.load(tmp_path).probabilities(images), expected)
    committee.save(new, tmp_path, ["c", "d"], force=True)
    expected = new.probabilities(images)
    np.testing.assert_array_equal(committee.load(tmp_path).probabilities(images), expected)
    assert len(list(tmp_path.glob("member-*"))) == 2


@pytest.mark.parametrize("count", [1, 2, 5])
def test_probabilities_of_any_number_of_members_sum_to_one(count):
    joined = some_committee(range(count))
    images = np.random.default_rng(0).integers(0, 256, (7, 784), dtype=np.uint8)
    found = joined.probabilities(images)
    assert found.shape == (10, 7)
    np.testing.assert_allclose(found.sum(axis=0), 1.0, rtol=1e-5)
    each = [member.probabilities(images) for member in joined.members]
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-5)


def untrained(sizes, shape=(3, 4), **settings):
    theta = np.zeros(network.parameter_count(sizes), np.float32)
    return Model(theta, sizes, shape, settings=settings)


def test_what_may_differ_between_members_is_that_of_the_first():
    first = untrained((12, 5, 3), orientation="as-is")
    joined = committee.Committee((first, untrained((12, 7, 6, 3), orientation="transposed")))
    assert (joined.sizes, joined.image_shape) == ((12, 5, 3), (3, 4))
    assert joined.orientation == "as-is"
    assert repr(joined) == "<Committee of 2: 12-5-3, 12-7-6-3>"
    assert committee.Committee((first,)).orientation == "as-is"


def test_a_committee_may_have_a_hundred_members(tmp_path):
    joined = committee.Committee((untrained((12, 3)),) * 100)
    committee.save(joined, tmp_path, ["a"])
    assert len(committee.load(tmp_path).members) == 100


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (untrained((12, 7, 4)), "3x4 images of 4 classes, model 1 3x4 of 3"),
        (untrained((12, 7, 3), (2, 6)), "2x6 images of 3 classes, model 1 3x4 of 3"),
        (untrained((8, 5, 2), (2, 4)), "2x4 images of 2 classes, model 1 3x4 of 3"),
    ],
)
def test_members_of_other_images_or_classes_are_named(other, sentence):
    first = untrained((12, 5, 3))
    with pytest.raises(UsageError) as caught:
        committee.Committee((first, first, other))
    assert str(caught.value) == f"model 3 reads {sentence}: they cannot vote together"
