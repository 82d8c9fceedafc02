"""A plugin of pytest: a test that needs what this system lacks is skipped, with a reason.

Most tests are written for Linux. Elsewhere those that name `os.mkfifo`, `signal.SIGKILL` and the
like are skipped. Only names that the manual calls Unix-only count, and only in files of the tests:
if a module of the package needs one, the test fails.
"""

import re
import sys
from pathlib import Path

import pytest

from helpers.unix_names import MODULES, is_missing

SYSTEM = {"win32": "windows", "darwin": "macos"}.get(sys.platform)
TESTS = Path(__file__).parent.parent


def what_is_missing(error, system):
    """The name of what this system lacks, if the tests themselves raised the error for it."""
    if system is None or not is_of_the_tests(error):
        return None
    if isinstance(error, ModuleNotFoundError) and error.name in MODULES:
        return error.name
    found = re.match(r"module '(\w+)' has no attribute '(\w+)'", str(error))
    if isinstance(error, AttributeError) and found and is_missing(system, *found.groups()):
        return ".".join(found.groups())
    return None


def is_of_the_tests(error):
    """Whether the last file of the project in the trace is one of the tests."""
    trace, files = error.__traceback__, []
    while trace is not None:
        files.append(Path(trace.tb_frame.f_code.co_filename))
        trace = trace.tb_next
    own = [file for file in files if file.is_relative_to(TESTS.parent)]
    return bool(own) and own[-1].is_relative_to(TESTS)


def skip_without(error):
    """Skip the test if this system lacks what it needs; else raise the error again."""
    missing = what_is_missing(error, SYSTEM)
    if missing is None:
        raise error
    pytest.skip(f"this system has no {missing}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    try:
        return (yield)
    except (AttributeError, ImportError) as error:
        skip_without(error)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    except (AttributeError, ImportError) as error:
        skip_without(error)
