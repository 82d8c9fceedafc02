"""No file and no room has more lines than its limit; benchmarks/lines.py counts those of code."""

import subprocess
import sys

import pytest
from helpers.mnist import ROOT

SOURCE = '''"""A docstring
of two lines."""

# a comment
import os  # one


class Thing:  # two
    """Another."""

    text = """three
    four, of a string
    that is data: five"""

    def method(self):  # six
        \'\'\'A third.\'\'\'
        return (  # seven

            os  # eight
        )  # nine


def short(): "one line"; return 1  # ten
'''


@pytest.fixture
def lines(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import lines

    return lines


def test_docstrings_comments_and_blank_lines_are_not_counted(lines):
    assert lines.lines_of_code(SOURCE) == 10
    assert lines.lines_of_code('"""Only words."""\n') == 0


def package(folder, engine, cpu):
    """A package with so many lines in engine/ itself and in engine/cpu/."""
    for room, count in {".": 3, "engine": engine, "engine/cpu": cpu, "web/deep": 2}.items():
        (folder / room).mkdir(parents=True, exist_ok=True)
        (folder / room / "__init__.py").write_text('"""A room."""\n' + "x = 1\n" * count)
    return folder


def test_rooms_are_counted_with_the_folders_in_them(lines, tmp_path):
    assert lines.rooms(package(tmp_path, 5, 7)) == {
        "": (1, 3),
        "engine": (2, 12),
        "engine/cpu": (1, 7),
        "web": (1, 2),
    }


@pytest.mark.parametrize(
    ("engine", "cpu", "broken"),
    [
        (0, 0, []),
        (1, 0, ["engine/"]),
        (-99, 1, ["engine/cpu/"]),
        (50, 50, ["engine/", "engine/cpu/"]),
    ],
)
def test_a_room_over_its_limit_fails_the_check(lines, tmp_path, engine, cpu, broken):
    """engine, cpu: lines beyond the limits; those of engine/ are beside those of engine/cpu/."""
    least = lines.LIMITS["engine/cpu"]
    engine, cpu = engine + lines.LIMITS["engine"] - least, cpu + least
    command = [sys.executable, ROOT / "benchmarks" / "lines.py", "--package"]
    command.append(package(tmp_path, engine, cpu))
    for check in (False, True):
        done = subprocess.run(
            [*command, *["--check"] * check], capture_output=True, text=True, check=False
        )
        assert done.returncode == (1 if check and broken else 0)
        rooms = [line.split()[0] for line in done.stderr.splitlines()]
        assert rooms == [f"mnistgpu/{room}" for room in broken]
    assert done.stdout.splitlines()[-1].split() == ["all", "4", f"{5 + engine + cpu:,}"]


def test_no_file_has_over_400_lines():
    """What is longer is cut where there is a seam. Empty lines and comments count."""
    kinds = {".py", ".html", ".js", ".css", ".sh", ".cpp", ".h"}
    found = {
        path.relative_to(ROOT): len(path.read_text("utf-8").splitlines())
        for folder in ("mnistgpu", "tests", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in kinds
    }
    assert len(found) > 500
    assert [f"{path}: {count}" for path, count in found.items() if count > 400] == []
