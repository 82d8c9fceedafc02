"""Which file, and which column of a table, is read where there is a choice."""

import gzip

import numpy as np
import pandas as pd
import pytest
from helpers.bad_digit_files import npy_bytes, zip_bytes
from helpers.digit_files import FOLDER_NAMES, csv_bytes, idx_bytes

from mnistgpu import data
from mnistgpu.data import streams
from mnistgpu.errors import DataError, UsageError


def test_the_plain_file_is_read_where_a_zipped_one_lies_beside_it(tmp_path, few):
    images, labels = few
    for (part, kind), name in FOLDER_NAMES.items():
        content = images if kind == "images" else labels
        (tmp_path / name).write_bytes(idx_bytes(content[:200] if part == "train" else content))
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(content[:7])))
    found = data.load(tmp_path)
    assert (len(found.train), len(found.test)) == (200, 300)
    np.testing.assert_array_equal(found.train.labels, labels[:200])


def test_the_labels_beside_one_file_of_images_are_the_plain_ones(tmp_path, few):
    images, labels = few
    (tmp_path / "a-images").write_bytes(idx_bytes(images))
    (tmp_path / "a-labels").write_bytes(idx_bytes(labels))
    wrong = ((labels + 1) % 10).astype(np.uint8)
    (tmp_path / "a-labels.gz").write_bytes(gzip.compress(idx_bytes(wrong)))
    np.testing.assert_array_equal(data.load(tmp_path / "a-images").train.labels, labels)


@pytest.mark.parametrize("label", ["first", "last"])
def test_a_pixel_of_ten_is_no_label(tmp_path, few, label):
    """A corner pixel as dark as 10, and never darker, without a header to name the column."""
    images, labels = few[0].reshape(300, -1).copy(), few[1]
    images[:, [0, -1]] = 0
    images[17, -1 if label == "first" else 0] = 10
    path = tmp_path / "d.csv"
    path.write_bytes(csv_bytes(images, labels, label, header=False))
    found = data.load(path).train
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.images, images)


def test_a_pixel_of_nine_could_be_a_label(tmp_path, few):
    images, labels = few[0].reshape(300, -1).copy(), few[1]
    images[17, -1] = 9
    path = tmp_path / "d.csv"
    path.write_bytes(csv_bytes(images, labels, header=False))
    with pytest.raises(DataError, match="first and the last column could both be labels"):
        data.load(path)


def test_an_image_is_not_taken_for_names(tmp_path):
    """Cells that are all different, and whose points pandas did not make."""
    path = tmp_path / "d.csv"
    line = ",".join(f"{i}.0" for i in range(64))
    path.write_text(f"{line}\n{line}\n")
    np.testing.assert_array_equal(data.load_digits(path).images, [np.arange(64)] * 2)


def test_the_test_part_has_the_classes_of_the_training(tmp_path, few):
    """B to D of the test are the second to fourth class, also where no A is among them."""
    images, labels = few[0].reshape(300, -1), few[1]
    names = np.array(list("ABCDEFGHIJ"))[labels]
    some = (labels > 0) & (labels < 4)
    (tmp_path / "train.csv").write_bytes(csv_bytes(images, names))
    (tmp_path / "test.csv").write_bytes(csv_bytes(images[some], names[some]))
    found = data.load(tmp_path)
    np.testing.assert_array_equal(found.test.labels, labels[some])
    assert found.test.classes == found.train.classes == tuple("ABCDEFGHIJ")


def test_a_name_that_no_training_image_has(tmp_path, few):
    images, labels = few[0].reshape(300, -1), few[1]
    names = np.array(list("ABCDEFGHIJ"))[labels]
    (tmp_path / "train.csv").write_bytes(csv_bytes(images[names != "C"], names[names != "C"]))
    (tmp_path / "test.csv").write_bytes(csv_bytes(images, names))
    with pytest.raises(DataError, match=r"test\.csv, labels: label 'C' of image .* is none of the"):
        data.load(tmp_path)


def test_the_ids_of_a_table_are_kept(tmp_path, few):
    """They are those of a submission; also as text, and with zeros before a number."""
    images = few[0][:3].reshape(3, -1)
    content = csv_bytes(images).splitlines(True)
    for cells, expected in (
        ([b"0", b"1", b"2"], [0, 1, 2]),
        ([b"7", b"5", b"900"], [7, 5, 900]),
        ([b"007", b"5", b"9"], ["007", "5", "9"]),
        ([b"a.png", b"b.png", b'"c.png"'], ["a.png", "b.png", "c.png"]),
    ):
        lines = [b"%b,%b" % each for each in zip([b"id", *cells], content, strict=True)]
        (tmp_path / "test.csv").write_bytes(b"".join(lines))
        found = data.load_digits(tmp_path / "test.csv")
        np.testing.assert_array_equal(found.images, images)
        assert found.ids.name == "id"
        assert found.ids.values.tolist() == expected
        assert found.labels is None
        assert "the first column, id, numbers the images and is no pixel" in found.notes[0]


def test_what_a_family_of_files_is_called_is_a_path(tmp_path, few):
    """Of several sets in a folder one is given by its name; a path of nothing stays none."""
    for name, count in (("a", 200), ("b", 7)):
        (tmp_path / f"{name}-train-images-idx3-ubyte").write_bytes(idx_bytes(few[0][:count]))
        (tmp_path / f"{name}-train-labels-idx1-ubyte").write_bytes(idx_bytes(few[1][:count]))
    assert len(data.load(tmp_path / "b").train) == 7
    with pytest.raises(DataError, match=r"holds several sets; give one of .*/a, .*/b"):
        data.load(tmp_path)
    with pytest.raises(DataError, match="c: cannot be read"):
        data.load(tmp_path / "c")


def test_orientation_is_by_name_or_given(tmp_path, few):
    images, labels = few
    for name in ("emnist-digits", "mine"):
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    turned = images.swapaxes(1, 2).reshape(300, -1)
    for name, orientation, is_turned, said in (
        ("emnist-digits", "by-name", True, "EMNIST is stored transposed"),
        ("emnist-digits", "upright", False, None),
        ("emnist-digits", "transposed", True, "as --orientation says"),
        ("mine", "by-name", False, None),
        ("mine", "transposed", True, "the images are transposed, as --orientation says"),
    ):
        found = data.load(tmp_path / f"{name}-images-idx3-ubyte", orientation).train
        np.testing.assert_array_equal(
            found.images, turned if is_turned else images.reshape(300, -1)
        )
        assert said in found.notes[0] if said else found.notes == ()
    with pytest.raises(UsageError, match="orientation: must be one of by-name, upright, tr"):
        data.load(tmp_path, "sideways")


@pytest.mark.parametrize("kind", ["idx", "npy", "parquet", "table", "zip"])
def test_the_first_bytes_say_the_format_if_no_ending_does(tmp_path, few, kind):
    images, path = few[0][:3], tmp_path / "digits.dat"
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is missing")
        names = [f"pixel{i}" for i in range(784)]
        pd.DataFrame(images.reshape(3, 784), columns=names).to_parquet(path)
    else:
        lines = csv_bytes(images.reshape(3, 784))
        contents = {
            "idx": idx_bytes(images),
            "npy": npy_bytes(images),
            "table": lines,
            "zip": zip_bytes(("test.csv", lines)),
        }
        path.write_bytes(contents[kind])
    np.testing.assert_array_equal(data.load_digits(path).images, images.reshape(3, 784))


@pytest.mark.parametrize("letter", b"~ \t\x01\x1f\x7f\x80\xff")
def test_what_is_a_table_without_an_ending_that_says_so_is_text(tmp_path, letter):
    path = tmp_path / "digits.tra"
    path.write_bytes(csv_bytes(np.zeros((1, 64)), [1]).replace(b"el", bytes([letter]), 1))
    is_text = letter in b"~ \t"
    said = r"line 1: 65 columns, but not one called label" if is_text else r"byte 0: begins with"
    with pytest.raises(DataError, match=said):
        data.load(path)


def test_the_last_ending_of_a_name_says_the_format(tmp_path, few):
    np.save(tmp_path / "train.csv.npy", few[0])
    np.testing.assert_array_equal(
        data.load_digits(tmp_path / "train.csv.npy").images, few[0].reshape(300, -1)
    )


@pytest.mark.parametrize("first", ["x_train", "train_images"])
def test_of_the_same_pixels_twice_those_in_rows_and_columns_are_read(tmp_path, few, first):
    wide = np.ascontiguousarray(few[0][:, :14])
    forms = {"x_train": wide.reshape(300, -1), "train_images": wide}
    names = [first, *(name for name in forms if name != first)]
    np.savez(tmp_path / "d.npz", **{name: forms[name] for name in names}, y_train=few[1])
    found = data.load(tmp_path / "d.npz").train
    assert found.image_shape == (14, 28)
    assert f"{tmp_path / 'd.npz'} also holds x_train, which is not used" in found.notes


def test_one_set_may_have_a_name_of_its_own(tmp_path, few):
    np.savez(tmp_path / "d.npz", mnist_images=few[0], mnist_labels=few[1])
    np.testing.assert_array_equal(data.load(tmp_path / "d.npz").train.labels, few[1])


def test_the_only_array_of_a_file_are_images_whatever_its_name(tmp_path, few):
    path, rows = tmp_path / "d.npz", few[0][:, 7].reshape(300, -1).repeat(3, axis=1)
    for images in (few[0], rows[:, :64]):
        np.savez(path, images)
        found = data.load_digits(path)
        np.testing.assert_array_equal(found.images, images.reshape(300, -1))
        assert found.labels is None
    np.savez(path, rows[:, :63])  # which could be labels
    with pytest.raises(DataError, match="holds arr_0, but no array is called"):
        data.load_digits(path)


def test_compressed_data_may_grow_to_the_limit():
    """16 MiB always, and 50 times their size if that is more."""
    streams.check_growth("it", 2**24, 1)
    streams.check_growth("it", 50 * 2**20, 2**20)
    for unpacked, packed in ((2**24 + 1, 1), (50 * 2**20 + 1, 2**20), (2**32 + 1, 2**32)):
        with pytest.raises(DataError, match="more than the limit"):
            streams.check_growth("it", unpacked, packed)
