"""Which file, and which column of a table, is read where there is a choice."""

import gzip

import numpy as np
import pytest
from helpers.digit_files import FOLDER_NAMES, csv_bytes, idx_bytes

from mnistgpu import data
from mnistgpu.data import streams
from mnistgpu.errors import DataError


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


def test_compressed_data_may_grow_to_the_limit():
    """16 MiB always, and 50 times their size if that is more."""
    streams.check_growth("it", 2**24, 1)
    streams.check_growth("it", 50 * 2**20, 2**20)
    for unpacked, packed in ((2**24 + 1, 1), (50 * 2**20 + 1, 2**20), (2**32 + 1, 2**32)):
        with pytest.raises(DataError, match="more than the limit"):
            streams.check_growth("it", unpacked, packed)
