"""npz files that are damaged or mistaken: each is refused in one sentence."""

import gzip
import struct
import zipfile

import numpy as np
import pytest
from helpers.bad_digit_files import (
    IMAGES,
    LABELS,
    PAIR,
    ROWS,
    X,
    Y,
    check_refusal,
    file,
    npy_bytes,
    npy_header,
    patched,
    zip_bytes,
    zip_of_raw,
)
from helpers.digit_files import idx_bytes, npz_bytes

from mnistgpu import data
from mnistgpu.errors import DataError

BEYOND = (LABELS.astype("u4") + 0x110000).view("U1")  # Unicode ends at 0x10FFFF
BAD = {
    "npz of nothing": (file("d.npz", b"\0"), r"d\.npz: a damaged npz file .*; copy it again"),
    "npz is IDX": (file("d.npz", idx_bytes(IMAGES)), r"d\.npz: a damaged npz file .*savez"),
    "npz cut": (file("d.npz", npz_bytes(**PAIR)[:-30]), r"d\.npz: a damaged npz file"),
    "npz without members": (file("d.npz", zip_bytes()), "holds no training images; .*x_train"),
    "npz renamed": (
        file("d.npz", npz_bytes(images=IMAGES, y_train=LABELS)),
        r"d\.npz: holds y_train without its images; add the images",
    ),
    "npz of unknown arrays": (
        file("d.npz", npz_bytes(a=IMAGES, b=IMAGES, c=LABELS)),
        r"d\.npz: holds a, b, c, but no array is called x_train, .* or alike; save them under",
    ),
    "npz of unknown arrays of other counts": (
        file("d.npz", npz_bytes(a=IMAGES, b=LABELS[:4])),
        r"d\.npz: holds a, b, but no array is called x_train, .* or alike; save them under",
    ),
    "npz of labels as text without end": (
        file("d.npz", npz_bytes(True, x_train=IMAGES, y_train=np.full(2**20 + 1, b"a"))),
        r"y_train\.npy: 1,048,577 labels as text, but the limit is 1,048,576; save them as numbers",
    ),
    "npz of as many labels as text as can be": (
        file("d.npz", npz_bytes(True, x_train=IMAGES, y_train=np.full(2**20, b"a"))),
        r"d\.npz, train: 6 images, but 1,048,576 labels; take",
    ),
    "npz with two of a kind": (
        file("d.npz", npz_bytes(**PAIR, train_images=IMAGES[:5])),
        r"d\.npz: holds x_train, train_images, of which only one can be meant; leave",
    ),
    "npz of two sets": (
        file("d.npz", npz_bytes(mnist_x=IMAGES, mnist_y=LABELS, kmnist_x=IMAGES, kmnist_y=LABELS)),
        r"d\.npz: holds several sets, kmnist, mnist; save one of them alone with numpy\.savez",
    ),
    "npz of one array": (file("d.npz", npy_bytes(IMAGES)), r"d\.npz: a damaged npz file"),
    "npz folder": (file("d.npz", zip_bytes(X, ("y_train/", b""))), "no label"),
    "npz without suffix": (file("d.npz", zip_bytes(X, ("y_train", Y[1]))), "no label"),
    "npz twice": (file("d.npz", zip_bytes(X, Y, X)), "holds 'x_train' twice; write"),
    "npz of a long name twice": (
        file("d.npz", zip_bytes(X, ("a" * 99 + ".npy", Y[1]), ("a" * 99 + ".npy", Y[1]))),
        f"holds '{'a' * 60}' twice; write",
    ),
    "npz without labels": (
        file("d.npz", npz_bytes(x_train=IMAGES)),
        "train: looks like .*add the labels",
    ),
    "npz without images": (
        file("d.npz", npz_bytes(y_train=LABELS)),
        "holds y_train, but no array is called x_train, .* or alike; save",
    ),
    "npz test labels alone": (
        file("d.npz", npz_bytes(**PAIR, y_test=LABELS)),
        "holds y_test without its images; add the images",
    ),
    "npz other counts": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=LABELS[:4])),
        r"d\.npz, train: 6 images, but 4 labels; take",
    ),
    "npz of more labels": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=np.tile(LABELS, 7))),
        r"d\.npz, train: 6 images, but 42 labels; take both from one set",
    ),
    "npz of standardised pixels": (
        file("d.npz", npz_bytes(x_train=ROWS / 127.5 - 1, y_train=LABELS)),
        r"train: floats from -1 to 1, but grey levels are not negative",
    ),
    "npz of one number for each image": (
        file("d.npz", npz_bytes(x_train=LABELS, y_train=LABELS)),
        r"train: images must have the shape \(N, pixels\), .*, not \(6,\)",
    ),
    "npz of probabilities": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=np.full((6, 10), 0.1))),
        r"labels: labels must have the shape \(N,\), .* each is one-hot",
    ),
    "npz of fractions": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=LABELS / 2)),
        r"labels: the label of image 0 is 2\.5, not whole",
    ),
    "npz objects": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=np.array([{}] * 6, dtype=object))),
        r"y_train\.npy, byte 10: .* plain numbers; objects could run code: .*\.astype\(str\)",
    ),
    "npz of text beyond Unicode": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=BEYOND)),
        r"y_train\.npy: text that is not in Unicode; save the labels as numbers",
    ),
    "npz of bytes beyond ASCII": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=np.array([b"\xff"] * 6))),
        r"y_train\.npy: text that is not in Unicode; save the labels as numbers",
    ),
    "npz records": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=np.zeros(6, "u1,u1"))),
        r"y_train\.npy, byte 10: the header does not describe",
    ),
    "npz scalar": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=np.uint8(3))),
        r"y_train\.npy, byte 10: the header does not describe",
    ),
    "npz of no images": (
        file("d.npz", npz_bytes(x_train=IMAGES[:0], y_train=LABELS[:0])),
        r"x_train\.npy, byte 10: declares uint8 of shape \(0, 28, 28\), which is empty; save",
    ),
    "npz version": (
        file("d.npz", zip_bytes(("x_train.npy", npy_bytes(IMAGES, version=(2, 0))), Y)),
        r"x_train\.npy, byte 0: not an array in numpy's format 1\.0; write",
    ),
    "npz empty member": (
        file("d.npz", zip_bytes(("x_train.npy", b""), Y)),
        r"x_train\.npy, byte 0",
    ),
    "npz evaluated header": (
        file("d.npz", zip_bytes(("x_train.npy", npy_bytes(IMAGES, b"(" * 60_000)), Y)),
        r"x_train\.npy, byte 10: the header does not describe",
    ),
    "npz claims more": (
        file(
            "d.npz",
            zip_bytes(("x_train.npy", npy_bytes(IMAGES, npy_header(shape=(10**11,) * 3))), Y),
        ),
        r"x_train\.npy, byte 10: declares uint8 .* bytes in all, where 4,\d\d\d are stored; write",
    ),
    "npz claims less": (
        file(
            "d.npz", zip_bytes(("x_train.npy", npy_bytes(IMAGES, npy_header(shape=(5, 28, 28)))), Y)
        ),
        r"x_train\.npy, byte 10: declares uint8 of shape \(5, 28, 28\)",
    ),
    "npz lzma": (
        file("d.npz", zip_bytes(X, Y, compression=zipfile.ZIP_LZMA)),
        "compressed by a method",
    ),
    "npz bzip2": (
        file("d.npz", zip_bytes(X, Y, compression=zipfile.ZIP_BZIP2)),
        "compressed by a method",
    ),
    "npz damaged inside": (
        file("d.npz", npz_bytes(**PAIR).replace(IMAGES.tobytes(), IMAGES[::-1].tobytes())),
        r"d\.npz: a damaged npz file .*CRC-32.*; copy it again, or write it again with numpy",
    ),
    "npz encrypted": (
        file("d.npz", patched(npz_bytes(**PAIR), b"PK\1\2", 8, b"\1")),
        r"d\.npz: a damaged npz file .* is encrypted.*; copy it again",
    ),
    "npz name in no encoding": (
        file(
            "d.npz",
            patched(patched(npz_bytes(**PAIR), b"PK\1\2", 9, b"\x08"), b"PK\1\2", 46, b"\xff"),
        ),
        r"d\.npz: a damaged npz file",
    ),
    "npz directory before the start": (
        file("d.npz", patched(npz_bytes(**PAIR), b"PK\5\6", 12, b"\xff\xff\xff\x7f")),
        r"d\.npz: a damaged npz file",
    ),
    "npz member beyond the end": (
        file(
            "d.npz", zip_of_raw(X[0].encode(), b"", 9, 2**32 - 1, struct.pack("<HHQ", 1, 8, 2**63))
        ),
        r"d\.npz: a damaged npz file",
    ),
    "npz member far beyond the end": (
        file(
            "d.npz", zip_of_raw(X[0].encode(), b"", 9, 2**32 - 1, struct.pack("<HHQ", 1, 8, 2**62))
        ),
        r"d\.npz: a damaged npz file",
    ),
    "npz member without end": (
        file(
            "d.npz",
            zip_of_raw(
                X[0].encode(),
                b"\1\xff\xff\0\0" + npy_bytes(IMAGES, npy_header(shape=(60, 28, 28))),
                10 + len(npy_header(shape=(60, 28, 28))) + 60 * 784,
                claimed=2**31 - 1,
            ),
        ),
        r"d\.npz: a damaged npz file",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_npz_files(tmp_path, case):
    check_refusal(tmp_path, *BAD[case])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (npy_bytes(IMAGES)[:-3], r"x\.npy\.gz: ends 3 bytes too early; write it again with numpy"),
        (npy_bytes(IMAGES) + b"1", r"x\.npy\.gz: more follows the array that it declares; write"),
    ],
)
def test_a_packed_array_of_another_length_is_refused(tmp_path, content, sentence):
    """Only at its end is it known how long what is packed is."""
    path = tmp_path / "x.npy.gz"
    path.write_bytes(gzip.compress(npy_bytes(IMAGES)))
    assert np.array_equal(data.load_digits(path).images, ROWS)
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=sentence):
        data.load_digits(path)


def test_any_byte_but_0_is_true(tmp_path):
    """Of an array of truth values, as other programs write them."""
    raw = np.tile(np.array([0, 1, 2, 255], dtype=np.uint8), 6 * 784 // 4).reshape(6, 28, 28)
    (tmp_path / "x.npy").write_bytes(npy_bytes(raw.view(bool)))
    found = data.load_digits(tmp_path / "x.npy").images
    assert np.array_equal(found, np.where(raw > 0, 255, 0).reshape(6, 784))
