"""Writers of the formats that `mnistgpu.data` reads, independent of its readers, and a check."""

import gzip
import io
import struct

import numpy as np

FOLDER_NAMES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}


def idx_bytes(array: np.ndarray, shape: tuple[int, ...] | None = None) -> bytes:
    """An IDX file of uint8. With `shape` its header declares that instead of the true shape."""
    shape = array.shape if shape is None else shape
    return (
        b"\0\0\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()
    )


def csv_bytes(images, labels=None, label="first", header=True, end="\n", pixel="pixel{}") -> bytes:
    """A table of images (N, 784); labels first or last; pixel names by a pattern."""
    names = [pixel.format(i) for i in range(images.shape[1])]
    rows = [list(map(str, image)) for image in images]
    if labels is not None:
        at = 0 if label == "first" else len(names)
        names.insert(at, "label")
        for row, digit in zip(rows, labels, strict=True):
            row.insert(at, str(digit))
    return "".join(",".join(row) + end for row in ([names] if header else []) + rows).encode()


def npz_bytes(compressed=False, **arrays) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


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
