"""Every format that `mnistgpu.data` reads, and images of any kind written and read again."""

import gzip
import os

import numpy as np
import pandas as pd
import pytest
from helpers.digit_files import (
    FOLDER_NAMES,
    check,
    csv_bytes,
    idx_bytes,
    npz_bytes,
    write_folder,
)

from mnistgpu import data
from mnistgpu.data import cells

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies
HealthCheck = hypothesis.HealthCheck
arrays = pytest.importorskip("hypothesis.extra.numpy", reason="hypothesis is missing")

EXAMPLES = int(os.environ.get("MNISTGPU_EXAMPLES", "100"))
SHARED_FOLDER = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

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
    """In many blocks, so that some lines lie in two of them."""
    monkeypatch.setattr(cells, "PIECE", 1000)
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
    found = data.load(tmp_path / "d.csv").train
    check(found, few[0], few[1])
    assert found.classes == tuple(range(16, 26))


def test_the_shortest_table_there_can_be(tmp_path):
    (tmp_path / "d.csv").write_bytes(b"0," * 783 + b"0")
    check(data.load_digits(tmp_path / "d.csv"), np.zeros((1, 28, 28), np.uint8), None)


def test_the_widest_lines(tmp_path):
    """64x64 pixels, each with ten zeros after its point."""
    images = np.arange(6 * 4096).reshape(6, 4096) % 10
    lines = (",".join(f"{pixel}.0000000000" for pixel in image) for image in images)
    (tmp_path / "d.csv").write_text("".join(f"{line}\n" for line in lines))
    check(data.load_digits(tmp_path / "d.csv"), images.reshape(6, 64, 64).astype(np.uint8), None)


def test_one_image_and_one_class_are_enough(tmp_path, few):
    (tmp_path / "d.csv").write_bytes(csv_bytes(few[0][:1].reshape(1, -1), few[1][:1]))
    assert len(data.load(tmp_path / "d.csv").train) == 1


# Round trips

small_images = arrays.arrays(
    np.uint8, arrays.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)
)
# an array (N, 1, 4) may be a row of pixels of a 2x2 image, which in IDX it is not
arrays_of_images = small_images.filter(lambda images: 1 not in images.shape[1:])
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
@given(images=arrays_of_images, draw=st.data(), compressed=st.booleans())
def test_any_images_survive_npz(tmp_path, images, draw, compressed):
    labels = draw_labels(draw, len(images))
    (tmp_path / "d.npz").write_bytes(npz_bytes(compressed, x_train=images, y_train=labels))
    check(data.load(tmp_path / "d.npz").train, images, labels)


@pytest.mark.slow
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
