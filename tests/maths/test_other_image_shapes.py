"""Deformations of images that are not square."""

import numpy as np
import pytest

from mnistgpu import counter_rng
from mnistgpu.maths import augment
from mnistgpu.settings import Settings

KEY = counter_rng.key(3, like=np.zeros(1))
KEYS = augment.keys_of(KEY)
SHAPES = pytest.mark.parametrize("shape", [(14, 28), (28, 14)])
ALL = {"rotation": 15.0, "scaling": 0.15, "shear": 0.2, "shift": 3.0, "mirror": 0.5, "elastic": 1.5}


def images_of(shape, count=40):
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


@SHAPES
def test_strength_zero_is_the_identity(shape):
    images = images_of(shape).reshape(40, -1)
    changes = Settings(**ALL).deformation
    moved = augment.deform(images, KEYS, changes, shape, strength=0.0)
    np.testing.assert_array_equal(moved.T, images)


@SHAPES
def test_a_shift_moves_rows_down_and_columns_right(shape):
    """Of a single bright pixel, whose ink is shared out among four, the centre moves by u."""
    images = np.zeros((1, *shape), dtype=np.uint8)
    row, column = shape[0] // 2, shape[1] // 2
    images[0, row, column] = 255
    changes = Settings(shift=3.0).deformation
    moved = augment.deform(images.reshape(1, -1), KEYS, changes, shape)[:, 0].reshape(shape)
    u = counter_rng.uniforms(KEYS[0], (8,)) * 2.0 - 1.0
    y, x = np.mgrid[: shape[0], : shape[1]]
    assert moved.sum() == pytest.approx(255, rel=1e-4)
    assert (moved * y).sum() / 255 == pytest.approx(row + 3 * u[4], abs=1e-5)
    assert (moved * x).sum() / 255 == pytest.approx(column + 3 * u[5], abs=1e-5)
    assert abs(u[4] - u[5]) > 0.1


@SHAPES
def test_every_pixel_comes_from_where_its_map_says(shape):
    """Against SciPy, with all deformations together."""
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")
    images, changes = images_of(shape), Settings(**ALL).deformation
    rows, columns = augment.source(KEYS, range(2), changes, shape)
    moved = augment.deform(images.reshape(40, -1), KEYS, changes, shape)
    for i in (0, 20, 39):
        padded = np.pad(images[i].astype(np.float64), 20)
        places = [rows[i // 32] + 20, columns[i // 32] + 20]
        expected = ndimage.map_coordinates(padded, places, order=1)
        np.testing.assert_allclose(moved[:, i], expected, atol=0.02)
