"""Every promise of docs/reliability.md names its tests, and each of these is there."""

import ast
import re

import pytest
from helpers.mnist import ROOT

PROMISES, TESTS = "## Promises, proofs, figures", "## The tests of each promise"


def rows(heading):
    """The rows of the first table below a heading, as lists of cells, without its own heading."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    section = text.split(f"\n{heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_every_promise_names_its_tests():
    promised = [promise for promise, *_ in rows(PROMISES)]
    proven = [promise.removesuffix(" ...") for promise, _ in rows(TESTS)]
    assert len(promised) == len(proven) > 15
    for whole, beginning in zip(promised, proven, strict=True):  # in the same order
        assert whole.startswith(beginning)


NAMED = [
    (file, test)
    for _, tests in rows(TESTS)
    for file, names in re.findall(r"`(tests/[\w/]+\.py)`: ((?:`\w+`(?:, )?)+)", tests)
    for test in re.findall(r"\w+", names)
]


def test_the_list_of_tests_is_read_whole():
    assert len(NAMED) == sum(cell.count("`test_") for _, cell in rows(TESTS))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_test_that_is_named_is_there(file, test):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert test in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
