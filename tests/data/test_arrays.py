"""Sets made of arrays or by hand: their parts agree, or are refused with the line that mends it."""

import sys

import numpy as np
import pytest

from mnistgpu.data import Dataset, Digits, arrays
from mnistgpu.data.levels import OURS, Levels
from mnistgpu.errors import DataError, ShapeError, UsageError

SOME = Digits(np.zeros((3, 6), np.uint8), np.array([0, 1, 2], np.uint8), "here", (2, 3))


@pytest.fixture
def pixels():
    """Three images of 2 x 3 pixels."""
    return np.array(
        [[0, 1, 254, 255, 128, 7], [9, 8, 7, 6, 5, 4], [255, 0, 0, 0, 0, 0]], dtype=np.uint8
    )


@pytest.mark.parametrize("kind", ["uint8", "int16", "int64", "uint64", "float32"])
@pytest.mark.parametrize("shape", [(3, 6), (3, 2, 3), (3, 2, 3, 1), (3, 1, 2, 3)])
def test_images_of_any_type_and_shape(pixels, kind, shape):
    images, notes = arrays.as_images(pixels.astype(kind).reshape(shape), SOME)
    assert images.dtype == np.uint8
    assert images.tolist() == pixels.tolist()
    assert notes == ()


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_floats_from_0_to_1_are_grey_levels(kind):
    every = np.arange(256).reshape(4, 64)
    images = arrays.as_digits((every / 255).astype(kind)).images
    assert images.dtype == np.uint8
    assert images.tolist() == every.tolist()
    between = arrays.as_digits(np.array([[0.001, 0.003, 0.499, 0.999]]).astype(kind)).images
    assert between.tolist() == [[0, 1, 127, 255]]


def test_the_given_array_stays_writable_and_strided_ones_are_copied(pixels):
    labels = np.array([0, 1, 2], dtype=np.uint8)
    made = arrays.as_digits(pixels, labels)
    assert pixels.flags.writeable
    assert labels.flags.writeable
    assert not made.images.flags.writeable
    assert not made.labels.flags.writeable
    assert np.shares_memory(made.images, pixels)
    turned = arrays.as_digits(np.asfortranarray(pixels)[::-1])
    assert turned.images.tolist() == pixels[::-1].tolist()
    assert turned.images.flags.c_contiguous


@pytest.mark.parametrize("values", [np.array([[0, 200], [90, 4]]), np.zeros((2, 2), np.uint8)])
def test_masked_pixels_are_paper_and_that_is_said(values):
    masked = np.ma.masked_array(values, mask=[[False, True], [True, False]])
    made = arrays.as_digits(masked)
    assert made.images.tolist() == [[0, 0], [0, values[1, 1]]]
    assert made.notes == ("X: 2 masked pixels are read as paper",)
    white = Digits(made.images, None, "", (1, 2), levels=Levels(255, 0))
    assert arrays.as_images(masked, white)[0].tolist() == [[255, 0], [0, 255 - values[1, 1]]]
    unmasked = np.ma.masked_array(values)
    assert arrays.as_digits(unmasked).notes == ()
    assert arrays.as_digits(unmasked).images.tolist() == values.tolist()


@pytest.mark.parametrize("hidden", [-1.0, 0.0, 1.0, 16.0, np.nan])
def test_what_is_under_a_mask_tells_nothing_of_the_grey_levels(hidden):
    values = np.resize([0.0, 0.1, 0.25, hidden], (120, 4))
    made = arrays.as_digits(np.ma.masked_array(values, mask=values != np.clip(values, 0, 0.25)))
    assert made.levels == Levels(0, 0.25)
    assert made.images[7].tolist() == [0, 102, 255, 0]


def test_masked_labels_and_colours_are_refused():
    labels = np.ma.masked_array([0, 1, 2], mask=[False, False, True])
    with pytest.raises(DataError, match="y: the label of image 2 is masked; leave out the image"):
        arrays.as_digits(np.zeros((3, 4)), labels)
    assert arrays.as_digits(np.zeros((3, 4)), [*labels[:2].tolist(), 2]).labels.tolist() == [
        0,
        1,
        2,
    ]
    colours = np.ma.masked_array(np.zeros((2, 4, 4, 3)), mask=True)
    with pytest.raises(DataError, match="colours with masked values"):
        arrays.as_digits(colours)


@pytest.mark.parametrize(
    ("images", "kind", "words"),
    [
        (Dataset(SOME, None, "here"), DataError, "X: is a Dataset; give one of its parts, such as"),
        ({}, DataError, "X: must be an array (of NumPy, CuPy, PyTorch, JAX), a list of numbers, a"),
        (None, DataError, "not NoneType"),
        ("a.png", DataError, "not str; give a picture's path to model.read"),
        (np.zeros((3, 7)), ShapeError, "but this network reads images of 2x3 = 6 pixels"),
        (
            Digits(np.zeros((3, 4)), None, "", (2, 2)),
            ShapeError,
            "X.images: has the shape (3, 4), ",
        ),
        (Digits(SOME.images, None, "", (3, 2)), ShapeError, "(3, 2), but needs (2, 3)"),
    ],
)
def test_what_is_no_image_is_refused(images, kind, words):
    with pytest.raises(kind) as error:
        arrays.as_images(images, SOME)
    assert words in str(error.value)
    assert str(error.value).startswith("X")


def test_rows_of_another_length_are_refused_also_if_they_are_few_bytes():
    """A few images of uint8 are looked at for their shape alone."""
    for length in {*range(20)} - {6}:
        with pytest.raises(ShapeError, match=r"^X: .*\(3, \d+\)"):
            arrays.as_images(np.zeros((3, length), np.uint8), SOME)


@pytest.mark.parametrize("shape", [(1, 6), (1, 2, 3), (99, 6)])
def test_a_few_images_as_a_network_has_them_cost_few_calls(shape):
    """A small network answers one image in microseconds."""
    images, calls = np.ones(shape, np.uint8), []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, of: calls.append(event == "call"))
    try:
        rows, notes = arrays.as_images(images, SOME)
    finally:
        sys.setprofile(before)
    assert (rows.tolist(), notes) == (images.reshape(-1, 6).tolist(), ())
    assert sum(calls) < 6


def test_digits_are_taken_as_they_are():
    """Their images are 0 for paper and 255 for ink, whatever the network was trained on."""
    white = Digits(SOME.images, None, "", (2, 3), levels=Levels(255, 0))
    assert arrays.as_images(SOME, white) == (SOME.images, ())
    by_hand = Digits(np.full((2, 6), 0.5), None, "", (2, 3))
    assert arrays.as_images(by_hand, white)[0].tolist() == [[128] * 6] * 2


def test_labels_must_be_one_for_each_image(pixels):
    with pytest.raises(ShapeError, match="y: 2 labels for 3 images; give one for each"):
        arrays.as_digits(pixels, [0, 1])
    for single in (7, "7", np.int64(7)):
        with pytest.raises(DataError, match="y: must be labels, one for each image, not"):
            arrays.as_digits(pixels, single)


def test_a_dataset_of_arrays_and_what_is_missing(pixels):
    labels = np.array([0, 1, 2])
    made = arrays.as_dataset(pixels, labels, (pixels[:1], labels[:1]), (pixels[1:], labels[1:]))
    assert (len(made.train), len(made.test), len(made.validation)) == (3, 1, 2)
    assert made.path is None
    assert repr(made) == "<Dataset arrays: 3 training and 1 test images of 1x6>"
    assert repr(made.train) == "<Digits X: 3 images of 1x6, labelled>"
    with pytest.raises(DataError, match="y: is missing"):
        arrays.as_dataset(pixels, None)
    with pytest.raises(DataError, match="test: must be a pair"):
        arrays.as_dataset(pixels, labels, pixels)
    with pytest.raises(ShapeError, match=r"test\[1\]: 3 labels for 2 images"):
        arrays.as_dataset(pixels, labels, (pixels[:2], labels))


def test_other_parts_are_read_as_those_to_train_on(pixels):
    whole = np.resize(pixels, (120, 6)) // 17  # 0 to 15
    names = np.resize(["a", "b", "c"], 120)
    made = arrays.as_dataset(whole, names, (whole[:2], ["c", "a"]), (whole[:1], ["b"]))
    assert made.train.levels == made.test.levels == Levels(0, 15)
    assert made.train.classes == made.test.classes == ("a", "b", "c")
    assert made.test.labels.tolist() == [2, 0]
    assert made.validation.images.max() == 255
    with pytest.raises(DataError, match=r"test\[1\]: label 'd' of image 0 is none of the classes"):
        arrays.as_dataset(whole, names, (whole[:1], ["d"]))


def test_the_digest_covers_the_validation_images(pixels):
    labels = np.array([0, 1, 2])
    without = arrays.as_dataset(pixels, labels)
    with_them = arrays.as_dataset(pixels, labels, None, (pixels[:1], labels[:1]))
    assert without.digest == Dataset(without.train, None, "elsewhere").digest
    assert without.digest != with_them.digest


def test_digits_made_by_hand_are_converted_or_kept(pixels):
    assert arrays.checked(SOME, "X") is SOME
    labels = np.array([0, 1, 2])
    made = arrays.checked(Digits(pixels / 255, labels, "here", (2, 3)), "X")
    assert made.images.tolist() == pixels.tolist()
    assert (made.labels.dtype, made.source, made.image_shape) == (np.uint8, "here", (2, 3))
    cube = Digits(pixels.reshape(3, 2, 3), labels, "here", (2, 3))
    assert arrays.checked(cube, "X").images.shape == (3, 6)
    named = Digits(pixels, ["b", "a", "b"], "here", (2, 3))
    assert arrays.checked(named, "X").classes == ("a", "b")
    assert arrays.checked(named, "X").labels.tolist() == [1, 0, 1]
    dark = Digits(np.ones((120, 6), np.uint8), np.zeros(120, np.uint8), "here", (2, 3))
    assert arrays.checked(dark, "X") is dark  # said to be 0 to 255, and not recognised


def test_digits_with_other_names_are_looked_up_by_name():
    of_strings = Digits(SOME.images, SOME.labels, "here", (2, 3), ("0", "1", "2"))
    of_letters = Digits(SOME.images, SOME.labels, "here", (2, 3), ("a", "b", "c"))
    assert arrays.checked(of_letters, "X") is of_letters
    found = arrays.checked(SOME, "test", of_strings)
    assert (found.labels.tolist(), found.classes) == ([0, 1, 2], ("0", "1", "2"))
    backwards = Digits(SOME.images, SOME.labels, "here", (2, 3), ("c", "b", "a"))
    assert arrays.checked(of_letters, "test", backwards).labels.tolist() == [2, 1, 0]
    with pytest.raises(DataError, match=r"test\.labels: label 0 of image 0 is none of the classes"):
        arrays.checked(SOME, "test", of_letters)
    of_one = Digits(SOME.images, np.zeros(3, np.uint8), "here", (2, 3), ("a",))
    assert arrays.checked(of_one, "X") is of_one
    wrong = Digits(SOME.images, SOME.labels, "here", (2, 3), ("a", "b"))
    with pytest.raises(DataError, match=r"X\.labels: label 2, but there are 2 classes"):
        arrays.checked(wrong, "X")


ROWS, LABELS = SOME.images, SOME.labels


@pytest.mark.parametrize(
    ("digits", "kind", "words"),
    [
        (Digits("no", LABELS, "here"), DataError, "test.images: must be an array"),
        (Digits(ROWS, None, "here"), DataError, "test: has no labels"),
        (Digits(ROWS, LABELS[:2], "here", (2, 3)), ShapeError, "test.labels: 2 labels for 3"),
        (Digits(ROWS, LABELS - 0.5, "here", (2, 3)), DataError, "test.labels: the label of image"),
        (Digits(ROWS[:0], LABELS[:0], "here", (2, 3)), ShapeError, "and so no pixels"),
        (Digits(ROWS, LABELS, "here", (3, 2)), ShapeError, "image_shape (3, 2), but needs (2, 3)"),
        (Digits(ROWS[:, :4], LABELS, "here", (2, 2)), ShapeError, "images of 2x2 = 4 pixels"),
        ((ROWS, None), DataError, "test[1]: is missing"),
    ],
)
def test_digits_made_by_hand_that_do_not_fit_are_refused(digits, kind, words):
    with pytest.raises(kind) as error:
        arrays.as_dataset(SOME.images.reshape(3, 2, 3), LABELS, digits)
    if isinstance(digits, Digits) and "2x2" not in words:
        assert words in str(error.value)
    if isinstance(digits, Digits):
        with pytest.raises(kind):
            arrays.as_dataset(Dataset(SOME, digits, "here"), None)
        with pytest.raises(kind):
            arrays.as_dataset(Dataset(SOME, None, "here", validation=digits), None)


@pytest.mark.parametrize("train", [None, ROWS])
def test_a_dataset_of_something_else_is_refused(train):
    with pytest.raises(DataError, match=r"X\.train: must be mnistgpu\.Digits"):
        arrays.as_dataset(Dataset(train, None, "here"), None)


def test_labels_beside_a_dataset_are_refused():
    with pytest.raises(UsageError, match="X is a Dataset, which has labels; leave y out"):
        arrays.as_dataset(Dataset(SOME, None, "here"), LABELS)


def test_digits_alone_are_a_set_to_train_on():
    assert arrays.as_dataset(SOME, None).train is SOME
    assert arrays.as_dataset(SOME, ["a", "b", "a"]).train.classes == ("a", "b")
    assert SOME.levels == OURS
