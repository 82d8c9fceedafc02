"""Real training processes for the tests that disturb them, and a small set for them to train on."""

import contextlib
import os
import struct
import subprocess
import sys
import time

import pytest

from helpers import command as command_line
from helpers import processes
from helpers.mnist import ROOT, read_idx
from mnistgpu.runs import checkpoint

LONG = 1_000_000  # iterations, which no test waits for
STEPS = 400  # of the run `uninterrupted`


def write_small_set(folder):
    """900 training and 300 test images of MNIST, as IDX files."""
    for prefix, count in (("train", 900), ("t10k", 300)):
        images = read_idx(f"{prefix}-images-idx3-ubyte", count)
        labels = read_idx(f"{prefix}-labels-idx1-ubyte", count)
        header = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = struct.pack(">4BI", 0, 0, 8, 1, count)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    return folder


def environment():
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "PYTHONUNBUFFERED": "1",
    }


def command(*arguments):
    return [sys.executable, "-m", "mnistgpu.cli", "train", *map(str, arguments)]


def start(*arguments, **options):
    """A training process that goes on by itself, at most until the end of the test."""
    return processes.start(command(*arguments), env=environment(), **options)


def run(*arguments, **options):
    """A training process until its end."""
    return processes.run(command(*arguments), **({"env": environment()} | options))


def run_here(*arguments, cwd="."):
    """The same in this process, for tests of what a run leaves and not of the process."""
    return command_line.run_here("train", *arguments, cwd=cwd)


def wait_for(condition, process, seconds=60.0):
    """Wait until something is true that the process should bring about."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.005)


def one_sentence(text):
    """The only line of an error output, which has no traceback."""
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


def begun(path, *options, **more):
    """A process that has trained for a while and saves after every step."""
    process = start(*options, "--out", path, "--checkpoint-every", "0s", **more)
    wait_for((path / checkpoint.FILE).exists, process)
    return process


def ended(process):
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def contents(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


@contextlib.contextmanager
def mounted(path, kilobytes):
    """A small filesystem of its own at path, where this machine lets us have one."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(path)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode != 0:
        pytest.skip(f"no filesystem may be mounted here ({done.stderr.strip()})")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
