"""Pictures that show no digit, or several: refused, or read one by one in reading order."""

import numpy as np
import pytest
from helpers.pictures import INKS, drawing, encoded, page, photograph

from mnistgpu.errors import DataError
from mnistgpu.pictures import components, decode, images

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies


def blank_pages():
    rng = np.random.default_rng(0)
    yield "white", np.full((300, 400), 255, np.uint8)
    yield "black", np.zeros((28, 28), np.uint8)
    yield "red", np.full((50, 60, 3), (200, 10, 10), np.uint8)
    yield "one pixel", np.full((1, 1), 9, np.uint8)
    yield "a line of pixels", np.full((1, 500), 9, np.uint8)
    yield "noise", np.clip(rng.normal(200, 6, (450, 600)), 0, 255).astype(np.uint8)
    nothing = np.zeros(784, np.uint8)
    yield "photograph of paper", photograph(nothing, seed=1, size=(450, 600))
    yield "faint", np.pad(np.full((20, 4), 245, np.uint8), 60, constant_values=255)


@pytest.mark.parametrize(("name", "levels"), list(blank_pages()), ids=lambda value: str(value)[:20])
def test_a_blank_page(name, levels):
    with pytest.raises(DataError, match="no digit found"):
        images.find(levels, where=name)


def sheet(*digits, gap=230, side=240):
    """Digits beside each other, black on white."""
    ink = np.zeros((side, gap * len(digits) + 40), np.uint8)
    for i, digit in enumerate(digits):
        ink[:, 20 + gap * i : 20 + gap * i + side][:, : side - 20] |= drawing(digit, side)[:, 20:][
            :, : ink.shape[1] - 20 - gap * i
        ]
    return 255 - ink


def test_several_digits_are_refused_or_read_one_by_one(shipped):
    levels = sheet(3, 1, 4, 5, 9)
    with pytest.raises(DataError, match=r"5 digits found.*--many"):
        images.find(levels)
    found = images.find(levels, many=True)
    assert shipped.predict(found.images).tolist() == [3, 1, 4, 5, 9]
    assert (np.diff(found.boxes[:, 1]) > 0).all()


def test_lines_are_read_from_the_top(shipped):
    found = images.find(np.vstack([sheet(2, 7, 1), sheet(8, 2, 8)]), many=True)
    assert shipped.predict(found.images).tolist() == [2, 7, 1, 8, 2, 8]


@pytest.mark.parametrize("seed", [2, 5, 8])
def test_a_photographed_page(seed, shipped, test_digits):
    """Small digits on a wide page: the edge of a shadow, many times as large, is no digit."""
    digits, labels = (part[50 * seed : 50 * seed + 8] for part in test_digits)
    levels = page(digits, 4, seed, list(INKS)[seed % 3], side=70, margin=320)
    content = decode.decode(encoded(levels, "JPEG", quality=75), "it")
    found = images.find(content, many=True).images
    assert len(found) == 8
    away = np.abs(found[:, None].astype(int) - digits).mean(axis=2)
    assert np.argmin(away, axis=1).tolist() == list(range(8))  # each is most like itself
    # an open 9 among them may pass for a 5, whose halves are as probable
    assert (shipped.predict(found) == labels).sum() >= 7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("jitter", "slant"), [(0.0, 0.2), (0.0, -0.2), (0.0, -0.1), (0.15, 0.0), (0.15, 0.1)]
)
def test_a_hand_s_lines_are_read_in_order(jitter, slant, shipped, test_digits):
    for seed in (0, 1):
        digits, labels = (part[30 * seed : 30 * seed + 18] for part in test_digits)
        levels = page(digits, 6, seed, side=130, jitter=jitter, slant=slant)
        found = images.find(levels, many=True)
        assert shipped.predict(found.images).tolist() == labels.tolist()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), slant=st.floats(-0.25, 0.25), columns=st.integers(1, 9))
def test_reading_order(seed, slant, columns):
    """Boxes on three slanting lines, each shifted up or down a little."""
    rng = np.random.default_rng(seed)
    row, column = np.divmod(np.arange(3 * columns), columns)
    height = rng.integers(70, 100, len(row))
    top = 1000 + 200 * row + 100 * slant * column + rng.uniform(-15, 15, len(row))
    boxes = np.stack((top, 100 * column, top + height, 100 * column + 80), axis=1).astype(int)
    shuffled = rng.permutation(len(row))
    lines = components.lines_of([np.array([i]) for i in shuffled], boxes)
    assert [int(i[0]) for line in lines for i in line] == list(range(len(row)))


def test_strokes_that_do_not_touch_are_one_digit_and_dust_is_none():
    levels = drawing(5, 300)
    apart = np.zeros((340, 300), np.uint8)
    apart[:70], apart[90:320] = levels[:70], levels[70:]  # the bar of the 5, 20 pixels above
    apart[330:333, 5:8] = 255  # dust
    assert len(images.find(apart, many=True).images) == 1
    assert images.find(apart).boxes[0, 2] < 325
