"""The judging half of the made pictures is read as well as docs/pictures.md says."""

import numpy as np
import pytest
from made_pictures import judging, measure, tuning
from made_pictures.half import NOTHING
from made_pictures.scenes import made


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
