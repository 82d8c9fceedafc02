"""Deformations: identity at strength 0, against SciPy, mass, limits, the same everywhere."""

import numpy as np
import pytest

from mnistgpu import counter_rng
from mnistgpu.maths import augment
from mnistgpu.settings import Settings

ZERO = np.zeros(1)
KEY = counter_rng.key(3, like=ZERO)
KEYS = augment.keys_of(KEY)


MIRRORED = np.arange(784).reshape(28, 28)[:, ::-1].ravel()


def deformation(**changes):
    """What settings with these changes deform."""
    return Settings().changed(**changes).deformation


ALL = {
    "rotation": 15.0, "scaling": 0.15, "shear": 0.2, "shift": 3.0, "mirror": 0.5, "elastic": 1.5,
}  # fmt: skip


@pytest.mark.parametrize("changes", [{}, ALL], ids=["nothing", "everything at strength 0"])
def test_strength_zero_is_the_identity_to_the_bit(digits, changes):
    images = digits[0][:70]
    moved = augment.deform(images, KEYS, deformation(**changes), strength=0.0)
    assert moved.shape == (784, 70)
    assert moved.dtype == np.float32
    np.testing.assert_array_equal(moved.T, images.astype(np.float32))


@pytest.mark.parametrize("count", [1, 31, 32, 33, 70])
def test_any_number_of_images(digits, count):
    moved = augment.deform(digits[0][:count], KEYS, deformation(**ALL))
    assert moved.shape == (784, count)
    assert np.isfinite(moved).all()
    assert moved.min() >= 0
    assert moved.max() <= 255.01


def test_mass_is_roughly_kept(digits):
    images = digits[0]
    moved = augment.deform(images, KEYS, deformation(rotation=15.0, elastic=1.0, shift=1.0))
    ratio = moved.sum(axis=0) / images.sum(axis=1)
    assert ratio.mean() == pytest.approx(1.0, abs=0.03)
    assert np.percentile(ratio, 1) > 0.75
    assert np.percentile(ratio, 99) < 1.3


def test_same_key_same_images_other_key_other_images(digits):
    images = digits[0][:64]
    first, again, other = (
        augment.deform(images, augment.keys_of(key), deformation(**ALL))
        for key in (KEY, KEY, counter_rng.key(4, like=ZERO))
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 5


def test_a_group_shares_its_map_and_groups_differ(digits):
    images = np.repeat(digits[0][:1], 64, axis=0)
    moved = augment.deform(images, KEYS, deformation(**ALL, images_per_map=32))
    np.testing.assert_array_equal(moved[:, 0], moved[:, 31])
    assert np.abs(moved[:, 0] - moved[:, 32]).mean() > 2


def test_what_comes_from_far_outside_is_paper():
    """By any distance: a black image shifted whole pixels and parts of them, out of sight at last.

    Each image has a map of its own; the ink left is that of the part still within the picture.
    """
    images = np.full((200, 784), 255, dtype=np.uint8)
    changes = deformation(shift=20.0, images_per_map=1)
    moved = augment.deform(images, KEYS, changes, strength=2.0)
    draws = counter_rng.uniforms(KEYS[0], (8, 200), axis=1) * 2.0 - 1.0
    inside = np.maximum(28 - np.abs(40.0 * draws[4:6]), 0.0)
    np.testing.assert_allclose(moved.sum(axis=0), 255 * inside[0] * inside[1], rtol=1e-3, atol=1)
    assert (moved.sum(axis=0) == 0).sum() > 50


def test_against_scipy(digits):
    """The bilinear gather is SciPy's map_coordinates of order 1 with zeros outside."""
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")
    changes = deformation(**ALL)
    rows, columns = augment.source(KEYS, range(2), changes, (28, 28))
    moved = augment.deform(digits[0][:64], KEYS, changes)
    for i in (0, 5, 40):
        group = i // 32
        padded = np.pad(digits[0][i].reshape(28, 28).astype(np.float64), 20)
        expected = ndimage.map_coordinates(padded, [rows[group] + 20, columns[group] + 20], order=1)
        np.testing.assert_allclose(moved[:, i], expected, atol=0.02)


def drawn(**changes):
    """A smooth picture, that picture deformed, and the eight numbers in [-1, 1) drawn for it."""
    y, x = np.mgrid[0:28, 0:28]
    picture = 255 * np.exp(-((y - 11) ** 2 / 30 + (x - 16) ** 2 / 12 + (y - 11) * (x - 16) / 40))
    picture = picture.round().astype(np.uint8)
    moved = augment.deform(picture.reshape(1, 784), KEYS, deformation(**changes)).reshape(28, 28)
    draws = counter_rng.uniforms(KEYS[0], (8,)) * 2.0 - 1.0
    return picture.astype(np.float64), moved, draws.astype(np.float64)


def test_a_known_shift():
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")
    picture, moved, u = drawn(shift=3.0)
    expected = ndimage.shift(picture, (3 * u[4], 3 * u[5]), order=1)
    np.testing.assert_allclose(moved[4:24, 4:24], expected[4:24, 4:24], atol=0.01)
    assert np.abs(u[4:6]).min() > 0.1


def test_a_known_rotation():
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")
    picture, moved, u = drawn(rotation=15.0)
    expected = ndimage.rotate(picture, -15 * u[0], reshape=False, order=1)  # clockwise
    np.testing.assert_allclose(moved[4:24, 4:24], expected[4:24, 4:24], atol=0.01)
    assert abs(u[0]) > 0.1


def test_a_known_scaling_and_shear():
    """A stretch by 1 + 0.15 u along each axis, and a slant of 0.2 u columns a row."""
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")
    picture, moved, u = drawn(scaling=0.15, shear=0.2)
    back = np.array([[1 / (1 + 0.15 * u[1]), 0], [0, 1 / (1 + 0.15 * u[2])]])
    back = np.array([[1, 0], [0.2 * u[3], 1]]) @ back
    centre = np.array([13.5, 13.5])
    expected = ndimage.affine_transform(picture, back, centre - back @ centre, order=1)
    np.testing.assert_allclose(moved[4:24, 4:24], expected[4:24, 4:24], atol=0.01)
    assert np.abs(u[1:4]).min() > 0.1


def limits(groups=4000, **changes):
    """Extremes of the angle over many maps, in degrees."""
    rows, columns = augment.source(KEYS, range(groups), deformation(**changes), (28, 28))
    y0 = rows.reshape(groups, 28, 28)[:, 13, 27] - 13.5
    x0 = columns.reshape(groups, 28, 28)[:, 13, 27] - 13.5
    return np.degrees(np.arctan2(y0 + 0.5 * x0 / 13.5, x0))


def test_rotations_fill_their_range():
    angles = limits(rotation=15.0)
    assert 14 < angles.max() < 15.2
    assert -15.2 < angles.min() < -14


def test_ones_and_sevens_turn_less():
    changes = deformation(rotation=15.0, rotation_1_7=0.0, images_per_map=1)
    images = np.zeros((4, 784), dtype=np.uint8)
    images[:, 28 * 5 + 14] = 255
    moved = augment.deform(images, KEYS, changes, limited=np.asarray([True, False, True, False]))
    still = (images == moved.T).all(axis=1)
    assert still.tolist() == [True, False, True, False]


def turns(labels, per_map):
    """How far images of one upright stroke were turned, in degrees, by the moments of their ink."""
    image = np.zeros((28, 28), dtype=np.uint8)
    image[4:24, 13:15] = 255
    images = np.repeat(image.reshape(1, 784), len(labels), axis=0)
    changes = deformation(rotation=15.0, rotation_1_7=7.5, images_per_map=per_map)
    moved = augment.deform(images, KEYS, changes, limited=augment.is_1_or_7(labels))
    y, x = np.mgrid[0:28, 0:28].reshape(2, 784, 1) - 13.5
    ink = moved / moved.sum(axis=0)
    return np.degrees(0.5 * np.arctan2(2 * (ink * x * y).sum(0), (ink * (y * y - x * x)).sum(0)))


@pytest.mark.parametrize("per_map", [1, 32])
def test_the_limit_of_ones_and_sevens_is_theirs_alone(per_map, digits):
    """Also where images share maps, if the 1s and 7s come last."""
    labels = np.tile(digits[1], 5)
    if per_map > 1:
        labels = labels[augment.ones_and_sevens_last(np.arange(len(labels)), labels, len(labels))]
    angles, limited = turns(labels, per_map), np.isin(labels, (1, 7))
    assert 7 < np.abs(angles[limited]).max() < 7.6
    assert 14 < np.abs(angles[~limited]).max() < 15.1
    wide = np.abs(angles[~limited]) > 7.6
    assert wide.mean() == pytest.approx(0.5, abs=0.12)


def test_a_map_of_both_kinds_has_the_narrower_limit():
    angles = turns(np.tile([1, 2, 3, 4], 2000), 4)
    assert 7 < np.abs(angles).max() < 7.6


def test_ones_and_sevens_are_the_last_of_their_batch(other_space):
    rows = np.asarray([5, 3, 8, 0, 6, 1, 7, 2, 4])
    labels = np.asarray([1, 2, 7, 3, 4, 1, 0, 7, 7], dtype=np.uint8)
    order = augment.ones_and_sevens_last(other_space.put(rows), other_space.put(labels), 4)
    assert other_space.get(order).tolist() == [3, 0, 5, 8, 6, 7, 1, 2, 4]


@pytest.mark.parametrize("per_map", [1, 4])
def test_a_map_depends_on_its_place_in_the_batch_alone(digits, per_map):
    """A batch of 30 images, whole and cut where maps begin."""
    images, changes = digits[0][:30], deformation(**ALL, images_per_map=per_map)
    whole = augment.deform(images, KEYS, changes)
    parts = [augment.deform(images[i:j], KEYS, changes, first=i) for i, j in ((0, 8), (8, 30))]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-2)
    other = augment.deform(images[8:], KEYS, changes)
    assert np.abs(other - whole[:, 8:]).mean() > 2


def test_elastic_fields_have_their_length():
    displacement = []
    for seed in range(40):
        rows, columns = augment.source(
            augment.keys_of(counter_rng.key(seed, like=ZERO)),
            range(8),
            deformation(elastic=2.0),
            (28, 28),
        )
        y, x = np.mgrid[0:28, 0:28].reshape(2, 784)
        displacement.append(np.sqrt(((rows - y) ** 2 + (columns - x) ** 2).mean(axis=1)))
    lengths = np.concatenate(displacement)
    # uniform between a quarter of the limit and the limit: 1.25 on average
    assert lengths.mean() == pytest.approx(1.25, rel=0.08)


def test_elastic_fields_are_as_smooth_as_asked():
    """Neighbouring displacements correlate as a Gauss of sigma does: exp(-1 / (4 sigma^2))."""
    fields, _ = augment.SmoothFields(ZERO, (28, 28), 4.0).draw(KEY, range(400))
    inner = fields.reshape(400, 28, 28)[:, 8:20, 8:20]
    correlation = (inner[:, :, 1:] * inner[:, :, :-1]).mean() / (inner**2).mean()
    assert correlation == pytest.approx(np.exp(-1 / (4 * 16)), abs=0.005)


def test_only_the_wanted_pixels_are_computed(digits):
    images = digits[0][:40]
    wanted = np.asarray([100, 101, 350, 406])
    some = augment.deform(images, KEYS, deformation(**ALL), wanted=wanted)
    np.testing.assert_array_equal(some, augment.deform(images, KEYS, deformation(**ALL))[wanted])


def test_ciresans_fields_are_as_strong_as_the_papers():
    """Uniform noise, smoothed by SciPy's Gauss of 5.5 pixels, times 37: the same mean square."""
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 300, 28 + 60, 28 + 60))
    fields = 37 * ndimage.gaussian_filter(noise, (0, 0, 5.5, 5.5))[..., 30:-30, 30:-30]
    theirs = np.sqrt((fields**2).sum(axis=0).mean())
    alone = deformation(elastic=augment.CIRESAN.elastic, elastic_sigma=5.5)
    rows, columns = augment.source(KEYS, range(600), alone, (28, 28))
    y, x = np.mgrid[0:28, 0:28].reshape(2, 784)
    ours = np.sqrt(((rows - y) ** 2 + (columns - x) ** 2).mean())
    assert ours == pytest.approx(theirs, rel=0.05)


def test_the_presets_are_settings():
    for name, preset in augment.PRESETS.items():
        assert preset.is_deforming, name
        assert deformation(**augment.preset(name)) == preset
    assert not Settings().deformation.is_deforming
    assert augment.CIRESAN.rotation == 15.0
    assert augment.CIRESAN.rotation_1_7 == 7.5


@pytest.mark.parametrize("limit", [*ALL, "rotation_1_7"])
def test_one_limit_alone_deforms(limit):
    assert deformation(**{limit: 0.1}).is_deforming


@pytest.mark.parametrize(("strength", "least", "most"), [(1.0, 0.45, 0.55), (0.5, 0.2, 0.3)])
def test_a_share_of_the_maps_is_mirrored_and_nothing_else(digits, strength, least, most):
    images = np.repeat(digits[0][:1], 2000, axis=0)
    alone = deformation(mirror=0.5, images_per_map=1)
    moved = augment.deform(images, KEYS, alone, strength=strength).T
    other_way = images[0].reshape(28, 28)[:, ::-1].ravel()
    mirrored = (moved == other_way).all(axis=1)
    assert least < mirrored.mean() < most
    assert (moved[~mirrored] == images[0]).all()


def test_a_mirrored_map_is_the_mirror_of_the_map(digits):
    """Whatever else a map does comes first: rotation and the rest of each image are the same."""
    images, changes = digits[0][:200], {**ALL, "images_per_map": 1}
    plain = augment.deform(images, KEYS, deformation(**{**changes, "mirror": 0.0})).T
    found = augment.deform(images[:, MIRRORED], KEYS, deformation(**changes)).T
    same = np.isclose(found, plain, atol=0.01).all(axis=1)
    assert 70 < same.sum() < 130
