"""Claims compare the numbers of runs, and say what is wrong with how they are written."""

import pytest

from mnistgpu.errors import DataError
from mnistgpu.web.experiments import claims

NUMBERS = {"a.x": 0.25, "a.y": 3, "b.x": 0.2, "b.none": None, "two-words.x(7)": 0.5}


def holds(check):
    return claims.claim("", check, "here").holds(NUMBERS)


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("a.x < 30%", True),
        ("a.x < 25%", False),
        ("a.x <= 25%", True),
        ("a.x >= 0.26", False),
        ("a.x == 25%", True),
        ("a.x != 0.25", False),
        ("a.y == 3", True),
        ("a.y > 3", False),
        ("a.x - b.x > 4%", True),
        ("a.x - b.x > 6%", False),
        ("b.x + 5.5% > a.x", True),
        ("a.x > b.x", True),
        ("a.x - b.x - 2% < 4%", True),
        ("two-words.x(7) > 40%", True),
        ("30% > a.x", True),
    ],
)
def test_claims_are_judged_by_the_numbers(check, expected):
    assert holds(check) is expected


@pytest.mark.parametrize("comparison", claims.COMPARISONS)
def test_no_claim_holds_of_a_number_that_there_is_not(comparison):
    assert holds(f"b.none {comparison} 3") is False
    assert holds(f"a.x - b.none {comparison} 3") is False


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (
            "a.x",
            "here: 'a.x' must compare two sides by one of <=, >=, ==, !=, <, >, such as \"plain",
        ),
        ("1% < a.x < 2%", "must compare two sides"),
        ("a.x = 3", "must compare two sides"),
        ("a.x < 20 %", "'20 %' is no number of a run; write its run and its name, such as plain.t"),
        ("a.x < -3", "'-3' is no number"),
        ("a.x-b.x < 3", "'a.x-b.x' is no number"),
        ("a.x * 2 < 3", "'a.x * 2' is no number"),
        ("__import__('os') < a.x", "is no number"),
        ("3 < 4", "names no number of a run, so that it is always the same"),
        ("", "must compare two sides"),
    ],
)
def test_what_is_no_claim_is_said(check, said):
    with pytest.raises(DataError) as raised:
        claims.claim("", check, "here")
    assert said in str(raised.value)


def test_texts_have_places_for_numbers():
    text = "It is {a.x}, { b.x } and {two-words.x(7)}."
    assert [str(each) for each in claims.places(text, "")] == ["a.x", "b.x", "two-words.x(7)"]
    filled = claims.filled(text, {"a.x": "1", "b.x": "2", "two-words.x(7)": "3"})
    assert filled == "It is 1, 2 and 3."


@pytest.mark.parametrize("text", ["{a.x", "a.x}", "{{a.x}}", "{a}", "{}", "{a.x:.2f}", "{a.x(b)}"])
def test_places_that_are_none_are_said(text):
    with pytest.raises(DataError, match=r"here: "):
        claims.places(text, "here")
