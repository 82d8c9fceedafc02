"""What `mnistgpu.data` reads: the embedded MNIST, and every format it knows."""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers.digit_files import FOLDER_NAMES, csv_bytes, idx_bytes, npz_bytes
from helpers.mnist import MNIST

from mnistgpu import counter_rng, data
from mnistgpu.data import digits as digits_module
from mnistgpu.data import table
from mnistgpu.errors import DataError, UsageError

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies
HealthCheck = hypothesis.HealthCheck
arrays = pytest.importorskip("hypothesis.extra.numpy", reason="hypothesis is missing")

EXAMPLES = int(os.environ.get("MNISTGPU_EXAMPLES", "300"))
SHARED_FOLDER = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def mnist() -> data.Dataset:
    return data.load()


@pytest.fixture(scope="module")
def few(digits):
    """The first 300 training images (300, 28, 28) and their labels."""
    return digits[0][:300].reshape(-1, 28, 28), digits[1][:300]


def write_folder(folder, few, zipped=(), parts=("train", "test")):
    """IDX files: 200 images to train on and 100 to test."""
    images, labels = few
    cut = {"train": slice(0, 200), "test": slice(200, 300)}
    for (part, kind), name in FOLDER_NAMES.items():
        if part in parts:
            content = idx_bytes((images if kind == "images" else labels)[cut[part]])
            if name in zipped:
                name, content = f"{name}.gz", gzip.compress(content)
            (folder / name).write_bytes(content)
    return folder


def check(digits, images, labels):
    """These images, as rows, and these labels, in the form that every consumer relies on."""
    np.testing.assert_array_equal(digits.images, images.reshape(len(images), -1))
    assert digits.images.dtype == np.uint8
    assert digits.images.flags.c_contiguous
    assert not digits.images.flags.writeable
    assert digits.image_shape == images.shape[1:]
    assert len(digits) == len(images)
    if labels is None:
        assert digits.labels is None
    else:
        np.testing.assert_array_equal(digits.labels, labels)
        assert digits.labels.dtype == np.uint8
        assert not digits.labels.flags.writeable


# The embedded MNIST


def test_embedded_mnist_is_what_its_authors_published(mnist):
    assert mnist.source == "embedded MNIST"
    assert mnist.train.source == "embedded MNIST, train"
    assert mnist.test.source == "embedded MNIST, test"
    assert mnist.train.images.shape == (60_000, 784)
    assert mnist.test.images.shape == (10_000, 784)
    assert mnist.train.labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert mnist.test.labels[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    train_counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test_counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(mnist.train.labels).tolist() == train_counts
    assert np.bincount(mnist.test.labels).tolist() == test_counts
    assert mnist.train.images.mean() / 255 == pytest.approx(0.130660, abs=1e-6)
    assert mnist.train.images.std() / 255 == pytest.approx(0.308108, abs=1e-6)
    assert np.count_nonzero(mnist.train.images.max(axis=0) == 0) == 67
    content = idx_bytes(mnist.train.images.reshape(-1, 28, 28))
    digest = "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    assert hashlib.sha256(content).hexdigest() == digest


def test_digests_of_the_embedded_mnist_do_not_change(mnist):
    """They are stored with models: a new way to compute them would disown every old model."""
    assert mnist.train.digest.startswith("ff18ea36f5e37988")
    assert mnist.test.digest.startswith("53f25d2c5b659c7f")
    assert mnist.digest.startswith("61bfc99cee970065")


@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_a_changed_embedded_file_is_refused(tmp_path, monkeypatch, few, kind):
    folder = tmp_path / "mnist"
    shutil.copytree(MNIST, folder)
    path = folder / f"t10k-{kind}-ubyte.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 1
    path.write_bytes(gzip.compress(content, 1))
    monkeypatch.setattr(digits_module, "EMBEDDED", (folder,))
    with pytest.raises(DataError, match=rf"t10k-{kind}-ubyte\.gz: not MNIST .* install mnistgpu"):
        data.load()


def test_embedded_files_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(digits_module, "EMBEDDED", (tmp_path / "mnist",))
    with pytest.raises(DataError, match="embedded MNIST is missing; install mnistgpu again"):
        data.load()


def test_fewer_classes_than_the_embedded_labels_are_refused():
    with pytest.raises(DataError, match=r"train-labels.*byte 8 \(unpacked\): the label 5 is not"):
        data.load(classes=5)


def test_reading_needs_neither_pandas_nor_matplotlib():
    code = "import sys; from mnistgpu import data; data.load(); print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert {"pandas", "matplotlib", "PIL", "scipy"}.isdisjoint(loaded.stdout.split())


# Digests


def test_equal_digits_have_equal_digests_from_every_format(tmp_path, few):
    images, labels = few
    write_folder(tmp_path, few, parts=["train"])
    (tmp_path / "d.csv").write_bytes(csv_bytes(images[:200].reshape(200, -1), labels[:200]))
    (tmp_path / "d.npz").write_bytes(npz_bytes(x_train=images[:200], y_train=labels[:200]))
    found = {data.load(tmp_path / name).digest for name in ("", "d.csv", "d.npz")}
    assert len(found) == 1


def test_a_digest_depends_on_all_that_matters(few):
    images, labels = few[0].reshape(300, -1), few[1]
    changed_image, changed_label = images.copy(), labels.copy()
    changed_image[7, 300] ^= 1
    changed_label[7] ^= 1
    variants = [
        data.Digits(images, labels, ""),
        data.Digits(changed_image, labels, ""),
        data.Digits(images, changed_label, ""),
        data.Digits(images, None, ""),
        data.Digits(images, labels, "", (14, 56)),
        data.Digits(images[:299], labels[:299], ""),
    ]
    assert len({digits.digest for digits in variants}) == len(variants)
    assert data.Digits(images, labels, "elsewhere").digest == variants[0].digest
    assert data.Digits(np.asfortranarray(images), labels, "").digest == variants[0].digest
    sets = [data.Dataset(a, b, "") for a, b in ((variants[0], None), (variants[0], variants[1]))]
    sets.append(data.Dataset(variants[1], variants[0], ""))
    assert len({dataset.digest for dataset in sets}) == 3


# Formats


@pytest.mark.parametrize("zipped", [(), tuple(FOLDER_NAMES.values()), ("train-labels-idx1-ubyte",)])
def test_folder_of_idx_files(tmp_path, few, zipped):
    images, labels = few
    dataset = data.load(write_folder(tmp_path, few, zipped))
    check(dataset.train, images[:200], labels[:200])
    check(dataset.test, images[200:], labels[200:])
    assert dataset.source == str(tmp_path)
    assert dataset.test.source == f"{tmp_path}, test"
    check(data.load_digits(str(tmp_path)), images[200:], labels[200:])


def test_folder_without_a_test_pair(tmp_path, few):
    write_folder(tmp_path, few, parts=["train"])
    assert data.load(tmp_path).test is None
    check(data.load_digits(tmp_path), few[0][:200], few[1][:200])


def test_one_idx_file_with_its_labels_beside_it(tmp_path, few):
    write_folder(tmp_path, few, zipped=["t10k-labels-idx1-ubyte"])
    path = tmp_path / "t10k-images-idx3-ubyte"
    dataset = data.load(path)
    check(dataset.train, few[0][200:], few[1][200:])
    assert (dataset.test, dataset.source) == (None, str(path))


def test_idx_names_with_a_dot_and_alone(tmp_path, few):
    images, labels = few
    (tmp_path / "my-images.idx3-ubyte").write_bytes(idx_bytes(images))
    check(data.load_digits(tmp_path / "my-images.idx3-ubyte"), images, None)
    (tmp_path / "my-labels.idx1-ubyte").write_bytes(idx_bytes(labels))
    check(data.load_digits(tmp_path / "my-images.idx3-ubyte"), images, labels)


def test_a_symbolic_link_is_as_good_as_its_file(tmp_path, few):
    (tmp_path / "real.csv").write_bytes(csv_bytes(few[0].reshape(300, -1), few[1]))
    (tmp_path / "link.csv").symlink_to("real.csv")
    check(data.load(tmp_path / "link.csv").train, *few)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("label", ["first", "last"])
@pytest.mark.parametrize("header", [True, False])
def test_csv_with_labels(tmp_path, few, end, label, header):
    content = csv_bytes(few[0].reshape(300, -1), few[1], label, header, end)
    variants = [
        content,
        content[: -len(end)],
        content + (end * 3).encode(),
        b"\xef\xbb\xbf" + content,
    ]
    for i, variant in enumerate(variants):
        path = tmp_path / f"{i}.csv"
        path.write_bytes(variant)
        dataset = data.load(path)
        check(dataset.train, *few)
        assert (dataset.test, dataset.source, dataset.train.source) == (None, str(path), str(path))


@pytest.mark.parametrize("header", [True, False])
def test_csv_without_labels(tmp_path, few, header):
    (tmp_path / "test.csv").write_bytes(csv_bytes(few[0].reshape(300, -1), header=header))
    check(data.load_digits(tmp_path / "test.csv"), few[0], None)


@pytest.mark.parametrize("pixel", ["pixel{}", '"pixel{}"', "{}", "p{:03}", "Px {}"])
@pytest.mark.parametrize("labelled", [True, False])
def test_names_of_pixels(tmp_path, few, pixel, labelled):
    labels = few[1] if labelled else None
    content = csv_bytes(few[0].reshape(300, -1), labels, pixel=pixel)
    (tmp_path / "D.CSV").write_bytes(content)
    check(data.load_digits(tmp_path / "D.CSV"), few[0], labels)


def test_names_by_row_and_column(tmp_path, few):
    content = csv_bytes(few[0].reshape(300, -1), few[1])
    names = [f"{row}x{column}" for row in range(1, 29) for column in range(1, 29)]
    path = tmp_path / "d.csv"
    path.write_bytes(("label," + ",".join(names)).encode() + content[content.index(b"\n") :])
    check(data.load(path).train, *few)


@pytest.mark.parametrize("name", ["Label", "class", '"label"', "digit", "y"])
def test_names_of_the_label(tmp_path, few, name):
    content = csv_bytes(few[0].reshape(300, -1), few[1]).removeprefix(b"label")
    (tmp_path / "d.csv").write_bytes(name.encode() + content)
    check(data.load(tmp_path / "d.csv").train, *few)


def test_kaggle_folder(tmp_path, few):
    images, labels = few
    (tmp_path / "train.csv").write_bytes(csv_bytes(images[:200].reshape(200, -1), labels[:200]))
    check(data.load_digits(tmp_path), images[:200], labels[:200])
    (tmp_path / "test.csv").write_bytes(csv_bytes(images[200:].reshape(100, -1)))
    dataset = data.load(tmp_path)
    check(dataset.train, images[:200], labels[:200])
    assert dataset.test is None
    check(data.load_digits(tmp_path), images[200:], None)


@pytest.mark.parametrize("cell", [b"12.0", b"12.", b" 12", b"12 ", b"0012"])
def test_a_whole_number_written_otherwise(tmp_path, digits, cell):
    lines = csv_bytes(digits[0][:9], digits[1][:9]).split(b"\n")
    cells = lines[5].split(b",")
    lines[5] = b",".join([*cells[:100], cell, *cells[101:]])
    (tmp_path / "train.csv").write_bytes(b"\n".join(lines))
    assert data.load(tmp_path).train.images[4, 99] == 12


def test_a_table_as_pandas_reads_it(tmp_path, digits, monkeypatch):
    """In many blocks, so that lines which two blocks share are read too."""
    monkeypatch.setattr(table, "PIECE", 1000)
    path = tmp_path / "train.csv"
    path.write_bytes(csv_bytes(*digits, end="\r\n"))
    read = pd.read_csv(path).to_numpy()
    train = data.load(path).train
    check(train, read[:, 1:].reshape(-1, 28, 28), read[:, 0])
    check(train, digits[0].reshape(-1, 28, 28), digits[1])


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("label_type", [np.uint8, np.int32, np.int64, ">i8"])
def test_npz_as_keras_has_it(tmp_path, few, compressed, label_type):
    images, labels = few
    path = tmp_path / "mnist.npz"
    typed = labels.astype(label_type)
    content = {"x_train": images[:200], "y_train": typed[:200]}
    path.write_bytes(npz_bytes(compressed, **content))
    assert data.load(path).test is None
    check(data.load_digits(path), images[:200], labels[:200])
    content |= {"x_test": images[200:], "y_test": typed[200:]}
    path.write_bytes(npz_bytes(compressed, **content))
    dataset = data.load(path)
    check(dataset.train, images[:200], labels[:200])
    check(dataset.test, images[200:], labels[200:])
    check(data.load_digits(path), images[200:], labels[200:])
    path.write_bytes(npz_bytes(compressed, x_test=images))
    check(data.load_digits(path), images, None)


def test_npz_in_fortran_order(tmp_path, few):
    images = np.asfortranarray(few[0][:, :20, :])
    (tmp_path / "d.npz").write_bytes(npz_bytes(x_train=images, y_train=few[1]))
    check(data.load(tmp_path / "d.npz").train, images, few[1])


def test_images_need_not_be_square(tmp_path, few):
    wide = np.ascontiguousarray(few[0][:, :14, :])
    (tmp_path / "a-images").write_bytes(idx_bytes(wide))
    (tmp_path / "a-labels").write_bytes(idx_bytes(few[1]))
    dataset = data.load(tmp_path / "a-images")
    check(dataset.train, wide, few[1])
    assert dataset.train.image_shape == (14, 28)


def test_more_classes_than_ten(tmp_path, few):
    letters = (few[1] + 16).astype(np.uint8)
    (tmp_path / "d.csv").write_bytes(csv_bytes(few[0].reshape(300, -1), letters))
    check(data.load(tmp_path / "d.csv", classes=26).train, few[0], letters)
    with pytest.raises(DataError, match=r"d\.csv, line 2, column 1: the label 21 .* more outputs"):
        data.load(tmp_path / "d.csv")


def test_the_shortest_table_there_can_be(tmp_path):
    (tmp_path / "d.csv").write_bytes(b"0," * 783 + b"0")
    check(data.load_digits(tmp_path / "d.csv"), np.zeros((1, 28, 28), np.uint8), None)


def test_one_image_and_one_class_are_enough(tmp_path, few):
    (tmp_path / "d.csv").write_bytes(csv_bytes(few[0][:1].reshape(1, -1), few[1][:1]))
    assert len(data.load(tmp_path / "d.csv").train) == 1


# Round trips

small_images = arrays.arrays(
    np.uint8, arrays.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)
)
table_images = arrays.arrays(np.uint8, st.tuples(st.integers(1, 4), st.just(784)))


def draw_labels(draw, count):
    return draw.draw(arrays.arrays(np.uint8, count, elements=st.integers(0, 9)))


@SHARED_FOLDER
@given(images=small_images, draw=st.data(), zipped=st.booleans())
def test_any_images_survive_idx(tmp_path, images, draw, zipped):
    labels = draw_labels(draw, len(images))
    pack = gzip.compress if zipped else bytes
    (tmp_path / "images").write_bytes(pack(idx_bytes(images)))
    (tmp_path / "labels").write_bytes(pack(idx_bytes(labels)))
    check(data.load(tmp_path / "images").train, images, labels)


@SHARED_FOLDER
@given(images=small_images, draw=st.data(), compressed=st.booleans())
def test_any_images_survive_npz(tmp_path, images, draw, compressed):
    labels = draw_labels(draw, len(images))
    (tmp_path / "d.npz").write_bytes(npz_bytes(compressed, x_train=images, y_train=labels))
    check(data.load(tmp_path / "d.npz").train, images, labels)


@SHARED_FOLDER
@given(
    images=table_images,
    draw=st.data(),
    label=st.sampled_from(["first", "last", None]),
    end=st.sampled_from(["\n", "\r\n"]),
    zeros=st.integers(1, 3),
)
def test_any_images_survive_csv(tmp_path, images, draw, label, end, zeros):
    labels = None if label is None else draw_labels(draw, len(images))
    content = csv_bytes(images, labels, label, end=end)
    if zeros > 1:  # 7 may be written 07 or 007
        head, _, body = content.decode().partition(end)
        cells = [[cell.zfill(zeros) for cell in line.split(",")] for line in body.split(end)[:-1]]
        content = (head + end + "".join(",".join(row) + end for row in cells)).encode()
    (tmp_path / "d.csv").write_bytes(content)
    check(data.load_digits(tmp_path / "d.csv"), images.reshape(-1, 28, 28), labels)


# The split


def test_split_parts_the_digits(mnist):
    train, held_out = data.split(mnist.train, 10_000, seed=3)
    assert (len(train), len(held_out)) == (50_000, 10_000)
    where = np.zeros(60_000, dtype=bool)
    key = counter_rng.fold_in(counter_rng.key(3, like=where), counter_rng.SPLIT)
    where[counter_rng.permutation(key, 60_000)[:10_000]] = True
    check(held_out, mnist.train.images[where].reshape(-1, 28, 28), mnist.train.labels[where])
    check(train, mnist.train.images[~where].reshape(-1, 28, 28), mnist.train.labels[~where])
    assert train.source == "embedded MNIST, train, 50000 to train on"
    assert held_out.source == "embedded MNIST, train, 10000 held out"
    counts = np.bincount(held_out.labels) / np.bincount(mnist.train.labels)
    assert counts.min() > 0.14
    assert counts.max() < 0.20


def test_split_depends_on_the_seed_alone(mnist):
    first, again, other = (data.split(mnist.test, 500, seed)[1] for seed in (1, 1, 2))
    assert first.digest == again.digest
    assert first.digest != other.digest
    same_places = data.Digits(mnist.train.images[:10_000], mnist.train.labels[:10_000], "")
    unlabelled = data.Digits(mnist.test.images, None, "")
    np.testing.assert_array_equal(data.split(unlabelled, 500, 1)[1].images, first.images)
    assert data.split(unlabelled, 500, 1)[1].labels is None
    assert len(data.split(same_places, 9_999, 1)[0]) == 1


def test_split_of_nothing_and_of_too_much(mnist):
    train, held_out = data.split(mnist.test, 0, seed=0)
    assert train is mnist.test
    assert held_out is None
    for wrong in (10_000, 10_001, -1):
        with pytest.raises(UsageError, match=rf"validation {wrong}: .* choose 0 to 9999$"):
            data.split(mnist.test, wrong, seed=0)
