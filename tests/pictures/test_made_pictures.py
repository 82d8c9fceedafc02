"""The judging half of the made pictures is read as well as docs/pictures.md says."""

import os

import numpy as np
import pytest
from made_pictures import judging, measure, tuning
from made_pictures.half import NOTHING
from made_pictures.scenes import SCENES, made

COUNT = int(os.environ.get("MNISTGPU_PICTURES", "20"))  # of each scene; at most 40
WRONG = {  # the most of the first 20, and of all 40, not read right: two more than docs/pictures.md
    "paper that fills the picture": (2, 2),
    "the same in a shadow": (2, 4),
    "drawing without noise": (4, 4),
    "MNIST as it is": (3, 3),
    "MNIST without its margin": (2, 2),
    "sheet, table on all sides": (3, 4),
    "sheet, table on some sides": (4, 4),
    "note on a table": (2, 5),
    "squared paper": (3, 4),
    "squared paper in a shadow": (2, 2),
    "lined paper": (4, 4),
    "lined paper in a shadow": (4, 5),
    "lined paper on a table": (2, 3),
    "dotted paper": (2, 2),
    "dotted paper in a shadow": (6, 6),
    "digit in a box": (3, 3),
    "form fields, postcode": (2, 3),
    "underlined digit": (3, 3),
    "row of 3 to 10 digits": (3, 4),
    "row, some touch": (5, 9),
    "dates and decimals": (3, 3),
    "two that touch, without --many": (2, 2),
    "whiteboard and its frame": (3, 3),
    "chalkboard and its frame": (3, 3),
    "gaps in the stroke": (3, 4),
    "seven segments": (7, 17),
    "dot matrix": (2, 2),
    "letter": (6, 7),
    "scribble": (4, 4),
    "turned by a quarter": (3, 3),
}
DEBIAN = ("Breip", "ComicNeue", "Carlito", "Rufscript", "Andika")


def has_fonts():
    names = [font.path.stem for font in judging.fonts()]
    return all(any(name.startswith(each) for name in names) for each in DEBIAN)


@pytest.mark.parametrize("half", [tuning.half, judging.half])
def test_a_seed_makes_the_same_picture_each_time(half):
    for scene in ("note on a table", "row, some touch", "letter"):
        first, again, other = (made(scene, seed, half()) for seed in (3, 3, 4))
        assert first.shows == again.shows
        np.testing.assert_array_equal(first.levels, again.levels)
        assert first.levels.shape != other.levels.shape or (first.levels != other.levels).any()


def test_the_halves_share_nothing_that_is_seen():
    tune, judge = tuning.half(), judging.half()
    for name in ("papers", "inks", "rules"):
        assert not set(getattr(tune, name)) & set(getattr(judge, name))
    assert not {font.path for font in tuning.fonts()} & {font.path for font in judging.fonts()}
    for name in ("pens", "scribble", "tables", "lights", "shadows"):
        assert getattr(tune, name) != getattr(judge, name)


def test_answers_are_counted():
    right, refused, wrong = ("7", "7", 0.6), ("7", None, 0.0), ("7", "1", 0.95)
    counted = [measure.judged(*given, unsure=False) for given in (right, refused, wrong)]
    assert [each.right for each in counted] == [1, 0, 0]
    assert [each.refused for each in counted] == [0, 1, 0]
    assert [each.sure_and_wrong for each in counted] == [0, 0, 1]
    assert measure.judged(NOTHING, None, 0.0, False).right == 1
    assert measure.judged(NOTHING, "8", 0.95, False).sure_and_wrong == 1
    assert measure.judged("7", "7", 0.6, True) == measure.Tally(1, unsure=1)


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
def test_the_judging_half(scene, shipped):
    if not has_fonts():
        pytest.skip("the fonts of Debian that CONTRIBUTING.md names are missing")
    tally = measure.scene_tally(shipped, scene, judging.half(), measure.JUDGED[:COUNT])
    print(scene, tally)
    wrong = tally.count - tally.right
    assert wrong <= WRONG[scene][COUNT > 20], tally
