"""Drawings that are kept with their labels, and drawings that are refused."""

import json

import numpy as np
import pytest
from helpers.command import run
from helpers.pictures import drawing
from helpers.web import ask, body_of, says

from mnistgpu import data
from mnistgpu.errors import DataError, UsageError
from mnistgpu.pictures import preparing
from mnistgpu.web.keep import Kept

pytest.importorskip("mnistgpu.web.draw", reason="starlette is missing")


@pytest.mark.slow
def test_a_corrected_drawing_can_be_trained_on(keeping):
    address, folder = keeping
    for count, label in enumerate((7, 1, 7), 1):
        status, text, _ = ask(address, path="/keep", body=body_of(1, label=label))
        assert (status, json.loads(text)) == (
            200,
            {"kept": count, "path": str(folder / "train.csv")},
        )
    assert json.loads(ask(address, path="/about", method="GET")[1])["kept"] == 3
    dataset = data.load(folder)
    assert dataset.train.labels.tolist() == [7, 1, 7]
    assert (dataset.train.images == preparing.prepare(drawing(1, 64).astype(float))).all()
    assert [path.name for path in folder.iterdir()] == ["train.csv"]
    again = Kept(folder, (28, 28))  # a later session goes on where this one ended
    assert (again.count, again.add(dataset.train.images[0], 4)) == (3, 4)
    done = run(
        "train", "--data", folder, "--validation", 0, "--iterations", 2, "--out", folder / "r"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"label": 10}, "from 0 to 9"),
        ({"label": -1}, "from 0 to 9"),
        ({"label": "7"}, "from 0 to 9"),
        ({"label": True}, "from 0 to 9"),
        ({}, "from 0 to 9"),
        ({"label": 7, "pixels": [0] * 64**2}, "no digit found"),
    ],
)
def test_what_is_not_kept(keeping, change, sentence):
    address, folder = keeping
    status, error = says(address, path="/keep", body=body_of(1) | change)
    assert (status, sentence in error) == (422, True)
    assert not folder.exists()


def test_a_folder_that_cannot_be_written(keeping):
    address, folder = keeping
    folder.write_text("a file is in the way")
    status, error = says(address, path="/keep", body=body_of(1, label=1))
    assert status == 409
    assert str(folder) in error


def test_a_server_that_keeps_nothing_says_how(address):
    status, error = says(address, path="/keep", body=body_of(1, label=1))
    assert (status, "--keep FOLDER" in error) == (409, True)


def test_a_table_from_elsewhere_is_not_replaced(tmp_path):
    (tmp_path / "train.csv").write_text("label,1x1\n3,0\n")
    with pytest.raises(DataError, match="name another folder"):
        Kept(tmp_path, (28, 28))
    with pytest.raises(UsageError, match="is a file"):
        Kept(tmp_path / "train.csv", (28, 28))
    with pytest.raises(UsageError, match="but this network reads 8x9; leave it out"):
        Kept(tmp_path / "new", (8, 9))


def test_drawings_are_kept_in_a_folder_that_is_there(tmp_path):
    """Also after its table was moved elsewhere: then a new one begins."""
    kept, image = Kept(tmp_path, (28, 28)), np.arange(784).astype(np.uint8)
    for _ in range(2):
        assert (kept.add(image, 3), kept.add(image, 9)) == (1, 2)
        found = data.load_digits(kept.path)
        assert (found.labels.tolist(), len(found)) == ([3, 9], 2)
        assert (found.images == image).all()
        kept.path.unlink()
