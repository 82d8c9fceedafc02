"""Grey levels of every scale and orientation, recognised on a whole set and applied later."""

import numpy as np
import pytest

from mnistgpu.data import levels
from mnistgpu.data.digits import as_digits, rows_of
from mnistgpu.data.levels import OURS, Levels
from mnistgpu.errors import DataError


@pytest.fixture(scope="module")
def whole(digits):
    """The first 300 training images (300, 28, 28): enough to be recognised."""
    return digits[0][:300].reshape(-1, 28, 28)


class Trained:
    """What a network says of the images that it was trained on."""

    image_shape, classes = (28, 28), ()

    def __init__(self, levels):
        self.levels = levels


SCALES = {  # how people hold MNIST: the conversion, the levels that are saved, what is said
    "uint8": (lambda x: x, OURS, None),
    "int64": (lambda x: x.astype(np.int64), OURS, None),
    "float32 to 255": (lambda x: x.astype(np.float32), OURS, None),
    "float64 to 1": (lambda x: x / 255, OURS, "0 (paper) to 1 (ink)"),
    "float32 to 1": (lambda x: (x / 255).astype(np.float32), OURS, "0 (paper) to 1 (ink)"),
    "float16 to 1": (lambda x: (x / 255).astype(np.float16), OURS, "0 (paper) to 1 (ink)"),
    "0 to 16": (lambda x: x / 255 * 16, Levels(0, 16), "0 (paper) to 16 (ink)"),
    "0 to 100": (lambda x: x / 2.55, Levels(0, 100), "0 (paper) to 100 (ink)"),
    "16 bits": (lambda x: x.astype(np.uint16) * 257, Levels(0, 65535), "to 65535 (ink)"),
    "12 bits": (lambda x: x.astype(np.float64) * 4095 / 255, Levels(0, 4095), "to 4095 (ink)"),
    "white paper": (lambda x: 255 - x, Levels(255, 0), "255 (paper) to 0 (ink)"),
    "white floats": (lambda x: 1 - x / 255, Levels(255, 0), "1 (paper) to 0 (ink)"),
    "divided twice": (lambda x: x / 65025, Levels(0, 1 / 255), "0 (paper) to 0.00392157 (ink)"),
}


@pytest.mark.parametrize("name", SCALES)
def test_a_whole_set_of_any_scale_becomes_the_same_digits(whole, name):
    convert, saved, words = SCALES[name]
    made = as_digits(convert(whole), None, "X")
    assert made.digest == as_digits(whole, None, "X").digest
    assert made.levels == pytest.approx(saved)
    assert made.notes == (() if words is None else made.notes)
    assert (
        words is None
        or (f"X: grey levels are read as {words}" if "(paper)" in words else words) in made.notes[0]
    )


@pytest.mark.parametrize("name", SCALES)
def test_what_is_saved_is_applied_to_later_images(whole, name):
    """Also to a single image, of which nothing could be recognised."""
    convert = SCALES[name][0]
    of_training = as_digits(convert(whole), None, "X")
    for images in (whole[:1], whole):
        later = rows_of(convert(whole)[: len(images)], "X", of_training)
        assert np.array_equal(later.rows, images.reshape(len(images), -1))


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, bool])
def test_black_and_white_alone(whole, kind):
    ink = whole > 127
    made = as_digits(ink.astype(kind), None, "X")
    assert np.array_equal(made.images, np.where(ink, 255, 0).reshape(len(whole), -1))
    assert made.notes == ("X: grey levels are read as 0 (paper) to 1 (ink)",)
    white = as_digits((~ink).astype(kind), None, "X")
    assert white.digest == made.digest


def test_scikit_learns_digits():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    X, _ = datasets.load_digits(return_X_y=True)
    made = as_digits(X, None, "X")
    assert made.image_shape == (8, 8)
    assert made.levels == Levels(0, 16)
    assert np.array_equal(made.images, np.round(X * 255 / 16))


@pytest.mark.parametrize("kind", [np.uint8, np.int16])
def test_nothing_is_guessed_from_fewer_than_a_hundred_images(whole, kind):
    some = (255 - whole[:99]).astype(kind)
    assert np.array_equal(as_digits(some, None, "X").images, some.reshape(99, -1))
    hundred = (255 - whole[:100]).astype(kind)
    assert np.array_equal(as_digits(hundred, None, "X").images, whole[:100].reshape(100, -1))


BRIGHT = np.full((1, 28, 28), 200, np.uint8)
BRIGHT[0, :2] = 0  # a garment that fills its image
SINGLE = {
    "an image of white paper": 255 - np.eye(28, dtype=np.uint8)[None] * 255,
    "a bright garment": BRIGHT,
    "all ink": np.full((1, 28, 28), 255, np.uint8),
    "blank": np.zeros((1, 28, 28), np.uint8),
    "nearly blank": np.eye(28, dtype=np.uint8)[None],
}


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float64])
def test_one_image_is_read_as_the_network_was_trained(name, kind):
    image = SINGLE[name]
    if name == "nearly blank" and kind != np.uint8:
        return  # of other types 0 and 1 may be paper and ink, see below
    found = rows_of(image.astype(kind), "X", Trained(OURS))
    assert np.array_equal(found.rows, image.reshape(1, -1))
    turned = rows_of(image.astype(kind), "X", Trained(Levels(255, 0)))
    if name != "blank" or kind != np.float64:
        assert np.array_equal(turned.rows, 255 - image.reshape(1, -1))


def test_floats_of_0_and_1_are_paper_and_ink():
    image = np.eye(28)[None]
    assert np.array_equal(rows_of(image, "X", Trained(OURS)).rows, image.reshape(1, -1) * 255)
    white = rows_of(image, "X", Trained(Levels(255, 0)))
    assert np.array_equal(white.rows, 255 - image.reshape(1, -1) * 255)
    assert white.notes == ("X: grey levels are read as 1 (paper) to 0 (ink)",)
    sixteen = rows_of(image, "X", Trained(Levels(0, 16)))
    assert np.array_equal(sixteen.rows, image.reshape(1, -1) * 255)


def test_whole_numbers_of_0_and_1_are_refused_where_they_would_be_blank():
    image = np.eye(28, dtype=np.int64)[None]
    with pytest.raises(DataError, match=r"integers up to 1, but this network was trained on valu"):
        rows_of(image, "X", Trained(OURS))
    assert rows_of(image, "X", Trained(Levels(0, 1))).rows.max() == 255
    assert rows_of(image.astype(bool), "X", Trained(OURS)).rows.max() == 255


def test_a_network_of_another_scale_takes_usual_levels_too(whole):
    """Drawings are uint8 from 0 to 255, whatever the network was trained on."""
    for saved in (Levels(0, 16), Levels(0, 1), Levels(0, 65535)):
        found = rows_of(whole[:1], "X", Trained(saved))
        assert np.array_equal(found.rows, whole[:1].reshape(1, -1))
        assert found.notes == ("X: grey levels are read as 0 (paper) to 255 (ink)",)
    turned = rows_of(255 - whole[:1], "X", Trained(Levels(1, 0)))
    assert np.array_equal(turned.rows, whole[:1].reshape(1, -1))


@pytest.mark.parametrize(
    ("saved", "values", "words"),
    [
        (OURS, [0, 256], "integers up to 256, but this network was trained on values from 0 (pap"),
        (OURS, [0.0, 16.0], "floats up to 16, but"),
        (OURS, [0.0, 1.5], "so that they are floats from 0 to 1"),
        (OURS, [0.0, 300.0], "floats up to 300"),
        (
            Levels(0, 16),
            [0, 17],
            "integers up to 17, but this network was trained on values from 0",
        ),
        (Levels(0, 16), [0.0, 7.0], "floats up to 7"),
        (Levels(255, 0), [0.0, 2.0], "divide them by the value of white paper"),
        (OURS, [-1, 25], "integers from -1 to 25, but grey levels are not negative"),
        (OURS, [-1.0, 1.0], "give (X + 1) / 2, which is from 0 to 1"),
        (OURS, [-0.4242, 2.8215], "give X * 0.3081 + 0.1307"),
        (OURS, [-0.5, 0.5], "scale them to 0 to 1"),
        (
            OURS,
            [0.0, np.nan],
            "X: holds nan or infinity; replace them, for example with np.nan_to_",
        ),
        (OURS, [0.0, np.inf], "nan or infinity"),
        (OURS, [0.0, -np.inf], "nan or infinity"),
    ],
)
def test_other_ranges_are_refused_with_the_mend(saved, values, words):
    image = np.resize(np.array(values), (1, 28, 28))
    with pytest.raises(DataError) as error:
        rows_of(image, "X", Trained(saved))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            [0.0, 16.0],
            "floats up to 16, but grey levels are integers from 0 (paper) to 255 (ink), o",
        ),
        ([0.0, 16.0], "divide them by 16"),
        ([0, 65535], "divide them by 65535"),
        ([0, 300], "divide them by the value of full ink"),
        ([0, -1], "integers from -1 to 0"),
        ([0.0, np.nan], "nan"),
        (["a", "b"], "grey levels must be numbers, such as integers from 0 to 255 or floats from"),
        ([1j, 0], "not complex128"),
        (np.array([1, 2], "timedelta64[s]"), "not timedelta64[s]"),
    ],
)
@pytest.mark.parametrize("count", [1, 99])
def test_a_few_images_of_another_range_are_refused(values, words, count):
    with pytest.raises(DataError) as error:
        as_digits(np.resize(np.array(values), (count, 4, 4)), None, "X")
    assert words in str(error.value)


def test_a_whole_set_of_a_range_without_a_scale_is_refused(whole):
    with pytest.raises(
        DataError, match="integers up to 510, but grey levels reach from 0 to 1, 25"
    ):
        as_digits(whole.astype(np.int64) * 2, None, "X")


def test_rounding_errors_of_floats_are_no_other_range():
    image = np.array([[[-1e-4, 1.0005], [0.5, 0.0]]])
    assert rows_of(image, "X").rows.tolist() == [[0, 255, 128, 0]]


def test_a_whole_set_that_contradicts_the_training_is_said(whole):
    def notes(images, saved=OURS):
        return rows_of(images, "X", Trained(saved)).notes

    assert notes(whole) == ()
    (said,) = notes(255 - whole)
    assert "most images show dark ink on light paper, but the network was trained on light" in said
    (said,) = notes(whole, Levels(255, 0))
    assert "give 255 - X to exchange the two" in said
    (said,) = notes(whole // 4)
    assert "the brightest value of 300 images is 63, but the network was trained on values" in said
    with pytest.raises(DataError, match="integers up to 15"):
        notes(whole // 17)
    with pytest.raises(DataError, match=r"floats up to 0\.003"):
        notes(whole / 65025)
    assert notes(255 - whole[:99]) == ()  # a few images say nothing


def test_what_is_said_of_garments_is_right():
    """Images that are bright but for their border are not of white paper."""
    garments = np.zeros((200, 28, 28), np.uint8)
    garments[:, 2:-2, 2:-2] = 230
    assert levels.recognised(garments, "X", 200) == OURS
    assert levels.applied(garments, OURS, "X", 200) == (OURS, ())


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float64])
def test_paper_is_bright_also_if_it_is_not_white(kind):
    grey = np.full((120, 9, 9), 190, kind)
    grey[:, 2:7, 4] = 20
    assert levels.recognised(grey, "X", 120) == Levels(255, 0)


@pytest.mark.parametrize("edge", [np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]])
def test_paper_is_bright_also_if_one_edge_is_dark(edge):
    scans = np.full((120, 9, 9), 250, np.uint8)
    scans[edge] = 0
    assert levels.recognised(scans, "X", 120) == Levels(255, 0)


def test_noise_has_no_orientation():
    noise = np.random.default_rng(0).integers(0, 256, (150, 9, 9), dtype=np.uint8)
    assert levels.recognised(noise, "X", 150) == OURS


def test_uint8_of_a_network_of_this_program_is_not_looked_at():
    """One image is answered in microseconds: its values are not read before the first product."""

    class Unread(np.ndarray):
        def min(self, *args, **more):
            raise AssertionError

        max = __gt__ = __array_ufunc__ = min

    image = np.zeros((1, 28, 28), np.uint8).view(Unread)
    assert levels.applied(image, OURS, "X", 1) == (OURS, ())
