"""Which parts of a picture are one digit, by their boxes: first row and column, after the last."""

import numpy as np
import pytest

from mnistgpu.data.levels import OURS
from mnistgpu.pictures import answers, components, images, preparing

BODY = (20, 10, 120, 70)  # 100 pixels tall
FAR = (20, 300, 110, 350)  # another digit


def groups(*boxes):
    """The digits, each as the sorted indices of its boxes."""
    return [sorted(group.tolist()) for group in components.digits_of(np.array(boxes))]


@pytest.mark.parametrize(
    ("bar", "belongs"),
    [
        ((2, 30, 8, 60), True),  # the bar of a 5, a third as long as its body and just above it
        ((2, 30, 8, 68), True),  # longer than what passes for a short stroke
        ((50, 74, 60, 100), True),  # beside the body, 4 pixels away
        ((50, 90, 60, 116), False),  # 20 pixels away
        ((150, 30, 156, 60), False),  # 30 pixels below
    ],
)
def test_a_short_stroke_belongs_to_the_digit_near_it(bar, belongs):
    assert groups(BODY, bar, FAR) == [[0, 1] if belongs else [0], [2]]
    assert groups(FAR, BODY, bar) == [[1, 2] if belongs else [1], [0]]


def test_digits_that_nearly_touch_are_two():
    """A gap of an eighth of their size or more separates them."""
    assert groups(BODY, (20, 83, 120, 140)) == [[0], [1]]
    assert groups(BODY, (20, 80, 120, 140)) == [[0, 1]]


def test_a_stroke_is_part_of_its_own_digits_image():
    """The ink of the bar reaches the network's input, and so does no ink of the digit beside it."""
    paper = np.zeros((140, 400), dtype=np.uint8)
    paper[20:120, 30:50] = 255
    alone = images.find(255 - paper, many=True).images
    paper[4:12, 30:58] = 255
    with_bar = images.find(255 - paper, many=True).images
    paper[20:120, 300:320] = 255
    both = images.find(255 - paper, many=True)
    assert len(alone) == len(with_bar) == 1
    assert not np.array_equal(alone[0], with_bar[0])
    np.testing.assert_array_equal(both.images, [with_bar[0], alone[0]])
    assert both.boxes.tolist() == [[4, 30, 120, 58], [20, 300, 120, 320]]


def test_a_bar_may_lie_farther_above_than_beside():
    """Up to a quarter of the digit's size above it, but an eighth beside it."""
    long_bar = (0, 20, 8, 70)
    assert groups((30, 10, 130, 70), long_bar) == [[0, 1]]
    assert groups((36, 10, 136, 70), long_bar) == [[0], [1]]


@pytest.mark.parametrize("bar", [(15, 50, 22, 100), (28, 55, 38, 95), (2, 62, 9, 104)])
def test_a_bar_that_stands_out_is_on_the_line_of_its_digit(bar):
    """As long as a digit is high, and beside none of the others: but lower than any digit."""
    boxes = np.array([BODY, bar, (20, 120, 120, 170), FAR])
    parts = components.groups_of(boxes, side_by_side=False)
    (line,) = components.lines_of(parts, boxes)
    assert [index for part in line for index in part] == [0, 1, 2, 3]


def test_a_square_digit_is_centred_along_each_axis():
    """A triangle, whose centre of mass is a third of its side from two of its edges."""
    ink = np.tril(np.ones((40, 40), dtype=np.float32))
    image = preparing.prepare(ink).reshape(28, 28).astype(np.float64)
    y, x = np.mgrid[:28, :28]
    assert (image * y).sum() / image.sum() == pytest.approx(14.0, abs=0.55)
    assert (image * x).sum() / image.sum() == pytest.approx(14.0, abs=0.55)
    rows, columns = np.nonzero(image)
    assert (rows.max() - rows.min(), columns.max() - columns.min()) == (19, 19)
    assert rows.min() + 2 < columns.min()  # more ink below and on the left


def test_pale_ink_becomes_as_dark_as_the_networks():
    ink = np.zeros((60, 60), dtype=np.float32)
    ink[10:50, 25:35] = 200.0
    dark, pale = preparing.prepare(ink), preparing.prepare(ink / 20)
    assert dark.max() == 255
    np.testing.assert_array_equal(pale, dark)


def test_ink_of_a_neighbour_in_the_box_is_left_out():
    """An L of two strokes that do not touch, and a 1 above its foot: its box holds the 1, too."""
    paper = np.zeros((160, 220), dtype=np.uint8)
    paper[20:140, 20:40] = 255
    paper[120:140, 50:200] = 255
    without = images.find(255 - paper, many=True).images
    paper[20:75, 120:135] = 255
    both = images.find(255 - paper, many=True)
    assert len(without) == 1
    assert both.boxes.tolist() == [[20, 20, 140, 200], [20, 120, 75, 135]]
    np.testing.assert_array_equal(both.images[0], without[0])


class Even:
    """A network that is equally sure of every digit."""

    image_shape, classes, levels, orientation = (28, 28), (), OURS, "by-name"

    def probabilities(self, given, backend):
        return np.full((10, len(given)), 0.1)


def test_answers_are_named_by_their_index(tmp_path):
    """As predict's documents say: FILE[0], FILE[1], ..., and FILE alone for a single image."""
    for count, names in ((1, [""]), (3, ["[0]", "[1]", "[2]"])):
        path = tmp_path / f"{count}.npz"
        np.savez(path, x_test=np.zeros((count, 28, 28), dtype=np.uint8))
        found = [answer.name for answer in answers.answers(Even(), [path])]
        assert found == [f"{path}{name}" for name in names]
