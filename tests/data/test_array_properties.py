"""Arrays of every shape, type and range: the same digits, or an error of the project's own."""

import numpy as np
import pytest

from mnistgpu.data import classes
from mnistgpu.data.digits import as_digits, rows_of
from mnistgpu.data.levels import FEWEST, OURS, Levels
from mnistgpu.errors import MnistGpuError

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies
arrays = pytest.importorskip("hypothesis.extra.numpy")

TOPS = (1, 15, 16, 100, 255, 1023, 4095, 65535)
sides = st.tuples(st.integers(1, 6), st.integers(5, 7))
some_images = sides.flatmap(
    lambda size: arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), *map(st.just, size)))
)


def outcome(call):
    """What a call returns, or None and the sentence with which it is refused."""
    try:
        return call(), ""
    except MnistGpuError as error:
        return None, str(error)


class Trained:
    """What a network says of the images that it was trained on."""

    classes = ()

    def __init__(self, image_shape, levels=OURS):
        self.image_shape, self.levels = image_shape, levels


@settings(deadline=None)
@given(images=some_images, data=st.data())
def test_no_shape_changes_what_is_read(images, data):
    count, height, width = images.shape
    shapes = [(count, height * width), images.shape, (*images.shape, 1), (count, 1, height, width)]
    if count == 1:
        shapes += [(height, width), (height * width,), (height, width, 1)]
    like = Trained((height, width))
    for shape in shapes:
        assert np.array_equal(
            rows_of(images.reshape(shape), "X", like).rows, images.reshape(count, -1)
        )
    channels = data.draw(st.sampled_from([3, 4]))
    colours = np.repeat(images[..., None], channels, axis=3)
    if channels == 4:
        colours[..., 3] = 255
    found = rows_of(colours, "X", like).rows
    assert np.array_equal(found, images.reshape(count, -1))


@settings(deadline=None)
@given(
    images=some_images,
    kind=st.sampled_from(["u1", "u2", "i2", "i4", "u4", "i8", "u8", "f4", "f8", ">u2", ">f4"]),
    order=st.sampled_from("CF"),
)
def test_no_type_changes_what_is_read(images, kind, order):
    """Also big-endian, of other orders in memory, read-only and strided arrays."""
    images[0, 0, :2] = 0, 255  # the scale is seen
    stored = np.asarray(images.astype(kind), order=order)
    stored.flags.writeable = False
    expected = images.reshape(len(images), -1)
    for given_array in (stored, np.repeat(stored, 2, axis=0)[::2], stored[::-1][::-1]):
        assert np.array_equal(as_digits(given_array, None, "X").images, expected)
        assert np.array_equal(rows_of(given_array, "X", Trained(images.shape[1:])).rows, expected)


@settings(deadline=None, max_examples=60)
@given(
    top=st.sampled_from(TOPS),
    white=st.booleans(),
    kind=st.sampled_from(["u1", "u2", "i8", "f4", "f8", "?"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_whole_set_is_recognised_and_single_images_of_it_are_read_alike(top, white, kind, seed):
    """Whatever the scale, the orientation and the type, where the type can hold it."""
    if (kind == "u1" and top > 255) or (kind == "?" and top > 1):
        top = 1
    rng = np.random.default_rng(seed)
    ink = rng.random((FEWEST + 10, 9, 9)) < 0.25
    whole = np.where(ink, rng.integers(0, top + 1, ink.shape), 0)
    whole[0, 4, 4] = top
    expected = np.round(whole * (255 / top)).astype(np.uint8).reshape(len(whole), -1)
    stored = (top - whole if white else whole).astype(kind)
    made = as_digits(stored, None, "X")
    assert np.array_equal(made.images, expected)
    assert made.levels.is_white == white
    brightest = stored.reshape(len(stored), -1).max(axis=1)
    for i in np.flatnonzero(brightest == top)[:5]:  # of dimmer ones the scale may not be told
        if top > 1 or kind != "i8":
            assert np.array_equal(rows_of(stored[i], "X", made).rows[0], expected[i])


values = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, width=32),
    st.sampled_from([0.0, 1.0, -1.0, 16.0, 255.0, 65535.0]),
)
anything = arrays.arrays(
    st.sampled_from([np.dtype(kind) for kind in ("f4", "f8", "i1", "i8", "u2", "?", "u1")]),
    arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5),
)
of_floats = arrays.arrays(np.float32, st.tuples(st.integers(1, 120), st.just(9)), elements=values)


@settings(deadline=None)
@given(images=st.one_of(anything, of_floats), known=st.booleans(), white=st.booleans())
def test_whatever_is_given_is_read_or_refused_in_one_sentence(images, known, white):
    like = Trained((3, 3), Levels(255, 0) if white else OURS) if known else None
    found, refused = outcome(lambda: rows_of(images, "X", like))
    if found is None:
        assert refused.startswith("X: ")
        assert "\n" not in refused
        return
    assert found.rows.dtype == np.uint8
    assert found.rows.ndim == 2
    assert found.rows.shape[1] == found.image_shape[0] * found.image_shape[1]
    if images.dtype.kind == "f":
        assert np.isfinite(images).all()
    assert images.min() > -1


names = st.one_of(
    st.integers(-(2**40), 2**40),
    st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=8),
)


@settings(deadline=None)
@given(labels=st.lists(names, min_size=1, max_size=40), as_list=st.booleans())
def test_every_label_comes_back_by_its_name(labels, as_list):
    array = labels if as_list and len({type(x) for x in labels}) == 1 else np.array(labels, object)
    found = classes.coded(array, "y")
    back = classes.names_of(found.classes, found.labels)
    assert [str(each) for each in back] == [str(each) for each in labels]
    again = classes.coded(back, "y", found.classes)
    assert np.array_equal(again.labels, found.labels)
    assert len(set(found.classes)) == len(found.classes)


@settings(deadline=None)
@given(
    labels=st.lists(st.integers(0, 12), min_size=1, max_size=40),
    outputs=st.integers(2, 16),
)
def test_labels_for_any_number_of_outputs_stand_for_the_same_names(labels, outputs):
    found = classes.coded(np.array(labels), "y")
    changed = classes.outputs_of(found.labels, found.classes, outputs)
    assert classes.names_of(changed.classes, changed.labels).tolist() == labels
    again = classes.outputs_of(changed.labels, changed.classes, outputs)
    assert (again.classes, again.labels.tolist()) == (changed.classes, changed.labels.tolist())


@settings(deadline=None)
@given(labels=arrays.arrays(st.sampled_from(["f4", "i8", "O", "U3", "?"]), st.integers(0, 9)))
def test_whatever_labels_are_given_are_read_or_refused_in_one_sentence(labels):
    found, refused = outcome(lambda: classes.coded(labels, "y"))
    if found is None:
        assert refused.startswith("y")
        assert "\n" not in refused
        return
    assert found.labels.dtype == np.uint8
    assert found.labels.shape == labels.shape
