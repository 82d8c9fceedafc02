"""Runs tests against one mutant: in a copy of the repository, in a forked process, with a limit.

The process that calls has imported pytest, NumPy and others, but nothing of the package, so that a
trial begins without these seconds. All that a trial starts ends with it. For Linux.
"""

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MEMORY = 8 * 2**30  # bytes of addresses of a process: a mutant may ask for any size
PR_SET_CHILD_SUBREAPER = 36  # of <sys/prctl.h>: who loses its parent becomes a child of ours
COPIED = ("mnistgpu", "tests", "docs", "examples", "release", "pyproject.toml")


@dataclass(frozen=True)
class End:
    """How the tests of a trial ended."""

    status: str  # passed, failed, late or crashed
    test: str  # the first one that failed, if any
    seconds: float


class Copy:
    """A copy of the repository in which one file at a time is changed."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.changes, self.undo = folder / "copy", 0, None
        self.root.mkdir(parents=True)
        for path in root.iterdir():
            if path.name in COPIED and path.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "_build", "gallery")
                shutil.copytree(path, self.root / path.name, ignore=ignored)
            elif path.name in COPIED:
                shutil.copy(path, self.root)
            elif not path.name.startswith("."):
                (self.root / path.name).symlink_to(path)

    def change(self, file: str, text: str) -> None:
        """Give a file another text, until `restore`."""
        path = self.root / file
        self.undo = path, path.read_bytes(), path.stat()
        path.write_text(text, encoding="utf-8")
        self.changes += 1  # Python takes a compiled file of the same time and size for this one
        later = self.undo[2].st_mtime + 2 * self.changes
        os.utime(path, (later, later))

    def restore(self) -> None:
        if self.undo is not None:
            path, content, stat = self.undo
            path.write_bytes(content)
            os.utime(path, (stat.st_atime, stat.st_mtime))
            self.undo = None


class Noted:
    """A plugin of pytest: writes the first test that fails into a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, text: str) -> None:
        if not self.path.exists():
            self.path.write_text(text)

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            self.note(report.nodeid)

    def pytest_collectreport(self, report) -> None:
        if report.failed:
            self.note(f"{report.nodeid} (not collected)")


def begin(copy: Copy, tests: Sequence[str], processor: int, seconds: float) -> int:
    """Start a trial; its process, for `end` once that has ended.

    processor, seconds: the limits, of each process and by the clock.
    """
    report = copy.root.parent / "report.json"
    report.unlink(missing_ok=True)
    supervisor = os.fork()
    if supervisor:
        return supervisor
    try:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        supervise(copy, tests, processor, seconds, report)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def supervise(
    copy: Copy, tests: Sequence[str], processor: int, seconds: float, report: Path
) -> None:
    """Run the tests in a process, wait for it, end what it leaves, and write how it ended."""
    began = time.monotonic()
    process = os.fork()
    if process == 0:
        status = 70
        try:
            status = run_tests(copy, tests, processor)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    status: int | None = None
    while status is None:
        ended, waited = os.waitpid(process, os.WNOHANG)
        if ended:
            status = waited
        elif time.monotonic() - began > seconds:
            break
        else:
            time.sleep(0.01)
    took = time.monotonic() - began
    while found := descendants(os.getpid()):
        for each in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            break
        time.sleep(0.01)
    noted = copy.root.parent / "noted"
    test = noted.read_text() if noted.exists() else ""
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        kind = "late"
    elif os.WIFSIGNALED(status):
        kind = "crashed"
    else:
        kind = "passed" if os.WEXITSTATUS(status) == 0 else "failed"
    report.write_text(json.dumps([kind, test, took]))


def end(copy: Copy) -> End:
    """How the trial whose process has ended went."""
    return End(*json.loads((copy.root.parent / "report.json").read_text()))


def descendants(process: int) -> list[int]:
    """The processes that this one has started and those that they have, but for dead ones."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(parent), []).append(int(stat.parent.name))
    found = list(children.get(process, []))
    for each in found:
        found += children.get(each, [])
    return found


def run_tests(copy: Copy, tests: Sequence[str], processor: int) -> int:
    """Run tests of the copy in this process; pytest's status."""
    os.setsid()
    folder = copy.root.parent
    noted, output = (
        folder / "noted",
        os.open(folder / "output", os.O_CREAT | os.O_TRUNC | os.O_RDWR),
    )
    noted.unlink(missing_ok=True)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, descriptor)
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(copy.root)
    os.environ["PYTHONPATH"] = str(copy.root)  # also for the commands that tests start
    sys.path.insert(0, str(copy.root))
    import pytest

    options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly"]
    made = f"--basetemp={folder / 'made'}"
    status = pytest.main([*options, "-m", "not slow", made, *tests], plugins=[Noted(noted)])
    import mnistgpu

    assert mnistgpu.__file__.startswith(str(copy.root)), mnistgpu.__file__
    return 0 if status == pytest.ExitCode.NO_TESTS_COLLECTED else int(status)  # all are skipped


class Copies:
    """Some copies of the repository in a temporary folder, that are removed at the end."""

    def __init__(self, root: Path, count: int) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True)
        first = Path(self.folder.name).resolve()
        self.all = [Copy(root, first / str(number)) for number in range(count)]

    def __enter__(self) -> list[Copy]:
        return self.all

    def __exit__(self, *_: object) -> None:
        self.folder.cleanup()


def prepare() -> None:
    """Import what every trial needs, hold BLAS at one thread and random inputs at the same ones."""
    os.environ.update(OPENBLAS_NUM_THREADS="1", MNISTGPU_HYPOTHESIS="ci")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a copy keeps what is compiled
    sys.dont_write_bytecode = False
    for name in ("numpy", "pandas", "PIL.Image", "pytest"):  # no plugin, which pytest rewrites
        __import__(name)
    assert not any(name.partition(".")[0] == "mnistgpu" for name in sys.modules)


def commit(root: Path) -> str:
    """The commit of the repository, which seeds the sample; where there is none, the same word."""
    asked = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"
