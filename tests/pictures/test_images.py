"""A person's picture becomes an image of MNIST's kind: any paper, pen, light and file."""

import contextlib
import io

import numpy as np
import pytest
from helpers.mnist import ROOT
from helpers.pictures import (
    HAND,
    INKS,
    distance,
    drawing,
    encoded,
    photograph,
    photographed,
    read,
    ruled,
    seen,
    strokes,
)
from PIL import Image

from mnistgpu.errors import DataError
from mnistgpu.pictures import images

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies

GOLDEN = ROOT / "tests" / "golden"

# MNIST itself


@pytest.mark.parametrize("count", [2000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mnist_comes_back_as_it_was(test_digits, count):
    changed = 0
    for digit in test_digits[0][:count]:
        changed += np.abs(seen(digit.reshape(28, 28)).astype(int) - digit).max() > 1
    assert changed <= count / 1000


def test_the_centre_of_mass_is_at_14(test_digits):
    for digit in test_digits[0][:200]:
        moved = np.pad(digit.reshape(28, 28), ((3, 40), (25, 7)))
        image = seen(moved).reshape(28, 28).astype(float)
        y, x = np.mgrid[:28, :28]
        for place in (y, x):
            assert abs((place * image).sum() / image.sum() - 14.0) <= 0.51


# Every kind of picture


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("inverted", [False, True])
def test_every_format_and_both_polarities(kind, inverted, shipped):
    for digit in (2, 5, 8):
        levels = drawing(digit) if inverted else 255 - drawing(digit)
        image = read(encoded(levels, kind))
        assert shipped.predict(image[None])[0] == digit
        assert distance(image, seen(drawing(digit))) < 8


def as_mode(levels, mode):
    """A drawing in black on white, in another of Pillow's modes."""
    grey = Image.fromarray(255 - levels)
    if mode == "16 bit":
        return Image.fromarray((255 - levels).astype(np.uint16) * 257)
    if mode == "palette":
        return grey.convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    if mode == "bilevel":
        return grey.convert("1", dither=Image.Dither.NONE)
    if mode == "grey with alpha":
        return grey.convert("LA")
    if mode in ("dark ink on nothing", "light ink on nothing"):
        colour = 20 if mode.startswith("dark") else 240
        picture = Image.new("RGBA", grey.size, (colour, colour, colour, 0))
        picture.putalpha(Image.fromarray(levels))
        return picture
    return grey.convert(mode)


MODES = ["L", "RGB", "RGBA", "16 bit", "palette", "bilevel", "grey with alpha"]


@pytest.mark.parametrize("mode", [*MODES, "dark ink on nothing", "light ink on nothing"])
def test_every_kind_of_pixel(mode):
    for digit in (0, 4, 7):
        content = io.BytesIO()
        as_mode(drawing(digit), mode).save(content, "PNG")
        assert distance(read(content.getvalue()), seen(drawing(digit))) < 12


def test_palette_with_a_transparent_colour():
    picture = Image.fromarray((drawing(3) > 128).astype(np.uint8)).convert("P")
    picture.putpalette([10, 20, 30, 200, 40, 40])
    content = io.BytesIO()
    picture.save(content, "PNG", transparency=0)
    assert distance(read(content.getvalue()), seen(drawing(3))) < 20


def test_cmyk_as_scanners_of_print_shops_write_it():
    content = io.BytesIO()
    Image.fromarray(255 - drawing(6)).convert("CMYK").save(content, "JPEG")
    assert distance(read(content.getvalue()), seen(drawing(6))) < 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PNG of 16 bits", "PNG with alpha"])
def test_exif_rotation(orientation, kind):
    mode = {"PNG of 16 bits": "16 bit", "PNG with alpha": "RGBA"}.get(kind, "L")
    upright = as_mode(drawing(7), mode)
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that EXIF undoes
    stored = upright if orientation == 1 else upright.transpose(turns[orientation])
    if orientation in (6, 8):
        back = Image.Transpose.ROTATE_90 if orientation == 6 else Image.Transpose.ROTATE_270
        stored = upright.transpose(back)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = io.BytesIO()
    stored.save(content, kind.split()[0], exif=exif)
    assert distance(read(content.getvalue()), seen(drawing(7))) < 8


# The same digit, however it was drawn


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    digit=st.integers(0, 9),
    side=st.integers(45, 420),
    margins=st.tuples(*[st.integers(0, 150)] * 4),
    paper=st.tuples(*[st.integers(0, 255)] * 3),
    pen=st.tuples(*[st.integers(0, 255)] * 3),
)
def test_shifted_scaled_and_recoloured(digit, side, margins, paper, pen, shipped):
    if np.abs(np.subtract(paper, pen)).max() < 60:
        pen = tuple((np.array(paper) + 128) % 256)
    drawn = Image.fromarray(drawing(digit, 420)).resize((side, side), Image.Resampling.LANCZOS)
    share = np.pad(np.asarray(drawn) / 255.0, (margins[:2], margins[2:]))[:, :, None]
    colours = (1 - share) * np.array(paper) + share * np.array(pen)
    image = seen(np.round(colours).astype(np.uint8))
    assert shipped.predict(image[None])[0] == digit


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.01, 0.03, 0.06, 0.1, 0.15])
def test_every_pen_is_read(width, shipped):
    """A ballpoint's line, scaled down as it is, would be paler than any in MNIST."""
    drawn = np.stack([seen(255 - drawing(digit, 400, width)) for digit in HAND])
    assert shipped.predict(drawn).tolist() == list(HAND)
    assert drawn.max(axis=1).min() == 255


@pytest.mark.slow
@pytest.mark.parametrize("pen", INKS)
def test_photographs_under_uneven_light(pen, shipped, test_digits):
    digits, labels = test_digits
    right = 0
    for i in range(0, 2000, 100):
        levels = photograph(
            digits[i], seed=i, ink=pen, size=(450, 600), share=0.35 + 0.02 * (i % 7)
        )
        image = read(encoded(levels, "JPEG", quality=75))
        right += shipped.predict(image[None])[0] == labels[i]
    assert right >= 19  # of 20; the network itself misses 1 in 150


def test_the_table_beside_the_paper_is_not_ink(shipped, test_digits):
    levels = photograph(test_digits[0][0], seed=3, share=0.4).copy()
    levels[:, :90] = (70, 45, 30)
    levels[:60] = (70, 45, 30)
    assert shipped.predict(seen(levels)[None])[0] == 7


@pytest.mark.parametrize("width", [0.06, 0.09, 0.15, 0.2])
def test_a_drawing_cropped_to_its_ink(width, shipped):
    """A bold pen fills more than half of such a picture: then most of it is not paper."""
    for margin in (0, 2):
        cropped = []
        for digit in HAND:
            levels = drawing(digit, 280, width)
            rows, columns = (np.flatnonzero(levels.any(axis=axis)) for axis in (1, 0))
            tight = levels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            cropped.append(seen(255 - np.pad(tight, margin)))
        # a 4 so fat that its top closes may pass for a 9; nothing of any digit may be lost
        assert (shipped.predict(np.stack(cropped)) == np.array(list(HAND))).sum() >= 9


@pytest.mark.parametrize(("gap", "rule", "thick"), [(40, 190, 2), (70, 150, 2), (40, 150, 3)])
def test_ruled_paper(gap, rule, thick, shipped):
    drawn = [seen(ruled(255 - drawing(digit, 280, 0.05), gap, rule, thick)) for digit in HAND]
    assert shipped.predict(np.stack(drawn)).tolist() == list(HAND)


@pytest.mark.slow
def test_photographs_of_ruled_paper(shipped, test_digits):
    digits, labels = test_digits
    right = 0
    for i in range(0, 2000, 100):
        rng = np.random.default_rng(i)
        where = np.zeros((450, 600), np.float32)
        side = 160 + 8 * (i % 7)
        top, left = rng.integers(0, 450 - side), rng.integers(0, 600 - side)
        where[top : top + side, left : left + side] = strokes(digits[i], side)
        for line in (20, 21):
            where[line::48] = np.maximum(where[line::48], 0.3)
        content = encoded(photographed(where, rng, "black"), "JPEG", quality=80)
        with contextlib.suppress(DataError):
            right += shipped.predict(read(content)[None])[0] == labels[i]
    assert right >= 17  # of 20; before the lines were taken away, 2


@pytest.mark.parametrize("hidden", [1, 10])
def test_a_digit_cut_by_the_frame_is_read_with_what_is_left_of_it(hidden, shipped):
    for digit in HAND:
        levels = drawing(digit)
        top = np.flatnonzero(levels.any(axis=1))[0]
        assert shipped.predict(seen(255 - levels[top + hidden :])[None])[0] == digit


@pytest.mark.parametrize(
    "picture", ["photo-7.jpg", "photo-2.jpg", "photo-6.jpg", "ballpoint-5.png", "marker-8.png"]
)
def test_golden_pictures(picture, shipped):
    path = GOLDEN / picture
    image = images.read(path)
    golden = np.asarray(Image.open(GOLDEN / f"{path.stem}.seen.png")).reshape(-1)
    assert distance(image[0], golden) < 10
    assert shipped.predict(image)[0] == int(path.stem[-1])
