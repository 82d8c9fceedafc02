"""Every promise of docs/reliability.md and of the README names its tests, which are there."""

import ast
import re
import tomllib

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


CLAIMS = tomllib.loads(
    (ROOT / "tests" / "project" / "readme_claims.toml").read_text(encoding="utf-8")
)["claim"]
OF_RELIABILITY = [
    (file, test)
    for _, tests in rows(TESTS)
    for file, names in re.findall(r"`(tests/[\w/]+\.py)`: ((?:`\w+`(?:, )?)+)", tests)
    for test in re.findall(r"\w+", names)
]
OF_THE_README = [tuple(test.split("::")) for claim in CLAIMS for test in claim["tests"]]


def test_the_list_of_tests_is_read_whole():
    assert len(OF_RELIABILITY) == sum(cell.count("`test_") for _, cell in rows(TESTS))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["says"][:40])
def test_the_readme_still_says_it(claim):
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert claim["says"] in readme
    assert claim["tests"]


@pytest.mark.parametrize(("file", "test"), dict.fromkeys(OF_RELIABILITY + OF_THE_README))
def test_a_test_that_is_named_is_there(file, test):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert test in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


FRAMEWORKS = {"torch", "tensorflow", "jax", "keras", "flax", "autograd", "tinygrad"}


def test_no_framework_is_imported():
    """Of the package only the doors to other tools, interop/, know their arrays."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / "mnistgpu").rglob("*.py")
        if "interop" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None), *(each.name for each in node.names)]
        if name and name.partition(".")[0] in FRAMEWORKS
    ]
    assert found == []
