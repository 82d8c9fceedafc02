"""npz files that are damaged or mistaken: each is refused in one sentence."""

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

BAD = {
    "npz of nothing": (file("d.npz", b"\0"), r"d\.npz: a damaged npz file .*; copy it again"),
    "npz is IDX": (file("d.npz", idx_bytes(IMAGES)), r"d\.npz: a damaged npz file .*savez"),
    "npz cut": (file("d.npz", npz_bytes(**PAIR)[:-30]), r"d\.npz: a damaged npz file"),
    "npz without members": (file("d.npz", zip_bytes()), "holds no training images; .*x_train"),
    "npz renamed": (
        file("d.npz", npz_bytes(images=IMAGES, y_train=LABELS)),
        r"d\.npz: holds 'images\.npy', .*; rename it or leave it out",
    ),
    "npz and more": (file("d.npz", npz_bytes(**PAIR, z=LABELS)), r"holds 'z\.npy', .*leave it out"),
    "npz of one array": (file("d.npz", npy_bytes(IMAGES)), r"d\.npz: a damaged npz file"),
    "npz climbing": (
        file("d.npz", zip_bytes(X, ("../y_train.npy", Y[1]))),
        r"holds '\.\./y_train\.npy'",
    ),
    "npz absolute": (file("d.npz", zip_bytes(X, ("/y_train.npy", Y[1]))), "holds '/y_train.npy'"),
    "npz folder": (file("d.npz", zip_bytes(X, ("x_train/", b""))), "holds 'x_train/'"),
    "npz without suffix": (file("d.npz", zip_bytes(X, ("y_train", Y[1]))), "holds 'y_train', but"),
    "npz twice": (file("d.npz", zip_bytes(X, Y, X)), "holds x_train twice; write"),
    "npz without labels": (
        file("d.npz", npz_bytes(x_train=IMAGES)),
        "train: looks like .*add the labels",
    ),
    "npz without images": (
        file("d.npz", npz_bytes(y_train=LABELS)),
        "holds y_train without x_train; add",
    ),
    "npz test labels alone": (
        file("d.npz", npz_bytes(**PAIR, y_test=LABELS)),
        "holds y_test without x_test; add the images",
    ),
    "npz other counts": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=LABELS[:4])),
        r"d\.npz, train: 6 images, but 4 labels; take",
    ),
    "npz floats": (
        file("d.npz", npz_bytes(x_train=IMAGES / 255, y_train=LABELS)),
        r"x_train: float64 of shape \(6, 28, 28\), but images are uint8 .*; convert",
    ),
    "npz flat": (
        file("d.npz", npz_bytes(x_train=ROWS, y_train=LABELS)),
        r"x_train: uint8 of shape \(6, 784\), but images are .*; convert",
    ),
    "npz float labels": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=LABELS / 1)),
        r"y_train: float64 of shape \(6,\), but labels are whole numbers .*; convert",
    ),
    "npz one-hot labels": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=np.eye(10, dtype=np.uint8)[LABELS])),
        r"y_train: uint8 of shape \(6, 10\), but labels are .*; convert",
    ),
    "npz negative label": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=LABELS - np.int8(1))),
        r"y_train\[1\]: the label -1 is not one of 0 to 9; correct",
    ),
    "npz label 257": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=LABELS.astype(int) + 257)),
        r"y_train\[0\]: the label 262 is not one of 0 to 9; correct",
    ),
    "npz objects": (
        file("d.npz", npz_bytes(x_train=IMAGES, y_train=np.array([{}] * 6, dtype=object))),
        r"y_train\.npy, byte 10: the header does not describe an array of plain numbers; save",
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
        r"x_train\.npy, byte 10: declares the shape \(0, 28, 28\), which is empty; save",
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
        r"d\.npz: a damaged npz file .*CRC-32.*; copy it again",
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
