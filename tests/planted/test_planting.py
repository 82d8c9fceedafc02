"""The list of planted errors is alive, and the command tells what is noticed from what is not."""

import ast
import functools
import re

import plant
import pytest

ON_CUPY = plant.ROOT / "tests" / "cupy_on_cpu" / "errors"  # which `cupy_on_cpu/run.py` plants
ERRORS = [*plant.errors(), *plant.errors(ON_CUPY)]


def faults(check):
    """What `check` says about the errors, each with its number."""
    found = ((number, check(error)) for number, error in enumerate(ERRORS, 1))
    return [f"error {number}: {fault}" for number, fault in found if fault]


def test_there_are_errors_of_every_kind_of_room():
    assert len(ERRORS) >= 60
    rooms = {error.room for error in ERRORS}
    assert rooms >= {"core", "maths", "engine", "runs", "data", "storage", "models", "reports"}
    places = [(error.file, error.old, error.new) for error in ERRORS]
    assert len(set(places)) == len(places)


def test_each_error_can_still_be_planted():
    """Its old text stands once in the file, and with the new one a .py file is still Python."""

    def check(error):
        try:
            text = error.planted((plant.ROOT / error.file).read_text(encoding="utf-8"))
            ast.parse(text if error.file.endswith(".py") else "")
        except (OSError, SyntaxError, ValueError) as fault:
            return fault
        if error.old == error.new or not error.why or "\n" in error.why:
            return "it changes nothing, or does not say in one line what a user would notice"
        return ""

    assert faults(check) == []


def is_slow(node):
    return "slow" in {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}


@functools.cache
def module(path):
    return ast.parse((plant.ROOT / path).read_text()).body


def test_each_test_that_notices_is_there_and_is_not_slow():
    def check(error):
        path, _, function = error.notices.partition("[")[0].partition("::")
        named = [each for each in module(path) if getattr(each, "name", "") == function]
        marks = [
            each
            for each in module(path)
            if isinstance(each, ast.Assign) and getattr(each.targets[0], "id", "") == "pytestmark"
        ]
        if len(named) != 1:
            return f"{path} has no {function}"
        if any(map(is_slow, (*named[0].decorator_list, *marks))):
            return f"{error.notices} is marked slow, and does not run with the README's command"
        return ""

    assert faults(check) == []


TESTS = """
import time

import mnistgpu


def test_half():
    assert mnistgpu.half(3) == 1.5


def test_nothing():
    mnistgpu.half(3)


def test_that_fails_anyway():
    assert mnistgpu.half(3) == 2


def test_that_is_left_waiting():
    while mnistgpu.half(3) != 1.5:
        time.sleep(0.1)
"""


def tried(root, monkeypatch, new, notices, seconds=60):
    monkeypatch.setattr(plant, "SECONDS", seconds)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # which takes most of the time
    error = plant.Error(
        "some", "mnistgpu/__init__.py", "x / 2", new, f"tests/test_it.py::{notices}", "wrong"
    )
    return plant.plant({1: error}, root, jobs=1)


@pytest.fixture
def project(tmp_path):
    """A package of one function, and its tests."""
    for name, content in (
        ("mnistgpu/__init__.py", "def half(x):\n    return x / 2\n"),
        ("tests/test_it.py", TESTS),
        ("pyproject.toml", ""),
        (
            "README.md",
            "Install it, then run\n\n    .venv/bin/python -m pytest -k 'half or nothing'\n",
        ),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.parametrize(
    ("new", "notices", "status", "said"),
    [
        ("x // 2", "test_half", 0, r"1 +some +noticed .*\n1 of 1 errors were noticed"),
        ("x // 2", "test_nothing", 1, r"NOT NOTICED .*\n.*test_nothing\n0 of 1 errors"),
        ("x // 2", "test_that_fails_anyway", 1, r"does not pass without an error: .*anyway"),
        ("x // 2", "test_that_is_not_there", 1, "does not pass without an error: .*"),
        ("0 if x else 1", "test_that_is_left_waiting", 0, r"noticed \(no end within 2 s\)"),
    ],
)
def test_what_is_printed(project, monkeypatch, capsys, new, notices, status, said):
    seconds = 2 if "waiting" in notices else 60
    before = {path: path.read_text() for path in project.rglob("*.py")}
    assert tried(project, monkeypatch, new, notices, seconds) == status
    assert re.search(said, capsys.readouterr().out)
    assert {path: path.read_text() for path in project.rglob("*.py")} == before


def test_the_suite_is_the_readmes_command(project):
    assert plant.suite_command(project / "README.md")[-2:] == ["-k", "half or nothing"]
    ours = plant.suite_command(plant.ROOT / "README.md")
    assert "--ignore=tests/planted" in ours


def test_an_old_text_that_stands_twice_cannot_be_planted():
    error = plant.Error("some", "it.py", "a", "b", "tests/test_it.py::test_it", "wrong")
    assert error.planted("cab") == "cbb"
    for text in ("banana", "xyz"):
        with pytest.raises(ValueError, match=r"it\.py has \d times, and not once"):
            error.planted(text)
