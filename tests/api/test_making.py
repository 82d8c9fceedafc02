"""`make_data`: a set is a function of its recipe alone, stops and goes on anywhere, and overwrites
nothing.
"""

import errno
import os
import shutil
from collections import Counter

import numpy as np
import pytest
from helpers.made_sets import in_memory, make, make_plain, small_units

import mnistgpu
from mnistgpu import data
from mnistgpu.api import making
from mnistgpu.data import made
from mnistgpu.errors import DataError, RunError, StoppedError, UsageError
from mnistgpu.runs.stop import Stop
from mnistgpu.storage import system

# of 1,300 images in shards of 512, seed 0: the same on every machine
DIGEST = "c64240394b9012f48c51dfaa90c1f0971494d0bb5f17e4fd9131e5f7f8b05531"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made") / "set", 1300)


def digest(path):
    return made.manifest_of(path).digest


def names(path):
    return sorted(each.name for each in path.iterdir())


def test_its_digest_is_the_same_everywhere(whole):
    assert digest(whole) == DIGEST
    assert names(whole) == [
        "mnistgpu-data.json",
        "test-images.npy",
        "test-labels.npy",
        *(f"train-images-0000{i}.npy" for i in range(3)),
        *(f"train-labels-0000{i}.npy" for i in range(3)),
        "validation-images.npy",
        "validation-labels.npy",
    ]
    images = np.load(whole / "train-images-00002.npy")
    assert images.shape == (1300 - 1024, 28, 28)
    assert images.dtype == np.uint8


def test_cuts_and_length_change_no_image(whole, tmp_path):
    """An image depends on the seed and its place alone."""
    with small_units(unit=128, chunk=32):
        longer = making.make_data(tmp_path / "longer", 1500, shard_images=1024)
    assert np.array_equal(in_memory(longer)[:1300], in_memory(whole))
    labels = [data.load(path).train.labels for path in (longer, whole)]
    assert np.array_equal(labels[0][:1300], labels[1])


def test_images_and_labels_belong_together(whole):
    """The shipped network knows the digits by the names that they have."""
    dataset = data.load(whole)
    answers = mnistgpu.load("shipped").predict(in_memory(whole))
    assert np.mean(answers == dataset.train.labels) > 0.98
    originals = data.load().train.images
    assert not any((originals == image).all(axis=1).any() for image in in_memory(whole)[:5])


def test_every_original_is_used_equally_often_and_no_held_out_one(tmp_path):
    path = make_plain(tmp_path / "set", 2500, making.UNIT, validation=59_000)
    mnist = data.load().train
    kept, held_out = data.split(mnist, 59_000, 0)
    found = {image.tobytes() for image in in_memory(path)}
    assert found == {image.tobytes() for image in kept.images}
    assert not found & {image.tobytes() for image in held_out.images}
    counts = Counter(image.tobytes() for image in in_memory(path))
    assert set(counts.values()) == {2, 3}
    first, second = in_memory(path)[:1000], in_memory(path)[1000:2000]
    assert np.mean((first == second).all(axis=1)) < 0.02


def test_a_seed_and_a_preset_make_other_images(whole, tmp_path):
    images = in_memory(whole)
    for name, options in (("seed", {"seed": 1}), ("preset", {"deform": "ciresan"})):
        other = in_memory(make(tmp_path / name, 300, **options))
        assert np.mean((other == images[:300]).all(axis=1)) < 0.01


def killed_after(count, monkeypatch):
    """Let the process be killed, as it were, at one of the calls that write."""
    left = [count]

    def counted(function):
        def call(*arguments):
            left[0] -= 1
            if left[0] == 0:
                raise SystemExit
            return function(*arguments)

        return call

    for name in ("flush", "replace", "flush_folder"):
        monkeypatch.setattr(system, name, counted(getattr(system, name)))


def test_killed_at_any_point_it_goes_on_to_the_same_set(whole, tmp_path, monkeypatch):
    path, count = tmp_path / "set", 0
    ended = False
    while not ended:
        count += 1
        with monkeypatch.context() as patch:
            killed_after(count, patch)
            try:
                make(path, 1300)
                ended = True
            except SystemExit:
                with pytest.raises(DataError, match=r"is not finished|holds neither|no such"):
                    data.load(path)
        if count % 7 == 0 and not ended:
            shutil.rmtree(path)  # and from the beginning, to be killed later
    assert count > 15
    assert digest(path) == DIGEST
    assert names(path) == names(whole)


@pytest.mark.parametrize("lost", ["nothing", "an end", "a torn unit"])
def test_what_a_power_cut_has_torn_is_made_again(whole, tmp_path, lost):
    """Of a part all units but the last are on the disk; there anything may stand."""
    path = tmp_path / "set"
    stop = Stop()
    stop.interrupt("a test", 1)
    with pytest.raises(StoppedError, match=r"stopped by a test after 256 of 1,300 images"):
        make(path, 1300, stop=stop)
    part = path / "train-images-00000.npy.part"
    content = part.read_bytes()
    assert len(content) > 256 * 784
    left = {
        "nothing": content,
        "an end": content[:-1000],
        "a torn unit": content + bytes(256 * 784),
    }
    part.write_bytes(left[lost])
    assert digest(make(path, 1300)) == DIGEST
    assert not part.exists()


def test_how_far_it_is(tmp_path):
    said = []
    make(tmp_path / "set", 1300, on_progress=lambda *numbers: said.append(numbers))
    assert said == [(each, 1300) for each in (256, 512, 768, 1024, 1280, 1300)]


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def test_a_finished_set_is_checked_and_not_written(copy, monkeypatch):
    before = {each: each.stat().st_mtime_ns for each in copy.iterdir()}
    make(copy, 1300)
    assert {each: each.stat().st_mtime_ns for each in copy.iterdir()} == before
    path = copy / "train-images-00001.npy"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"00001.npy: has changed since it was made; remove it"):
        make(copy, 1300)
    path.unlink()
    assert digest(make(copy, 1300)) == DIGEST
    assert data.load(copy).digest == DIGEST


@pytest.mark.parametrize(
    "options",
    [{"images": 1301}, {"seed": 1}, {"validation": 5001}, {"deform": "ciresan"}],
)
def test_another_set_is_not_overwritten(copy, options):
    before = {each.name: each.read_bytes() for each in copy.iterdir()}
    with pytest.raises(UsageError, match=r"holds a set with other .*; choose another folder"):
        make(copy, **({"images": 1300} | options))
    assert {each.name: each.read_bytes() for each in copy.iterdir()} == before


def test_other_files_are_not_overwritten(copy, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "train-images-00000.npy").write_text("mine")
    with pytest.raises(UsageError, match=r"is not empty .* holds no set that this command made"):
        make(mine, 1300)
    assert (mine / "train-images-00000.npy").read_text() == "mine"
    assert len(names(mine)) == 1
    manifest = made.manifest_of(copy)
    del manifest.files["train-labels-00001.npy"]
    making.save(copy, manifest)
    with pytest.raises(UsageError, match="this command has not written it; move it elsewhere"):
        make(copy, 1300)


def test_the_disk_is_looked_at_first(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(RunError, match=r"needs 6.29 GB more, and 1.00 GB are free"):
        making.make_data(tmp_path / "set")
    assert [name for name in names(tmp_path / "set") if name.endswith("npy")] == []


def test_a_disk_that_is_full_after_all(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(making.system, "flush", full)
        with pytest.raises(RunError, match=r"cannot be written \(No space left on device\)"):
            make(tmp_path / "set", 1300)
    assert digest(make(tmp_path / "set", 1300)) == DIGEST


@pytest.mark.parametrize(
    "options",
    [
        {"images": 0},
        {"images": 2.5},
        {"images": True},
        {"images": 2**31},
        {"images": 10, "validation": -1},
        {"images": 10, "validation": 60_000},
        {"images": 10, "seed": -1},
        {"images": 10, "shard_images": 1000},
        {"images": 10, "deform": "strongly"},
    ],
)
def test_wrong_calls_make_nothing(tmp_path, options):
    with pytest.raises(UsageError):
        making.make_data(tmp_path / "set", **options)
    assert not (tmp_path / "set").exists()
