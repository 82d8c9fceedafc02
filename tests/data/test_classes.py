"""Labels as people have them: numbers from anywhere, names, categories, one-hot rows."""

import numpy as np
import pandas as pd
import pytest

from mnistgpu.data import classes
from mnistgpu.data.classes import coded, names_of
from mnistgpu.errors import DataError, ShapeError

Y = np.array([0, 3, 9, 3, 1])
LETTERS = ["a", "d", "j", "d", "b"]


@pytest.mark.parametrize(
    "labels",
    [
        Y,
        Y.astype(np.uint8),
        Y.astype(np.float32),
        Y.astype(object),
        Y[:, None],
        Y.tolist(),
        [0, 3, 9.0, 3, True],
        np.eye(10)[Y],
        np.eye(10, dtype=bool)[Y],
        np.eye(10, dtype=np.uint8)[Y],
        pd.Series(Y).astype("category"),
        pd.Series(Y, dtype="Int64"),
    ],
)
def test_digits_are_their_own_names(labels):
    found = coded(labels, "y")
    assert found.labels.dtype == np.uint8
    assert found.labels.tolist() == Y.tolist()
    assert found.classes == ()


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([1, 2, 10], (1, 2, 10)),
        ([-1, 5, 300], (-1, 5, 300)),
        ([0, 10, 46], (0, 10, 46)),
        ([10.0, 20.0, 30.0], (10, 20, 30)),
        (np.array([10, 20, 30], dtype=np.float16), (10, 20, 30)),
        ([0, 1, 2**62 - 1], (0, 1, 2**62 - 1)),
        (["a", "b", "c"], ("a", "b", "c")),
        (np.array([b"a", b"b", b"c"]), ("a", "b", "c")),
        (["2", "9", "10"], ("2", "9", "10")),
        (np.array(["a", 7, 10], dtype=object), ("10", "7", "a")),
        (pd.Series(["x", "y", "z"], dtype="category"), ("x", "y", "z")),
        (pd.Categorical(["x", "y", "z"], categories=["z", "y", "x", "w"]), ("x", "y", "z")),
        (np.array(["x", "y", "z"], dtype=np.dtypes.StringDType()), ("x", "y", "z")),
        (["é", "ü", "漢"], ("é", "ü", "漢")),
    ],
)
def test_other_labels_are_numbered_in_the_order_of_their_names(labels, names):
    found = coded(labels, "y")
    assert found.classes == names
    back = names_of(found.classes, found.labels)
    assert [str(each) for each in back] == [
        each.decode() if isinstance(each, bytes) else str(each).removesuffix(".0")
        for each in np.asarray(labels, dtype=object).tolist()
    ]


def test_one_hot_rows_of_other_than_ten_columns_say_how_many_classes_there_are():
    assert coded(np.eye(3)[[2, 0]], "y").classes == (0, 1, 2)
    assert coded(np.eye(26)[[25, 0]], "y").labels.tolist() == [25, 0]


def test_names_come_back_as_strings_or_integers():
    assert names_of((), np.array([1, 2])).tolist() == [1, 2]
    of_numbers = names_of((3, 700), np.array([1, 0]))
    assert (of_numbers.dtype, of_numbers.tolist()) == (np.int64, [700, 3])
    assert names_of(("a", "bcd"), np.array([1, 0])).tolist() == ["bcd", "a"]


def test_labels_are_looked_up_among_known_classes():
    known = tuple("abcdefghij")
    assert coded(LETTERS, "y", known).labels.tolist() == Y.tolist()
    assert coded(np.eye(10)[Y], "y", known).labels.tolist() == Y.tolist()
    assert coded([30, 10], "y", (10, 20, 30)).labels.tolist() == [2, 0]
    assert coded(["30", "10"], "y", (10, 20, 30)).labels.tolist() == [2, 0]
    assert coded([7, 3], "y", ("3", "7")).labels.tolist() == [1, 0]
    assert coded(["7", "3"], "y", ()).labels.tolist() == [7, 3]
    assert coded([12, 3], "y", ()).labels.tolist() == [12, 3]  # refused by the outputs of the net


@pytest.mark.parametrize(
    ("labels", "known", "words"),
    [
        (
            ["a", "x"],
            ("a", "b"),
            "y: label 'x' of image 1 is none of the classes, a, b; leave such",
        ),
        ([5, 1], (1, 2), "label 5 of image 0 is none of the classes, 1, 2"),
        ([1, -2], (), "label -2 of image 1 is none of the classes, 0, 1, 2, ..."),
        (["1", "b"], (), "label 'b' of image 1"),
        ([256], (), "label 256 of image 0"),
        ([1, 300], (), "label 300 of image 1 is none of the classes, 0, 1, 2, ..., at most 255"),
        (np.eye(3), ("a", "b"), "one-hot rows of 3, but there are 2 classes, a, b"),
    ],
)
def test_labels_that_are_no_known_class_are_named(labels, known, words):
    with pytest.raises(DataError) as error:
        coded(labels, "y", known)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        ([1.5, 2], DataError, "y: the label of image 0 is 1.5, not whole"),
        ([1, 2.0**53], DataError, "the label of image 1 is 9.0072e+15, not whole"),
        ([1, np.nan], DataError, "the label of image 1 is missing (nan)"),
        ([1, np.inf], DataError, "the label of image 1 is inf"),
        (np.array(["a", None], dtype=object), DataError, "the label of image 1 is missing"),
        (pd.Series(["a", None], dtype="string"), DataError, "the label of image 1 is missing"),
        (pd.Series([1, None], dtype="Int64"), DataError, "the label of image 1 is missing"),
        (np.array([1, float("nan")], dtype=object), DataError, "image 1 is missing"),
        (["a", ""], DataError, "is ''; names have 1 to 100 characters that can be printed"),
        (["a", "b\x1b[2J"], DataError, "characters that can be printed"),
        (["a", "b" * 101], DataError, "names have 1 to 100"),
        (np.array([1, {}], dtype=object), DataError, "whole numbers or strings, one for each"),
        (np.array([1, 2.5], dtype=object), DataError, "is '2.5' of the type float"),
        (np.zeros(3, complex), DataError, "not complex128; number the classes or name them"),
        (np.zeros(3, "timedelta64[s]"), DataError, "not timedelta64[s]"),
        (np.zeros((3, 4, 5)), ShapeError, "(N,), (N, 1) or, of one-hot rows, (N, classes), not"),
        (np.int64(3), ShapeError, "not ()"),
        ([[0, 1, 1], [0, 1, 0]], ShapeError, "rows of 3 are taken only if each is one-hot"),
        ([[0.2, 0.8], [0.5, 0.5]], ShapeError, "of probabilities give y.argmax(axis=1)"),
        ([["a", "b"], ["c", "d"]], ShapeError, "taken only if each is one-hot"),
        (np.eye(300), DataError, "one-hot rows of 300, but there may be 256 classes"),
        ([0, 2**62], DataError, "labels of 2^62 and more are too large; give them as strings"),
        (np.array([0, 2**63], dtype=np.uint64), DataError, "labels of 2^62 and more are too large"),
        (np.arange(300), DataError, "300 different labels, such as 0, 1, 2, 3, 4, ..., 298, 299"),
    ],
)
def test_what_is_no_label_is_refused(labels, kind, words):
    with pytest.raises(kind) as error:
        coded(labels, "y")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("labels", "names", "outputs", "expected", "kept"),
    [
        ([3, 7, 3], (), 10, [3, 7, 3], ()),  # a part of MNIST keeps its ten outputs
        ([3, 7, 3], (), 2, [0, 1, 0], (3, 7)),  # unless the layers say so
        ([0, 1, 0], (), 2, [0, 1, 0], ()),
        ([3, 7, 3], (), 5, [3, 7, 3], ()),  # which is refused later
        ([0, 1, 0], (3, 12), 2, [0, 1, 0], (3, 12)),
        ([0, 1, 0], (3, 12), 13, [3, 12, 3], ()),  # numbers below the outputs may stay
        ([0, 1, 0], (3, 12), 12, [0, 1, 0], (3, 12)),  # which is refused later
        ([0, 1, 0], ("a", "b"), 5, [0, 1, 0], ("a", "b")),
        ([0, 1, 0], (-1, 1), 5, [0, 1, 0], (-1, 1)),
    ],
)
def test_labels_for_the_outputs_that_the_layers_say(labels, names, outputs, expected, kept):
    found = classes.outputs_of(np.array(labels, np.uint8), names, outputs)
    assert (found.labels.tolist(), found.classes) == (expected, kept)
    again = classes.outputs_of(found.labels, found.classes, outputs)
    assert (again.labels.tolist(), again.classes) == (expected, kept)  # as a resumed run does


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "ab",
        ["a"],
        ["a", "b", "a"],
        ["a", "a"],
        ["a", 1],
        [1.5, 2],
        [True, False],
        ["a", ""],
        [1, 2**70],
        {},
    ],
)
def test_classes_in_a_file_are_as_many_different_names_as_outputs(wrong):
    assert classes.check_names(["a", "b"], "f", 2) == ("a", "b")
    assert classes.check_names([7, -3], "f", 2) == (7, -3)
    with pytest.raises(DataError, match=r"^f: "):
        classes.check_names(wrong, "f", 2)
