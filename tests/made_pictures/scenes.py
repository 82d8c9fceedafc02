"""The scenes: each makes a picture from a seed and one half's pens, papers, tables and lights."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from made_pictures import camera, glyphs
from made_pictures.camera import Colour, Sheet
from made_pictures.half import HEIGHT, NOTHING, WIDTH, Half, Made, digit, photo, pick, sheet_of
from made_pictures.rows import row, separated, touching, two_without_many


def put(rng, half: Half, sheet: Sheet, low=0.25, high=0.55, ink=None) -> str:
    """Write one digit of a size, as a share of the sheet's height, anywhere; which it is."""
    char = digit(rng)
    height, width = sheet.colours.shape[:2]
    if ink is None:
        ink = half.writer(rng)(rng, char, round(rng.uniform(low, high) * min(height, width)))
    margin = 0.06 * min(height, width)
    place = [
        rng.uniform(margin, max(margin, side - size - margin))
        for side, size in zip((height, width), ink.shape, strict=True)
    ]
    sheet.add(ink, *(round(start) for start in place))
    return char


def paper(rng, half: Half) -> Made:
    """One digit on paper that fills the picture, in even light."""
    sheet = sheet_of(rng, half)
    char = put(rng, half, sheet)
    return Made(photo(rng, half, sheet.colours), char)


def shadow(rng, half: Half) -> Made:
    """The same in a shadow."""
    sheet = sheet_of(rng, half)
    char = put(rng, half, sheet)
    return Made(photo(rng, half, sheet.colours, shadow=True), char)


def drawn(rng, half: Half) -> Made:
    """A drawing without noise, dark on light or light on dark."""
    ink = half.writer(rng)(rng, char := digit(rng), int(rng.integers(60, 300)))
    levels = np.pad(ink, rng.integers(5, 120, (2, 2))) * 255.0
    return Made((levels if rng.random() < 0.5 else 255.0 - levels).astype(np.uint8), char)


def mnist(rng, half: Half) -> Made:
    """An image of MNIST as it is."""
    i = rng.integers(len(half.mnist))
    return Made(half.mnist[i], str(half.mnist_labels[i]))


def mnist_cropped(rng, half: Half) -> Made:
    """An image of MNIST without its margin, dark on light or light on dark."""
    i = rng.integers(len(half.mnist))
    ink = half.mnist[i]
    rows, columns = (np.flatnonzero((ink > 0).any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Made(ink if rng.random() < 0.5 else 255 - ink, str(half.mnist_labels[i]))


def table_around(rng, half: Half) -> Made:
    """The sheet fills most of the picture; the table shows on all sides, 1% to 12% wide."""
    sheet = sheet_of(rng, half)
    char = put(rng, half, sheet)
    table = pick(rng, half.tables)(rng, HEIGHT, WIDTH)
    strips = rng.uniform(0.01, 0.12) * WIDTH * rng.uniform(0.7, 1.3, (4, 2))
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    corners = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]]) + signs * strips
    colours = camera.placed(sheet.colours, table, corners)
    return Made(photo(rng, half, colours, shadow=rng.random() < 0.3), char)


def table_beside(rng, half: Half) -> Made:
    """The table shows on one or two sides; the others are outside the picture."""
    sheet = sheet_of(rng, half)
    ink = half.writer(rng)(rng, char := digit(rng), round(rng.uniform(0.25, 0.45) * HEIGHT))
    top = round(rng.uniform(0.22, 0.5) * (HEIGHT - ink.shape[0]))
    left = round(rng.uniform(0.25, 0.6) * (WIDTH - ink.shape[1]))
    sheet.add(ink, top, left)
    low, high = rng.uniform(0.03, 0.15, 2) * WIDTH
    corners = np.array([[low, high], [1.3 * WIDTH, -0.05 * WIDTH], [1.3, 1.2], [-0.1, 1.2]])
    corners[2:] *= (WIDTH, HEIGHT)
    if rng.random() < 0.5:
        corners[0, 1] = corners[1, 1] = -0.1 * HEIGHT  # on the left alone
    table = pick(rng, half.tables)(rng, HEIGHT, WIDTH)
    return Made(photo(rng, half, camera.placed(sheet.colours, table, corners)), char)


def note(rng, half: Half) -> Made:
    """A note on a table, from a quarter to half of the picture's width."""
    sheet = sheet_of(rng, half, 400, int(rng.integers(400, 561)))
    char = put(rng, half, sheet, 0.4, 0.7)
    table = pick(rng, half.tables)(rng, HEIGHT, WIDTH)
    share, turn = rng.uniform(0.25, 0.5), rng.uniform(-8, 8)
    colours = camera.laid(rng, sheet.colours, table, share, turn, tilt=0.05)
    return Made(photo(rng, half, colours), char)


def squares(rng, half: Half, sheet: Sheet) -> None:
    """Print squares."""
    height, width = sheet.colours.shape[:2]
    pitch, rule, thick = rng.uniform(28, 60), pick(rng, half.rules), int(rng.integers(1, 4))
    lean = rng.uniform(-0.03, 0.03)
    for at in np.arange(-0.05 * width + rng.uniform(0, pitch), 1.05 * width, pitch):
        sheet.line((at, 0), (at - lean * height, height), thick, rule)
        sheet.line((0, at), (width, at + lean * width), thick, rule)


def lines(rng, half: Half, sheet: Sheet) -> None:
    """Print the lines of a school book."""
    height, width = sheet.colours.shape[:2]
    pitch, rule, thick = rng.uniform(45, 90), pick(rng, half.rules), int(rng.integers(1, 4))
    lean = rng.uniform(-0.03, 0.03)
    for at in np.arange(-0.05 * width + rng.uniform(0, pitch), 1.05 * height, pitch):
        sheet.line((0, at), (width, at + lean * width), thick, rule)


def dots(rng, half: Half, sheet: Sheet) -> None:
    """Print a lattice of dots."""
    height, width = sheet.colours.shape[:2]
    pitch, rule, radius = rng.uniform(28, 60), pick(rng, half.rules), int(rng.integers(1, 4))
    for y in np.arange(rng.uniform(0, pitch), height, pitch):
        for x in np.arange(rng.uniform(0, pitch), width, pitch):
            sheet.line((x, y), (x, y), 2 * radius, rule)


def ruled(rng, half: Half, kind, in_shadow: bool, on_table: bool = False) -> Made:
    """One digit on ruled paper."""
    sheet = sheet_of(rng, half)
    kind(rng, half, sheet)
    char = put(rng, half, sheet)
    colours = sheet.colours
    if on_table:
        table = pick(rng, half.tables)(rng, HEIGHT, WIDTH)
        colours = camera.laid(rng, colours, table, rng.uniform(0.6, 0.85), rng.uniform(-6, 6), 0.03)
    return Made(photo(rng, half, colours, shadow=in_shadow), char)


def frame(sheet: Sheet, top, left, below, right, thick: int, colour: Colour) -> None:
    """Print a rectangle."""
    corners = [(left, top), (right, top), (right, below), (left, below)]
    for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
        sheet.line(start, end, thick, colour)


def box(rng, half: Half) -> Made:
    """A digit in a dark box."""
    sheet = sheet_of(rng, half)
    ink = half.writer(rng)(rng, char := digit(rng), round(rng.uniform(0.2, 0.4) * HEIGHT))
    height, width = ink.shape
    top = round(rng.uniform(0.2, 0.8) * (HEIGHT - height))
    left = round(rng.uniform(0.25, 0.75) * (WIDTH - width))
    room = rng.uniform(0.12, 0.4, 4) * height
    sheet.add(ink, top, left)
    edges = (top - room[0], left - room[1], top + height + room[2], left + width + room[3])
    frame(sheet, *edges, int(rng.integers(2, 9)), pick(rng, half.inks))
    return Made(photo(rng, half, sheet.colours, shadow=rng.random() < 0.3), char)


def form(rng, half: Half) -> Made:
    """The fields of a form: boxes beside each other with a digit in each, such as a postcode."""
    sheet = sheet_of(rng, half)
    count, high = int(rng.integers(4, 8)), rng.uniform(80, 120)
    wide, apart = 0.9 * high, pick(rng, [0.0, 0.0, 0.25]) * high
    top, left = rng.uniform(60, HEIGHT - high - 60), (WIDTH - count * (wide + apart)) / 2
    writer, colour, thick = half.writer(rng), pick(rng, half.rules), int(rng.integers(2, 4))
    text = "".join(digit(rng) for _ in range(count))
    for i, char in enumerate(text):
        start = left + i * (wide + apart)
        frame(sheet, top, start, top + high, start + wide, thick, colour)
        ink = writer(rng, char, round(rng.uniform(0.55, 0.75) * high))
        ink = ink[:, : round(0.95 * wide)]
        away = rng.uniform(0.3, 0.7, 2)
        sheet.add(
            ink,
            round(top + away[0] * (high - ink.shape[0])),
            round(start + away[1] * (wide - ink.shape[1])),
        )
    return Made(photo(rng, half, sheet.colours), text, many=True)


def underlined(rng, half: Half) -> Made:
    """A digit with a line below it, of the same pen."""
    sheet = sheet_of(rng, half)
    ink = half.writer(rng)(rng, char := digit(rng), round(rng.uniform(0.25, 0.4) * HEIGHT))
    height, width = ink.shape
    top, left = round(0.25 * (HEIGHT - height)), round(rng.uniform(0.3, 0.7) * (WIDTH - width))
    sheet.add(ink, top, left)
    y, over = top + height * rng.uniform(1.08, 1.25), rng.uniform(0.3, 1.0) * height
    fall = rng.uniform(-0.03, 0.03) * width
    ends = (left - over, y), (left + width + over, y + fall)
    sheet.line(*ends, max(3, round(0.05 * height)), sheet.ink)
    return Made(photo(rng, half, sheet.colours), char)


def whiteboard(rng, half: Half) -> Made:
    """A whiteboard with its metal frame, on a wall."""
    sheet = Sheet.blank(HEIGHT, WIDTH, (238, 240, 240), pick(rng, half.inks))
    char = put(rng, half, sheet, 0.3, 0.5)
    wall = np.full((HEIGHT, WIDTH, 3), rng.uniform(120, 215), np.float32)
    low = rng.uniform(0.04, 0.12, 4)
    corners = np.array([[low[0], low[1]], [1 - low[2], low[1]], [1 - low[2], 1 - low[3]], [0, 0]])
    corners[3] = low[0], 1 - low[3]
    corners = corners * (WIDTH, HEIGHT) + rng.uniform(-8, 8, (4, 2))
    colours = camera.placed(sheet.colours, wall, corners)
    metal = (90.0,) * 3 if rng.random() < 0.5 else (175.0, 178.0, 180.0)
    cv2.polylines(colours, [np.round(corners).astype(int)], True, metal, int(rng.integers(10, 26)))
    return Made(photo(rng, half, colours), char)


def chalkboard(rng, half: Half) -> Made:
    """Chalk on a dark board whose frame of wood is seen."""
    sheet = Sheet.blank(HEIGHT, WIDTH, (44, 62, 54), (225, 225, 215))
    ink = half.writer(rng)(rng, char := digit(rng), round(rng.uniform(0.3, 0.5) * HEIGHT))
    grain = cv2.GaussianBlur(rng.normal(0.0, 1.0, ink.shape).astype(np.float32), (0, 0), 1.0)
    ink = np.clip(ink * (0.85 + grain), 0.0, 1.0)
    put(rng, half, sheet, ink=ink)
    wall = np.full((HEIGHT, WIDTH, 3), (150, 110, 70), np.float32)
    strip = rng.uniform(0.02, 0.06) * WIDTH
    corners = np.array([[strip, strip], [WIDTH - strip, strip], [0, 0], [strip, HEIGHT - strip]])
    corners[2] = WIDTH - strip, HEIGHT - strip
    return Made(photo(rng, half, camera.placed(sheet.colours, wall, corners)), char)


def failing_pen(rng, half: Half) -> Made:
    """A digit with gaps in its stroke."""
    sheet = sheet_of(rng, half)
    char = digit(rng)
    ink = half.writer(rng)(rng, char, round(rng.uniform(0.3, 0.5) * HEIGHT))
    ink = glyphs.with_gaps(rng, ink, int(rng.integers(1, 3)), rng.uniform(0.03, 0.07))
    put(rng, half, sheet, ink=ink)
    return Made(photo(rng, half, sheet.colours), char)


def calculator(rng, half: Half) -> Made:
    """A digit of seven segments with gaps between them."""
    ink = glyphs.seven_segments(char := digit(rng), 240, *rng.uniform((0.08, 0.01), (0.13, 0.03)))
    ink = np.pad(ink, 80)
    colours = np.array((190, 200, 180)) + ink[:, :, None] * (np.array((35, 40, 35)) - 190.0)
    return Made(photo(rng, half, colours.astype(np.float32)), char)


def dot_printer(rng, half: Half) -> Made:
    """A digit of dots that do not touch."""
    ink = glyphs.dot_matrix(char := digit(rng), 240, rng.uniform(0.6, 0.85), half.name == "judging")
    sheet = sheet_of(rng, half, 420, 420)
    put(rng, half, sheet, ink=ink)
    return Made(photo(rng, half, sheet.colours), char)


def letter(rng, half: Half) -> Made:
    """A capital letter that looks like no digit."""
    sheet = sheet_of(rng, half)
    char = pick(rng, glyphs.LETTERS)
    put(rng, half, sheet, ink=half.fonts(rng)(rng, char, round(rng.uniform(0.25, 0.5) * HEIGHT)))
    return Made(photo(rng, half, sheet.colours), NOTHING)


def scribbled(rng, half: Half) -> Made:
    """A scribble."""
    sheet = sheet_of(rng, half)
    put(rng, half, sheet, ink=half.scribble(rng, round(rng.uniform(0.25, 0.5) * HEIGHT)))
    return Made(photo(rng, half, sheet.colours), NOTHING)


def turned(rng, half: Half) -> Made:
    """A digit turned by a quarter: 2, 3, 4, 5 or 7."""
    sheet = sheet_of(rng, half)
    height = round(rng.uniform(0.25, 0.5) * HEIGHT)
    ink = half.writer(rng)(rng, pick(rng, "23457"), height)
    put(rng, half, sheet, ink=np.rot90(ink, pick(rng, (1, 3))))
    return Made(photo(rng, half, sheet.colours), NOTHING)


SCENES: dict[str, Callable[[np.random.Generator, Half], Made]] = {
    "paper that fills the picture": paper,
    "the same in a shadow": shadow,
    "drawing without noise": drawn,
    "MNIST as it is": mnist,
    "MNIST without its margin": mnist_cropped,
    "sheet, table on all sides": table_around,
    "sheet, table on some sides": table_beside,
    "note on a table": note,
    "squared paper": lambda rng, half: ruled(rng, half, squares, False),
    "squared paper in a shadow": lambda rng, half: ruled(rng, half, squares, True),
    "lined paper": lambda rng, half: ruled(rng, half, lines, False),
    "lined paper in a shadow": lambda rng, half: ruled(rng, half, lines, True),
    "lined paper on a table": lambda rng, half: ruled(rng, half, lines, False, True),
    "dotted paper": lambda rng, half: ruled(rng, half, dots, False),
    "dotted paper in a shadow": lambda rng, half: ruled(rng, half, dots, True),
    "digit in a box": box,
    "form fields, postcode": form,
    "underlined digit": underlined,
    "row of 3 to 10 digits": row,
    "row, some touch": touching,
    "dates and decimals": separated,
    "two that touch, without --many": two_without_many,
    "whiteboard and its frame": whiteboard,
    "chalkboard and its frame": chalkboard,
    "gaps in the stroke": failing_pen,
    "seven segments": calculator,
    "dot matrix": dot_printer,
    "letter": letter,
    "scribble": scribbled,
    "turned by a quarter": turned,
}


def made(scene: str, seed: int, half: Half) -> Made:
    """The picture of a scene with this seed; the same each time."""
    key = [ord(char) for char in scene]
    return SCENES[scene](np.random.default_rng([seed, *key]), half)
