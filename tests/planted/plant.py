"""Plant errors in copies of the package, one by one, and say which are noticed by a test.

    python tests/planted/plant.py                 # all of errors/*.toml
    python tests/planted/plant.py --room engine   # those of one room
    python tests/planted/plant.py --only 7 12     # by their numbers in the output
    python tests/planted/plant.py --suite         # the README's whole test command against each

Exit status: 0 if every error was noticed, 1 if one was not, or if a test fails without any error.
The working tree is not changed. What the tests of an error start is ended with them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
LISTS = Path(__file__).parent / "errors"
COPIED = (
    "mnistgpu",
    "tests",
    "docs",
    "examples",
    "release",
    "pyproject.toml",
)  # the rest is linked
SECONDS = 120  # for the test of one error
SUITE_SECONDS = 1800


@dataclass(frozen=True)
class Error:
    """An error to plant, and the test that must notice it."""

    room: str  # the list that it is in
    file: str  # from the root of the repository
    old: str  # occurs exactly once in the file
    new: str
    notices: str  # a test as pytest names it: file::function, or file::function[case]
    why: str  # what a user would notice

    def planted(self, text: str) -> str:
        """The file's text with the error; ValueError unless `old` occurs exactly once."""
        if text.count(self.old) != 1:
            found = text.count(self.old)
            raise ValueError(f"{self.file} has {found} times, and not once:\n{self.old}")
        return text.replace(self.old, self.new)


def errors(lists: Path = LISTS) -> list[Error]:
    """All errors, room by room."""
    return [
        Error(path.stem, **entry)
        for path in sorted(lists.glob("*.toml"))
        for entry in tomllib.loads(path.read_text())["error"]
    ]


@contextlib.contextmanager
def copy_of(root: Path, error: Error | None = None) -> Iterator[Path]:
    """A copy of the repository in a temporary directory, with the error planted."""
    with tempfile.TemporaryDirectory(prefix="planted-", ignore_cleanup_errors=True) as name:
        copy = Path(name).resolve() / "copy"
        copy.mkdir()
        for path in root.iterdir():
            if path.name not in COPIED and not path.name.startswith("."):
                (copy / path.name).symlink_to(path)
            elif path.is_dir() and path.name in COPIED:
                caches = shutil.ignore_patterns("__pycache__", "_build", "gallery")
                shutil.copytree(path, copy / path.name, ignore=caches)
            elif path.name in COPIED:
                shutil.copy(path, copy)
        if error is not None:
            file = copy / error.file
            file.write_text(error.planted(file.read_text()))
        yield copy


class Processes:
    """Runs commands in process groups of their own, all of which `end` kills."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen[str]] = set()
        self.ended, self.lock = False, threading.Lock()

    def run(self, command: Sequence[str], copy: Path, seconds: float) -> tuple[int | None, str]:
        """Exit status and output of a command in a copy; the status is None after `seconds`."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(copy),  # also for the commands that tests start
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_ADDOPTS": f"-p no:cacheprovider --basetemp={copy.parent / 'made'}",
        }
        with self.lock:
            if self.ended:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                command,
                cwd=copy,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self.running.add(process)
        try:
            output, _ = process.communicate(timeout=seconds)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            return None, ""
        finally:
            kill(process)
            if process.stdout is not None:
                process.stdout.close()
            self.running.discard(process)

    def end(self) -> None:
        """Kill what is running, and start nothing more."""
        with self.lock:
            self.ended = True
            for process in list(self.running):
                kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and all that it has started in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def pytest_command(*arguments: str) -> list[str]:
    """The command that runs these tests with this Python."""
    return [sys.executable, "-m", "pytest", "-q", "--no-header", *arguments]


def suite_command(readme: Path) -> list[str]:
    """The test command of the README, up to the first test that fails.

    Without the tests of the list of errors, which find the text of every planted error missing.
    """
    line = next(line for line in readme.read_text().splitlines() if " -m pytest" in line)
    words = shlex.split(line.partition(" -m pytest")[2], comments=True)
    return pytest_command("-x", "--ignore=tests/planted", *words)


def fails_without_error(chosen: Sequence[Error], root: Path, processes: Processes) -> list[str]:
    """The named tests that do not pass on a copy without any error, with what they say.

    A test of several cases may skip some of them.
    """
    tests = sorted({error.notices for error in chosen})
    with copy_of(root) as copy:
        where = "import mnistgpu; print(mnistgpu.__file__)"
        _, imported = processes.run([sys.executable, "-c", where], copy, SECONDS)
        if not imported.startswith(str(copy)):
            raise SystemExit(f"the copy's tests would import {imported.strip()}, and not the copy")
        report = copy.parent / "report.xml"
        command = pytest_command(f"--junitxml={report}", *tests)
        status, output = processes.run(command, copy, SECONDS + 10.0 * len(tests))
        if status not in (0, 1):
            return [f"the tests did not run (status {status})", output]
        passed, found = set(), []
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{str(case.get('classname')).replace('.', '/')}.py::{case.get('name')}"
            ends = {child.tag: child.get("message") for child in case}
            found += [f"{name}: {ends[end]}" for end in ("failure", "error") if end in ends]
            if not ends.keys() & {"failure", "error", "skipped"}:
                passed |= {name, name.partition("[")[0]}
        return found + [f"{test}: it is skipped" for test in tests if test not in passed]


def verdict(error: Error, root: Path, processes: Processes, suite: bool) -> tuple[str, str]:
    """Whether the error is noticed, in words, and the output of the tests."""
    with copy_of(root, error) as copy:
        command, limit = pytest_command("-x", error.notices), SECONDS
        if suite:
            command, limit = suite_command(copy / "README.md"), SUITE_SECONDS
        status, output = processes.run(command, copy, limit)
    if status is None:
        return f"noticed (no end within {limit} s)", output
    return {0: "NOT NOTICED", 1: "noticed"}.get(status, f"NOT TESTED (status {status})"), output


def plant(chosen: dict[int, Error], root: Path, jobs: int, suite: bool = False) -> int:
    """Plant the errors, by their numbers, and print what became of each; the exit status."""
    processes, begun = Processes(), time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            failing = [] if suite else fails_without_error(list(chosen.values()), root, processes)
            for name in failing:
                print(f"does not pass without an error: {name}", flush=True)

            def judged(error: Error) -> tuple[str, str, float]:
                start = time.monotonic()
                return (*verdict(error, root, processes, suite), time.monotonic() - start)

            missed = 0
            results = pool.map(judged, chosen.values())
            for (number, error), (said, output, seconds) in zip(
                chosen.items(), results, strict=True
            ):
                print(f"{number:>4}  {error.room:<9} {said:<12} {seconds:5.1f} s  {error.why}")
                if not said.startswith("noticed"):
                    missed += 1
                    print(f"      planted in {error.file}, to be noticed by {error.notices}")
                    if said != "NOT NOTICED":
                        print(output)
                sys.stdout.flush()
        except BaseException:
            processes.end()
            pool.shutdown(cancel_futures=True)
            raise
    took = time.monotonic() - begun
    print(f"{len(chosen) - missed} of {len(chosen)} errors were noticed, in {took:.0f} s")
    return 1 if missed or failing else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    rooms = sorted(path.stem for path in LISTS.glob("*.toml"))
    parser.add_argument("--room", choices=rooms, help="plant only the errors of one room")
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="plant these numbers")
    parser.add_argument("--jobs", type=int, default=2, help="errors tested at once (default 2)")
    parser.add_argument("--suite", action="store_true", help="run the README's tests against each")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: leave no process behind
    numbered = dict(enumerate(errors(), 1))
    chosen = {
        number: error
        for number, error in numbered.items()
        if (asked.room in (None, error.room)) and (not asked.only or number in asked.only)
    }
    if not chosen or not set(asked.only or ()) <= set(numbered) or asked.jobs < 1:
        parser.error(f"there are the numbers 1 to {len(numbered)}; choose some of them")
    return plant(chosen, ROOT, asked.jobs, asked.suite)


if __name__ == "__main__":
    sys.exit(main())
