"""Numbers: where touching digits are cut, what is joined, and what stands between the digits."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers.pictures import drawing

from mnistgpu.backend import NUMPY
from mnistgpu.errors import DataError
from mnistgpu.pictures import answers, images, numbers, separators
from mnistgpu.pictures.numbers import Piece


def cropped(digit, side=200, width=0.07):
    levels = drawing(digit, side, width)
    rows, columns = (np.flatnonzero(levels.any(axis=axis)) for axis in (1, 0))
    return levels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def line_of(digits, gap, side=200):
    """Digits in a row, white on black, with so many pixels between them; negative: they overlap."""
    inks = [cropped(digit, side) for digit in digits]
    width = sum(ink.shape[1] + gap for ink in inks) + 120
    page, at = np.zeros((side + 120, width), np.uint8), 60
    for ink in inks:
        place = page[60 : 60 + len(ink), at : at + ink.shape[1]]
        np.maximum(place, ink, out=place)
        at += ink.shape[1] + gap
    return page


def piece(ink, top=0, left=0):
    ink = np.asarray(ink, np.float32)
    return Piece((top, left, top + ink.shape[0], left + ink.shape[1]), ink)


def test_a_cut_goes_between_two_digits_that_touch():
    page = line_of([5, 3], -4)
    rows, columns = (np.flatnonzero(page.any(axis=axis)) for axis in (1, 0))
    both = piece(page[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    border = cropped(5).shape[1] - 2
    pieces = numbers.cut(both, 160.0)
    assert len(pieces) > 1
    np.testing.assert_array_equal(numbers.union(pieces).ink, both.ink)  # nothing is lost
    cuts = [each.box[1] for each in pieces[1:]]
    assert min(abs(cut - border) for cut in cuts) < 12
    assert all(each.cut >= numbers.CUT for each in pieces[1:])


def holes(mask):
    """How many places ink encloses."""
    count, _ = cv2.connectedComponents((~np.pad(mask, 1)).astype(np.uint8), connectivity=4)
    return count - 2


@pytest.mark.parametrize("thick", [3, 4, 6])
@pytest.mark.parametrize("lean", [0.0, 0.2])
def test_a_cut_between_rings_that_touch_leaves_both_whole(thick, lean):
    """To cut one of them open crosses less ink, in two places, than where their walls touch."""
    page = np.zeros((48, 90), np.uint8)
    for middle in (26, 26 + 31 + thick):
        cv2.ellipse(page, (middle, 24), (16, 20), 0, 0, 360, 1, thick)
    shear = np.array([[1.0, -lean, 24 * lean], [0.0, 1.0, 0.0]])
    mask = cv2.warpAffine(page * 255, shear, page.shape[::-1]) > 100
    assert holes(mask) == 2
    paths, _ = numbers.seams(mask)
    sides = [np.arange(mask.shape[1]) < path[:, None] for path in paths]
    assert any(holes(mask & side) == holes(mask & ~side) == 1 for side in sides)


def test_cuts_that_divide_the_ink_in_the_same_way_are_one():
    """A path may take any way through a wide blank."""
    mask = np.zeros((48, 120), bool)
    mask[4:44, 5:25], mask[4:44, 95:115], mask[20:24, 25:95] = True, True, True
    paths, _ = numbers.seams(mask)
    bar = paths.mean(axis=1)[(paths.mean(axis=1) > 26) & (paths.mean(axis=1) < 94)]
    least = numbers.LEAST_INK * numbers.ROWS**2 / 4  # columns of the bar
    assert len(bar) >= 1
    assert np.all(np.diff(bar) >= least)
    for path in paths:
        assert (mask & (np.arange(120) < path[:, None])).any()
        assert (mask & (np.arange(120) >= path[:, None])).any()


def test_a_narrow_part_is_not_cut():
    assert len(numbers.cut(piece(cropped(1)), 160.0)) == 1


def test_of_all_ways_to_join_pieces_the_most_probable_wins():
    """Three blocks: the first two are one digit, if the network says so."""
    blocks = [piece(np.ones((100, 20)), 0, left) for left in (0, 24, 80)]

    def believing(widths):
        def believe(found):
            shares = [0.9 if round(float(image.max())) in widths else 0.05 for image in found]
            return np.array(shares)

        return believe

    def width(ink):
        return np.array([ink.shape[1]])

    joined, _ = numbers.digits_of_line(blocks, 100.0, believing({44, 20}), width)
    assert [each.box[1::2] for each in joined] == [(0, 20), (24, 44), (80, 100)]  # 0.9^3
    joined, score = numbers.digits_of_line(blocks, 100.0, believing({44}), width)
    assert [each.box[1::2] for each in joined] == [(0, 44), (80, 100)]
    assert score == pytest.approx(np.log(0.9) + np.log(0.05) - numbers.GAP * 0.04)


def test_pieces_far_apart_are_never_one_digit():
    blocks = [piece(np.ones((100, 20)), 0, left) for left in (0, 60)]
    found, _ = numbers.digits_of_line(
        blocks, 100.0, lambda found: np.full(len(found), 0.01), lambda ink: np.zeros(1)
    )
    assert len(found) == 2


@pytest.mark.slow
@pytest.mark.parametrize("gap", [-3, 2, 8, 40])
@pytest.mark.parametrize("number", [[4, 5], [2, 7, 1], [3, 0, 3, 5]])
def test_numbers_are_read_whole(number, gap, shipped):
    levels = 255 - line_of(number, gap)
    believe = answers.belief(shipped, NUMPY)
    found = images.find(levels, many=True, believe=believe)
    assert shipped.predict(found.images).tolist() == number
    with pytest.raises(DataError, match=f"{len(number)} digits found, where one is expected"):
        images.find(levels, believe=believe)


@pytest.mark.parametrize("digit", range(10))
@pytest.mark.parametrize("width", [0.04, 0.1])
def test_one_digit_is_not_cut(digit, width, shipped):
    levels = 255 - drawing(digit, 240, width)
    found = images.find(levels, believe=answers.belief(shipped, NUMPY))
    assert shipped.predict(found.images).tolist() == [digit]


def marked(mark, side=200):
    """The number 27 1, with a mark where the blank is."""
    page = np.hstack([line_of([2, 7], 30), np.zeros((side + 120, 60), np.uint8), line_of([1], 30)])
    middle, below = line_of([2, 7], 30).shape[1], 60 + len(cropped(2))
    if mark == ",":
        cv2.line(page, (middle + 5, below - 12), (middle - 5, below + 14), 255, 10)
    elif mark == ".":
        cv2.circle(page, (middle, below - 10), 9, 255, -1)
    elif mark == "-":
        cv2.line(page, (middle - 25, below - 80), (middle + 25, below - 80), 255, 12)
    elif mark == "/":
        cv2.line(page, (middle + 35, 50), (middle - 35, below + 8), 255, 12)
    return 255 - page


@pytest.mark.parametrize("mark", [",", ".", "-", "/", " "])
def test_what_stands_between_digits_keeps_its_place(mark, shipped):
    levels = marked(mark)
    found = images.find(levels, many=True, believe=answers.belief(shipped, NUMPY))
    digits = shipped.predict(found.images)
    text = "".join(b + str(d) for b, d in zip(found.before, digits, strict=True))
    assert text.replace(" " if mark != " " else "", "") == f"27{mark}1"


def test_a_1_is_no_slash():
    for lean in (-0.2, 0.0, 0.2):
        ink = np.zeros((160, 120), np.uint8)
        cv2.line(ink, (round(60 - 80 * lean), 5), (round(60 + 80 * lean), 155), 255, 12)
        assert not separators.is_slash(ink)
    ink = np.zeros((160, 120), np.uint8)
    cv2.line(ink, (110, 5), (10, 155), 255, 12)
    assert separators.is_slash(ink)
    assert not separators.is_slash(cropped(7))


def test_lines_are_kept_in_the_text(shipped):
    rows = [line_of([3, 5], 40), line_of([2, 8], 40)]
    wide = max(row.shape[1] for row in rows)
    page = np.vstack([np.pad(row, ((0, 0), (0, wide - row.shape[1]))) for row in rows])
    found = images.find(255 - page, many=True, believe=answers.belief(shipped, NUMPY))
    assert found.before == ["", "", "\n", ""]


def test_a_cut_that_leaves_an_arc_and_a_bar_costs_more():
    """Each half of a 0 that is cut is in one piece; half of a wide 2 is an arc and a bar."""
    bars = np.zeros((100, 90), np.uint8)
    bars[:20], bars[80:], bars[:, 40:50] = 255, 255, 255
    parts = [piece(bars[:, :35], 0, 0), piece(bars[:, 35:55], 0, 35), piece(bars[:, 55:], 0, 55)]
    spans = [
        numbers.fragments(parts, [0, 0, 0], *span) for span in ((0, 1), (0, 2), (0, 3), (2, 3))
    ]
    assert spans == [1, 0, 0, 1]
    assert numbers.fragments([*parts, parts[0]], [0, 0, 0, 1], 2, 4) == 1
    sliver = bars.copy()[:, :55]
    sliver[20:80, :40] = 0
    sliver[:20, :35] = 0
    sliver[5:8, 2:5] = 255  # a shape smaller than a twentieth was left by a cut beside its place
    assert numbers.fragments([piece(sliver), parts[2]], [0, 0], 0, 1) == 0


def test_a_wide_digit_is_not_cut_into_fragments():
    """Each part of a wide 2 may look like a digit: an arc above a bar is none all the same."""
    ink = np.zeros((100, 145), np.uint8)
    ink[:6], ink[94:] = 255, 255
    cv2.line(ink, (130, 4), (15, 96), 255, 6)

    def believe(found):
        return np.full(len(found), 0.9)

    for price in (1.0, 0.5):
        two, _ = numbers.digits_of_line(
            [piece(ink)], 100.0, believe, lambda ink: np.zeros(1), price
        )
        assert len(two) == 1
    pair = np.zeros((100, 148), np.uint8)  # two rings that touch are cut where they do
    for middle in (36, 111):
        cv2.ellipse(pair, (middle, 50), (32, 44), 0, 0, 360, 255, 10)
    pair[48:52, 68:79] = 255
    two, _ = numbers.digits_of_line([piece(pair)], 100.0, believe, lambda ink: np.zeros(1))
    assert [abs(73 - edge) < 8 for each in two for edge in each.box[1::2]] == [0, 1, 1, 0]


def test_a_slanting_8_is_no_slash():
    """The middle of each of its rows is on a slanting line, too."""
    ink = np.zeros((160, 200), np.uint8)
    for middle in ((125, 45), (80, 115)):
        cv2.ellipse(ink, middle, (26, 42), 32, 0, 360, 255, 8)
    assert not separators.is_slash(ink)


@pytest.mark.parametrize("low", [-12, 0, 25])
def test_dots_keep_to_their_line(low, shipped):
    """A dot begins no line of its own, whether it is beside the digits or a little below them."""
    page = line_of([3, 7, 2, 0, 2, 5], 50)
    tops, ends = np.flatnonzero(page.any(axis=0)), []
    ends = tops[np.flatnonzero(np.diff(tops) > 1)]
    for end in ends[:2]:
        cv2.circle(page, (int(end) + 25, 60 + len(cropped(2)) + low), 9, 255, -1)
    found = images.find(255 - page, many=True, believe=answers.belief(shipped, NUMPY))
    assert found.before == ["", ".", ".", "", "", ""]


def test_a_thin_digit_in_a_form_has_no_blank_beside_it():
    """The digits of a form are as far from each other, whatever their widths are."""
    wide = [piece(np.ones((100, 140)), 0, left) for left in (0, 180, 540, 720)]
    thin = [piece(np.ones((100, 20)), 0, 420)]
    digits = sorted(wide + thin, key=lambda each: each.box[1])
    assert separators.between(digits, [], 100.0, True) == ["", "", "", "", ""]
    moved = [*digits[:3], *(piece(each.ink, 0, each.box[1] + 130) for each in digits[3:])]
    assert separators.between(moved, [], 100.0, True) == ["", "", "", " ", ""]


@pytest.mark.parametrize(("tall", "mark"), [(0.98, ""), (1.04, ""), (1.15, "/"), (1.3, "/")])
def test_a_leaning_1_is_as_high_as_the_digits_and_a_slash_is_higher(tall, mark):
    high = round(150 * tall)
    ink = np.zeros((high, 90), np.uint8)
    cv2.line(ink, (80, 6), (10, high - 7), 255, 12)
    assert separators.kind_of(piece(ink), 150.0, 0.0) == mark


def test_the_share_of_a_digit_is_that_of_all_ways_to_read_a_line():
    """Three pieces: 1+2+3, 12+3 and 1+23 have the products 0.4, 0.2 and 0.2; 123 has 0.2."""
    spans = [(0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3)]
    one, two, three = 0.8, 1.0, 0.5
    scores = np.log([one, two, three, 0.2 / three, 0.2 / one, 0.2])
    shares = numbers.shares_of(spans, scores, 3)
    np.testing.assert_allclose(shares, [0.6, 0.4, 0.6, 0.2, 0.2, 0.2])


def test_two_ways_that_are_as_probable_are_doubted():
    blocks = [piece(np.ones((100, 20)), 0, left) for left in (0, 20)]

    def believing(pair):
        return lambda found: np.where(found[:, 0] > 20, pair, 0.6)

    for pair, least, most in ((0.36, 0.45, 0.55), (0.9, 0.7, 1.0), (0.01, 0.95, 1.0)):
        found, _ = numbers.digits_of_line(
            blocks, 100.0, believing(pair), lambda ink: np.array([ink.shape[1]])
        )
        assert all(least <= each.share <= most for each in found), pair
        assert len(found) == (1 if pair == 0.9 else 2 if pair == 0.01 else len(found))


def test_a_sliver_that_a_cut_left_does_not_make_a_digit_smaller():
    """Else a digit is scaled to its height and that of a speck far below it."""
    ink = np.zeros((100, 60), np.float32)
    ink[10:60, 5:45] = 1.0
    ink[96:99, 50:53] = 1.0
    own = numbers.without_slivers(replace(piece(ink, 7, 3), cut=1.5))
    assert own.box == (17, 8, 67, 48)
    assert own.cut == 1.5
    np.testing.assert_array_equal(own.ink, np.ones((50, 40)))
    ink[70:95, 5:25] = 1.0  # a second stroke, such as the base of a 1, stays
    assert numbers.without_slivers(piece(ink)).box == (10, 5, 95, 45)
    whole = piece(np.ones((4, 4)))
    assert numbers.without_slivers(whole) is whole


def test_the_end_of_a_long_bar_is_no_digit():
    """Prepared alone it fills the image, and a network may take it for some digit."""
    ink = np.zeros((100, 150), np.uint8)
    ink[:, 8:60] = 255
    ink[:14, 60:] = 255

    def believe(found):
        return np.full(len(found), 0.9)

    one, _ = numbers.digits_of_line([piece(ink)], 100.0, believe, lambda ink: np.zeros(1))
    assert [each.ink.shape for each in one] == [(100, 142)]


@pytest.mark.parametrize(("whole", "digits"), [(0.9, 1), (0.3, 1), (0.05, 2)])
def test_two_halves_of_a_1_above_each_other_are_one_digit_if_they_may_be(whole, digits):
    """As in a display of seven segments; where one digit is expected it is the likelier."""
    levels = np.full((360, 240), 255, np.uint8)
    for top in (70, 190):
        levels[top : top + 84, 100:132] = 0

    def believe(found):
        wide = (found.reshape(-1, 28, 28) > 0).any(axis=1).sum(axis=1)
        return np.where(wide > 5, 0.99, whole)

    if digits == 1:
        found = images.find(levels, believe=believe)
        assert found.boxes.tolist() == [[70, 100, 274, 132]]
    else:
        with pytest.raises(DataError, match="2 digits found"):
            images.find(levels, believe=believe)
