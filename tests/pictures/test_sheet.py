"""The sheet on a table: found, cut out and put straight; a page without one is left as it is."""

import cv2
import numpy as np
import pytest
from helpers.pictures import HAND, drawing
from made_pictures import camera, tuning
from PIL import Image

from mnistgpu.pictures import images, sheet

TABLE = (70, 45, 30)


def on_table(corners, paper=(240, 238, 230), size=(480, 640), digit=5, table=TABLE):
    """A sheet with a digit at these corners (x, y) of a table, without noise."""
    page = camera.Sheet.blank(300, 400, paper, (30, 30, 40))
    page.add(drawing(digit, 180) / np.float32(255.0), 60, 110)
    ground = np.full((*size, 3), table, np.float32)
    placed = camera.placed(page.colours, ground, np.array(corners, float))
    return np.clip(placed, 0, 255).astype(np.uint8)


SQUARE = [(60, 50), (560, 50), (560, 420), (60, 420)]
TILTED = [(110, 60), (520, 95), (570, 430), (50, 390)]


@pytest.mark.parametrize("corners", [SQUARE, TILTED])
def test_the_corners_of_a_sheet(corners):
    levels = on_table(corners)
    outline = sheet.outline_of(levels)
    found = sheet.corners_of(outline, levels.shape[:2])
    assert np.abs(found - corners).max() < 0.012 * 640
    paper = sheet.find(levels)
    assert np.median(paper.levels.reshape(-1, 3), axis=0).tolist() == [240, 238, 230]
    assert (paper.levels.min(axis=2)[:, [0, -1]] > 200).all()  # no table at its edges
    assert (paper.levels.min(axis=2)[[0, -1]] > 200).all()


def test_perspective_is_put_right(shipped):
    """The digit's box on a tilted sheet is as wide for its height as on one seen from above."""
    shares = []
    for corners in (SQUARE, [(200, 60), (440, 60), (600, 420), (40, 420)]):
        paper = sheet.find(on_table(corners, digit=0))
        ink = np.asarray(paper.levels).min(axis=2) < 120
        rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
        height, width = paper.levels.shape[:2]
        shares.append(((rows[0] + rows[-1]) / height, (columns[0] + columns[-1]) / width))
    assert np.abs(np.subtract(*shares)).max() < 0.06
    assert shipped.predict(images.find(on_table(TILTED, digit=7)).images).tolist() == [7]


@pytest.mark.parametrize("strip", [6, 15, 40, 90])
@pytest.mark.parametrize("colours", [(TABLE, (240, 238, 230)), ((200, 170, 120), (70, 80, 75))])
def test_a_table_of_any_width_is_no_ink(strip, colours, shipped):
    table, paper = colours
    right, below = 640 - strip, 480 - strip
    corners = [(strip, strip), (right, strip), (right, below), (strip, below)]
    levels = on_table(corners, paper, table=table, digit=3)
    assert shipped.predict(images.find(levels).images).tolist() == [3]


@pytest.mark.parametrize("side", ["left", "above", "right and below"])
def test_a_table_on_some_sides(side, shipped):
    corners = {
        "left": [(90, -20), (720, -40), (720, 520), (60, 520)],
        "above": [(-30, 70), (700, 40), (700, 520), (-30, 520)],
        "right and below": [(-20, -30), (560, -30), (540, 400), (-20, 390)],
    }[side]
    paper = sheet.find(on_table(corners, digit=7))
    assert paper.outline is not None
    assert (paper.levels.min(axis=2)[:, [0, -1]] > 200).all()
    assert shipped.predict(images.find(on_table(corners, digit=7)).images).tolist() == [7]


@pytest.mark.parametrize("digit", [0, 1, 8])
@pytest.mark.parametrize("width", [0.05, 0.15, 0.22])
def test_a_page_without_a_table_is_left_as_it_is(digit, width):
    """A bold digit is no sheet, though it is large and of one colour; nor is what a 0 encloses."""
    levels = 255 - drawing(digit, 300, width)
    paper = sheet.find(levels)
    assert paper.outline is None
    assert paper.levels is levels


def test_a_blank_note_is_no_sheet():
    page = np.full((480, 640, 3), TABLE, np.uint8)
    page[100:300, 200:500] = 240
    assert sheet.outline_of(page) is None


def test_boxes_are_where_the_digit_is_in_the_picture():
    levels = on_table(TILTED)
    found = images.find(levels)
    top, left, below, right = found.boxes[0]
    rows, columns = np.nonzero((levels.max(axis=2) < 60) & (levels[..., 2] > levels[..., 0]))
    assert abs(top - rows.min()) < 12
    assert abs(below - rows.max()) < 12
    assert abs(left - columns.min()) < 12
    assert abs(right - columns.max()) < 12


def test_a_round_spot_is_no_sheet():
    """A bold 8 on squared paper is of one colour, too, and its holes differ from it as ink does."""
    spot = np.full((480, 640, 3), 240, np.uint8)
    y, x = np.mgrid[:480, :640]
    spot[(x - 320) ** 2 + (y - 240) ** 2 < 150**2] = (160, 30, 40)
    for at in (280, 340):
        spot[190:290:1, at : at + 25] = 235
    assert sheet.outline_of(spot) is None


@pytest.mark.parametrize("size", [(180, 180), (150, 190)])
def test_a_round_plate_is_no_sheet(size):
    """It is bright, and the four lines along its sides hold less than it does."""
    levels = np.full((480, 640), 70, np.uint8)
    cv2.ellipse(levels, (320, 240), size, 20, 0, 360, 230, -1)
    levels[170:310, 250:390] -= np.uint8(200) * (drawing(3, 140) > 127)
    assert sheet.outline_of(levels) is None


@pytest.mark.parametrize("place", [(60, 110), (4, 150), (100, 215)])
@pytest.mark.parametrize("width", [0.04, 0.12])
def test_a_small_note_with_writing_near_its_edge(place, width, shipped):
    """The corners of a small note are round in the copy, and bold writing parts its paper."""
    note = camera.Sheet.blank(300, 400, (240, 238, 230), (30, 30, 40))
    note.add(drawing(8, 170, width) / np.float32(255.0), *place)
    corners = np.array([(350, 60), (590, 80), (580, 255), (340, 230)], float)
    levels = camera.placed(note.colours, np.full((720, 960, 3), TABLE, np.float32), corners)
    levels = np.clip(levels, 0, 255).astype(np.uint8)
    found = sheet.corners_of(sheet.outline_of(levels), levels.shape[:2])
    assert np.abs(found - corners).max() < 0.012 * 960
    assert shipped.predict(images.find(levels).images).tolist() == [8]


CORNERS = np.array([(60, 470), (310, 484), (296, 690), (52, 680)], float)


def on_a_large_table(note, ground, corners=CORNERS):
    """A small note (a `camera.Sheet`) at these corners of a table (720, 960, 3), without noise."""
    return np.clip(camera.placed(note.colours, ground, corners), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("digit", "width"), [(1, 0.2), (6, 0.12), (0, 0.14), (5, 0.16)])
@pytest.mark.parametrize("away", [12, 20])
def test_bold_writing_beside_the_notes_edge(digit, width, away, shipped):
    """In the copy a bold stroke must not become one with a dark table."""
    note = camera.Sheet.blank(300, 400, (240, 238, 230), (30, 30, 40))
    ink = drawing(digit, 240, width)
    ink = ink[ink.any(axis=1)][:, ink.any(axis=0)] / np.float32(255.0)
    note.add(ink, 300 - away - len(ink), 90)
    levels = on_a_large_table(note, np.full((720, 960, 3), (60, 62, 70), np.float32))
    found = sheet.corners_of(sheet.outline_of(levels), levels.shape[:2])
    assert np.abs(found - CORNERS).max() < 0.012 * 960
    assert shipped.predict(images.find(levels).images).tolist() == [digit]


@pytest.mark.parametrize("table", [(216, 214, 208), (214, 215, 200), (208, 214, 210)])
def test_a_table_nearly_as_bright_as_the_note(table, shipped):
    note = camera.Sheet.blank(300, 400, (244, 242, 236), (60, 60, 140))
    note.add(drawing(2, 170, 0.09) / np.float32(255.0), 60, 110)
    ground = np.full((720, 960, 3), table, np.float32)
    light = camera.corners_darker(720, 960, 0.4)[:, :, None]
    levels = (on_a_large_table(note, ground) * light).astype(np.uint8)
    levels = cv2.GaussianBlur(levels, (0, 0), 6.0)  # out of focus
    found = sheet.corners_of(sheet.outline_of(levels), levels.shape[:2])
    assert np.abs(found - CORNERS).max() < 0.012 * 960
    assert shipped.predict(images.find(levels).images).tolist() == [2]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_grain_of_a_grey_table_is_no_writing(seed, shipped):
    """Grey may be white in a shadow; what is written there would be darker than the grain."""
    rng = np.random.default_rng(seed)
    note = camera.Sheet.blank(300, 400, (238, 238, 236), (105, 103, 108))
    note.add(drawing(8, 160, 0.06) / np.float32(255.0), 60, 60)
    ground = tuning.stone(rng, 720, 960, (128, 128, 127))
    corners = CORNERS - (0, 250)
    levels = on_a_large_table(note, ground, corners)
    found = sheet.corners_of(sheet.outline_of(levels), levels.shape[:2])
    assert np.abs(found - corners).max() < 0.012 * 960
    assert shipped.predict(images.find(levels).images).tolist() == [8]


@pytest.mark.parametrize("aslant", [0, 40])
@pytest.mark.parametrize("thick", [26, 40])
def test_a_bold_0_is_no_sheet_for_its_four_sides(aslant, thick):
    """Only paper, which is brighter than what is around it, may be so small and bare."""
    levels = np.full((480, 640, 3), (243, 232, 170), np.uint8)
    for inset, colour in ((0, (20, 25, 90)), (thick, (243, 232, 170))):
        left, right, top, below = 200 + inset, 380 - inset, 90 + inset, 350 - inset
        corners = [(left + aslant, top), (right + aslant, top), (right, below), (left, below)]
        cv2.fillConvexPoly(levels, np.array(corners), colour)
    assert sheet.outline_of(levels) is None


@pytest.mark.parametrize(("paper", "pen"), [(0, 128), (0, 60), (60, 180), (255, 90), (128, 0)])
@pytest.mark.parametrize("margin", [0, 2])
def test_no_digit_is_a_sheet_whatever_its_pen(paper, pen, margin):
    """A bold stroke is a region of one colour, and what it encloses has that of what is around."""
    taken = []
    for digit in HAND:
        for width in (0.07, 0.09, 0.12, 0.175):
            side = 107 + 10 * digit
            ink = Image.fromarray(drawing(digit, 420, width)).resize((side, side))
            share = np.pad(np.asarray(ink) / 255.0, ((0, margin), (margin, 0)))
            levels = np.round(paper + share * (pen - paper)).astype(np.uint8)
            if sheet.outline_of(levels) is not None:
                taken.append((digit, width))
    assert taken == []


@pytest.mark.parametrize("width", [0.06, 0.1, 0.15])
def test_what_a_0_encloses_is_no_sheet_in_a_shadow_either(width):
    """The edge of a shadow inside a bold 0 is no writing on a sheet."""
    levels = np.full((480, 640), 240.0)
    levels[80:380, 150:450] -= 210.0 * drawing(0, 300, width) / 255.0
    y, x = np.mgrid[:480, :640]
    levels *= 1.0 - 0.4 / (1.0 + np.exp((y + 0.3 * x - 320) / 6.0))
    assert sheet.outline_of(levels.astype(np.uint8)) is None


@pytest.mark.parametrize("digit_at", [(60, 60), (200, 280), (260, 420)])
def test_a_shadow_with_a_sharp_edge_is_no_table(digit_at, shipped):
    """Nothing is cut out if writing goes on beyond the edge of what is brighter."""
    levels = np.full((480, 640, 3), (246, 240, 210), np.float32)
    top, left = digit_at
    pen = drawing(7, 180, 0.07)[:, :, None] / np.float32(255.0)
    levels[top : top + 180, left : left + 180] *= 1.0 - 0.85 * pen
    for row in range(20, 480, 45):  # lines, which are writing on a sheet
        levels[row : row + 2] *= 0.8
    y, x = np.mgrid[:480, :640]
    levels *= (1.0 - 0.35 * (y + 0.8 * x > 480))[:, :, None]
    assert shipped.predict(images.find(levels.astype(np.uint8)).images).tolist() == [7]


@pytest.mark.parametrize("pitch", [60, 84, 100])
def test_a_stripe_of_the_table_is_no_sheet_beside_a_note(pitch, shipped):
    """Stripes that the small copy joins, in a dark corner, are larger than the note."""
    y, x = np.mgrid[:720, :960]
    wide = ((y + 0.18 * x + 30) % pitch < pitch / 2)[:, :, None]
    table = np.where(wide, np.float32((60, 60, 110)), np.float32((90, 95, 140)))
    note = camera.Sheet.blank(300, 375, (240, 235, 215), (130, 60, 140))
    note.add(drawing(6, 180, 0.05) / np.float32(255.0), 60, 100)
    corners = np.array([(120, 470), (420, 474), (408, 704), (120, 702)], float)
    light = camera.corners_darker(720, 960, 0.45)[:, :, None]
    levels = np.clip(camera.placed(note.colours, table, corners) * light, 0, 255).astype(np.uint8)
    found = sheet.corners_of(sheet.outline_of(levels), levels.shape[:2])
    assert np.abs(found - corners).max() < 0.012 * 960
    assert shipped.predict(images.find(levels).images).tolist() == [6]


def test_of_regions_that_may_be_sheets_the_one_with_four_sides_that_are_seen_wins():
    cut = np.array([(0, 0), (200, 0), (200, 60), (0, 90)])
    note = np.array([(30, 110), (100, 112), (98, 180), (28, 178)])
    inside = note - (0, 95)
    assert sheet.likeliest([cut, note], (256, 192)) is note
    assert sheet.likeliest([cut, inside], (256, 192)) is cut  # a box printed on the sheet
    other = np.add(note, (120, -60))  # the largest
    assert sheet.likeliest([other, note], (256, 192)) is other
    assert sheet.likeliest([cut], (256, 192)) is cut
