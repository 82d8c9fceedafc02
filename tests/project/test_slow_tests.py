"""A run of the tests says at its end which it left out, with xdist and without."""

import os
import sys

import pytest
from helpers import processes
from helpers.mnist import ROOT

FILE = """
import pytest

@pytest.mark.slow
@pytest.mark.parametrize("i", range(3))
def test_slowly(i):
    pass

def test_quickly():
    pass

def test_at_once():
    pass
"""
SENTENCE = "3 slow tests were left out; run them with: python -m pytest -m slow"


def printed(folder, *options):
    """What pytest prints about two quick and three slow tests."""
    (folder / "test_both.py").write_text(FILE)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -m 'not slow'\nmarkers =\n    slow\n")
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
    command = [sys.executable, "-m", "pytest", "-p", "helpers.slow_tests", "-p", "no:cacheprovider"]
    return processes.run([*command, *options], cwd=folder, env=environment).stdout


@pytest.mark.slow
def test_what_was_left_out_is_said_once_by_several_processes(tmp_path):
    pytest.importorskip("xdist", reason="pytest-xdist is missing")
    output = printed(tmp_path, "-n", 2)
    assert "2 passed" in output
    assert output.count(SENTENCE) == 1


@pytest.mark.slow
def test_where_nothing_slow_was_left_out_nothing_is_said(tmp_path):
    output = printed(tmp_path, "-m", "slow")
    assert "3 passed, 2 deselected" in output
    assert "left out" not in output


@pytest.mark.slow
def test_what_k_leaves_out_is_not_counted(tmp_path):
    output = printed(tmp_path, "-k", "slowly and 1 or quickly")
    assert "1 passed" in output
    assert SENTENCE.replace("3 slow tests were", "1 slow test was") in output
