"""The same digits in every layout that people use: eighty of MNIST, sixty of them to train on.

A layout is a function that writes files under a folder and returns the path to give, with what the
notes must say (a regular expression), and whether it has the test part.
"""

import gzip
import io
import string
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.digit_files import csv_bytes, idx_bytes, npz_bytes
from helpers.mnist import read_idx

IMAGES = read_idx("train-images-idx3-ubyte", 80).reshape(80, 28, 28)
LABELS = read_idx("train-labels-idx1-ubyte", 80)
TRAIN, TEST = slice(0, 60), slice(60, 80)
FLAT = IMAGES.reshape(80, 784)
TURNED = np.ascontiguousarray(IMAGES.swapaxes(1, 2))
FLOATS = (IMAGES / 255).astype(np.float32)
ONE_HOT = np.eye(10)[LABELS]
LETTERS = LABELS + 1  # A to J, as EMNIST numbers them


class Layout(NamedTuple):
    write: Callable[[Path], Path]
    said: str = ""
    has_test: bool = True
    labels: np.ndarray = LABELS  # as numbers 0, 1, 2, ...
    classes: tuple = ()
    images: np.ndarray = IMAGES


def folder(**contents: bytes) -> Callable[[Path], Path]:
    """A folder of these files; __ in a name stands for a dot, and // for a folder."""

    def write(path: Path) -> Path:
        for name, content in contents.items():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return path

    return write


def given(name: str, **contents: bytes) -> Callable[[Path], Path]:
    """One of these files, or a folder, among others."""
    return lambda path: folder(**contents)(path) / name


def idx_set(images: str, labels: str, pack=bytes, turned=False, numbers=LABELS) -> dict[str, bytes]:
    """Four IDX files, whose names are made of these patterns, {} being the part."""
    stored = TURNED if turned else IMAGES
    words = ("train", "test") if "emnist" in images or "qmnist" in images else ("train", "t10k")
    files = {}
    for word, part in zip(words, (TRAIN, TEST), strict=True):
        files[images.format(word)] = pack(idx_bytes(stored[part]))
        files[labels.format(word)] = pack(idx_bytes(np.ascontiguousarray(numbers[part])))
    return files


def zip_bytes(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


def npy_bytes(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def qmnist_labels(labels: np.ndarray) -> bytes:
    """QMNIST's table of eight whole numbers for each image, the class first."""
    table = np.zeros((len(labels), 8), dtype=">i4")
    table[:, 0], table[:, 1:] = labels, np.arange(1000, 1007)
    return b"\0\0\x0c\2" + np.array(table.shape, ">u4").tobytes() + table.tobytes()


def kaggle(part=TRAIN, **options) -> bytes:
    return csv_bytes(FLAT[part], LABELS[part], **options)


# IDX

PLAIN = idx_set("{}-images-idx3-ubyte", "{}-labels-idx1-ubyte")
DOTS = idx_set("{}-images.idx3-ubyte", "{}-labels.idx1-ubyte")
ZIPPED = idx_set("{}-images-idx3-ubyte.gz", "{}-labels-idx1-ubyte.gz", gzip.compress)
EMNIST = "emnist-{set}-{{}}-{kind}-ubyte.gz"


def emnist(name: str, numbers=LABELS) -> dict[str, bytes]:
    names = (EMNIST.format(set=name, kind=kind) for kind in ("images-idx3", "labels-idx1"))
    return idx_set(*names, gzip.compress, turned=True, numbers=numbers)


def qmnist() -> dict[str, bytes]:
    files = {}
    for word, part in (("train", TRAIN), ("test", TEST)):
        files[f"qmnist-{word}-images-idx3-ubyte.gz"] = gzip.compress(idx_bytes(IMAGES[part]))
        files[f"qmnist-{word}-labels-idx2-int.gz"] = gzip.compress(qmnist_labels(LABELS[part]))
    return files


def within(parent: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{parent}/{name}": content for name, content in files.items()}


AB = tuple(string.ascii_uppercase[:10])
TURN = "EMNIST is stored transposed: its images are turned upright"
IDX = {
    "MNIST's four files": Layout(folder(**PLAIN)),
    "the four files, gzipped": Layout(folder(**ZIPPED)),
    "plain files beside the gzipped ones": Layout(folder(**PLAIN, **ZIPPED)),
    "a dot before idx3": Layout(folder(**DOTS)),
    "a folder for each file": Layout(
        folder(**{f"{name}/{name}": content for name, content in PLAIN.items()})
    ),
    "files, and folders of the same names": Layout(
        folder(**DOTS, **{f"{name}/{name}": content for name, content in PLAIN.items()})
    ),
    "torchvision's root": Layout(
        folder(**within("MNIST/raw", PLAIN | ZIPPED)), r"the data are in .*MNIST.raw"
    ),
    "torchvision's MNIST": Layout(folder(**within("raw", PLAIN)), "the data are in .*raw"),
    "a zip of the four files": Layout(given("d.zip", **{"d.zip": zip_bytes(**DOTS)})),
    "a zip of a folder": Layout(
        given("d.zip", **{"d.zip": zip_bytes(**within("mnist", ZIPPED))}), "the data are in .*mnist"
    ),
    "a zip in a folder": Layout(folder(**{"archive.zip": zip_bytes(**PLAIN)}), "archive.zip is"),
    "one file with its labels beside it": Layout(
        given("train-images-idx3-ubyte", **PLAIN),
        "t10k-images-idx3-ubyte lies beside it and is not used; give the folder",
        has_test=False,
    ),
    "EMNIST's digits": Layout(folder(**emnist("digits")), TURN),
    "EMNIST's letters": Layout(folder(**emnist("letters", LETTERS)), TURN, classes=AB),
    "one of EMNIST's sets": Layout(
        given("emnist-letters", **emnist("letters", LETTERS), **emnist("byclass")),
        TURN,
        classes=AB,
    ),
    "EMNIST's archive": Layout(
        given("gzip.zip", **{"gzip.zip": zip_bytes(**within("gzip", emnist("letters", LETTERS)))}),
        TURN,
        classes=AB,
    ),
    "EMNIST balanced": Layout(
        folder(**emnist("balanced", LABELS + 30)),
        TURN,
        classes=("U", "V", "W", "X", "Y", "Z", "a", "b", "d", "e"),
    ),
    "QMNIST": Layout(folder(**qmnist())),
}

# npz and npy


def npz(compressed=False, **arrays) -> Callable[[Path], Path]:
    return given("d.npz", **{"d.npz": npz_bytes(compressed, **arrays)})


def four(x: str, y: str, images=IMAGES, labels=LABELS) -> dict[str, np.ndarray]:
    """Arrays whose names are made of these patterns."""
    return {
        pattern.format(word): array[part]
        for word, part in (("train", TRAIN), ("test", TEST))
        for pattern, array in ((x, images), (y, labels))
    }


def one_set(x: str, y: str, images=IMAGES) -> dict[str, np.ndarray]:
    return {x: images[TRAIN], y: LABELS[TRAIN]}


def parts_of_kmnist() -> dict[str, bytes]:
    return {
        f"kmnist-{word}-{kind}.npz": npz_bytes(True, arr_0=array[part])
        for word, part in (("train", TRAIN), ("test", TEST))
        for kind, array in (("imgs", IMAGES), ("labels", LABELS))
    }


RGB = np.repeat(IMAGES[..., None], 3, axis=3)
KERAS = four("x_{}", "y_{}")
ARRAYS = {
    "Keras": Layout(npz(**KERAS)),
    "Keras, compressed": Layout(npz(True, **KERAS)),
    "X_train": Layout(npz(**four("X_{}", "y_{}"))),
    "X_train and Y_train": Layout(npz(**four("X_{}", "Y_{}"))),
    "train_images": Layout(npz(**four("{}_images", "{}_labels"))),
    "train_x": Layout(npz(**four("{}_x", "{}_y"))),
    "trainX": Layout(npz(**four("{}X", "{}Y"))),
    "xtrain": Layout(npz(**four("x{}", "y{}"))),
    "train/images": Layout(npz(**four("{}/images", "{}/labels"))),
    "images and labels": Layout(npz(**one_set("images", "labels")), "taken as train", False),
    "image and label": Layout(npz(**one_set("image", "label")), "taken as train", False),
    "X and y": Layout(npz(**one_set("X", "y")), "X and y are taken as train", False),
    "data and target": Layout(npz(**one_set("data", "target", FLAT)), "taken as train", False),
    "features and targets": Layout(
        npz(**one_set("features", "targets", FLAT)), "taken as train", False
    ),
    "without names": Layout(npz(**one_set("arr_0", "arr_1")), "arr_0 and arr_1 are taken", False),
    "without names, with a test": Layout(
        npz(**dict(zip(("arr_0", "arr_1", "arr_2", "arr_3"), KERAS.values(), strict=True))),
        "arr_2 and arr_3 are taken as test",
    ),
    "without names, images first": Layout(
        npz(arr_0=IMAGES[TRAIN], arr_1=IMAGES[TEST], arr_2=LABELS[TRAIN], arr_3=LABELS[TEST]),
        "arr_1 and arr_3 are taken as test",
    ),
    "floats from 0 to 1": Layout(npz(**four("x_{}", "y_{}", FLOATS)), "0 .paper. to 1"),
    "rows of pixels": Layout(npz(**four("x_{}", "y_{}", FLAT))),
    "a channel at the end": Layout(npz(**four("x_{}", "y_{}", IMAGES[..., None]))),
    "a channel before": Layout(npz(**four("x_{}", "y_{}", IMAGES[:, None]))),
    "colours": Layout(npz(**four("x_{}", "y_{}", RGB)), "colours are converted to grey"),
    "int64": Layout(npz(**four("x_{}", "y_{}", IMAGES.astype(">i8"), LABELS.astype(">i8")))),
    "one-hot labels": Layout(npz(**four("x_{}", "y_{}", IMAGES, ONE_HOT))),
    "labels (N, 1)": Layout(npz(**four("x_{}", "y_{}", IMAGES, LABELS[:, None]))),
    "float labels": Layout(npz(**four("x_{}", "y_{}", IMAGES, LABELS.astype(float)))),
    "labels as text": Layout(
        npz(**four("x_{}", "y_{}", IMAGES, LABELS.astype(str))), classes=tuple("0123456789")
    ),
    "names as text": Layout(npz(**four("x_{}", "y_{}", IMAGES, np.array(AB)[LABELS])), classes=AB),
    "names as bytes": Layout(
        npz(**four("x_{}", "y_{}", IMAGES, np.array(AB)[LABELS].astype("S"))), classes=AB
    ),
    "MedMNIST, with more": Layout(
        npz(**four("{}_images", "{}_labels"), info=np.arange(3)), "also holds info, which is not"
    ),
    "scikit-learn's load_digits": Layout(
        npz(
            data=FLAT[TRAIN], target=LABELS[TRAIN], images=IMAGES[TRAIN], target_names=np.arange(10)
        ),
        "also holds data, target_names, which",
        has_test=False,
    ),
    "KMNIST": Layout(folder(**parts_of_kmnist())),
    "KMNIST's file to train on": Layout(
        given("kmnist-train-imgs.npz", **parts_of_kmnist()), "lies beside it", has_test=False
    ),
    "a folder of npy": Layout(
        folder(**{f"{name}.npy": npy_bytes(array) for name, array in KERAS.items()})
    ),
    "X.npy and y.npy": Layout(
        folder(**{"X.npy": npy_bytes(IMAGES[TRAIN]), "y.npy": npy_bytes(LABELS[TRAIN])}), "", False
    ),
    "images.npy with labels.npy beside it": Layout(
        given(
            "images.npy",
            **{"images.npy": npy_bytes(FLAT[TRAIN]), "labels.npy": npy_bytes(LABELS[TRAIN])},
        ),
        "",
        False,
    ),
    "an npz in a folder": Layout(folder(**{"mnist.npz": npz_bytes(**KERAS)}), "mnist.npz is read"),
}
