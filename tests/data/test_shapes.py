"""The shapes in which people have images, and what is refused because it may be misread."""

import numpy as np
import pytest

from mnistgpu.data import shapes
from mnistgpu.errors import DataError, ShapeError

RNG = np.random.default_rng(0)
FIVE = RNG.integers(0, 256, (5, 28, 28), dtype=np.uint8)
ONE = FIVE[:1]


def coloured(images, alpha=None):
    """The images with equal red, green and blue, and alpha if it is given."""
    channels = [images] * 3 + ([] if alpha is None else [np.full_like(images, alpha)])
    return np.stack(channels, axis=-1)


SHAPES = {
    "(N, pixels)": (FIVE.reshape(5, 784), FIVE),
    "(N, H, W)": (FIVE, FIVE),
    "(N, H, W, 1)": (FIVE[..., None], FIVE),
    "(N, 1, H, W)": (FIVE[:, None], FIVE),
    "(N, H, W, 3)": (coloured(FIVE), FIVE),
    "(N, H, W, 4)": (coloured(FIVE, 255), FIVE),
    "(N, 3, H, W)": (np.moveaxis(coloured(FIVE), 3, 1), FIVE),
    "(1, H, W)": (ONE, ONE),
    "(1, H, W, 1)": (ONE[..., None], ONE),
}
OF_ONE = {  # which need the size of the network's images
    "(H, W)": ONE[0],
    "(pixels,)": ONE.reshape(784),
    "(H, W, 1)": ONE[0, :, :, None],
    "(H, W, 3)": coloured(ONE)[0],
    "(H, W, 4)": coloured(ONE, 255)[0],
    "(1, 1, H, W)": ONE[None],
    "(1, pixels)": ONE.reshape(1, 784),
}


@pytest.mark.parametrize("wanted", [None, (28, 28)])
@pytest.mark.parametrize("name", SHAPES)
def test_customary_shapes_become_a_stack(name, wanted):
    given, images = SHAPES[name]
    found, notes = shapes.stack(given, wanted, "X")
    assert np.array_equal(found, images)
    assert found.dtype == np.uint8
    assert notes == (
        ()
        if given.shape[-1] not in (3, 4) and given.shape[1] != 3
        else ("X: colours are converted to grey",)
    )


@pytest.mark.parametrize("name", OF_ONE)
def test_one_image_needs_no_first_axis_where_the_size_is_known(name):
    found, _ = shapes.stack(OF_ONE[name], (28, 28), "X")
    assert np.array_equal(found, ONE)


def test_rows_of_another_size_and_what_is_no_square():
    assert shapes.stack(np.zeros((2, 64)), None, "X")[0].shape == (2, 8, 8)
    assert shapes.stack(np.zeros((2, 6)), None, "X")[0].shape == (2, 1, 6)
    assert shapes.stack(np.zeros((2, 6)), (2, 3), "X")[0].shape == (2, 2, 3)
    assert shapes.stack(np.zeros((2, 1, 65)), None, "X")[0].shape == (2, 1, 65)
    assert shapes.stack(np.zeros((2, 4, 1)), None, "X")[0].shape == (2, 4, 1)  # its own size
    assert shapes.stack(np.zeros((2, 3, 3)), (3, 3), "X")[0].shape == (2, 3, 3)
    assert shapes.stack(np.zeros((2, 6, 1)), (2, 3), "X")[0].shape == (2, 2, 3)
    assert shapes.stack(np.zeros((64, 64)), (8, 8), "X")[0].shape == (64, 8, 8)


def test_three_images_are_not_the_colours_of_one():
    three = FIVE[:3]
    assert np.array_equal(shapes.stack(three, (28, 28), "X")[0], three)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((784,), "X: images must have the shape (N, pixels), (N, height, width) or (N, height, "),
        ((784,), "not (784,); for one image give X[None]"),
        ((3, 785), "not (3, 785); give 784 columns: leave out the one that is the label or a num"),
        ((3, 65), "(if none is, give X[:, None, :])"),
        ((), "not ()"),
        ((0, 784), "and so no pixels"),
        ((5, 0), "and so no pixels"),
        ((2, 28, 28, 2), "not (2, 28, 28, 2)"),
        ((1, 2, 28, 28, 1), "not (1, 2, 28, 28, 1)"),
    ],
)
def test_other_shapes_are_refused(shape, words):
    with pytest.raises(ShapeError) as error:
        shapes.stack(np.zeros(shape, np.uint8), None, "X")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((3, 783), "has the shape (3, 783), but this network reads images of 28x28 = 784 pixels: "),
        ((3, 783), "give (N, 784) or (N, 28, 28)"),
        ((3, 785), "give 784 columns: leave out the one that is the label"),
        ((784, 8, 8), "images of 8x8 = 64 pixels"),
        ((784, 3), "these are columns, one for each image: give X.T"),
        ((3, 28, 14), "images of 28x14 = 392 pixels"),
        ((3, 64), "images of 8x8 = 64 pixels (the shape is (3, 64)), but this network reads 28x28"),
        ((3, 16), "images of 4x4 = 16 pixels"),
        ((3, 9), "has the shape (3, 9), but this network reads images of 28x28 = 784 pixels: give"),
        ((3, 785, 2), "images of 785x2 = 1,570 pixels"),
        ((3, 32, 32), "images of 32x32 = 1,024 pixels"),
        ((32, 32, 3), "images of 32x32 = 1,024 pixels"),
        ((3, 32, 32, 3), "but this network reads 28x28 = 784; scale them to that size"),
        ((3, 30, 32, 3), "images of 30x32 = 960 pixels"),
        ((3, 3, 30, 32), "images of 30x32 = 960 pixels"),
        ((30, 32, 3), "images of 30x32 = 960 pixels"),
        ((783,), "has the shape (783,)"),
        ((), "has the shape ()"),
    ],
)
def test_images_of_another_size_than_the_networks_are_refused_with_both(shape, words):
    with pytest.raises(ShapeError) as error:
        shapes.stack(np.zeros(shape, np.uint8), (28, 28), "X")
    assert words in str(error.value)


def test_colours_become_grey_as_in_pillow():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    colours = RNG.integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    expected = [np.asarray(image.fromarray(each).convert("L")) for each in colours]
    assert np.array_equal(shapes.stack(colours, None, "X")[0], expected)
    of_floats, _ = shapes.stack(colours / 255, None, "X")
    assert np.allclose(of_floats * 255, expected, atol=0.51)
    of_integers, _ = shapes.stack(colours.astype(np.int64), None, "X")
    assert of_integers.tolist() == np.array(expected).tolist()


@pytest.mark.parametrize("alpha", [1.0, 255, 65535])
def test_opaque_pixels_have_no_transparency(alpha):
    images = np.full((2, 4, 4, 4), alpha)
    images[..., :3] = 0
    assert not shapes.stack(images, None, "X")[0].any()


def test_transparent_pixels_are_refused():
    images = coloured(FIVE, 255)
    images[1, 2, 3, 3] = 254
    with pytest.raises(
        DataError, match=r"transparent pixels; lay them on paper first, or give X\["
    ):
        shapes.stack(images, None, "X")
    with pytest.raises(DataError, match="transparent pixels"):
        shapes.stack(coloured(FIVE, 0), None, "X")


@pytest.mark.parametrize("wrong", [-1, 65536, 2**60])
def test_integers_beyond_grey_levels_stay_so_for_the_check_of_levels(wrong):
    colours = coloured(FIVE.astype(np.int64))
    colours[1, 2, 3, 1] = wrong
    grey, _ = shapes.stack(colours, None, "X")
    assert grey.min() < 0 or grey.max() > 65535
