"""Arrays as people have them, turned into digits or refused with the line that mends them."""

import numpy as np
import pytest

from mnistgpu.data import Dataset, Digits, arrays
from mnistgpu.errors import DataError, ShapeError, UsageError

SOME = Digits(np.zeros((3, 6), np.uint8), np.array([0, 1, 2], np.uint8), "here", (2, 3))


@pytest.fixture
def levels():
    """Three images of 2 x 3 pixels."""
    return np.array(
        [[0, 1, 254, 255, 128, 7], [9, 8, 7, 6, 5, 4], [255, 0, 0, 0, 0, 0]], dtype=np.uint8
    )


@pytest.mark.parametrize("kind", ["uint8", "int16", "int64", "uint64"])
@pytest.mark.parametrize("shape", [(3, 6), (3, 2, 3)])
def test_integers_are_taken_as_they_are(levels, kind, shape):
    images, image_shape = arrays.as_images(levels.astype(kind).reshape(shape))
    assert images.dtype == np.uint8
    assert images.tolist() == levels.tolist()
    assert image_shape == ((2, 3) if len(shape) == 3 else (1, 6))


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_floats_from_0_to_1_are_grey_levels(levels, kind):
    images, _ = arrays.as_images((levels / 255).astype(kind))
    assert images.tolist() == levels.tolist()


def test_rows_of_a_square_number_of_pixels_are_square_images():
    assert arrays.as_images(np.zeros((1, 784), np.uint8))[1] == (28, 28)
    assert arrays.as_images(np.zeros((1, 64), np.uint8))[1] == (8, 8)
    assert arrays.as_images(np.zeros((1, 28, 14), np.uint8))[1] == (28, 14)


def test_the_given_array_stays_writable_and_strided_ones_are_copied(levels):
    images, _ = arrays.as_images(levels)
    assert levels.flags.writeable
    assert not images.flags.writeable
    assert np.shares_memory(images, levels)
    turned, _ = arrays.as_images(np.asfortranarray(levels)[::-1])
    assert turned.tolist() == levels[::-1].tolist()


@pytest.mark.parametrize(
    ("images", "kind", "words"),
    [
        (np.zeros(784), ShapeError, "(784,); for one image give X[None]"),
        (np.zeros(()), ShapeError, "not ()"),
        (np.zeros((2, 28, 28, 1)), ShapeError, "not (2, 28, 28, 1)"),
        (np.zeros((0, 784)), ShapeError, "no pixels"),
        (np.zeros((5, 0)), ShapeError, "no pixels"),
        (np.array([[0.0, 16.0]]), DataError, "floats from 0 to 16"),
        (np.array([[0.0, 255.0]]), DataError, "X.astype('uint8')"),
        (np.array([[-0.5, 0.5]]), DataError, "floats from -0.5 to 0.5"),
        (np.array([[0.0, np.nan]]), DataError, "np.nan_to_num(X)"),
        (np.array([[0.0, np.inf]]), DataError, "np.nan_to_num(X)"),
        (np.array([[0, 256]]), DataError, "integers from 0 to 256"),
        (np.array([[-1, 25]]), DataError, "integers from -1 to 25"),
        (np.array([["a", "b"]]), DataError, "not <U1"),
        (np.array([[True, False]]), DataError, "not bool"),
        (np.array([[1j, 0]]), DataError, "not complex128"),
        (np.array([[1, 2]], "timedelta64[s]"), DataError, "not timedelta64[s]"),
        (np.ma.masked_array([[0, 1]], mask=True), DataError, "give X.filled(0)"),
        (SOME, DataError, "not Digits; give its arrays, such as X.images"),
        (Dataset(SOME, None, "here"), DataError, "such as X.train.images"),
        ([[0, 1]], DataError, "not list; give np.asarray(X)"),
        (None, DataError, "not NoneType"),
    ],
)
def test_other_images_are_refused_with_what_mends_them(images, kind, words):
    with pytest.raises(kind) as error:
        arrays.as_images(images)
    assert words in str(error.value)
    assert str(error.value).startswith("X: ")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((3, 783), "give (N, 784) or (N, 28, 28)"),
        ((3, 28, 14), "give (N, 784) or (N, 28, 28)"),
        ((28, 28), "for one image give X[None]"),
    ],
)
def test_images_of_another_shape_than_the_networks_are_refused(shape, words):
    with pytest.raises(ShapeError) as error:
        arrays.as_images(np.zeros(shape, np.uint8), (28, 28))
    assert words in str(error.value)


def test_labels_are_integers_one_for_each_image():
    labels = arrays.as_labels(np.array([0, 255, 7], dtype=np.int64), 3)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [0, 255, 7]


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        (np.eye(3, dtype=int), ShapeError, "y.argmax(axis=1)"),
        (np.zeros((3, 1), int), ShapeError, "y.ravel()"),
        (np.zeros(2, int), ShapeError, "2 labels for 3 images"),
        (np.zeros(3), DataError, "must be integers 0, 1, 2, ..., not float64; y.astype(int)"),
        (np.zeros(3, "timedelta64[s]"), DataError, "not timedelta64[s]; number the classes"),
        (np.ma.masked_array([0, 1, 2], mask=True), DataError, "give y.filled(0)"),
        (np.array(["a", "b", "c"]), DataError, "not <U1"),
        (np.array([0, -2, 1]), DataError, "label -2 of image 1"),
        (np.array([0, 1, 256]), DataError, "label 256 of image 2"),
    ],
)
def test_other_labels_are_refused_with_what_mends_them(labels, kind, words):
    with pytest.raises(kind) as error:
        arrays.as_labels(labels, 3)
    assert words in str(error.value)


def test_a_dataset_of_arrays_and_what_is_missing(levels):
    labels = np.array([0, 1, 2])
    made = arrays.as_dataset(levels, labels, (levels[:1], labels[:1]), (levels[1:], labels[1:]))
    assert (len(made.train), len(made.test), len(made.validation)) == (3, 1, 2)
    assert made.path is None
    assert repr(made) == "<Dataset arrays: 3 training and 1 test images of 1x6>"
    assert repr(made.train) == "<Digits X: 3 images of 1x6, labelled>"
    with pytest.raises(DataError, match="y: is missing"):
        arrays.as_dataset(levels, None)
    with pytest.raises(DataError, match="test: must be a pair"):
        arrays.as_dataset(levels, labels, levels)
    with pytest.raises(ShapeError, match=r"test\[1\]: 3 labels for 2 images"):
        arrays.as_dataset(levels, labels, (levels[:2], labels))


def test_the_digest_covers_the_validation_images(levels):
    labels = np.array([0, 1, 2])
    without = arrays.as_dataset(levels, labels)
    with_them = arrays.as_dataset(levels, labels, None, (levels[:1], labels[:1]))
    assert without.digest == Dataset(without.train, None, "elsewhere").digest
    assert without.digest != with_them.digest


class Other(np.ndarray):
    """A subclass of arrays, such as np.matrix and np.memmap."""


def test_a_subclass_of_arrays_becomes_an_array(levels):
    images, _ = arrays.as_images(levels.view(Other))
    assert type(images) is np.ndarray
    assert images.tolist() == levels.tolist()


def test_digits_made_by_hand_are_converted_or_kept(levels):
    assert arrays.checked(SOME, "X") is SOME
    labels = np.array([0, 1, 2])
    made = arrays.checked(Digits(levels / 255, labels, "here", (2, 3)), "X")
    assert made.images.tolist() == levels.tolist()
    assert (made.labels.dtype, made.source, made.image_shape) == (np.uint8, "here", (2, 3))
    cube = Digits(levels.reshape(3, 2, 3), labels, "here", (2, 3))
    assert arrays.checked(cube, "X").images.shape == (3, 6)


ROWS, LABELS = SOME.images, SOME.labels


@pytest.mark.parametrize(
    ("digits", "kind", "words"),
    [
        (Digits("no", LABELS, "here"), DataError, "test.images: must be an array"),
        (Digits(ROWS, None, "here"), DataError, "test: has no labels"),
        (Digits(ROWS, LABELS[:2], "here", (2, 3)), ShapeError, "test.labels: 2 labels for 3"),
        (Digits(ROWS, LABELS.tolist(), "here", (2, 3)), DataError, "test.labels: must be an arr"),
        (Digits(ROWS, LABELS - 1.0, "here", (2, 3)), DataError, "not float64"),
        (Digits(ROWS[:0], LABELS[:0], "here", (2, 3)), ShapeError, "and so no pixels"),
        (Digits(ROWS, LABELS, "here", (3, 2)), ShapeError, "image_shape (3, 2), but needs (2, 3)"),
        (Digits(ROWS[:, :4], LABELS, "here", (2, 2)), ShapeError, "2x3 = 6 pixels"),
        ((ROWS, None), DataError, "test[1]: is missing"),
    ],
)
def test_digits_made_by_hand_that_do_not_fit_are_refused(digits, kind, words):
    with pytest.raises(kind) as error:
        arrays.as_dataset(SOME.images.reshape(3, 2, 3), LABELS, digits)
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
