"""Every stage of the path runs, is short, and reaches the accuracy that docs/path.md gives it."""

import ast
import os
import re
import sys

import pytest
from helpers import processes
from helpers.mnist import ROOT

PAGE = (ROOT / "docs" / "path.md").read_text()
STAGES = sorted((ROOT / "examples" / "path").glob("*.py"))
SLOW = {"02_hidden_layer", "07_held_out", "08_dropout", "09_deformations"}  # seconds each


def as_case(path):
    return pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in SLOW))


@pytest.mark.parametrize("path", [*map(as_case, STAGES)])
def test_a_stage_reaches_what_its_page_says(path, tmp_path):
    done = processes.run(
        [sys.executable, path],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    reached = float(re.findall(r"^test accuracy (0\.\d+)", done.stdout, re.MULTILINE)[-1])
    row = re.search(rf"^\| \[.+\]\(\.\./examples/path/{path.name}\).*$", PAGE, re.MULTILINE)
    shown = float(re.search(r"\| ([\d.]+)% \|$", row[0])[1]) / 100
    assert reached == pytest.approx(shown, abs=0.01)  # machines round differently
    assert list(tmp_path.iterdir()) == []


def test_stages_are_numbered_short_and_say_how_they_are_run():
    assert [path.name[:3] for path in STAGES] == [f"{i:02}_" for i in range(1, len(STAGES) + 1)]
    assert len(STAGES) >= 10
    for number, path in enumerate(STAGES, start=1):
        text = path.read_text()
        assert len(text.splitlines()) < 100, path.name
        docstring = ast.get_docstring(ast.parse(text))
        assert docstring.startswith(f"Stage {number}, "), path.name
        assert f"Run:  python examples/path/{path.name}" in docstring
        assert re.search(r"^assert .*(accuracy|found) > 0\.", text, re.MULTILINE), path.name


def test_the_last_stage_is_the_package_and_the_first_ones_are_not():
    names = {path.stem: path.read_text() for path in STAGES}
    assert "mnistgpu.fit(" in names[STAGES[-1].stem]
    for path in STAGES[:6]:  # NumPy and the images alone
        assert re.findall(r"mnistgpu\S* import (.+)", path.read_text()) == ["data"], path.name
