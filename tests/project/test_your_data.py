"""Every line of docs/your-data.md reads what it says, and its Python runs."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import layouts, table_layouts
from helpers.digit_files import csv_bytes, npz_bytes
from helpers.layouts import IMAGES, LABELS, LETTERS, TEST, TRAIN, folder
from helpers.mnist import ROOT

from mnistgpu import data
from mnistgpu.errors import DataError

PAGE = (ROOT / "docs" / "your-data.md").read_text()
LINES = re.findall(r"^mnistgpu train --data (\S+)(?: --orientation (\S+))?", PAGE, re.MULTILINE)


def parts_of(pattern: str) -> dict[str, np.ndarray]:
    """Arrays to train on, for the test and for the validation, by their names."""
    return {
        pattern.format(part, kind): array[some]
        for part, some in (("train", TRAIN), ("test", TEST), ("val", TEST))
        for kind, array in (("images", IMAGES), ("labels", LABELS[:, None]))
    }


def npy_folder() -> dict[str, bytes]:
    return {f"arrays/{name}.npy": layouts.npy_bytes(each) for name, each in layouts.KERAS.items()}


CUT = {side: table_layouts.SMALL[side][TRAIN].reshape(60, -1) for side in table_layouts.SMALL}
FILES = {
    "mnist": layouts.within("mnist", layouts.PLAIN),
    "mnist/train-images-idx3-ubyte": layouts.within("mnist", layouts.PLAIN),
    "kaggle-mnist": layouts.within("kaggle-mnist", layouts.DOTS),
    "torchvision": layouts.within("torchvision/MNIST/raw", layouts.ZIPPED),
    "mnist.zip": {"mnist.zip": layouts.zip_bytes(**layouts.PLAIN)},
    "qmnist": layouts.within("qmnist", layouts.qmnist()),
    "emnist/emnist-letters": layouts.within(
        "emnist", layouts.emnist("letters", LETTERS) | layouts.emnist("digits")
    ),
    "gzip.zip/emnist-letters": {
        "gzip.zip": layouts.zip_bytes(
            **layouts.within("gzip", layouts.emnist("letters", LETTERS) | layouts.emnist("digits"))
        )
    },
    "mine.npz": {
        "mine.npz": npz_bytes(**layouts.four("x_{}", "y_{}", IMAGES.swapaxes(1, 2), LABELS))
    },
    "train.csv": {"train.csv": layouts.kaggle()},
    "digit-recognizer": layouts.within("digit-recognizer", table_layouts.UNLABELLED),
    "digit-recognizer.zip": {"digit-recognizer.zip": layouts.zip_bytes(**table_layouts.UNLABELLED)},
    "train.csv.gz": {"train.csv.gz": layouts.gzip.compress(layouts.kaggle())},
    "digits.tsv": {"digits.tsv": table_layouts.spread("\t")},
    "optdigits.tra": {"optdigits.tra": csv_bytes(CUT[8], LABELS[TRAIN], "last", header=False)},
    "a-z.csv": {"a-z.csv": table_layouts.mangled()},
    "digits.parquet": {"digits.parquet": None},
    "mnist.npz": {"mnist.npz": npz_bytes(**layouts.KERAS)},
    "pathmnist.npz": {"pathmnist.npz": npz_bytes(**parts_of("{}_{}"))},
    "my.npz": {"my.npz": npz_bytes(**layouts.one_set("X", "y"))},
    "kmnist": layouts.within("kmnist", layouts.parts_of_kmnist()),
    "arrays": npy_folder(),
    "images.npy": {
        "images.npy": layouts.npy_bytes(IMAGES[TRAIN]),
        "labels.npy": layouts.npy_bytes(LABELS[TRAIN]),
    },
}


def test_every_line_of_the_page_is_tried():
    assert {path for path, _ in LINES} == FILES.keys()


@pytest.mark.parametrize(("path", "orientation"), LINES)
def test_a_line_of_the_page(tmp_path, monkeypatch, path, orientation):
    monkeypatch.chdir(tmp_path)
    if path.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow is missing")
        table_layouts.frame().to_parquet(path)
    else:
        folder(**FILES[path])(Path())
    found = data.load(path, orientation or "by-name")
    expected = CUT[8] if path == "optdigits.tra" else IMAGES[TRAIN].reshape(60, -1)
    np.testing.assert_array_equal(found.train.images, expected)
    np.testing.assert_array_equal(found.train.labels, LABELS[TRAIN])
    if path == "emnist/emnist-letters":
        said = re.search("```text\ndata      (.*)\n```", PAGE)[1]
        assert said == found.train.notes[0].replace("emnist/", "", 1).replace(
            "-letters", "", 1
        ) or (said in found.train.notes)


def test_the_python_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    numbers = (np.arange(80) % 26 + 1).astype(np.uint8)
    folder(**layouts.within("emnist", layouts.emnist("letters", numbers)))(Path())
    (code,) = re.findall("```python\n(.*?)```", PAGE, re.DOTALL)
    with pytest.warns(UserWarning, match="EMNIST is stored transposed"):
        exec(code.replace("epochs=1", "epochs=1, batch_size=10, progress=False"), {})
    shown = capsys.readouterr().out
    assert shown.startswith("('A', 'B', 'C', ")
    assert "EMNIST is stored transposed: its images are turned upright" in shown
    assert re.search(r"\[('[A-Z]' ?){5}\]", shown), shown


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("d.pkl", b"x", "can run code while it is read; load it where you trust it, and save with"),
        ("d.pkl.gz", b"x", "format .pkl are not read: it can run code"),
        ("training.pt", b"x", "can run code while it is read"),
        ("d.mat", b"x", "format .mat are not read: read it with scipy.io.loadmat, and save with"),
        ("d.h5", b"x", "read it with h5py, and save with numpy.savez"),
        ("d.xlsx", b"x", "read it with pandas.read_excel"),
        ("d.tar.gz", b"x", "unpack it"),
    ],
)
def test_what_is_refused(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(said)):
        data.load(tmp_path / name)
