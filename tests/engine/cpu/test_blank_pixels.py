"""Sorted images are the same images, and what a batch of them leaves out is blank."""

import numpy as np
import pytest

from mnistgpu.engine.cpu import blank_pixels
from mnistgpu.engine.cpu.blank_pixels import (
    MULTIPLE,
    SortedImages,
    counts_of_ink,
    sort_where_it_pays,
)


@pytest.fixture
def images(digits):
    return digits[0]


@pytest.fixture
def in_order(images):
    return SortedImages(images, counts_of_ink(images))


ROWS = {
    "some": np.array([3, 1999, 250, 249, 3]),
    "one": np.array([7]),
    "all": slice(0, 2000),
    "a part": slice(240, 260),
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_a_batch_lacks_nothing_but_zeros(images, in_order, rows):
    (left_out,) = in_order.blank_in(rows, [0])
    assert left_out > 0
    assert left_out % MULTIPLE == 0
    back = np.zeros_like(images[rows])
    back[:, in_order.order[left_out:]] = in_order.images[rows, left_out:]
    assert np.array_equal(back, images[rows])


def test_as_much_is_left_out_as_can_be(images, in_order):
    rows = np.arange(1000, 1100)
    blank = [np.argmax(images[row, in_order.order] > 0) for row in rows]
    one_by_one = in_order.blank_in(rows, range(100))
    assert one_by_one == [each // MULTIPLE * MULTIPLE for each in blank]
    uneven = [0, 1, 40, 99]
    assert in_order.blank_in(rows, uneven) == [
        min(one_by_one[start:stop]) for start, stop in zip(uneven, [*uneven[1:], 100], strict=True)
    ]


def test_the_pixels_that_carry_ink_most_seldom_come_first(images, in_order):
    inked = (images > 0).sum(axis=0)
    assert np.array_equal(counts_of_ink(images), inked)
    assert np.array_equal(in_order.order, np.argsort(inked, kind="stable"))
    full = np.full((1001, 3), 255, np.uint8)
    assert counts_of_ink(full).tolist() == [1001] * 3


def test_a_batch_with_an_image_without_ink_has_all_pixels(images):
    images = images.copy()
    images[5] = 0
    in_order = SortedImages(images, counts_of_ink(images))
    assert in_order.blank_in(np.array([4, 5]), [0]) == [0]


def test_images_are_sorted_where_it_pays(images, monkeypatch):
    """Not for a few epochs, not without end of memory, and not where every pixel carries ink."""
    batches = len(images) // 50
    assert sort_where_it_pays(images, 50, 12 * batches, True) is not None
    assert sort_where_it_pays(images, 50, 12 * batches - 1, True) is None
    assert sort_where_it_pays(255 - images, 50, 12 * batches, True) is None
    monkeypatch.setattr(blank_pixels, "MOST_BYTES", images.nbytes - 1)
    assert sort_where_it_pays(images, 50, 12 * batches, True) is None


def test_pixels_without_any_ink_give_way_to_one_that_is_always_255(images):
    """As many as leave a multiple; where there are none, or weights decay, all stay."""
    steps = 12 * (len(images) // 50)
    every, some = (sort_where_it_pays(images, 50, steps, drop) for drop in (False, True))
    never = np.count_nonzero(images.any(axis=0) == 0)
    assert (some.bias, every.bias) == (True, False)
    assert every.images.shape == images.shape
    dropped = 784 - len(some.order)
    assert never - MULTIPLE < dropped <= never
    assert some.images.shape[1] == len(some.order) + 1
    assert some.images.shape[1] % MULTIPLE == 0
    assert np.array_equal(some.order, every.order[dropped:])
    assert np.array_equal(some.images[:, :-1], images[:, some.order])
    assert (some.images[:, -1] == 255).all()
    assert np.array_equal(some.blank, every.blank - dropped)

    inked = images.copy()
    inked[np.arange(784), np.arange(784)] |= 1  # each pixel somewhere
    assert not sort_where_it_pays(inked, 5, 10**6, True).bias


def test_an_image_without_ink_leaves_no_pixel_but_that_of_the_biases(images):
    images = images[:100].copy()
    images[7] = 0
    in_order = SortedImages(images, counts_of_ink(images), 17, bias=True)
    assert in_order.images.shape[1] == 768
    assert in_order.blank_in(np.array([7]), [0]) == [767 // MULTIPLE * MULTIPLE]
    alone = in_order.blank_in(np.array([8]), [0])
    assert in_order.blank_in(np.array([7, 8]), [0]) == alone
