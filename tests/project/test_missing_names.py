"""Elsewhere a test that needs a name of Linux is skipped, but no error of the package is."""

import os
import sys

import pytest
from helpers import processes
from helpers.missing_names import what_is_missing
from helpers.mnist import ROOT

FILE = """
import os, sys, signal
import pytest

@pytest.fixture
def pipe():
    os.mkfifo

def test_needs_a_signal():
    signal.SIGALRM

def test_needs_a_pipe(pipe):
    pass

def test_needs_a_module():
    raise ModuleNotFoundError("No module named 'fcntl'", name="fcntl")

def test_is_wrong():
    os.no_such_thing
"""
PLUGIN = """
import os, signal
from helpers import missing_names
missing_names.SYSTEM = "windows"
missing_names.TESTS = missing_names.Path(__file__).parent
del os.mkfifo, signal.SIGALRM
"""


def test_what_a_test_needs_and_this_system_lacks(tmp_path):
    (tmp_path / "test_some.py").write_text(FILE)
    (tmp_path / "conftest.py").write_text(PLUGIN)
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "helpers.missing_names"]
    command += ["-p", "no:cacheprovider", "-p", "no:randomly", "--rootdir", tmp_path]
    output = processes.run(command, cwd=tmp_path, env=environment).stdout
    assert "1 failed, 3 skipped" in output
    for name in ("signal.SIGALRM", "os.mkfifo", "fcntl"):
        assert f"this system has no {name}" in output
    assert "no attribute 'no_such_thing'" in output


def raised(code, file):
    """The error of code that stands in a file."""
    with pytest.raises((AttributeError, ImportError)) as caught:
        exec(compile(code, str(file), "exec"), {})
    return caught.value


def test_a_name_that_the_package_needs_is_an_error():
    code = "raise AttributeError(\"module 'os' has no attribute 'fork'\")"
    inside = raised(code, ROOT / "mnistgpu" / "storage" / "system.py")
    outside = raised(code, ROOT / "tests" / "storage" / "test_system.py")
    assert what_is_missing(inside, "windows") is None
    assert what_is_missing(outside, "windows") == "os.fork"
    assert what_is_missing(outside, None) is None  # this is Linux
    unknown = raised("import no_such_module", ROOT / "tests" / "test_it.py")
    assert what_is_missing(unknown, "macos") is None
