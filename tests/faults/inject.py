"""Let each call to the system fail in turn, and see that every promise holds: SQLite's way to test.

    python tests/faults/inject.py                     every scenario, every way, every call
    python tests/faults/inject.py force --ways once   one of them

A scenario is a command on prepared files. The first time its first call to the system fails, the
second time its second one, and so on until it runs to its end untouched. Which calls count says
faults.c: those that touch the files of the scenario (open, read, write, fsync, rename, unlink,
mkdir, lock, listing), new processes and shared memory, and large requests for memory. After each
the same promises are checked as after a kill: `Scenario.check` in scenarios.py.
"""

import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).parent
WAYS = {  # of failing, with their numbers in faults.c
    "once": 1,  # this call alone
    "from-then-on": 2,  # this one and all that follow, such as a disk that stays full
    "short-write": 3,  # half of the bytes are written, which a caller must notice
    "killed": 4,  # kill -9 just before the call
}
LARGE = 2**18  # bytes: requests for memory of this size may fail
SECONDS = 120.0  # for one command


def library(folder):
    """The path of faults.c, compiled for this machine; OSError or an error of the compiler."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    path = Path(folder) / "libfaults.so"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, "-o", path, HERE / "faults.c", "-ldl"], check=True)
    return path


def start(arguments, folder, program=__file__, **options):
    """This program, or power.py, in a process in which calls can fail."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library(folder)),
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE.parents[1])]),
        "PYTHONFAULTHANDLER": "1",
    }
    command = [sys.executable, program, "--inside", *map(str, arguments)]
    return subprocess.run(command, env=environment, **options)


class Faults:
    """The library in this process."""

    def __init__(self):
        own = ctypes.CDLL(None)
        self.arm, self.disarm, self.name = own.faults_arm, own.faults_disarm, own.faults_last
        self.arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_size_t]
        self.log, self.step = own.faults_log, own.faults_step
        self.disarm.restype, self.name.restype = ctypes.c_long, ctypes.c_char_p


def attempt(faults, scenario, folder, nth, way):
    """Run the scenario in a process of its own whose nth call fails (0: none).

    Returns (status, errors, calls, failed): the exit status, negative for a signal, the error
    output, how many calls there were, and the name of the one that failed.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.setpgid(0, 0)
        os.close(reading)
        faults.arm(str(folder).encode(), nth, way, LARGE)
        try:
            try:
                status, errors = scenario.act(folder)
            except BaseException:  # the report must leave this process, whatever it is
                status, errors = 99, traceback.format_exc()
            calls, failed = faults.disarm(), faults.name().decode()
            os.write(writing, json.dumps([status, errors[-3000:], calls, failed]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    end = time.monotonic() + SECONDS
    while not (waited := os.waitpid(process, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise AssertionError(f"hangs for {SECONDS:g} s")
        time.sleep(0.002)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    left_none_behind(process)
    if not said:
        return -os.WTERMSIG(waited[1]), "", 0, "killed"
    return tuple(json.loads(said))


def left_none_behind(group):
    """AssertionError if a process of this group is there ten seconds later."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    os.killpg(group, signal.SIGKILL)
    raise AssertionError("it left a process behind")


def inject(scenario, ways, sample, seed, report):
    """Let the calls of a scenario fail; returns how many did, and the failures as sentences."""
    faults, wrong, tried = Faults(), [], 0
    with tempfile.TemporaryDirectory() as name:
        template = Path(name) / "template"
        template.mkdir()
        scenario.prepare(template)

        def fresh():
            folder = Path(name) / "folder"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(template, folder, symlinks=True)
            return folder

        folder = fresh()
        status, errors, calls, _ = attempt(faults, scenario, folder, 0, 0)
        assert status == 0, errors
        scenario.remember(folder)
        chosen = [(way, nth) for way in ways for nth in range(1, calls + 1)]
        if sample and sample < len(chosen):
            chosen = sorted(random.Random(seed).sample(chosen, sample))
        for way, nth in chosen:
            folder, failed = fresh(), ""
            try:
                status, errors, _, failed = attempt(faults, scenario, folder, nth, WAYS[way])
                check_end(status, errors, way)
                scenario.check(folder, status)
            except Exception as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                wrong.append(
                    f"{scenario.name}, call {nth} of {calls} ({failed}) {way}: "
                    f"{type(error).__name__}: {error} [{Path(last.filename).name}:{last.lineno}]"
                )
                report(wrong[-1])
            tried += 1
    return tried, calls, wrong


def check_end(status, errors, way):
    """A command ends with 0, or with 1 and one sentence; it is never a traceback."""
    if way == "killed":
        assert status in (-signal.SIGKILL, 0), (status, errors)
        return
    assert "Traceback" not in errors, errors
    assert status in (0, 1), (status, errors)
    if status == 1:
        lines = [line for line in errors.splitlines() if not line.startswith(("note:", "warning:"))]
        assert len(lines) == 1, errors
        assert lines[0].startswith(("error: ", "stopped")), errors


def main():
    from faults.scenarios import CARELESS, SCENARIOS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--sample", type=int, default=0, help="calls of each scenario; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.inside:
        with tempfile.TemporaryDirectory() as folder:
            sys.exit(start(sys.argv[1:], folder).returncode)
    known = {**SCENARIOS, CARELESS.name: CARELESS}
    total, broken = 0, []
    for name in given.scenarios or SCENARIOS:
        began = time.monotonic()
        tried, calls, wrong = inject(
            known[name], given.ways, given.sample, given.seed, report=print
        )
        total, broken = total + tried, broken + wrong
        took = time.monotonic() - began
        print(f"{name:<12} {calls} calls, {tried} faults in {took:.0f} s, {len(wrong)} wrong")
    print(f"{total} faults, {len(broken)} promises broken")
    sys.exit(bool(broken))


if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]
    main()
