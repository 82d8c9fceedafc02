"""Deformations: identity at strength 0, against SciPy, mass, limits, the same everywhere."""

import numpy as np
import pytest

from mnistgpu import augment, counter_rng
from mnistgpu.settings import Settings

ZERO = np.zeros(1)
KEY = counter_rng.key(3, like=ZERO)


def settings(**changes):
    return Settings().changed(**changes)


ALL = {"rotation": 15.0, "scaling": 0.15, "shear": 0.2, "shift": 3.0, "elastic": 1.5}


@pytest.mark.parametrize("changes", [{}, ALL], ids=["nothing", "everything at strength 0"])
def test_strength_zero_is_the_identity_to_the_bit(digits, changes):
    images = digits[0][:70]
    moved = augment.deform(images, KEY, settings(**changes), strength=0.0)
    assert moved.shape == (784, 70)
    assert moved.dtype == np.float32
    np.testing.assert_array_equal(moved.T, images.astype(np.float32))


@pytest.mark.parametrize("count", [1, 31, 32, 33, 70])
def test_any_number_of_images(digits, count):
    moved = augment.deform(digits[0][:count], KEY, settings(**ALL))
    assert moved.shape == (784, count)
    assert np.isfinite(moved).all()
    assert moved.min() >= 0
    assert moved.max() <= 255.01


def test_mass_is_roughly_kept(digits):
    images = digits[0]
    moved = augment.deform(images, KEY, settings(rotation=15.0, elastic=1.0, shift=1.0))
    ratio = moved.sum(axis=0) / images.sum(axis=1)
    assert ratio.mean() == pytest.approx(1.0, abs=0.03)
    assert np.percentile(ratio, 1) > 0.75
    assert np.percentile(ratio, 99) < 1.3


def test_same_key_same_images_other_key_other_images(digits):
    images = digits[0][:64]
    first, again, other = (
        augment.deform(images, key, settings(**ALL))
        for key in (KEY, KEY, counter_rng.key(4, like=ZERO))
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 5


def test_a_group_shares_its_map_and_groups_differ(digits):
    images = np.repeat(digits[0][:1], 64, axis=0)
    moved = augment.deform(images, KEY, settings(**ALL, images_per_map=32))
    np.testing.assert_array_equal(moved[:, 0], moved[:, 31])
    assert np.abs(moved[:, 0] - moved[:, 32]).mean() > 2


def source_of(**changes):
    rows, columns = augment.source(KEY, 1, settings(**changes), (28, 28))
    return np.stack([rows[0].reshape(28, 28), columns[0].reshape(28, 28)])


def test_against_scipy(digits):
    """The bilinear gather is SciPy's map_coordinates of order 1 with zeros outside."""
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")
    changes = settings(**ALL)
    rows, columns = augment.source(KEY, 2, changes, (28, 28))
    moved = augment.deform(digits[0][:64], KEY, changes)
    for i in (0, 5, 40):
        group = i // 32
        padded = np.pad(digits[0][i].reshape(28, 28).astype(np.float64), 20)
        expected = ndimage.map_coordinates(padded, [rows[group] + 20, columns[group] + 20], order=1)
        np.testing.assert_allclose(moved[:, i], expected, atol=0.02)


def test_a_known_shift():
    """Of all maps with shift alone, each moves the image by one vector within the limit."""
    rows, columns = source_of(shift=3.0)
    y, x = np.mgrid[0:28, 0:28]
    down, right = (y - rows)[0, 0], (x - columns)[0, 0]
    np.testing.assert_allclose(rows, y - down, atol=1e-5)
    np.testing.assert_allclose(columns, x - right, atol=1e-5)
    assert 0 < abs(down) <= 3
    assert 0 < abs(right) <= 3


def test_a_known_rotation():
    """Rotation alone turns about the centre and keeps every distance to it."""
    rows, columns = source_of(rotation=15.0)
    y, x = np.mgrid[0:28, 0:28] - 13.5
    y0, x0 = rows - 13.5, columns - 13.5
    np.testing.assert_allclose(np.hypot(y0, x0), np.hypot(y, x), rtol=1e-5)
    turn = np.angle((x0 + 1j * y0) / (x + 1j * y), deg=True)
    np.testing.assert_allclose(turn, turn[0, 0], atol=1e-3)
    assert 0 < abs(turn[0, 0]) <= 15


def limits(groups=4000, **changes):
    """Extremes of the angle over many maps, in degrees."""
    rows, columns = augment.source(KEY, groups, settings(**changes), (28, 28))
    y0 = rows.reshape(groups, 28, 28)[:, 13, 27] - 13.5
    x0 = columns.reshape(groups, 28, 28)[:, 13, 27] - 13.5
    return np.degrees(np.arctan2(y0 + 0.5 * x0 / 13.5, x0))


def test_rotations_fill_their_range():
    angles = limits(rotation=15.0)
    assert 14 < angles.max() < 15.2
    assert -15.2 < angles.min() < -14


def test_ones_and_sevens_turn_less():
    changes = settings(rotation=15.0, rotation_1_7=0.0, images_per_map=1)
    images = np.zeros((4, 784), dtype=np.uint8)
    images[:, 28 * 5 + 14] = 255
    moved = augment.deform(images, KEY, changes, is_1_or_7=np.asarray([True, False, True, False]))
    still = (images == moved.T).all(axis=1)
    assert still.tolist() == [True, False, True, False]


def test_elastic_fields_have_their_length():
    displacement = []
    for seed in range(40):
        rows, columns = augment.source(
            counter_rng.key(seed, like=ZERO), 8, settings(elastic=2.0), (28, 28)
        )
        y, x = np.mgrid[0:28, 0:28].reshape(2, 784)
        displacement.append(np.sqrt(((rows - y) ** 2 + (columns - x) ** 2).mean(axis=1)))
    lengths = np.concatenate(displacement)
    # uniform between a quarter of the limit and the limit: 1.25 on average
    assert lengths.mean() == pytest.approx(1.25, rel=0.08)


def test_elastic_fields_are_as_smooth_as_asked():
    """Neighbouring displacements correlate as a Gauss of sigma does: exp(-1 / (4 sigma^2))."""
    fields, _ = augment._smooth_fields(KEY, 400, (28, 28), 4.0)
    inner = fields.reshape(400, 28, 28)[:, 8:20, 8:20]
    correlation = (inner[:, :, 1:] * inner[:, :, :-1]).mean() / (inner**2).mean()
    assert correlation == pytest.approx(np.exp(-1 / (4 * 16)), abs=0.005)


def test_only_the_wanted_pixels_are_computed(digits):
    images = digits[0][:40]
    wanted = np.asarray([100, 101, 350, 406])
    some = augment.deform(images, KEY, settings(**ALL), wanted=wanted)
    np.testing.assert_array_equal(some, augment.deform(images, KEY, settings(**ALL))[wanted])


def test_the_presets_are_settings():
    for name, preset in augment.PRESETS.items():
        assert augment.is_deforming(settings(**preset)), name
    assert not augment.is_deforming(Settings())
    assert augment.CIRESAN["rotation"] == 15.0
    assert augment.CIRESAN["rotation_1_7"] == 7.5
