"""Whichever call to the system fails, every promise of docs/reliability.md holds: see inject.py."""

import os
import subprocess
import sys

import pytest
from faults import inject, power, writers
from faults.scenarios import SCENARIOS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="calls are made to fail on Linux alone"
    ),
]
SAMPLE = os.environ.get("MNISTGPU_FAULTS", "12")  # calls of each scenario; 0: all of them
ORDERS = os.environ.get("MNISTGPU_ORDERS", "200")  # of two writers
SEED = os.environ.get("MNISTGPU_SEED", "1")


def started(program, folder, *arguments):
    """A program of this folder, run to its end."""
    options = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        return inject.start(arguments, folder, program=program, **options)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no compiler makes the library that lets calls fail ({error})")


@pytest.mark.parametrize("name", SCENARIOS)
def test_whichever_call_fails_every_promise_holds(name, tmp_path):
    done = started(inject.__file__, tmp_path, name, "--sample", SAMPLE, "--seed", SEED)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert ", 0 promises broken" in done.stdout


def test_a_file_that_is_written_in_place_is_noticed(tmp_path):
    """The scenario `careless` overwrites its file, so a full disk leaves it cut short."""
    done = started(inject.__file__, tmp_path, "careless", "--ways", "once", "killed")
    assert done.returncode == 1, done.stdout
    assert "(write) once: " in done.stdout
    assert " killed: " in done.stdout


def test_after_a_power_cut_every_promise_holds(tmp_path):
    """Every state of the disk that can be reached; `careless` has some that it must not have."""
    done = started(power.__file__, tmp_path)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert ", 0 promises broken" in done.stdout
    careless = started(power.__file__, tmp_path, "careless")
    assert careless.returncode == 1
    assert ", 3 promises broken" in careless.stdout


def test_two_writers_in_many_orders(tmp_path):
    """All of up to six switches by `python tests/faults/writers.py`; here some of them."""
    for what in (("lock", "--sample", ORDERS), ("committee", "--count", ORDERS)):
        done = started(writers.__file__, tmp_path, *what, "--seed", SEED)
        print(done.stdout)
        assert done.returncode == 0, done.stdout
        assert "no promise broken" in done.stdout
