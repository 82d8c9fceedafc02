"""Labels as people have them: the answers are by the names that were given."""

import numpy as np
import pandas as pd
import pytest

import mnistgpu
from mnistgpu import DataError, UsageError

SMALL = {"layers": "784-16-10", "init": "he", "epochs": 2, "batch_size": 50, "alpha": 0.1}
HIDDEN = {"init": "he", "epochs": 3, "batch_size": 50, "alpha": 0.1}  # the other layers follow


def of_numpy(values):
    return values


def of_strict(values):
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    return strict.asarray(values)


BOTH = pytest.mark.parametrize("put", [of_numpy, of_strict])

NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
LABELS = {
    "strings": lambda y: NAMES[y],
    "list of strings": lambda y: NAMES[y].tolist(),
    "categories": lambda y: pd.Series(NAMES[y]).astype("category"),
    "digits as strings": lambda y: y.astype(str),
    "from 1": lambda y: y + 1,
    "with gaps": lambda y: y.astype(np.int64) * 7 - 20,
    "floats from 1": lambda y: y + 1.0,
    "column": lambda y: (y + 1)[:, None],
}


@pytest.mark.parametrize("name", LABELS)
def test_answers_are_by_the_names_that_were_given(arrays, tmp_path, name):
    images, digits = arrays
    labels = LABELS[name](digits)
    run = mnistgpu.fit(images, labels, out=tmp_path / "run", **HIDDEN)
    plain = mnistgpu.fit(images, digits, **HIDDEN)
    model = mnistgpu.load(run.directory)
    assert model == run.model
    names = sorted(set(np.ravel(labels).tolist()))
    assert list(model.classes) == names
    assert plain.model.classes == tuple(range(10))
    if name in ("digits as strings", "from 1", "floats from 1", "column", "with gaps"):
        # the same order, so the same network
        assert np.array_equal(model.predict_proba(images), plain.model.predict_proba(images))
    answers = model.predict(images)
    flat = np.ravel(labels)
    accuracy = np.mean(answers.astype(flat.dtype) == flat)
    assert accuracy == model.evaluate(images, labels).accuracy > 0.6
    best = model.predict_proba(images).argmax(axis=1)
    assert [names[each] for each in best] == answers.tolist()


@BOTH
def test_labels_of_other_libraries(arrays, put):
    images, digits = arrays
    expected = mnistgpu.fit(images, digits, **SMALL).model
    assert mnistgpu.fit(put(images), put(digits.astype(np.int64)), **SMALL).model == expected
    assert mnistgpu.fit(put(images), put(digits.astype(np.float64)), **SMALL).model == expected
    one_hot = np.eye(10, dtype=np.float32)[digits]
    assert mnistgpu.fit(put(images), put(one_hot), **SMALL).model == expected
    from_1 = mnistgpu.fit(put(images), put(digits.astype(np.int64) + 1), **SMALL).model
    assert from_1.predict(images[:5]).tolist() == (expected.predict(images[:5]) + 1).tolist()


def test_the_first_and_the_last_layer_follow_the_data(arrays, capsys):
    images, digits = arrays
    few = digits < 3
    small = images[few][:, ::2, ::2]
    run = mnistgpu.fit(small, NAMES[digits[few]], recipe="fast", epochs=1, progress=True)
    assert run.settings.layers == "196-192-96-3"
    out = capsys.readouterr().out
    assert "the layers are 196-192-96-3, since the images have 14x14 pixels and 3 classes" in out
    ten = mnistgpu.fit(images, digits, recipe="fast", epochs=1)
    assert ten.settings.layers == "784-192-96-10"


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ("784-16-4", "ends with 4, but arrays has 3 classes, one, two, zero: end it with 3"),
        ("784-16-2", "end it with 3"),
        ("100-16-3", r"begin it with 784"),
    ],
)
def test_given_layers_that_do_not_fit_are_refused_with_what_fits(arrays, layers, words):
    few = arrays[1] < 3
    with pytest.raises(UsageError, match=words):
        mnistgpu.fit(arrays[0][few], NAMES[arrays[1][few]], layers=layers, epochs=1)


def test_a_part_of_the_digits_keeps_ten_outputs_unless_the_layers_say_how_many_there_are(arrays):
    two = np.isin(arrays[1], (3, 7))
    images, labels = arrays[0][two], arrays[1][two]
    with pytest.warns(UserWarning, match=r"8 of the 10 outputs have no image to learn from \(0, "):
        ten = mnistgpu.fit(images, labels, **SMALL)
    assert ten.model.classes == tuple(range(10))
    both = mnistgpu.fit(images, labels, **SMALL | {"layers": "784-16-2"})
    assert both.model.classes == (3, 7)
    assert set(both.model.predict(images).tolist()) == {3, 7}
    assert both.model.evaluate(images, labels).accuracy > 0.9


def test_labels_of_a_test_set_are_those_of_the_training(arrays):
    three = HIDDEN | {"layers": "784-16-3"}
    images, digits = arrays
    some = digits < 3
    images, names = images[some], NAMES[digits[some]]
    run = mnistgpu.fit(images, names, test=(images[:50], names[:50]), **three)
    assert run.test_accuracy == run.model.evaluate(images[:50], names[:50]).accuracy > 0.8
    with pytest.raises(
        DataError, match=r"test\[1\]: label 'four' of image 1 is none of the classe"
    ):
        mnistgpu.fit(images, names, test=(images[:2], ["one", "four"]), **three)
    with pytest.raises(DataError, match="y: label 'four' of image 0 is none of the classes"):
        run.model.evaluate(images[:1], ["four"])


def test_one_class_is_nothing_to_learn(arrays):
    with pytest.raises(
        UsageError, match="all labels are 'a'; a network needs at least two classes"
    ):
        mnistgpu.fit(arrays[0], ["a"] * 900, epochs=1)
    with pytest.warns(UserWarning, match="all 810 labels are 4: a network learns to answer that"):
        mnistgpu.fit(arrays[0], [4] * 900, **SMALL)
