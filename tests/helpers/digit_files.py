"""Writers of the formats that `mnistgpu.data` reads, independent of its readers."""

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
    """An IDX file of uint8, whose header may be told to lie about the shape."""
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
