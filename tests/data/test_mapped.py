"""Images that stay in their files, against the same images as an array."""

import json
import pickle
import shutil

import numpy as np
import pytest
from helpers.made_sets import in_memory, make
from helpers.runs import one_sentence, run_here

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.data import made
from mnistgpu.data.mapped import AT_ONCE, MappedImages, pieces_of, there, total_of
from mnistgpu.errors import DataError, UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """1,300 images in three files, the last of which is short."""
    return make(tmp_path_factory.mktemp("mapped") / "set", 1300, validation=50)


@pytest.fixture(scope="module")
def images(folder):
    return data.load(folder).train.images


@pytest.fixture(scope="module")
def array(folder):
    return in_memory(folder)


@pytest.fixture
def damaged(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "damaged")


@pytest.mark.parametrize(
    "rows",
    [
        slice(0, 10),
        slice(500, 530),  # of two files
        slice(100, 1300),  # of all three
        slice(None, None, 7),
        slice(1290, 5000),
        slice(7, 7),
        3,
        -1,
        np.array([1299, 0, 511, 512, 1023, 1024, 5, 5]),
        np.array([1299, 0, 511], dtype=np.int32),
        [1, 600],
        np.array([], dtype=np.int64),
        (slice(0, 600), slice(100, 200)),
    ],
)
def test_what_is_indexed_is_what_an_array_has(images, array, rows):
    found = images[rows]
    assert type(found) is np.ndarray
    assert found.dtype == np.uint8
    assert np.array_equal(found, array[rows])


def test_numpy_takes_rows_of_it(images, array):
    rows = np.random.default_rng(0).integers(0, 1300, 400)
    assert np.array_equal(np.take(images, rows, axis=0), array[rows])
    out = np.zeros((400, 784), np.uint8)
    np.take(images, rows, axis=0, out=out, mode="clip")
    assert np.array_equal(out, array[rows])


def test_there_are_no_more(images):
    for rows in ([1300], [0, 1535], [5000], [-1301]):
        with pytest.raises((IndexError, ValueError)):
            images[rows]


def test_some_pixels_of_it(images, array):
    keep = np.array([3, 400, 401, 500])
    some, rows = images.with_pixels(keep), np.array([1000, 0, 600])
    assert some.shape == (1300, 4)
    assert images.shape == (1300, 784)
    assert np.array_equal(np.take(some, rows, axis=0), array[rows][:, keep])
    assert np.array_equal(some[500:600, :], array[500:600][:, keep])
    out = np.zeros((3, 4), np.uint8)
    np.take(some, rows, axis=0, out=out, mode="clip")
    assert np.array_equal(out, array[rows][:, keep])
    spread = np.zeros((3, 784, 2), np.uint8)[:, :, 0]
    np.take(images, rows, axis=0, out=spread, mode="clip")
    assert np.array_equal(spread, array[rows])


@pytest.fixture
def own(folder):
    """Images that no other test has changed."""
    return data.load(folder).train.images


def test_what_is_held_is_taken_from_memory_and_all_else_from_the_files(own, array, monkeypatch):
    """Of windows of two blocks of 256 images; the last block has 20."""
    random = np.random.default_rng(0)
    keep = np.array([3, 400, 401, 500])
    some = own.with_pixels(keep)
    windows = ([256, 1024], [0, 1280], [512], [768, 256], [1280, 0])
    for number, begins in enumerate(windows):
        own.hold(begins, 256, 2)
        now = [*begins, *windows[number - 1]] if number else begins
        held = np.concatenate([np.arange(begin, min(begin + 256, 1300)) for begin in now])
        for rows in (random.choice(held, 100), random.integers(0, 1300, 300), held[:0]):
            assert np.array_equal(own.take(rows), array[rows])
            assert np.array_equal(some.take(rows), array[rows][:, keep])
        with monkeypatch.context() as patch:
            patch.setattr(own, "_items", None)  # the files
            own.take(random.choice(held, 100))
            gone = np.setdiff1d(np.arange(1300), held)
            with pytest.raises(TypeError):
                own.take(gone[:1])
    out = np.zeros((3, 784), np.uint8)
    np.take(own, np.array([5, 1299, 0]), axis=0, out=out, mode="clip")
    assert np.array_equal(out, array[[5, 1299, 0]])


def test_a_whole_set_is_never_read_by_accident(images):
    with pytest.raises(DataError, match=r"1,300 images stay in their files.* take some of them"):
        np.asarray(images)
    with pytest.raises(DataError, match="none can be left out"):
        images[np.zeros(1300, bool)]


def test_pieces_and_sums(images, array, monkeypatch):
    monkeypatch.setattr("mnistgpu.data.mapped.AT_ONCE", 300)
    assert AT_ONCE < 2**16
    assert np.array_equal(np.concatenate(list(pieces_of(images))), array)
    assert len(list(images.pieces())) == 5
    assert np.array_equal(total_of(images), array.sum(axis=0))
    assert total_of(array).tobytes() == total_of(images).tobytes()


def test_on_the_cpu_they_stay_and_elsewhere_they_are_copied(images, array, other_space):
    assert there(images, NUMPY) is images
    backend = other_space.backend()
    found = there(images, backend)
    if backend.name == "numpy":
        assert found is images
    else:
        assert np.array_equal(backend.to_numpy(found), array)


def test_another_process_opens_the_same_files(images, array):
    content = pickle.dumps(images)
    assert len(content) < 1000
    again = pickle.loads(content)
    assert isinstance(again, MappedImages)
    assert np.array_equal(again[:], array)


def test_another_machine_with_another_set_is_refused(images, damaged, folder):
    other = damaged / made.FILE
    other.write_text(other.read_text().replace('"digest": "', '"digest": "0'))
    function, (path, digest) = images.__reduce__()
    assert path == str(folder)
    with pytest.raises(DataError, match="holds another set on this machine"):
        function(str(damaged), digest)


def test_its_digest_is_that_of_the_array(folder, array):
    dataset = data.load(folder)
    plain = data.Digits(array, dataset.train.labels, "arrays")
    assert dataset.train.digest == plain.digest
    assert dataset.digest == made.manifest_of(folder).digest


def test_the_parts(folder):
    """The test part is MNIST's; the validation part are the images that a run would hold out."""
    mnist, dataset = data.load(), data.load(folder)
    held_out = data.split(mnist.train, 50, 0)[1]
    assert np.array_equal(dataset.validation.images, held_out.images)
    assert np.array_equal(dataset.validation.labels, held_out.labels)
    assert np.array_equal(dataset.test.images, mnist.test.images)
    assert dataset.train.images.shape == (1300, 784)
    assert np.array_equal(data.load_digits(folder).labels, mnist.test.labels)
    first = data.load_digits(folder, first="train")
    assert np.array_equal(first.images[:], dataset.train.images[:])
    assert np.array_equal(first.labels, dataset.train.labels)


def edit(path, place, value=1):
    with open(path, "r+b") as file:
        file.seek(place)
        old = file.read(1)[0]
        file.seek(place)
        file.write(bytes([old ^ value]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda path: edit(path / "train-images-00001.npy", 5000),
            "train-images-00001.npy: has changed since it was made",
        ),
        (
            lambda path: edit(path / "train-labels-00000.npy", 200),
            "train-labels-00000.npy: has changed since it was made",
        ),
        (
            lambda path: edit(path / "train-images-00000.npy", 60),
            "train-images-00000.npy: is not the npy file of images",
        ),
        (
            lambda path: (path / "train-images-00002.npy").unlink(),
            "train-images-00002.npy: no such file",
        ),
        (
            lambda path: (path / "train-images-00000.npy").write_bytes(b""),
            "train-images-00000.npy: is not the npy file of images",
        ),
        (
            lambda path: shutil.copy(
                path / "train-images-00002.npy", path / "train-images-00001.npy"
            ),
            "train-images-00001.npy: has 276 images of 784 pixels, where 512 of 784 are expected",
        ),
        (
            lambda path: np.save(path / "train-images-00001.npy", np.zeros((512, 29, 28), "u1")),
            "train-images-00001.npy: has 512 images of 812 pixels, where 512 of 784 are expected",
        ),
        *(
            (
                lambda path, name=name, array=array: np.save(path / f"{name}.npy", array),
                f": its {name.partition('-')[0]} part is no set of images and labels; remove",
            )
            for name, array in (
                ("test-images", np.zeros((10_000, 28, 28), np.int16)),
                ("test-images", np.zeros((10_000, 784), np.uint8)),
                ("test-labels", np.zeros(9_999, np.uint8)),
                ("validation-labels", np.zeros((50, 1), np.uint8)),
            )
        ),
        (
            lambda path: (path / made.FILE).write_text(
                (path / made.FILE).read_text().replace('"digest": "', '"digest": "0')
            ),
            "mnistgpu-data.json: its digest is not that of its files; remove the folder",
        ),
        (lambda path: (path / made.FILE).write_text("{}"), "is not what mnistgpu writes"),
        (lambda path: (path / made.FILE).write_text("["), "not valid JSON"),
    ],
)
def test_a_damaged_set_is_refused_by_the_name_of_the_file(damaged, damage, message):
    damage(damaged)
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        data.load(damaged)


@pytest.mark.parametrize("name", ["test-images.npy", "test-labels.npy"])
def test_a_test_part_alone_is_checked_too(damaged, name):
    edit(damaged / name, 200)
    with pytest.raises(DataError, match=rf"damaged.{name}: has changed since it was made; remove"):
        data.load_digits(damaged)


@pytest.mark.parametrize("count", [0, 2**31, -1, True, 1300.0, "1300", None])
@pytest.mark.parametrize("name", ["images", "shard_images"])
def test_what_is_no_number_of_images_is_refused(damaged, name, count):
    path = damaged / made.FILE
    record = json.loads(path.read_text())
    record["recipe"][name] = count
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match="is not what mnistgpu writes; remove the folder"):
        data.load(damaged)


def test_another_version_and_an_unfinished_set(damaged):
    path = damaged / made.FILE
    text = path.read_text()
    for version in ("2", "0", "null", '"1"'):
        path.write_text(text.replace('"format_version": 1', f'"format_version": {version}'))
        with pytest.raises(
            DataError, match=r"has the format version .*, and this mnistgpu reads 1"
        ):
            data.load(damaged)
    path.write_text(text.rpartition('"digest": ')[0] + '"digest": null\n}\n')
    with pytest.raises(DataError, match=r"is not finished \(\d+ of its files are there\); call"):
        data.load(damaged)


def test_it_is_upright(folder):
    with pytest.raises(UsageError, match="has been made upright"):
        data.load(folder, "transposed")


def test_images_that_stay_in_their_files_are_not_held_out(tmp_path):
    """A set without a validation part, and a run that holds images out by default."""
    folder = make(tmp_path / "set", 300, validation=0)
    done = run_here("--data", folder, "--batch-size", 50, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "none of them can be held out; give --validation 0" in one_sentence(done.stderr)
    flags = ("--validation", 0, "--batch-size", 50, "--iterations", 2)
    assert run_here("--data", folder, *flags, "--out", tmp_path / "run").returncode == 0
