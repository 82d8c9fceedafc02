"""IDX files that are damaged or mistaken, plain and gzipped: each is refused in one sentence."""

import gzip

import numpy as np
import pytest
from helpers.bad_digit_files import (
    IMAGES,
    IMAGES_FILE,
    LABELS,
    LABELS_FILE,
    check_refusal,
    file,
    folder,
)
from helpers.digit_files import idx_bytes

ZIPPED = gzip.compress(idx_bytes(IMAGES))
AGAIN = "copy or download it again"

BAD = {
    "magic": (
        folder(b"PK\3\4" + bytes(40)),
        rf"{IMAGES_FILE}, byte 0: begins with 50 4b 03 04, but an IDX file of images begins with "
        "00 00 08 03; give IDX files",
    ),
    "magic of labels": (
        folder(None, b"PK\3\4" + bytes(40)),
        rf"{LABELS_FILE}, byte 0: .* an IDX file of labels begins with 00 00 08 01; give IDX",
    ),
    "short magic": (folder(b"\0\0"), rf"{IMAGES_FILE}, byte 0: begins with 00 00, .*give"),
    "int32 type": (
        folder(b"\0\0\x0c\3" + idx_bytes(IMAGES)[4:]),
        rf"byte 4,720 .* declares 6x28x28, 18,832 bytes in all, but .* 4,720; {AGAIN}",
    ),
    "unknown type": (
        folder(b"\0\0\x07\3" + idx_bytes(IMAGES)[4:]),
        "byte 0: begins with 00 00 07 03.*give",
    ),
    "labels in columns": (
        folder(None, idx_bytes(np.zeros((6, 3), np.uint8))),
        r"byte 8: declares 6x3 labels, but .* the 8 of QMNIST; save the class alone",
    ),
    "header cut": (folder(idx_bytes(IMAGES)[:11]), rf"{IMAGES_FILE}, byte 11: .*header.*{AGAIN}"),
    "cut": (
        folder(idx_bytes(IMAGES)[:-1]),
        rf"{IMAGES_FILE}, byte 4,719 .* declares 6x28x28, 4,720 bytes .* has 4,719; {AGAIN}",
    ),
    "too long": (
        folder(None, idx_bytes(LABELS) + b"\0"),
        rf"{LABELS_FILE}, byte 14 .* declares 6, 14 bytes .* has 15; {AGAIN}",
    ),
    "swapped": (
        folder(idx_bytes(LABELS), idx_bytes(IMAGES)),
        rf"{IMAGES_FILE}, byte 3: .* labels, where images are expected; .* exchange",
    ),
    "labels are images": (
        folder(None, idx_bytes(IMAGES)),
        rf"{LABELS_FILE}, byte 3: .* images, where labels are expected; .* exchange",
    ),
    "labels alone": (file("x-labels-idx1", idx_bytes(LABELS)), "x-labels-idx1, byte 3: .*give"),
    "other counts": (
        folder(None, idx_bytes(LABELS[:5])),
        "train: 6 images, but 5 labels; take both files from one set|train: 6 .* 5 labels; take",
    ),
    "no images": (
        folder(idx_bytes(IMAGES[:0]), idx_bytes(LABELS[:0])),
        rf"{IMAGES_FILE}, byte 4: declares 0x28x28 images.*give",
    ),
    "no columns": (folder(idx_bytes(IMAGES[:, :, :0])), "byte 12: declares 6x28x0 images.*give"),
    "no labels": (
        folder(None, idx_bytes(LABELS[:0])),
        rf"{LABELS_FILE}, byte 4: declares 0 .*give",
    ),
    "claims 2^32 images": (
        folder(idx_bytes(IMAGES, (2**32 - 1, 28, 28))),
        rf"{IMAGES_FILE}, byte 4,720 .* 3,367,254,359,296 bytes in all, but .* 4,720; {AGAIN}",
    ),
    "claims 2^96 pixels": (folder(idx_bytes(IMAGES, (2**32 - 1,) * 3)), rf"byte 4,720 .*{AGAIN}"),
    "test images differ": (
        folder(None, None, idx_bytes(IMAGES[:, :14, :]), idx_bytes(LABELS)),
        "test: images of 14x28, but .* have 28x28; take both from one set",
    ),
    "labels missing": (
        folder(None, b""),
        "train: looks like test.csv.*; use it with predict.* add",
    ),
    "test labels missing": (folder(None, None, idx_bytes(IMAGES)), "test: looks like .* add"),
    "test images missing": (
        folder(None, None, b"", idx_bytes(LABELS)),
        "t10k-labels-idx1-ubyte: has no images; add t10k-images-idx3-ubyte",
    ),
    "test pair alone": (
        folder(b"", b"", idx_bytes(IMAGES), idx_bytes(LABELS)),
        "holds no training images; add train-images-idx3-ubyte",
    ),
    "foreign file": (file("notes.dat", b"\x07Dear diary"), "notes.dat, byte 0: .*give .*csv or a"),
    "notes": (file("notes.txt", b"Dear diary"), "notes.txt, line 1: 2 cells.*; save such a table"),
    # gzip
    "gzip cut": (folder(ZIPPED[:-9]), rf"{IMAGES_FILE}: the gzip data break off at byte .*{AGAIN}"),
    "gzip without its end": (
        folder(ZIPPED[:-1]),
        rf"{IMAGES_FILE}: .* break off at byte .*{AGAIN}",
    ),
    "gzip header alone": (folder(b"\x1f\x8b\x08"), rf"break off at byte 3, .*{AGAIN}"),
    "gzip of nothing": (
        folder(gzip.compress(b"")),
        rf"{IMAGES_FILE}, byte 0: begins with , .*give",
    ),
    "gzip checksum": (
        folder(ZIPPED[:-8] + bytes([ZIPPED[-8] ^ 1]) + ZIPPED[-7:]),
        "gzip data are damaged before byte .*copy or download the file again",
    ),
    "gzip and more": (
        folder(ZIPPED + b"\0"),
        f"foreign bytes follow the gzip data at byte {len(ZIPPED):,}; copy",
    ),
    "gzip twice": (folder(ZIPPED * 2), f"follow the gzip data at byte {len(ZIPPED):,}; copy"),
    "gzip in gzip": (folder(gzip.compress(ZIPPED)), "byte 0: begins with 1f 8b 08 00.*give"),
    "gzip of too little": (
        folder(gzip.compress(idx_bytes(IMAGES)[:-5])),
        rf"{IMAGES_FILE}, byte 4,715 \(unpacked\): .* 4,720 bytes .* they end there; {AGAIN}",
    ),
    "gzip of too much": (
        folder(gzip.compress(idx_bytes(IMAGES) + b"\0")),
        rf"{IMAGES_FILE}, byte 4,720 \(unpacked\): .* but more follow; {AGAIN}",
    ),
    "gzip claims 2^32 images": (
        folder(gzip.compress(idx_bytes(IMAGES, (2**32 - 1, 28, 28)))),
        rf"{IMAGES_FILE}: .* compressed bytes claim to hold 3,367,254,359,296, .* check where",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_idx_files(tmp_path, case):
    check_refusal(tmp_path, *BAD[case])
