"""The README and the docs stay true: tables, links, commands, and code beside the equations."""

import ast
import fnmatch
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.mnist import ROOT

from mnistgpu import models
from mnistgpu.pictures import images

README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_tables_are_those_of_the_results():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "fill_docs.py", "--check"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_document_with_python_in_it_is_read_by_a_test():
    tests = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    for document in DOCUMENTS:
        if "```python" in document.read_text():
            assert any(f'"{document.name}"' in text for text in tests), document.name


def test_the_code_of_the_explanation_is_the_code_of_the_example():
    example = (ROOT / "examples" / "eight_equations.py").read_text()
    lines = {line.partition("#")[0].strip() for line in example.splitlines()}
    explanation = README.partition("## The explanation")[2].partition("That is all.")[0]
    shown = re.findall(
        r"`([A-Z][A-Za-z]*\d?(?:\[[^`]+\])? = [^`]+|[a-z]+[A-Z]?\d? = [^`]+|\(W1[^`]+)`",
        explanation,
    )
    assert len(shown) >= 20
    for line in shown:
        assert line in lines, line


def test_every_room_and_every_module_at_the_top_is_on_the_map():
    shown = set(re.findall(r"mnistgpu/([a-z_]+)(?:\.py)?\)", README.partition("## Map")[2]))
    modules = {path.stem for path in (ROOT / "mnistgpu").glob("*.py")} - {"__init__", "__main__"}
    rooms = {path.parent.name for path in (ROOT / "mnistgpu").glob("*/__init__.py")}
    assert modules | rooms == shown


ROOMS = sorted((ROOT / "mnistgpu").glob("*/**/__init__.py"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.parent.name)
def test_the_first_lines_of_a_room_name_each_of_its_modules(room):
    """As CONTRIBUTING.md says of them: with `.py`, by a name in it, or by a pattern."""
    first_lines = ast.get_docstring(ast.parse(room.read_text(encoding="utf-8")))
    named = re.findall(r"`([\w*]+)\.", first_lines)
    modules = [path.stem for path in room.parent.glob("*.py") if not path.stem.startswith("__")]
    assert [each for each in modules if not any(fnmatch.fnmatch(each, n) for n in named)] == []


def test_commands_of_the_readme_name_real_flags():
    help_text = subprocess.run(
        [sys.executable, "-m", "mnistgpu.train", "--help"],
        capture_output=True,
        text=True,
        env={"COLUMNS": "200", "PATH": "", "TERM": "dumb"},
    ).stdout
    for line in re.findall(r"mnistgpu\.train (--[^#\n`]+)", README):
        for flag in re.findall(r"--[a-z-]+", line):
            assert flag in help_text, flag


def test_the_python_of_using_runs_as_written(tmp_path, monkeypatch, capsys):
    """Three pieces: your own digit, a run that is loaded, and the network by NumPy alone."""
    run = tmp_path / "runs" / "MY-RUN"
    run.mkdir(parents=True)
    shutil.copy(models.SHIPPED, run / "model.safetensors")
    shutil.copy(ROOT / "tests" / "golden" / "photo-7.jpg", tmp_path / "photo.jpg")
    np.save(tmp_path / "digit.npy", images.read(tmp_path / "photo.jpg"))
    monkeypatch.chdir(tmp_path)
    using = (ROOT / "docs" / "using.md").read_text()
    own_digit, loaded, elsewhere = re.findall("```python\n(.*?)```", using, re.DOTALL)
    for code, expected in ((own_digit, "7 0.9"), (loaded, "[7 2 1 0 4]"), (elsewhere, "7")):
        exec(code, {})
        assert expected in capsys.readouterr().out
    assert (tmp_path / "copy.safetensors").exists()
    assert "mnistgpu" not in elsewhere
