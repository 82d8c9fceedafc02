"""Folders, archives and files of which nobody can tell what is meant: each gets its sentence."""

import re

import numpy as np
import pytest
from helpers.digit_files import csv_bytes, idx_bytes, npz_bytes
from helpers.layouts import (
    FLAT,
    IMAGES,
    KERAS,
    LABELS,
    PLAIN,
    TRAIN,
    folder,
    given,
    kaggle,
    npy_bytes,
    zip_bytes,
)

from mnistgpu import data
from mnistgpu.errors import DataError

ALONE = csv_bytes(FLAT[TRAIN])
NUMBERS = b"label\n" + b"".join(b"%d\n" % label for label in LABELS[TRAIN])
MANY = np.tile(IMAGES, (4, 1, 1))
TWO = zip_bytes(**{"a.csv": b"", "b.csv": b""})
BAD = {
    "two tables": (
        folder(**{"a.csv": kaggle(), "b.csv": kaggle()}),
        r"holds .*a\.csv, .*b\.csv, and no name says which is to train on; give one of them",
    ),
    "two tables to train on": (
        folder(**{"train_1.csv": kaggle(), "train_100.csv": kaggle()}),
        r"train_1\.csv, .*train_100\.csv: each could be the train table of .*; give one file, or",
    ),
    "labels in a table of their own": (
        folder(**{"X_train.csv": ALONE, "y_train.csv": NUMBERS}),
        r"y_train\.csv: labels without their pixels; join the two by pandas\.concat",
    ),
    "labels alone": (
        folder(**{"y_train.npy": npy_bytes(LABELS)}),
        r"y_train\.npy: has no images; add train-images-idx3-ubyte beside it, or whatever",
    ),
    "a file of another program alone": (
        folder(**{"mnist.mat": b"MATLAB 5.0", "README.md": b"mine"}),
        r"mnist\.mat: files of the format \.mat are not read: read it with scipy\.io\.loadmat, and",
    ),
    "several sets": (
        folder(**{f"{name}-{file}": PLAIN[file] for name in ("a", "b") for file in PLAIN}),
        "holds several sets; give one of .*/a, .*/b$",
    ),
    "several sets in an archive": (
        given(
            "d.zip",
            **{
                "d.zip": zip_bytes(
                    **{f"it/{name}-{file}": PLAIN[file] for name in "ab" for file in PLAIN}
                )
            },
        ),
        r"d\.zip, it: holds several sets; give one of .*d\.zip/a, .*d\.zip/b$",
    ),
    "a set that an archive has not": (
        given("d.zip/c", **{"d.zip": zip_bytes(**PLAIN)}),
        r"d\.zip/c: cannot be read \(Not a directory\); check the path",
    ),
    "several folders": (
        folder(**{f"{name}/{file}": PLAIN[file] for name in ("a", "b") for file in PLAIN}),
        "holds several sets of data, .*/a, .*/b; give one of them",
    ),
    "a zip of pictures": (
        given("d.zip", **{"d.zip": zip_bytes(**{"0/a.png": b"x"})}),
        r"d\.zip: holds neither .* \(if it holds pictures, unpack it, and give the folder\)",
    ),
    "a zip in a zip": (
        given("d.zip", **{"d.zip": zip_bytes(**{"mnist.npz": npz_bytes(**KERAS)})}),
        r"d\.zip, mnist\.npz: an archive in an archive; unpack .*d\.zip, and give the folder",
    ),
    "npz of one array in a zip": (
        given(
            "d.zip",
            **{"d.zip": zip_bytes(**{"train-images.npz": npz_bytes(a=IMAGES), "y.npy": b""})},
        ),
        r"train-images\.npz: an archive in an archive; unpack .*d\.zip first",
    ),
    "a file twice in a zip": (
        given(
            "d.zip", **{"d.zip": zip_bytes(**{"a.csv": b"", "b.csv": b""}).replace(b"b.c", b"a.c")}
        ),
        r"d\.zip: holds a file twice; zip it again",
    ),
    "two tables in train.csv.zip": (
        given("train.csv.zip", **{"train.csv.zip": TWO}),
        r"train\.csv\.zip: holds 2 files, where one table is expected; unpack it, and give",
    ),
    "damaged zip": (
        given("d.zip", **{"d.zip": zip_bytes(**PLAIN)[:-30]}),
        r"d\.zip: a damaged zip file .*; copy or download it again",
    ),
    "a web page": (
        given("train.csv", **{"train.csv": b"<!DOCTYPE html><html></html>"}),
        r"train\.csv: is a web page and no data; download the file itself",
    ),
    "a pointer of Git LFS": (
        folder(**{"train-images-idx3-ubyte": b"version https://git-lfs.github.com/spec/v1\n"}),
        "is a pointer of Git LFS and no data; fetch the file by git lfs pull",
    ),
    "images in the last dimension": (
        given("d.npz", **{"d.npz": npz_bytes(X=MANY.transpose(1, 2, 0), y=np.tile(LABELS, 4))}),
        r"28 images, but 320 labels; the images are in the last dimension: save np\.moveaxis",
    ),
    "validation images of another size": (
        given("d.npz", **{"d.npz": npz_bytes(**KERAS, x_val=IMAGES[:, :9], y_val=LABELS)}),
        "validation: images of 9x28, but those to train on have 28x28; take both from one set",
    ),
    "npy of objects": (
        given("X.npy", **{"X.npy": npy_bytes(np.array([{}], dtype=object))}),
        r"X\.npy, byte 10: .*; objects could run code: save numbers",
    ),
    "npy that is longer": (
        given("X.npy", **{"X.npy": npy_bytes(IMAGES) + b"\0"}),
        r"X\.npy, byte 10: declares uint8 of shape .*; write it again with numpy\.save",
    ),
    "npy of nothing": (
        given("X.npy", **{"X.npy": npy_bytes(IMAGES[:0])}),
        r"X\.npy, byte 10: declares uint8 of shape \(0, 28, 28\), which is empty",
    ),
    "labels of another set": (
        folder(**{"X.npy": npy_bytes(IMAGES), "y.npy": npy_bytes(LABELS[:7])}),
        "train: 80 images, but 7 labels; take both from one set",
    ),
    "test images without labels": (
        folder(**{name: PLAIN[name] for name in PLAIN if "t10k-labels" not in name}),
        "test: looks like test.csv, 784 pixels and no label.*add the labels",
    ),
    "IDX of one image, and no word for it": (
        given("digits", digits=idx_bytes(IMAGES)),
        "digits: looks like test.csv, 784 pixels and no label; use it with predict or submit",
    ),
    "parquet cut": (
        given("d.parquet", **{"d.parquet": b"PAR1" + bytes(40)}),
        r"d\.parquet: (a damaged parquet file|parquet needs pyarrow) .*(copy it|to_csv)",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_nobody_can_tell(tmp_path, case):
    write, said = BAD[case]
    path = write(tmp_path)
    with pytest.raises(DataError) as caught:
        data.load(path)
    assert re.search(said, str(caught.value)), caught.value
    assert str(tmp_path) in str(caught.value)


def test_a_folder_with_more_than_is_read(tmp_path):
    """What lies there and is not taken is named; notes, mappings and samples are not."""
    names = ("README.md", "emnist-mapping.txt", "sample_submission.csv", ".DS_Store")
    folder(**PLAIN, **dict.fromkeys(names, b"x"), **{f"{i}.csv": b"x" for i in range(7)})(tmp_path)
    (note,) = data.load(tmp_path).train.notes
    assert (
        note
        == f"{tmp_path} also holds 0.csv, 1.csv, 2.csv, 3.csv, 4.csv and 2 more, which is not used"
    )
