"""What `mnistgpu.data` promises of a set: the embedded MNIST, digests, the split."""

import gzip
import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers.digit_files import check, csv_bytes, npz_bytes, write_folder
from helpers.mnist import MNIST

from mnistgpu import counter_rng, data
from mnistgpu.data import embedded
from mnistgpu.errors import DataError, UsageError

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


def test_embedded_files_are_those_that_were_published():
    """By the digests of data/README.md, which are those of the authors' files."""
    table = (MNIST.parent / "README.md").read_text(encoding="utf-8")
    published = dict(re.findall(r"^\| (\S+-ubyte) \| [\d,]+ \| ([0-9a-f]{64}) \|$", table, re.M))
    train = "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    assert published["train-images-idx3-ubyte"] == train
    found = {
        path.stem: hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
        for path in MNIST.glob("*.gz")
    }
    assert found == published


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_digests_that_are_known_are_those_of_the_images(mnist, part):
    digits = getattr(mnist, part)
    assert replace(digits).digest == digits.digest  # computed of the copy


def test_digests_of_the_embedded_mnist_do_not_change(mnist):
    """They are stored with models: if they were computed otherwise, no old model would match."""
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
    monkeypatch.setattr(embedded, "FOLDERS", (folder,))
    refused = rf"t10k-{kind}-ubyte\.gz: not the MNIST .* install mnistgpu"
    with pytest.raises(DataError, match=refused):
        data.load()


def test_embedded_files_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "FOLDERS", (tmp_path / "mnist",))
    with pytest.raises(DataError, match="embedded MNIST is missing; install mnistgpu again"):
        data.load()


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
        data.Digits(images, labels, "", weights=np.ones(300)),
        data.Digits(images, labels, "", unlabeled=np.ones((300, 784), np.uint8)),
    ]
    assert len({digits.digest for digits in variants}) == len(variants)
    assert data.Digits(images, labels, "elsewhere").digest == variants[0].digest
    assert data.Digits(np.asfortranarray(images), labels, "").digest == variants[0].digest
    sets = [data.Dataset(a, b, "") for a, b in ((variants[0], None), (variants[0], variants[1]))]
    sets.append(data.Dataset(variants[1], variants[0], ""))
    assert len({dataset.digest for dataset in sets}) == 3


def test_digits_and_sets_are_replaced_and_never_altered(few):
    """So a digest, which is computed once, stays that of the images."""
    digits = data.Digits(few[0].reshape(300, -1), few[1], "")
    for given, name in ((digits, "images"), (data.Dataset(digits, None, ""), "train")):
        with pytest.raises(AttributeError):
            setattr(given, name, None)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_digest_is_that_of_shape_images_and_labels(few, labelled):
    """Of one version as of another: it is stored with models."""
    images, labels = few[0][:7], few[1][:7]
    content = images.tobytes() + (labels.tobytes() if labelled else b"")
    start = b"7x28x28 labelled\n" if labelled else b"7x28x28 unlabelled\n"
    digits = data.Digits(images.reshape(7, 784), labels if labelled else None, "")
    assert digits.digest == hashlib.sha256(start + content).hexdigest()


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
