"""What is ruled is taken away: lines, squares, dots, boxes, underlines; strokes are left whole."""

import cv2
import numpy as np
import pytest
from helpers.pictures import drawing, seen

from mnistgpu.pictures import ruling

SIZE = 600


def digit_ink(digit=5, side=240, width=0.07):
    ink = np.zeros((SIZE, SIZE), np.float32)
    ink[180 : 180 + side, 170 : 170 + side] = drawing(digit, side, width)
    return ink


def lost_and_left(ink, rules):
    """Shares of the stroke's pixels that are lost, and of the rules' own that are left."""
    both = np.maximum(ink, rules)
    found, removed = ruling.without_ruling(both)
    assert not found[removed].any()
    stroke = ink > 128
    own = (rules > 0) & (ink == 0)
    return np.mean(found[stroke] == 0), np.mean(found[own] > 0)


def lines(level, pitch, thick, lean, vertical=False):
    page = np.zeros((SIZE, SIZE), np.uint8)
    for at in range(pitch // 2 - 100, SIZE + 100, pitch):
        cv2.line(page, (0, at), (SIZE, round(at + lean * SIZE)), level, thick)
    return (page.T if vertical else page).astype(np.float32)


@pytest.mark.parametrize("level", [60, 255])  # pale rules, and rules as dark as the pen
@pytest.mark.parametrize("lean", [0.0, 0.04, -0.1])
@pytest.mark.parametrize("vertical", [False, True])
def test_lines_go_and_strokes_across_them_stay(level, lean, vertical):
    lost, left = lost_and_left(digit_ink(), lines(level, 48, 2, lean, vertical))
    assert lost < 0.03
    assert left < 0.06


@pytest.mark.parametrize("slope", [0.6, 1.5, -0.7])
def test_a_thin_stroke_across_lines_stays_whole(slope):
    """A ballpoint as dark as the lines: it is not parted where it crosses them."""
    stroke = np.zeros((SIZE, SIZE), np.uint8)
    end = np.array([300, 300]) + np.array([1.0, slope]) / np.hypot(1.0, slope) * 130
    start = 600 - end
    cv2.line(stroke, np.round(start).astype(int), np.round(end).astype(int), 255, 3)
    both = np.maximum(stroke.astype(np.float32), lines(255, 48, 2, 0.0))
    found, removed = ruling.without_ruling(both)
    assert removed.any()
    around = cv2.dilate(stroke, np.ones((3, 3), np.uint8)) > 0
    parts, _, stats, _ = cv2.connectedComponentsWithStats(((found > 0) & around).astype(np.uint8))
    assert stats[1:parts, cv2.CC_STAT_AREA].max() > 0.9 * np.count_nonzero(stroke)


@pytest.mark.parametrize("vertical", [False, True])
def test_a_line_goes_on_where_it_is_faint(vertical):
    """Of some lines only short pieces are dark enough, between strokes and at the end."""
    rules = lines(60, 48, 2, 0.03)
    faint = np.zeros(SIZE, bool)
    for start in range(230, SIZE, 85):
        faint[start : start + 40] = True
    rules[:, faint] = 0
    rules = np.ascontiguousarray(rules.T) if vertical else rules
    lost, left = lost_and_left(digit_ink(), rules)
    assert lost < 0.03
    assert left < 0.06


@pytest.mark.parametrize("depth", [25, 45])
def test_lines_go_in_what_is_left_of_a_shadow(depth):
    """Lines do not join a shadow to the digit."""
    rules, shadow = lines(90, 48, 2, 0.02), np.zeros((SIZE, SIZE), np.float32)
    shadow[:, :230] = shadow[:, 430:] = depth
    found, _ = ruling.without_ruling(np.maximum(digit_ink(), np.maximum(rules, shadow)))
    between = np.zeros((SIZE, SIZE), bool)
    between[:, 235:425] = True
    assert np.mean(found[between & (rules > 0) & (digit_ink() == 0)] > 0) < 0.06
    assert np.mean(found[digit_ink() > 128] == 0) < 0.03


@pytest.mark.parametrize("pitch", [30, 55])
def test_squares_go(pitch):
    squares = np.maximum(lines(70, pitch, 2, 0.02), lines(70, pitch, 2, 0.02, vertical=True))
    lost, left = lost_and_left(digit_ink(), squares)
    assert lost < 0.03
    assert left < 0.06


def test_a_few_strokes_are_no_ruling():
    """The bars of digits are straight and of one width, too."""
    for digit in range(10):
        ink = digit_ink(digit)
        found, removed = ruling.without_ruling(ink)
        assert not removed.any()
        assert np.array_equal(found, ink)


@pytest.mark.parametrize("far", [5, 60, 150])
@pytest.mark.parametrize("turned", [0, 2])
def test_the_stems_of_a_number_are_no_ruling(far, turned):
    """However near the picture's edge three 1s stand, they are no longer than they are."""
    ink = np.zeros((SIZE, SIZE), np.float32)
    for i in range(3):
        ink[SIZE - far - 130 : SIZE - far, 100 + 150 * i : 104 + 150 * i] = 255
    ink = np.ascontiguousarray(np.rot90(ink, turned))
    _, removed = ruling.without_ruling(ink)
    assert not removed.any()


def test_a_lattice_of_dots_goes():
    dots = np.zeros((SIZE, SIZE), np.float32)
    for y in range(10, SIZE, 35):
        for x in range(10, SIZE, 35):
            dots[y - 2 : y + 2, x - 2 : x + 2] = 90
    alone = seen(255 - digit_ink().astype(np.uint8))
    both = np.maximum(digit_ink(), dots)
    found, _ = ruling.without_ruling(both)
    far = cv2.dilate((digit_ink() > 0).astype(np.uint8), np.ones((9, 9))) == 0
    assert not found[far].any()
    assert np.mean(np.abs(seen(255 - both.astype(np.uint8)).astype(int) - alone)) < 4


@pytest.mark.parametrize("thick", [2, 5, 9])
@pytest.mark.parametrize("turn", [0, 3])
def test_a_box_around_a_digit_goes(thick, turn):
    box = np.zeros((SIZE, SIZE), np.uint8)
    corners = cv2.boxPoints(((290, 300), (300, 320), turn)).astype(int)
    cv2.polylines(box, [corners], True, 255, thick)
    lost, left = lost_and_left(digit_ink(), box.astype(np.float32))
    assert lost == 0.0
    assert left == 0.0


def test_the_boxes_of_a_form_go_with_the_lines_between_them():
    form = np.zeros((SIZE, SIZE), np.uint8)
    for i in range(5):
        cv2.rectangle(form, (40 + 100 * i, 200), (140 + 100 * i, 320), 255, 2)
    ink = np.zeros((SIZE, SIZE), np.float32)
    for i in range(5):
        ink[210:310, 45 + 100 * i : 135 + 100 * i] = drawing(i, 100)[:, 5:95]
    lost, left = lost_and_left(ink, form.astype(np.float32))
    assert lost < 0.02
    assert left == 0.0


@pytest.mark.parametrize("digit", [0, 8])
def test_a_square_digit_is_no_box(digit):
    """As a display draws it: nothing is written in it."""
    ink = np.zeros((SIZE, SIZE), np.uint8)
    cv2.rectangle(ink, (200, 150), (350, 400), 255, 20)
    if digit == 8:
        cv2.line(ink, (200, 275), (350, 275), 255, 20)
    found, removed = ruling.without_ruling(ink.astype(np.float32))
    assert not removed.any()
    assert np.array_equal(found, ink)


def test_an_underline_goes_and_a_dash_stays():
    under = np.zeros((SIZE, SIZE), np.float32)
    under[440:450, 120:470] = 255
    assert lost_and_left(digit_ink(), under) == (0.0, 0.0)
    dash = np.zeros((SIZE, SIZE), np.float32)
    dash[300:312, 440:520] = 255
    assert lost_and_left(digit_ink(), dash) == (0.0, 1.0)
