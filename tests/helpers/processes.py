"""Processes that tests start: none outlives its test, whether it passes, fails or is stopped."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time

import pytest

PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

_started = []


def prepare():
    """What a process does before its program begins.

    Tests that nohup or a background shell began ignore SIGINT, which their processes would inherit.
    Linux kills the process when pytest ends, also where pytest itself is killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(command, preparation=lambda: None, **options):
    """A process that goes on by itself, at most until the end of the test; pipes of text.

    preparation: called in the new process before its program begins.
    """
    usual = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    if os.name == "posix":  # in a group of its own, so that its children can be killed with it
        usual |= {"preexec_fn": lambda: (prepare(), preparation()), "start_new_session": True}
    process = subprocess.Popen([*map(str, command)], **(usual | options))
    _started.append(process)
    return process


def run(command, timeout=120, **options):
    """A process until its end; what `subprocess.run` returns."""
    process = start(command, **options)
    try:
        output, errors = process.communicate(timeout=timeout)
    finally:
        end(process)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def end(process):
    """Kill a process and its children, and close its pipes."""
    _started.remove(process)
    with contextlib.suppress(ProcessLookupError):  # all of them have ended
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def is_running(process):
    """Whether a process of Linux, given by its number, has not ended."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def have_ended(processes, seconds=10.0):
    """Whether all of these processes, given by their numbers, end within so many seconds."""
    end = time.monotonic() + seconds
    while any(map(is_running, processes)):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(autouse=True)
def no_process_left():
    """Whatever the test started by `start` ends with it."""
    yield
    while _started:
        end(_started[-1])
