"""Whichever call to the system fails, every promise of docs/reliability.md holds: see inject.py."""

import os
import subprocess
import sys

import pytest
from faults import inject

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="calls are made to fail on Linux alone"
    ),
]
SAMPLE = os.environ.get("MNISTGPU_FAULTS", "12")  # calls of each scenario; 0: all of them
SEED = os.environ.get("MNISTGPU_SEED", "1")
NAMES = ("train", "processes", "resume", "force", "committee", "submit", "keep", "report")


def injected(name, folder, *arguments):
    try:
        return inject.start(
            [name, *arguments], folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no compiler makes the library that lets calls fail ({error})")


@pytest.mark.parametrize("name", NAMES)
def test_whichever_call_fails_every_promise_holds(name, tmp_path):
    done = injected(name, tmp_path, "--sample", SAMPLE, "--seed", SEED)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert ", 0 promises broken" in done.stdout


def test_a_file_that_is_written_in_place_is_noticed(tmp_path):
    """The scenario `careless` overwrites its file, so a full disk leaves it cut short."""
    done = injected("careless", tmp_path, "--ways", "once", "killed")
    assert done.returncode == 1, done.stdout
    assert "(write) once: " in done.stdout
    assert " killed: " in done.stdout
