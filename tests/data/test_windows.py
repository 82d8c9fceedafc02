"""The order of images that stay in their files: each once, by blocks, window by window."""

import tracemalloc

import numpy as np
import pytest
from helpers.spaces import Space

from mnistgpu import counter_rng
from mnistgpu.data.windows import BLOCK, LENGTH, TOGETHER, Windows

KEY = counter_rng.key(5, like=np.empty(0))
COUNT = 2 * LENGTH + 3 * BLOCK + 17  # two windows, and one of three blocks and some images


def order(count, key=KEY, size=1000):
    windows = Windows(count)
    parts = [windows.rows(key, i, min(i + size, count)) for i in range(0, count, size)]
    return np.concatenate(parts)


@pytest.mark.parametrize("count", [1, 17, BLOCK, BLOCK + 1, LENGTH, LENGTH + 1, COUNT])
def test_every_image_once(count):
    assert np.array_equal(np.sort(order(count)), np.arange(count))


def test_the_parts_that_are_asked_for_change_nothing():
    whole = order(COUNT)
    for size in (512, 4096, LENGTH, 2 * LENGTH + 5):
        assert np.array_equal(order(COUNT, size=size), whole)
    assert np.array_equal(Windows(COUNT).rows(KEY, 70_000, 70_010), whole[70_000:70_010])


def test_a_window_is_of_whole_blocks_that_are_mixed():
    rows = order(COUNT)
    for start in (0, LENGTH):
        window = rows[start : start + LENGTH]
        blocks, counts = np.unique(window // BLOCK, return_counts=True)
        assert len(blocks) == TOGETHER
        assert (counts == BLOCK).all()
        # any thousand of them are of nearly all blocks, which lie anywhere in the files
        assert len(np.unique(window[:1000] // BLOCK)) == TOGETHER
        assert blocks.min() < 20
        assert blocks.max() > COUNT // BLOCK - 20
    last = rows[2 * LENGTH :]
    assert set(range(COUNT - 17, COUNT)) <= set(last.tolist())


def test_every_epoch_has_an_order_of_its_own():
    other = order(COUNT, counter_rng.fold_in(KEY, 1))
    first = order(COUNT)
    assert np.mean(first == other) < 0.001
    blocks = [set(np.unique(each[:LENGTH] // BLOCK).tolist()) for each in (first, other)]
    assert blocks[0] != blocks[1]


def test_neighbours_are_not_left_together():
    rows = order(COUNT)[:LENGTH]
    assert np.mean(np.abs(np.diff(rows)) == 1) < 0.001


def test_every_backend_has_this_order(other_space: Space):
    key = counter_rng.key(5, like=other_space.put(np.zeros(1)))
    there = Windows(COUNT).rows(key, 60_000, 70_000)
    assert np.array_equal(other_space.get(there), order(COUNT)[60_000:70_000])


class Noted:
    """What the images are told."""

    def __init__(self, count=COUNT):
        self.count, self.held, self.expected = count, [], []

    def hold(self, begins, block, together):
        assert (block, together) == (BLOCK, TOGETHER)
        self.held.append(set(begins))

    def expect(self, begin, end):
        assert end == min(begin + BLOCK, self.count)
        self.expected.append(begin)


def test_a_window_is_held_once_and_the_next_one_read_meanwhile():
    noted = Noted()
    windows = Windows(COUNT, noted)

    def blocks(window):
        every = order(COUNT)[window * LENGTH : (window + 1) * LENGTH] // BLOCK
        return {block * BLOCK for block in np.unique(every).tolist()}

    for window in range(3):
        noted.expected.clear()
        for start in range(window * LENGTH, min(COUNT, window * LENGTH + 5000), 1000):
            windows.rows(KEY, start, min(COUNT, start + 1000))
        assert noted.held == [blocks(each) for each in range(window + 1)]
        assert set(noted.expected) == (blocks(window + 1) if window < 2 else set())


@pytest.mark.parametrize("count", [1, BLOCK, BLOCK + 1, 3 * BLOCK, LENGTH + BLOCK])
def test_no_block_is_held_that_begins_beyond_the_last_image(count):
    noted = Noted(count)
    Windows(count, noted).rows(KEY, 0, count)
    assert set().union(*noted.held) == set(range(0, count, BLOCK))
    assert set(noted.expected) < set(range(0, count, BLOCK)) | {-1}


def test_only_the_newest_two_windows_are_in_memory():
    windows = Windows(5 * LENGTH)
    tracemalloc.start()
    try:
        for start in range(0, 5 * LENGTH, LENGTH):
            windows.rows(KEY, start, start + 10)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2.5 * 8 * LENGTH  # bytes of their rows
