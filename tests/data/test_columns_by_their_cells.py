"""Tables without a header, or as parquet: which column is what, and what is refused."""

import importlib.util
import zipfile

import numpy as np
import pytest

from mnistgpu import data
from mnistgpu.errors import DataError

CHANCE = np.random.default_rng(7)


def pixels(count):
    """Images of 8x8 pixels in which no column could be labels or count up."""
    return CHANCE.integers(100, 256, (count, 64))


def written(path, *columns):
    rows = np.column_stack(columns)
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return path


@pytest.mark.parametrize("begin", [0, 1])
def test_a_first_column_that_counts_beyond_all_classes_numbers_the_images(tmp_path, begin):
    X = pixels(63)
    found = data.load_digits(written(tmp_path / "t.csv", begin + np.arange(63), X))
    assert np.array_equal(found.images, X)
    assert found.labels is None
    assert found.ids.values.tolist() == [*range(begin, begin + 63)]
    assert any("first column counts up: it numbers the images" in note for note in found.notes)


def test_a_shorter_column_that_counts_could_be_labels(tmp_path):
    path = written(tmp_path / "t.csv", np.arange(62), pixels(62))
    with pytest.raises(DataError, match="line 1: the first column counts up, as labels or as num"):
        data.load_digits(path)


@pytest.mark.parametrize(
    ("first", "last", "side"),
    [
        ([0, 1], [200, 201], "first"),
        ([200, 255], [0, 1], "last"),
        ([9, 3], [61, 5], "first"),  # below 10, and the other one is not
        ([61, 5], [0, 0], "first"),  # a corner that is always paper
        ([0, 0], [61, 5], "last"),
        ([0, 0], [0, 0], "first"),  # one class
    ],
)
def test_labels_are_told_from_corner_pixels(tmp_path, first, last, side):
    inner = pixels(2)[:, :63]
    found = data.load_digits(written(tmp_path / "t.csv", first, inner, last))
    at_first = side == "first"
    names = [int(found.classes[label]) if found.classes else label for label in found.labels]
    assert names == (first if at_first else last)
    expected = np.column_stack((inner, last) if at_first else (first, inner))
    assert np.array_equal(found.images, expected)
    assert any(f"the {side} column is taken as the labels" in note for note in found.notes)


@pytest.mark.parametrize(
    ("first", "last", "sentence"),
    [
        ([9, 3], [9, 3], "line 1: the first and the last column could both be labels; add a hea"),
        ([61, 11], [10, 3], "line 1: the first and the last column could both be labels"),
        ([62, 1], [200, 1], "line 1: neither the first nor the last column looks like labels"),
        (["300", "1"], ["0", "1"], "line 1, column 1: '300' is not a whole number from 0 to 255"),
        (["7", "256"], ["0", "1"], "line 2, column 1: '256' is not a whole number from 0 to 255"),
    ],
)
def test_columns_that_do_not_tell_are_refused(tmp_path, first, last, sentence):
    path = written(tmp_path / "t.csv", first, pixels(2)[:, :63], last)
    with pytest.raises(DataError, match=sentence):
        data.load_digits(path)


def test_under_a_header_that_counts_lines_are_named_as_they_stand_in_the_file(tmp_path):
    path = written(tmp_path / "t.csv", ["7", "256"], pixels(2)[:, :63], ["0", "1"])
    path.write_text(",".join(map(str, range(65))) + "\n" + path.read_text())
    with pytest.raises(DataError, match="line 3, column 1: '256' is not a whole number from 0 to"):
        data.load_digits(path)


@pytest.mark.parametrize(
    ("folder", "is_turned"),
    [("emnist-letters", True), ("emnist/mine", False), ("mine", False), ("mine/emnist", True)],
)
def test_only_the_folder_of_a_file_says_that_it_is_of_emnist(tmp_path, folder, is_turned):
    """Not one further up, where other sets may lie too."""
    X, labels = pixels(3), np.array([1, 3, 2])
    (tmp_path / folder).mkdir(parents=True)
    found = data.load_digits(written(tmp_path / folder / "train.csv", labels, X))
    upright = X.reshape(3, 8, 8).swapaxes(1, 2).reshape(3, 64) if is_turned else X
    assert np.array_equal(found.images, upright)
    assert any("EMNIST is stored transposed" in note for note in found.notes) == is_turned


@pytest.mark.parametrize(("orientation", "is_turned"), [("by-name", False), ("transposed", True)])
def test_arrays_of_emnist_may_have_been_turned_before(tmp_path, orientation, is_turned):
    X = pixels(3).astype(np.uint8)
    np.save(tmp_path / "emnist-letters.npy", X.reshape(3, 8, 8))
    found = data.load_digits(tmp_path / "emnist-letters.npy", orientation=orientation)
    expected = X.reshape(3, 8, 8).swapaxes(1, 2).reshape(3, 64) if is_turned else X
    assert np.array_equal(found.images, expected)
    said = any("taken as it stands in this file; if its letters" in note for note in found.notes)
    assert said != is_turned


@pytest.mark.parametrize(
    ("name", "labels", "letters"),
    [
        ("emnist-letters", [1, 26, 3], "AZC"),
        ("emnist-balanced", [0, 46, 11], "0tB"),
        ("emnist-byclass", [0, 61, 11], "0zB"),
        ("emnist-digits", [1, 9, 3], None),
        ("emnist-letters", [0, 25, 3], None),  # numbered otherwise
        ("emnist-letters", [1, 27, 3], None),
        ("emnist-balanced", [0, 47, 11], None),
        ("letters", [1, 26, 3], None),
    ],
)
def test_labels_of_emnist_are_letters_if_they_are_numbered_as_its_authors_did(
    tmp_path, name, labels, letters
):
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine" / f"{name}.npz"
    np.savez(path, x_train=pixels(3).astype(np.uint8), y_train=labels)
    found = data.load(path).train
    names = [found.classes[label] if found.classes else label for label in found.labels]
    assert names == (labels if letters is None else list(letters))


@pytest.fixture
def table(tmp_path):
    """Writes a parquet table of these columns."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow", reason="pyarrow is missing")

    def write(columns):
        path = tmp_path / "t.parquet"
        pd.DataFrame(columns).to_parquet(path)
        return path

    return write


def columns_of(X):
    return {f"pixel{i}": column for i, column in enumerate(X.T)}


def test_a_parquet_table_may_have_ids_labels_or_neither(table):
    X, labels = pixels(3), np.array([2, 0, 1])
    plain = data.load_digits(table(columns_of(X)))
    assert plain.labels is None
    assert plain.ids is None
    both = data.load_digits(table({"id": np.array([7, 8, 9]), "label": labels} | columns_of(X)))
    assert both.ids.values.tolist() == [7, 8, 9]
    assert both.labels.tolist() == labels.tolist()
    ends = data.load_digits(table({"id": [7, 8, 9]} | columns_of(X) | {"label": labels}))
    assert ends.ids.values.tolist() == [7, 8, 9]
    last = data.load_digits(table(columns_of(X) | {"label": labels}))
    for found in (ends, last):
        assert found.labels.tolist() == labels.tolist()
    for found in (plain, both, ends, last):
        assert np.array_equal(found.images, X)


def test_what_is_no_parquet_table_of_digits_is_refused(table, tmp_path, monkeypatch):
    path = table(columns_of(pixels(3)) | {"pixel63": ["a", "b", "c"]})
    with pytest.raises(DataError, match=r"cells that are no numbers \(object\); save the table"):
        data.load_digits(path)
    path = table({"image": [{"bytes": "text"}] * 2, "label": [0, 1]})
    with pytest.raises(DataError, match="it holds no bytes"):
        data.load_digits(path)
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("train.parquet", path.read_bytes())
    with pytest.raises(DataError, match=r"parquet in an archive; unpack .*t\.zip first"):
        data.load(str(tmp_path / "t.zip"))
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pyarrow" else find(name)
    )
    with pytest.raises(DataError, match=r"parquet needs pyarrow \(pip install pyarrow\); or save"):
        data.load_digits(path)


@pytest.mark.parametrize("number", [["0"], ["0", "1", "2"]])
def test_names_and_numbers_are_mixed_if_the_names_are_as_many(tmp_path, number):
    def table(labels):
        header = ",".join(["label", *(f"pixel{i}" for i in range(64))])
        rows = [",".join([label, *map(str, row)]) for label, row in zip(labels, X, strict=True)]
        path = tmp_path / "t.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    X, names = pixels(2 * len(number)), [f"letter {each}" for each in number]
    assert data.load_digits(table(number + names)).classes == (*number, *names)
    X = X[1:]
    if len(number) > 1:
        with pytest.raises(DataError, match=f"'{names[1]}' is not a whole number, as most labels"):
            data.load_digits(table(number + names[1:]))
